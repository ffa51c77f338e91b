//! One snapshot per batch: decided, written and swapped in on one and the same base.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;

use async_trait::async_trait;
use iceberg::spec::ManifestFile;
use swath_core::message::RemovedItem;
use swath_core::{Class, Classify, RunId, TableName, digest_hex};
use swath_table::keys::{RowKey, item_key};
use time::OffsetDateTime;

use crate::attempts::{Attempts, Step, Work};
use crate::candidates::{Candidates, Sought};
use crate::decide::{Decision, Fate, Gone, Removed, Rows, decide};
use crate::error::LakeError;
use crate::file::NewFile;
use crate::index::{Learned, Lesson};
use crate::lake::{Base, Lake};
use crate::live::LiveFile;
use crate::schema;
use crate::snapshot::{Change, Listed, stage};

/// Tells the time, and waits between attempts.
#[async_trait]
pub trait Pace: Debug + Send + Sync {
    /// Returns the time now.
    fn now(&self) -> OffsetDateTime;

    /// Waits before the next attempt (after `attempts` of them); answers false, without a wait, when there is no time left.
    async fn again(&self, attempts: u32) -> bool;

    /// Returns whether work that is done in parts may begin another: when it may not, what is done is committed.
    fn may_go_on(&self) -> bool {
        true
    }
}

/// What a commit changes in one table.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The table.
    pub table: TableName,
    /// Files whose rows come.
    pub files: &'a [NewFile],
    /// Items that go; only `stac_items` has any.
    pub gone: &'a [RemovedItem],
    /// The runs that this is done for.
    pub runs: &'a [RunId],
}

/// What a commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The table.
    pub table: TableName,
    /// The snapshot; absent when there was nothing to add and none was made.
    pub snapshot_id: Option<i64>,
    /// What became of the rows of each file, by its path.
    pub files: BTreeMap<String, Figures>,
    /// What became of each item that was to go, in the order asked.
    pub removed: Vec<Removed>,
    /// How often a commit was tried.
    pub attempts: u32,
}

/// What became of the rows of a file, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Files added; one of which some rows are known was written again without them.
    pub files_added: u64,
    /// New rows.
    pub rows_added: u64,
    /// Rows that the table or the batch had already.
    pub rows_known: u64,
    /// Rows left out because the table or the batch has a newer version, or the table has an older one in a file of
    /// others that is not written anew, or the batch says that the item is gone.
    pub versions_kept_out: u64,
    /// Rows, among those added, that took the place of an older version in the table.
    pub versions_replaced: u64,
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.files_added += other.files_added;
        self.rows_added += other.rows_added;
        self.rows_known += other.rows_known;
        self.versions_kept_out += other.versions_kept_out;
        self.versions_replaced += other.versions_replaced;
    }
}

impl Figures {
    pub(crate) fn of(fates: &[Fate]) -> Self {
        let mut figures = Self::default();
        for fate in fates {
            match fate {
                Fate::Added => figures.rows_added += 1,
                Fate::Known => figures.rows_known += 1,
                Fate::KeptOut | Fate::Gone => figures.versions_kept_out += 1,
                Fate::Replacing => {
                    figures.rows_added += 1;
                    figures.versions_replaced += 1;
                }
            }
        }
        figures.files_added = u64::from(figures.rows_added > 0);
        figures
    }
}

impl Committed {
    /// Returns what became of all rows.
    pub fn total(&self) -> Figures {
        let mut total = Figures::default();
        for figures in self.files.values() {
            total += *figures;
        }
        total
    }
}

impl Lake {
    /// Makes the new rows of these files part of a table, in one snapshot; rows that are known are left out.
    ///
    /// A row is known by its key, whatever file or message brings it, so a batch that is delivered again, alone or mixed
    /// with others, adds nothing twice. After a swap that was refused or whose answer was lost, the table itself is asked
    /// whether the snapshot is in it.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] when others were first until `pace` said stop; [`LakeError::Unknown`] when a swap may have
    /// taken effect and the table could not be asked: the files must stay. Otherwise nothing has been committed.
    pub async fn commit(
        &self,
        table: TableName,
        files: &[NewFile],
        runs: &[RunId],
        pace: &dyn Pace,
    ) -> Result<Committed, LakeError> {
        let batch = Batch {
            table,
            files,
            gone: &[],
            runs,
        };
        self.change(&batch, pace).await
    }

    /// Makes the new rows of a batch part of its table and takes the items out that are gone, in one snapshot; see
    /// [`Lake::commit`].
    ///
    /// Items are taken out as older versions are: the files that they lie in are written anew without them.
    ///
    /// # Errors
    /// As for [`Lake::commit`].
    pub async fn change(&self, batch: &Batch<'_>, pace: &dyn Pace) -> Result<Committed, LakeError> {
        let table = batch.table;
        let mut paths = HashSet::new();
        let files: Vec<&NewFile> = batch
            .files
            .iter()
            .filter(|file| file.table == table && paths.insert(file.path.as_str()))
            .collect();
        let gone = if table == TableName::StacItems {
            batch.gone
        } else {
            &[]
        };
        let commit = Commit {
            lake: self,
            table,
            notes: notes(&files, gone, batch.runs),
            sought: Sought::new(table, &files, gone),
            files,
            gone: latest(gone),
            pace,
        };
        let attempts = Attempts {
            lake: self,
            table,
            work: &commit,
            pace,
        };
        let ended = attempts.run().await?;
        if table == TableName::StacItems
            && (ended.snapshot_id.is_some() || !ended.done.lesson.learned.is_empty())
        {
            self.learn(&ended.done.lesson).await;
        }
        let removed = gone.iter().map(|item| {
            let key = item_key(item.collection.as_deref(), &item.id);
            let removed = ended.done.removed.get(&key);
            removed.copied().unwrap_or_default()
        });
        Ok(Committed {
            table,
            snapshot_id: ended.snapshot_id,
            removed: removed.collect(),
            files: ended.done.files,
            attempts: ended.attempts,
        })
    }
}

/// Of an item that is named more than once, the latest time holds.
fn latest(gone: &[RemovedItem]) -> Gone {
    let mut latest = Gone::new();
    for item in gone {
        let key = item_key(item.collection.as_deref(), &item.id);
        let as_of = item.as_of.unix_timestamp_nanos().div_euclid(1000);
        let as_of = i64::try_from(as_of).unwrap_or(i64::MAX);
        let known = latest.entry(key).or_insert(as_of);
        *known = as_of.max(*known);
    }
    latest
}

/// Says in the snapshot's summary whose commit it is.
fn notes(files: &[&NewFile], gone: &[RemovedItem], runs: &[RunId]) -> HashMap<String, String> {
    let mut paths: Vec<&[u8]> = files.iter().map(|file| file.path.as_bytes()).collect();
    paths.extend(gone.iter().map(|item| item.id.as_bytes()));
    paths.sort_unstable();
    let runs: BTreeSet<&str> = runs.iter().map(RunId::as_str).collect();
    let runs: Vec<&str> = runs.into_iter().collect();
    HashMap::from([
        ("swath.commit-id".to_owned(), digest_hex(&paths, 16)),
        ("swath.run-ids".to_owned(), runs.join(",")),
    ])
}

/// One batch on its way into a table.
struct Commit<'a> {
    lake: &'a Lake,
    table: TableName,
    files: Vec<&'a NewFile>,
    sought: Sought<'a>,
    gone: Gone,
    notes: HashMap<String, String>,
    pace: &'a dyn Pace,
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
struct Outcome {
    files: BTreeMap<String, Figures>,
    removed: BTreeMap<u128, Removed>,
    /// What the id index is to know.
    lesson: Lesson,
}

#[async_trait]
impl Work for Commit<'_> {
    type Done = Outcome;

    async fn prepare(&self, base: &Base) -> Result<Step<Self::Done>, LakeError> {
        base.check_spec()?;
        let manifests = base.manifests(self.lake).await?;
        let (change, mut outcome) = self.plan(base, &manifests).await?;
        if change.add.is_empty() && change.remove.is_empty() {
            let as_before = manifests.iter().map(Listed::as_before);
            outcome.lesson.listed = as_before.collect();
            return Ok(Step::Nothing(outcome));
        }
        let staged = stage(self.lake, base, manifests, &change, self.pace.now()).await;
        let staged = staged.map_err(LakeError::metadata(self.table, "writing a snapshot"))?;
        outcome.lesson.listed.clone_from(&staged.listed);
        Ok(Step::Offer(Box::new(staged), outcome))
    }
}

impl Commit<'_> {
    /// Decides what to add and what to remove on this base, and writes the data files that this takes.
    async fn plan(
        &self,
        base: &Base,
        manifests: &[ManifestFile],
    ) -> Result<(Change, Outcome), LakeError> {
        let candidates = self.sought.among(self.lake, base, manifests).await?;
        let mut frozen = if schema::has_more(self.table, &base.metadata) {
            (0..candidates.files.len()).collect()
        } else {
            HashSet::new()
        };
        loop {
            let decision = self.decide(&candidates, &frozen);
            match self.replace(&candidates, &decision).await {
                Ok(mut added) => {
                    self.add(&decision, &mut added).await?;
                    let mut change = candidates.without(&decision);
                    change.notes.clone_from(&self.notes);
                    change.add = added.iter().map(|file| file.facts.clone()).collect();
                    let files = self.files.iter().zip(&decision.fates);
                    let figures =
                        files.map(|(file, fates)| (file.path.clone(), Figures::of(fates)));
                    let outcome = Outcome {
                        files: figures.collect(),
                        removed: decision.removed,
                        lesson: self.lesson(candidates, added),
                    };
                    return Ok((change, outcome));
                }
                // Columns of others would be lost if their file were written anew: its rows stay, and that is counted.
                Err(Unwritable::Theirs(place)) => {
                    frozen.insert(place);
                }
                Err(Unwritable::Failed(error)) => return Err(error),
            }
        }
    }

    fn decide(&self, candidates: &Candidates, frozen: &HashSet<usize>) -> Decision {
        let new: Vec<&[RowKey]> = self.files.iter().map(|file| file.keys.as_ref()).collect();
        let live: Vec<Rows<'_>> = candidates
            .keys
            .iter()
            .zip(&candidates.files)
            .enumerate()
            .map(|(place, (keys, file))| Rows {
                keys,
                frozen: frozen.contains(&place) || !self.is_partition_known(file),
            })
            .collect();
        decide(&new, &live, &self.gone)
    }

    fn is_partition_known(&self, file: &LiveFile) -> bool {
        file.partition.is_some() == (self.table == TableName::StacItems)
    }

    fn lesson(&self, candidates: Candidates, added: Vec<NewFile>) -> Lesson {
        if self.table != TableName::StacItems {
            return Lesson::default();
        }
        let mut learned = candidates.learned;
        learned.extend(added.into_iter().map(Learned::from));
        Lesson {
            learned,
            whole: candidates.whole,
            listed: Vec::new(),
        }
    }

    /// Writes the live files that rows leave anew, without them; returns what is left.
    async fn replace(
        &self,
        candidates: &Candidates,
        decision: &Decision,
    ) -> Result<Vec<NewFile>, Unwritable> {
        let mut rests = Vec::new();
        for (place, rows) in &decision.remove {
            let Some(file) = candidates.files.get(*place) else {
                continue;
            };
            let count = usize::try_from(file.rows).unwrap_or(usize::MAX);
            let keep = (0..count).map(|row| !rows.contains(&row)).collect();
            let partition = file.partition.as_ref();
            let rest = self
                .lake
                .rewrite(self.table, &file.location, partition, keep)
                .await;
            match rest {
                // What is left may be a file that the table has already: then its rows were there twice.
                Ok(rest) => rests.extend(rest.filter(|rest| !candidates.has(&rest.location))),
                Err(LakeError::Rows { source, .. }) if source.class() == Class::Invalid => {
                    let error = swath_core::chain(&source);
                    tracing::warn!(location = file.location, error, "an older version stays");
                    return Err(Unwritable::Theirs(*place));
                }
                Err(error) => return Err(Unwritable::Failed(error)),
            }
        }
        Ok(rests)
    }

    /// Adds the new files, without the rows that stay out.
    async fn add(&self, decision: &Decision, added: &mut Vec<NewFile>) -> Result<(), LakeError> {
        for (file, fates) in self.files.iter().zip(&decision.fates) {
            let keep: Vec<bool> = fates.iter().map(|fate| fate.stays()).collect();
            if keep.iter().all(|stays| *stays) {
                let is_empty = keep.is_empty();
                added.extend((!is_empty).then(|| NewFile::clone(file)));
            } else if keep.contains(&true) {
                let (at, partition) = (&file.location, file.partition.as_ref());
                added.extend(self.lake.rewrite(self.table, at, partition, keep).await?);
            }
        }
        Ok(())
    }
}

/// Why rows could not be taken out of a live file.
enum Unwritable {
    /// It is a file of others.
    Theirs(usize),
    Failed(LakeError),
}
