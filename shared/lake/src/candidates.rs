//! The live files that a batch could have to do with.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use iceberg::spec::ManifestFile;
use swath_core::TableName;
use swath_core::message::{Partition, RemovedItem};
use swath_table::keys::{Known, RowKey};

use crate::decide::Decision;
use crate::error::LakeError;
use crate::file::NewFile;
use crate::index::{Cover, Found, ItemId, Learned};
use crate::lake::{Base, Lake};
use crate::live::LiveFile;
use crate::snapshot::Change;

/// Data files that are read at the same time.
const AT_ONCE: usize = 8;

/// Files that are read themselves rather than looked up in the id index: to open it costs about as much.
const FEW: usize = 4;

/// Bytes of manifests that are read themselves: to ask the id index costs about as much.
/// Tests ask it always: their tables are small.
const MUCH: i64 = if cfg!(test) { 0 } else { 32 * 1024 };

/// What the id index knows of manifests that were not read.
#[derive(Debug, Default)]
struct Covered {
    manifests: HashSet<String>,
    /// The files among theirs, and perhaps others that are no longer live, that hold rows of the batch, by their
    /// path below the lake's base.
    files: HashMap<String, Option<Partition>>,
    /// Whether there is much to read that it does not cover.
    lacks_many: bool,
}

impl Covered {
    fn has(&self, manifest: &ManifestFile) -> bool {
        self.manifests.contains(&manifest.manifest_path)
    }
}

/// What a batch looks for in the table.
#[derive(Debug)]
pub(crate) struct Sought<'a> {
    table: TableName,
    files: Vec<&'a NewFile>,
    gone: &'a [RemovedItem],
    items: BTreeSet<ItemId>,
}

/// The live files that could hold rows of the batch, and their keys.
pub(crate) struct Candidates {
    pub(crate) files: Vec<LiveFile>,
    pub(crate) keys: Vec<Arc<[RowKey]>>,
    /// Those that the id index should know and does not.
    pub(crate) learned: Vec<Learned>,
    /// Manifests that the id index could cover from now on.
    pub(crate) whole: Cover,
    /// Of all manifests that could list one of the files, or what is left of it.
    listed: Vec<Arc<[LiveFile]>>,
}

impl<'a> Sought<'a> {
    pub(crate) fn new(table: TableName, files: &[&'a NewFile], gone: &'a [RemovedItem]) -> Self {
        let rows = files.iter().flat_map(|file| file.known.iter());
        let rows = rows.map(|row: &Known| (row.collection.clone(), row.id.clone()));
        let gone_items = gone
            .iter()
            .map(|item| (item.collection.clone(), item.id.clone()));
        Self {
            table,
            files: files.to_vec(),
            gone,
            items: rows.chain(gone_items).collect(),
        }
    }

    /// Finds them in a state of the table: first by the ranges in its manifests, then by the id index, and reads their keys.
    /// Of many manifests only those are read that the index does not cover, and those that list what it has found.
    ///
    /// What the index says is not there is not read; all else is, so that nothing is decided by the index alone.
    pub(crate) async fn among(
        &self,
        lake: &Lake,
        base: &Base,
        manifests: &[ManifestFile],
    ) -> Result<Candidates, LakeError> {
        let covered = self.covered(lake, manifests).await;
        // Older versions may lie in any cell and year.
        let is_open = |manifest: &&ManifestFile| !covered.has(manifest);
        let mut listed = base.files(lake, manifests.iter().filter(is_open)).await?;
        let live = listed.iter().flat_map(|files| files.iter());
        let near: Vec<LiveFile> = live.filter(|live| self.may_meet(live)).cloned().collect();
        let is_unread = |file: &&LiveFile| lake.cache.keys(&file.location).is_none();
        let looks = self.table == TableName::StacItems
            && (covered.lacks_many || near.iter().filter(is_unread).nth(FEW).is_some());
        let found = if looks {
            lake.look_up(&self.items).await
        } else {
            Found::default()
        };
        let told = near.into_iter().map(|file| {
            let below = lake.place.below(&file.location);
            let holds = below.ok().and_then(|below| found.holds(below, &file));
            let holds = holds.map(|holds| holds || self.is_new(&file));
            (file, holds)
        });
        let mut wanted: Vec<_> = told.filter(|(_, holds)| *holds != Some(false)).collect();

        let partitions = wanted.iter().map(|(file, _)| file.partition.as_ref());
        let partitions = partitions.chain(covered.files.values().map(Option::as_ref));
        let partitions: BTreeSet<Option<&Partition>> = partitions.collect();
        let touched = manifests.iter().filter(|manifest| {
            covered.has(manifest) && partitions.iter().any(|one| base.may_list(manifest, *one))
        });
        let more = base.files(lake, touched).await?;
        let held = more.iter().flat_map(|files| files.iter());
        let held = held.filter(|file| {
            let below = lake.place.below(&file.location);
            below.is_ok_and(|below| covered.files.contains_key(below))
        });
        wanted.extend(held.map(|file| (file.clone(), Some(true))));

        let reads: Vec<_> = wanted
            .iter()
            .map(|(file, holds)| self.read(lake, file, looks && holds.is_none()))
            .collect();
        let reads = futures::stream::iter(reads).buffered(AT_ONCE);
        let read: Vec<(Arc<[RowKey]>, Option<Learned>)> = reads.try_collect().await?;
        let (keys, learned): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let learned: Vec<Learned> = learned.into_iter().flatten().collect();
        let whole = lake.whole(listed.iter(), &found, &learned);
        listed.extend(more);
        Ok(Candidates {
            files: wanted.into_iter().map(|(file, _)| file).collect(),
            keys,
            learned,
            whole,
            listed,
        })
    }

    /// Asks the id index which manifests need not be read, when there is much to read, and which files of theirs hold rows
    /// of the batch.
    async fn covered(&self, lake: &Lake, manifests: &[ManifestFile]) -> Covered {
        let unread: Vec<&ManifestFile> = manifests
            .iter()
            .filter(|manifest| lake.cache.manifest(&manifest.manifest_path).is_none())
            .collect();
        let size = |manifests: &[&ManifestFile]| -> i64 {
            manifests.iter().map(|one| one.manifest_length).sum()
        };
        if self.table != TableName::StacItems || size(&unread) <= MUCH {
            return Covered::default();
        }
        let Some((cover, files)) = lake.look_in_cover(&self.items).await else {
            return Covered {
                lacks_many: true,
                ..Covered::default()
            };
        };
        let (known, open): (Vec<_>, Vec<_>) = unread
            .into_iter()
            .partition(|manifest| cover.manifests.contains(&manifest.manifest_path));
        let files = files.into_iter().map(|file| (file.path, file.partition));
        Covered {
            lacks_many: size(&open) > MUCH,
            files: if known.is_empty() {
                HashMap::new()
            } else {
                files.collect()
            },
            manifests: known
                .into_iter()
                .map(|manifest| manifest.manifest_path.clone())
                .collect(),
        }
    }

    fn may_meet(&self, live: &LiveFile) -> bool {
        self.files.iter().any(|file| file.ranges.meet(&live.ranges))
            || self.gone.iter().any(|item| {
                let collection = item.collection.as_deref();
                live.ranges.may_hold(collection, &item.id)
            })
    }

    /// Returns whether the live file is one that the batch brings: it must not become part of the table again.
    fn is_new(&self, live: &LiveFile) -> bool {
        let mut files = self.files.iter();
        files.any(|file| file.location == live.location)
    }

    async fn read(
        &self,
        lake: &Lake,
        file: &LiveFile,
        learns: bool,
    ) -> Result<(Arc<[RowKey]>, Option<Learned>), LakeError> {
        if !learns || lake.cache.keys(&file.location).is_some() {
            return Ok((lake.keys(self.table, &file.location).await?, None));
        }
        let (keys, rows) = lake.known(self.table, &file.location).await?;
        let learned = Learned {
            location: file.location.clone(),
            size_bytes: file.size_bytes,
            partition: file.partition.clone(),
            rows,
        };
        Ok((keys, Some(learned)))
    }
}

impl Candidates {
    /// Returns whether a file is part of the table.
    pub(crate) fn has(&self, location: &str) -> bool {
        let mut listed = self.listed.iter().flat_map(|files| files.iter());
        listed.any(|file| file.location == location)
    }

    /// Returns a change by which the files that rows leave leave the table.
    pub(crate) fn without(&self, decision: &Decision) -> Change {
        let mut change = Change::default();
        let files = decision.remove.keys();
        for file in files.filter_map(|place| self.files.get(*place)) {
            let manifest = change.remove.entry(file.manifest.to_string()).or_default();
            manifest.insert(file.location.clone());
        }
        change
    }
}
