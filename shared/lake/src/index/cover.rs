//! Covers: which manifests list no live file that the runs lack.
//!
//! A manifest that a cover names need not be read to know where an item is not: the runs say so. A cover holds for as long
//! as all runs that it names are there; they never change, nor do manifests, so it cannot become wrong, only of no use.

use std::collections::{BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _, PutPayload};
use serde::{Deserialize, Serialize};

use super::block::{checksum, pack, unpack};
use super::run::{self, Covered, Unsound};
use super::{AT_ONCE, FOLDER, ItemId};
use crate::error::LakeError;
use crate::lake::Lake;

/// What the names of covers end with.
const SUFFIX: &str = "-v2.cover";

/// One cover.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cover {
    /// Locations of manifests.
    pub(crate) manifests: BTreeSet<String>,
    /// Paths of the runs that hold all rows of their live files.
    pub(crate) runs: BTreeSet<String>,
}

/// What lies in the index's folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) runs: Vec<ObjectMeta>,
    covers: Vec<ObjectMeta>,
}

impl Cover {
    /// Takes in what another cover says.
    pub(super) fn extend(&mut self, other: Self) {
        self.manifests.extend(other.manifests);
        self.runs.extend(other.runs);
    }
}

impl Lake {
    /// Lists runs and covers. One that the list lacks is only slower to do without.
    pub(super) async fn list_index(&self) -> Result<Listing, LakeError> {
        let root = self.place.path(FOLDER).map_err(super::outside)?;
        let listed = self.place.store.list(Some(&root)).try_collect::<Vec<_>>();
        let listed = listed.await.map_err(|source| LakeError::Store {
            location: self.place.location(FOLDER),
            source,
        })?;
        let mut listing = Listing::default();
        for meta in listed {
            let name = meta.location.as_ref();
            if name.ends_with(run::SUFFIX) {
                listing.runs.push(meta);
            } else if name.ends_with(SUFFIX) {
                listing.covers.push(meta);
            }
        }
        Ok(listing)
    }

    /// Returns what the covers say that hold: those whose runs are all there.
    pub(super) async fn covered_by(&self, listing: &Listing) -> Cover {
        let runs = listing.runs.iter().map(|meta| meta.location.as_ref());
        let runs: HashSet<&str> = runs.collect();
        let mut all = Cover::default();
        for meta in &listing.covers {
            match self.read_cover(&meta.location).await {
                Ok(cover) if cover.runs.iter().all(|run| runs.contains(run.as_str())) => {
                    all.extend(cover);
                }
                Ok(_) => {}
                Err(error) => {
                    let (cover, error) = (meta.location.as_ref(), swath_core::chain(&error));
                    tracing::warn!(cover, error, "a cover of the id index is left out");
                }
            }
        }
        all
    }

    async fn read_cover(&self, path: &Path) -> Result<Cover, Unsound> {
        let name = path.filename().unwrap_or_default();
        let sum = name.strip_suffix(SUFFIX).unwrap_or_default();
        let bytes = self.place.store.get(path).await?.bytes().await?;
        unpack(&bytes, sum)
    }

    /// Writes a cover in the place of those that were listed.
    pub(super) async fn put_cover(
        &self,
        cover: &Cover,
        listing: &Listing,
    ) -> Result<(), LakeError> {
        let packed = pack(cover).map_err(|error| super::unpackable(&error))?;
        let below = format!("{FOLDER}/{}{SUFFIX}", checksum(&packed));
        let path = self.place.path(&below).map_err(super::outside)?;
        let put = self.place.store.put(&path, PutPayload::from(packed)).await;
        put.map_err(|source| LakeError::Store {
            location: self.place.location(&below),
            source,
        })?;
        let old = listing.covers.iter().map(|meta| meta.location.clone());
        self.clear_index(old.filter(|old| *old != path)).await
    }

    /// Returns what is covered now, and the files that hold rows of any of the items, as the runs say; `None` when one of
    /// those cannot be read, so that nothing is known to be covered.
    pub(crate) async fn look_in_cover(
        &self,
        items: &BTreeSet<ItemId>,
    ) -> Option<(Cover, Vec<Covered>)> {
        let listing = self.list_index().await;
        let listing = listing.map_err(|error| {
            let error = swath_core::chain(&error);
            tracing::warn!(error, "the id index cannot be listed");
        });
        let listing = listing.ok()?;
        let cover = self.covered_by(&listing).await;
        let runs = listing.runs.iter();
        let runs = runs.filter(|meta| cover.runs.contains(meta.location.as_ref()));
        let reads: Vec<_> = runs.map(|meta| self.find_in(meta, items)).collect();
        let mut reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        let mut files = Vec::new();
        while let Some(found) = reads.next().await {
            files.extend(found?.1);
        }
        Some((cover, files))
    }
}
