//! The id index: which data files hold rows of an item, without reading the files.
//!
//! It is a set of immutable runs below `swath_index/stac_items/`, each the sorted keys of whole data files. Data files
//! never change, so what a run says of a file stays true for as long as the file is live; a run of which a byte is wrong is
//! left out, and so is what it says of a file with another size or number of rows than the table says. Files that no run
//! covers are read themselves. So the index can be absent, old or damaged: commits are slower then, not wrong.
//!
//! The index only says where an item is not. What it finds is read in the data files before anything is decided.
//!
//! Beside the runs lie covers: they say which manifests need not be read at all, because every file in them is in a run. So
//! what a writer reads that remembers nothing does not grow with the number of files.

mod block;
mod cover;
mod filter;
mod run;
mod upkeep;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt as _;
use object_store::ObjectMeta;
use swath_core::TableName;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::live::LiveFile;
use crate::place::OutsideLake;

pub(crate) use cover::Cover;
pub(crate) use run::{Covered, Footer};
pub use upkeep::Indexed;
pub(crate) use upkeep::{Learned, Lesson};

/// Where the runs lie, below the lake's base.
pub(crate) const FOLDER: &str = "swath_index/stac_items";

/// Runs that are read at the same time.
const AT_ONCE: usize = 8;

/// An item's collection and id.
pub(crate) type ItemId = (Option<String>, String);

/// What the index knows of the files of a table.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files of which all rows are in the index: rows and bytes, by their path below the lake's base.
    pub(crate) covered: HashMap<String, (u64, u64)>,
    /// Those of them that hold a row of one of the items.
    pub(crate) holding: HashSet<String>,
    /// The runs that say so.
    pub(crate) runs: BTreeSet<String>,
}

/// Returns whether no other content will ever come under a file's name: ours bear a digest, `EarthCatalog`'s a random number,
/// but those of its bulk registration (`part_000001.parquet`) are counted anew.
pub(crate) fn is_named_once(below: &str) -> bool {
    let stem = below.strip_suffix(".parquet").unwrap_or(below);
    let unique = stem.rsplit(['/', '_', '-']).next().unwrap_or_default();
    unique.len() >= 8
}

impl Found {
    /// Returns whether the index covers a file with this many rows and bytes.
    pub(crate) fn covers(&self, below: &str, told: (u64, u64)) -> bool {
        is_named_once(below) && self.covered.get(below) == Some(&told)
    }

    /// Returns whether a live file holds any of the items; `None` when the index does not cover it.
    pub(crate) fn holds(&self, below: &str, live: &LiveFile) -> Option<bool> {
        let told = (live.rows, live.size_bytes);
        self.covers(below, told)
            .then(|| self.holding.contains(below))
    }
}

impl Lake {
    /// Looks for items in every run; runs that cannot be read are left out.
    pub(crate) async fn look_up(&self, items: &BTreeSet<ItemId>) -> Found {
        let mut found = Found::default();
        let runs = match self.list_index().await {
            Ok(listing) => listing.runs,
            Err(error) => {
                let error = swath_core::chain(&error);
                tracing::warn!(error, "the id index cannot be listed");
                return found;
            }
        };
        let reads: Vec<_> = runs.iter().map(|meta| self.look_in(meta, items)).collect();
        let mut reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        while let Some(read) = reads.next().await {
            let Some((run, files, hits)) = read else {
                continue;
            };
            found.runs.insert(run);
            found.holding.extend(hits);
            found.covered.extend(files);
        }
        found
    }

    /// Returns a run's name, all its files, and those of them that hold any of the items.
    async fn look_in(
        &self,
        meta: &ObjectMeta,
        items: &BTreeSet<ItemId>,
    ) -> Option<(String, HashMap<String, (u64, u64)>, HashSet<String>)> {
        let (footer, hits) = self.find_in(meta, items).await?;
        let files = run::files(&self.place.store, &meta.location, &footer).await;
        let files = files.map_err(left_out(meta)).ok()?;
        let files = files.iter().map(|file| (file.path.clone(), file.told()));
        let hits = hits.into_iter().map(|file| file.path);
        Some((meta.location.to_string(), files.collect(), hits.collect()))
    }

    /// Returns the files of a run that hold any of the items; `None` when it cannot be read.
    async fn find_in(
        &self,
        meta: &ObjectMeta,
        items: &BTreeSet<ItemId>,
    ) -> Option<(Arc<Footer>, Vec<Covered>)> {
        let looked = async {
            let footer = self.footer(meta).await?;
            let hits = run::find(&self.place.store, &meta.location, &footer, items).await?;
            Ok((footer, hits))
        };
        looked.await.map_err(left_out(meta)).ok()
    }

    /// Reads where the blocks of a run are, once: runs do not change.
    async fn footer(&self, meta: &ObjectMeta) -> Result<Arc<Footer>, run::Unsound> {
        let name = meta.location.as_ref();
        if let Some(footer) = self.cache.footer(name) {
            return Ok(footer);
        }
        let footer = Arc::new(run::footer(&self.place.store, meta).await?);
        self.cache.keep_footer(name, &footer);
        Ok(footer)
    }
}

fn left_out(meta: &ObjectMeta) -> impl Fn(run::Unsound) {
    let run = meta.location.to_string();
    move |error| {
        let error = swath_core::chain(&error);
        tracing::warn!(run, error, "a run of the id index is left out");
    }
}

fn outside(source: OutsideLake) -> LakeError {
    LakeError::outside(TableName::StacItems)(source)
}

fn unpackable(error: &run::Unsound) -> LakeError {
    LakeError::Index {
        run: FOLDER.to_owned(),
        what: swath_core::chain(error),
    }
}
