//! Runs written, merged and cleared away.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _, PutPayload};
use swath_core::TableName;
use swath_core::message::Partition;
use swath_table::keys::Known;

use super::cover::{Cover, Listing};
use super::run::{self, Covered, Entry};
use super::{Found, is_named_once};
use crate::error::LakeError;
use crate::file::NewFile;
use crate::lake::{Base, Lake};
use crate::live::LiveFile;
use crate::snapshot::Listed;

/// Rows in a run that is merged no more, about 60 MB in memory.
const MOST_ROWS: u64 = 250_000;

/// Runs of like size that a commit merges into one.
const FAN_IN: u32 = 8;

/// Size up to which commits merge runs, bytes; larger ones are left to maintenance.
const MOST_BYTES: u64 = 4 << 20;

/// A data file whose rows were read.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    pub(crate) location: String,
    pub(crate) size_bytes: u64,
    pub(crate) partition: Option<Partition>,
    pub(crate) rows: Arc<[Known]>,
}

/// What a commit has found out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lesson {
    /// Files that it added, and files that it read because the index lacks them.
    pub(crate) learned: Vec<Learned>,
    /// Manifests that it read, every file in which is among those or in the runs named here.
    pub(crate) whole: Cover,
    /// The manifests that it leaves.
    pub(crate) listed: Vec<Listed>,
}

impl From<NewFile> for Learned {
    fn from(file: NewFile) -> Self {
        Self {
            size_bytes: file.facts.file_size_in_bytes(),
            location: file.location,
            partition: file.partition,
            rows: file.known,
        }
    }
}

/// The id index at one moment, or what upkeep made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    /// Data files of the table.
    pub files: u64,
    /// Those whose rows are in the index.
    pub files_covered: u64,
    /// Runs that the index consists of.
    pub runs: u64,
    /// Their size together.
    pub size_bytes: u64,
    /// When the youngest was written, seconds since 1970; absent when there is none.
    pub written: Option<i64>,
    /// Runs that upkeep found damaged, or of no use any more, and cleared away.
    pub runs_cleared: u64,
}

/// Entries that become a run when there are enough.
#[derive(Default)]
struct Pack {
    files: Vec<Covered>,
    entries: Vec<Entry>,
}

impl Pack {
    fn add(&mut self, file: Covered, rows: impl Iterator<Item = Known>) {
        let at = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.entries.extend(rows.map(|row| Entry { row, file: at }));
        self.files.push(file);
    }

    /// Takes over what a run says of the files that `keep` is true for.
    fn take(&mut self, run: run::Whole, keep: impl Fn(&Covered) -> bool) {
        let mut rows: BTreeMap<u32, Vec<Known>> = BTreeMap::new();
        for entry in run.entries {
            rows.entry(entry.file).or_default().push(entry.row);
        }
        for (at, file) in (0_u32..).zip(run.files) {
            if keep(&file) {
                self.add(file, rows.remove(&at).unwrap_or_default().into_iter());
            }
        }
    }

    fn is_full(&self) -> bool {
        self.entries.len() as u64 >= MOST_ROWS
    }
}

impl Lake {
    /// Puts what a commit has found out into the index. A failure costs later commits time, nothing else.
    pub(crate) async fn learn(&self, lesson: &Lesson) {
        if let Err(error) = self.try_to_learn(lesson).await {
            let error = swath_core::chain(&error);
            tracing::warn!(error, "the id index was not brought up to date");
        }
    }

    async fn try_to_learn(&self, lesson: &Lesson) -> Result<(), LakeError> {
        let mut pack = Pack::default();
        let mut is_whole = true;
        for file in &lesson.learned {
            let Ok(below) = self.place.below(&file.location) else {
                is_whole = false;
                continue;
            };
            is_whole &= is_named_once(below);
            let covered = Covered {
                path: below.to_owned(),
                rows: file.rows.len() as u64,
                size_bytes: file.size_bytes,
                partition: file.partition.clone(),
            };
            pack.add(covered, file.rows.iter().cloned());
        }
        let run = self.put_run(pack).await?;
        let listing = self.list_index().await?;
        let mut cover = self.covered_by(&listing).await;
        cover.extend(lesson.whole.clone());
        cover.runs.extend(run.map(|run| run.to_string()));
        // Manifests without sources list files that this commit has added.
        let holds = |listed: &&Listed| match listed.sources[..] {
            [] => is_whole,
            ref sources => sources.iter().all(|one| cover.manifests.contains(one)),
        };
        let manifests = lesson.listed.iter().filter(holds);
        cover.manifests = manifests.map(|listed| listed.location.clone()).collect();
        self.merge_small(&listing, cover).await
    }

    /// Writes a run, if it is not there yet; returns its path.
    async fn put_run(&self, pack: Pack) -> Result<Option<Path>, LakeError> {
        if pack.files.is_empty() {
            return Ok(None);
        }
        let (below, bytes) =
            run::write(&pack.files, pack.entries).map_err(|error| super::unpackable(&error))?;
        let path = self.place.path(&below).map_err(super::outside)?;
        let put = self.place.store.put(&path, PutPayload::from(bytes));
        put.await.map_err(|source| LakeError::Store {
            location: self.place.location(&below),
            source,
        })?;
        Ok(Some(path))
    }

    /// Merges runs of like size once there are many, so that their number grows with the logarithm of that of commits, and
    /// writes the cover that names those that are left.
    async fn merge_small(&self, listing: &Listing, mut cover: Cover) -> Result<(), LakeError> {
        let mut tiers: BTreeMap<u32, Vec<&ObjectMeta>> = BTreeMap::new();
        for meta in listing.runs.iter().filter(|meta| meta.size < MOST_BYTES) {
            let tier = meta.size.max(4096).ilog(u64::from(FAN_IN));
            tiers.entry(tier).or_default().push(meta);
        }
        let mut merged = Vec::new();
        for runs in tiers.into_values() {
            if runs.len() < FAN_IN as usize {
                continue;
            }
            let (mut pack, mut read) = (Pack::default(), Vec::new());
            let mut seen = HashSet::new();
            for meta in &runs {
                // What is damaged is left to maintenance; what is gone was merged by another commit.
                if let Ok(run) = self.read_run(meta).await {
                    pack.take(run, |file| !seen.contains(&file.path));
                    seen.extend(pack.files.iter().map(|file| file.path.clone()));
                    read.push(meta.location.clone());
                }
            }
            let made = self.put_run(pack).await?;
            read.retain(|run| Some(run) != made.as_ref());
            for run in &read {
                if cover.runs.remove(run.as_ref()) {
                    cover.runs.extend(made.as_ref().map(Path::to_string));
                }
            }
            merged.extend(read);
        }
        self.put_cover(&cover, listing).await?;
        self.clear_index(merged.into_iter()).await
    }

    async fn read_run(&self, meta: &ObjectMeta) -> Result<run::Whole, run::Unsound> {
        let got = self.place.store.get(&meta.location).await?;
        let bytes: Bytes = got.bytes().await?;
        run::read(&meta.location, &bytes)
    }

    pub(super) async fn clear_index(
        &self,
        paths: impl Iterator<Item = Path>,
    ) -> Result<(), LakeError> {
        for path in paths {
            match self.place.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => {
                    let location = path.to_string();
                    return Err(LakeError::Store { location, source });
                }
            }
        }
        Ok(())
    }

    /// Tells how much of `earthcatalog.stac_items` the id index covers.
    ///
    /// # Errors
    /// When there is no such table, or its metadata or the index cannot be listed.
    pub async fn index(&self) -> Result<Indexed, LakeError> {
        let base = self.base(TableName::StacItems).await?;
        let live = self.live_items(&base).await?;
        let runs = self.list_index().await?.runs;
        let found = self.look_up(&BTreeSet::new()).await;
        let covered = live
            .values()
            .filter(|file| found.covers(&file.path, file.told()));
        Ok(Indexed {
            files: live.len() as u64,
            files_covered: covered.count() as u64,
            runs: runs.len() as u64,
            size_bytes: runs.iter().map(|meta| meta.size).sum(),
            written: runs.iter().map(|meta| meta.last_modified.timestamp()).max(),
            runs_cleared: 0,
        })
    }

    /// Returns the live files of `earthcatalog.stac_items` by their path below the lake's base.
    async fn live_items(&self, base: &Base) -> Result<HashMap<String, Covered>, LakeError> {
        let manifests = base.manifests(self).await?;
        let listed = base.files(self, manifests.iter()).await?;
        let files = listed.iter().flat_map(|files| files.iter());
        let files = files.filter_map(|file| {
            let path = self.place.below(&file.location).ok()?.to_owned();
            let file = Covered {
                rows: file.rows,
                size_bytes: file.size_bytes,
                partition: file.partition.clone(),
                path,
            };
            Some((file.path.clone(), file))
        });
        Ok(files.collect())
    }

    /// Returns the manifests every file in which is in the runs, or is one of those learned.
    pub(crate) fn whole<'a>(
        &self,
        listed: impl Iterator<Item = &'a Arc<[LiveFile]>>,
        found: &Found,
        learned: &[Learned],
    ) -> Cover {
        let learned: HashSet<&str> = learned.iter().map(|file| file.location.as_str()).collect();
        let is_known = |file: &LiveFile| {
            let below = self.place.below(&file.location);
            below.is_ok_and(|below| {
                let told = (file.rows, file.size_bytes);
                let is_learned = learned.contains(file.location.as_str());
                found.covers(below, told) || (is_learned && is_named_once(below))
            })
        };
        let whole = listed.filter(|files| files.iter().all(is_known));
        let manifests = whole.filter_map(|files| Some(files.first()?.manifest.to_string()));
        Cover {
            manifests: manifests.collect(),
            runs: found.runs.clone(),
        }
    }

    /// Brings the id index up to date with `earthcatalog.stac_items`: reads every byte of it, clears damaged runs away,
    /// forgets files that are no longer live, reads those that no run covers, merges runs. With `dry` nothing is written
    /// and the figures tell how it is.
    ///
    /// # Errors
    /// When there is no such table, or a file of it or of the index cannot be read or written.
    pub async fn maintain_index(&self, dry: bool) -> Result<Indexed, LakeError> {
        if dry {
            return self.index().await;
        }
        let base = self.base(TableName::StacItems).await?;
        let mut upkeep = Upkeep {
            lake: self,
            left: self.live_items(&base).await?,
            pack: Pack::default(),
            made: HashSet::new(),
        };
        let listing = self.list_index().await?;
        let mut runs: Vec<&ObjectMeta> = listing.runs.iter().collect();
        // Large ones first: those are kept as they are.
        runs.sort_by_key(|meta| std::cmp::Reverse(meta.size));
        for meta in &runs {
            upkeep.run(meta).await?;
        }
        upkeep.read_rest().await?;
        upkeep.flush().await?;
        let made = upkeep.made;
        let old = runs.into_iter().map(|meta| meta.location.clone());
        let old: Vec<Path> = old.filter(|path| !made.contains(path)).collect();
        let cleared = old.len() as u64;
        self.clear_index(old.into_iter()).await?;
        // Now, so that it names none of those.
        self.cover_all(&base, &listing).await?;
        Ok(Indexed {
            runs_cleared: cleared,
            ..self.index().await?
        })
    }

    /// Writes the cover of all manifests of a state of the table whose files are in the runs.
    async fn cover_all(&self, base: &Base, listing: &Listing) -> Result<(), LakeError> {
        let manifests = base.manifests(self).await?;
        let listed = base.files(self, manifests.iter()).await?;
        let found = self.look_up(&BTreeSet::new()).await;
        let cover = self.whole(listed.iter(), &found, &[]);
        self.put_cover(&cover, listing).await
    }
}

/// The index on its way to being up to date.
struct Upkeep<'a> {
    lake: &'a Lake,
    /// Live files that no run of the new index covers yet.
    left: HashMap<String, Covered>,
    pack: Pack,
    /// Runs that stay.
    made: HashSet<Path>,
}

impl Upkeep<'_> {
    async fn run(&mut self, meta: &ObjectMeta) -> Result<(), LakeError> {
        let read = match self.lake.read_run(meta).await {
            Ok(read) => read,
            Err(error) => {
                let (run, error) = (meta.location.as_ref(), swath_core::chain(&error));
                tracing::warn!(run, error, "a damaged run of the id index is cleared away");
                return Ok(());
            }
        };
        let wanted = |file: &&Covered| {
            let live = self.left.get(&file.path);
            live.is_some_and(|live| live.told() == file.told())
        };
        let files: Vec<String> = {
            let wanted = read.files.iter().filter(wanted);
            wanted.map(|file| file.path.clone()).collect()
        };
        if read.rows >= MOST_ROWS / 2 && files.len() == read.files.len() {
            self.made.insert(meta.location.clone());
        } else {
            let kept: HashSet<&String> = files.iter().collect();
            self.pack.take(read, |file| kept.contains(&file.path));
        }
        for file in files {
            self.left.remove(&file);
        }
        if self.pack.is_full() {
            self.flush().await?;
        }
        Ok(())
    }

    async fn read_rest(&mut self) -> Result<(), LakeError> {
        let mut left: Vec<Covered> = std::mem::take(&mut self.left).into_values().collect();
        left.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        for file in left {
            let location = self.lake.place.location(&file.path);
            let known = self.lake.known(TableName::StacItems, &location).await?.1;
            if known.len() as u64 == file.rows {
                self.pack.add(file, known.iter().cloned());
            }
            if self.pack.is_full() {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), LakeError> {
        let pack = std::mem::take(&mut self.pack);
        let made = self.lake.put_run(pack).await?;
        self.made.extend(made);
        Ok(())
    }
}
