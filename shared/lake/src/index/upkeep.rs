//! Runs written, merged and cleared away.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _, PutPayload};
use swath_core::TableName;
use swath_table::keys::Known;

use super::run::{self, Covered, Entry};
use crate::error::LakeError;
use crate::file::NewFile;
use crate::lake::Lake;

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
    pub(crate) rows: Arc<[Known]>,
}

impl From<NewFile> for Learned {
    fn from(file: NewFile) -> Self {
        Self {
            size_bytes: file.facts.file_size_in_bytes(),
            location: file.location,
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
    fn take(
        &mut self,
        (footer, entries): (run::Footer, Vec<Entry>),
        keep: impl Fn(&Covered) -> bool,
    ) {
        let mut rows: BTreeMap<u32, Vec<Known>> = BTreeMap::new();
        for entry in entries {
            rows.entry(entry.file).or_default().push(entry.row);
        }
        for (at, file) in (0_u32..).zip(footer.files) {
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
    /// Puts the rows of data files into the index. One that fails costs the next commit time, nothing else.
    pub(crate) async fn learn(&self, files: &[Learned]) {
        let mut pack = Pack::default();
        for file in files {
            if let Ok(below) = self.place.below(&file.location) {
                let covered = Covered {
                    path: below.to_owned(),
                    rows: file.rows.len() as u64,
                    size_bytes: file.size_bytes,
                };
                pack.add(covered, file.rows.iter().cloned());
            }
        }
        let learnt = async {
            self.put_run(pack).await?;
            self.merge_small().await
        };
        if let Err(error) = learnt.await {
            let error = swath_core::chain(&error);
            tracing::warn!(error, "the id index was not brought up to date");
        }
    }

    /// Writes a run, if it is not there yet; returns its path.
    async fn put_run(&self, pack: Pack) -> Result<Option<Path>, LakeError> {
        if pack.files.is_empty() {
            return Ok(None);
        }
        let failed = |error: run::Unsound| LakeError::Index {
            run: super::FOLDER.to_owned(),
            what: swath_core::chain(&error),
        };
        let (below, bytes) = run::write(pack.files, pack.entries).map_err(failed)?;
        let path = self.place.path(&below);
        let path = path.map_err(LakeError::outside(TableName::StacItems))?;
        let put = self.place.store.put(&path, PutPayload::from(bytes));
        put.await.map_err(|source| LakeError::Store {
            location: self.place.location(&below),
            source,
        })?;
        Ok(Some(path))
    }

    /// Merges runs of like size once there are many, so that their number grows with the logarithm of that of commits.
    async fn merge_small(&self) -> Result<(), LakeError> {
        let mut tiers: BTreeMap<u32, Vec<ObjectMeta>> = BTreeMap::new();
        for meta in self.runs().await? {
            if meta.size < MOST_BYTES {
                let tier = meta.size.max(4096).ilog(u64::from(FAN_IN));
                tiers.entry(tier).or_default().push(meta);
            }
        }
        for runs in tiers.into_values() {
            if runs.len() < FAN_IN as usize {
                continue;
            }
            let (mut pack, mut merged) = (Pack::default(), Vec::new());
            let mut seen = HashSet::new();
            for meta in &runs {
                // What is damaged is left to maintenance; what is gone was merged by another commit.
                if let Ok(read) = self.read_run(meta).await {
                    pack.take(read, |file| !seen.contains(&file.path));
                    seen.extend(pack.files.iter().map(|file| file.path.clone()));
                    merged.push(meta.location.clone());
                }
            }
            let made = self.put_run(pack).await?;
            self.clear_runs(
                merged
                    .into_iter()
                    .filter(|path| Some(path) != made.as_ref()),
            )
            .await?;
        }
        Ok(())
    }

    async fn read_run(&self, meta: &ObjectMeta) -> Result<(run::Footer, Vec<Entry>), run::Unsound> {
        let got = self.place.store.get(&meta.location).await?;
        let bytes: Bytes = got.bytes().await?;
        run::read(&meta.location, &bytes)
    }

    async fn clear_runs(&self, runs: impl Iterator<Item = Path>) -> Result<(), LakeError> {
        for path in runs {
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
        let live = self.live_items().await?;
        let runs = self.runs().await?;
        let found = self.look_up(&BTreeSet::new()).await;
        let covered = live
            .iter()
            .filter(|(below, told)| found.covers(below, **told));
        Ok(Indexed {
            files: live.len() as u64,
            files_covered: covered.count() as u64,
            runs: runs.len() as u64,
            size_bytes: runs.iter().map(|meta| meta.size).sum(),
            written: runs.iter().map(|meta| meta.last_modified.timestamp()).max(),
            runs_cleared: 0,
        })
    }

    /// Returns rows and bytes of the live files of `earthcatalog.stac_items`, by their path below the lake's base.
    async fn live_items(&self) -> Result<HashMap<String, (u64, u64)>, LakeError> {
        let base = self.base(TableName::StacItems).await?;
        let manifests = base.manifests(self).await?;
        let listed = base.files(self, manifests.iter()).await?;
        let files = listed.iter().flat_map(|files| files.iter());
        let files = files.filter_map(|file| {
            let below = self.place.below(&file.location).ok()?;
            Some((below.to_owned(), (file.rows, file.size_bytes)))
        });
        Ok(files.collect())
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
        let live = self.live_items().await?;
        let mut upkeep = Upkeep {
            lake: self,
            left: live,
            pack: Pack::default(),
            made: HashSet::new(),
        };
        let mut runs = self.runs().await?;
        // Large ones first: those are kept as they are.
        runs.sort_by_key(|meta| std::cmp::Reverse(meta.size));
        for meta in &runs {
            upkeep.run(meta).await?;
        }
        upkeep.read_rest().await?;
        upkeep.flush().await?;
        let made = upkeep.made;
        let old = runs.into_iter().map(|meta| meta.location);
        let old: Vec<Path> = old.filter(|path| !made.contains(path)).collect();
        let cleared = old.len() as u64;
        self.clear_runs(old.into_iter()).await?;
        Ok(Indexed {
            runs_cleared: cleared,
            ..self.index().await?
        })
    }
}

/// The index on its way to being up to date.
struct Upkeep<'a> {
    lake: &'a Lake,
    /// Live files that no run of the new index covers yet.
    left: HashMap<String, (u64, u64)>,
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
        let wanted =
            |file: &Covered| self.left.get(&file.path) == Some(&(file.rows, file.size_bytes));
        let files: Vec<String> = {
            let wanted = read.0.files.iter().filter(|file| wanted(file));
            wanted.map(|file| file.path.clone()).collect()
        };
        if read.0.rows >= MOST_ROWS / 2 && files.len() == read.0.files.len() {
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
        let mut left: Vec<_> = std::mem::take(&mut self.left).into_iter().collect();
        left.sort_unstable();
        for (below, (rows, size_bytes)) in left {
            let location = self.lake.place.location(&below);
            let known = self.lake.known(TableName::StacItems, &location).await?.1;
            if known.len() as u64 == rows {
                let path = below;
                let file = Covered {
                    path,
                    rows,
                    size_bytes,
                };
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
