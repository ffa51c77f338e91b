//! Many small files of a partition become few large ones, with the same rows.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use iceberg::spec::DataFile;
use swath_core::message::Partition;
use swath_core::{Class, Classify as _, TableName};
use swath_table::merge::{self, Unmerged};

use crate::attempts::{Attempts, Step, Work};
use crate::commit::Pace;
use crate::error::LakeError;
use crate::file::blocking;
use crate::lake::{Base, Lake};
use crate::live::LiveFile;
use crate::schema;
use crate::snapshot::{Change, stage};

/// Files that are fetched at the same time.
const AT_ONCE: usize = 8;

/// Bytes that are used at least for reading files side by side.
const LEAST_MEMORY: usize = 16 << 20;

/// When files are worth merging, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Small files that a partition must have before they are merged.
    pub threshold: usize,
    /// Size that merged files aim at, bytes; up to six times as much is taken of memory, however many files are
    /// merged (`tests/bench/README.md`).
    pub target_bytes: u64,
    /// Bytes that are merged at most, in one commit; the rest is for the next time. As many as there are when absent.
    pub most_bytes: Option<u64>,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            threshold: 2,
            target_bytes: 32 << 20,
            most_bytes: None,
        }
    }
}

/// What a compaction did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Partitions with files.
    pub buckets_scanned: u64,
    /// Partitions some of whose files were merged.
    pub buckets_compacted: u64,
    /// Files that were merged.
    pub files_before: u64,
    /// Files that they became.
    pub files_after: u64,
    /// Files of others that cannot be written anew without losing columns, and stay.
    pub files_left: u64,
    /// Files that are for the next time: there was more to merge than was asked for, or no time left.
    pub files_waiting: u64,
    /// The snapshot, if one was made.
    pub snapshot_id: Option<i64>,
}

/// Files of one partition that become one.
struct Group {
    partition: Option<Partition>,
    inputs: Vec<LiveFile>,
    location: String,
    facts: DataFile,
}

/// A replacement of files by others with the same rows.
struct Replace<'a> {
    lake: &'a Lake,
    table: TableName,
    groups: Vec<Group>,
    figures: Compacted,
    /// Bytes that may be used for reading files side by side.
    memory: usize,
    pace: &'a dyn Pace,
}

#[async_trait]
impl Work for Replace<'_> {
    type Done = Compacted;

    /// Files that others have added since stay as they are; where one that was merged is gone, its group is dropped: its
    /// rows live on elsewhere, and would be there twice.
    async fn prepare(&self, base: &Base) -> Result<Step<Compacted>, LakeError> {
        base.check_spec()?;
        let manifests = base.manifests(self.lake).await?;
        let listed = base.files(self.lake, manifests.iter()).await?;
        let live: HashMap<&str, &LiveFile> = listed
            .iter()
            .flat_map(|files| files.iter())
            .map(|file| (file.location.as_str(), file))
            .collect();
        let (mut change, mut done) = (Change::default(), self.figures.clone());
        let mut buckets = std::collections::BTreeSet::new();
        for group in &self.groups {
            let inputs = group.inputs.iter();
            let found: Option<Vec<_>> = inputs.map(|i| live.get(i.location.as_str())).collect();
            let Some(found) = found.filter(|_| !live.contains_key(&*group.location)) else {
                continue;
            };
            for file in found {
                let gone = change.remove.entry(file.manifest.to_string()).or_default();
                gone.insert(file.location.clone());
            }
            done.files_before += group.inputs.len() as u64;
            done.files_after += 1;
            buckets.insert(&group.partition);
            change.add.push(group.facts.clone());
        }
        if change.add.is_empty() {
            let first = self.groups.iter().flat_map(|group| &group.inputs).next();
            return Err(LakeError::InputsGone {
                table: self.table,
                location: first.map(|file| file.location.clone()).unwrap_or_default(),
            });
        }
        done.buckets_compacted = buckets.len() as u64;
        change.same_rows = true;
        change.notes = done.notes();
        let staged = stage(self.lake, base, manifests, &change, self.pace.now()).await;
        let staged = staged.map_err(LakeError::metadata(self.table, "writing a snapshot"))?;
        Ok(Step::Offer(Box::new(staged), done))
    }
}

impl Compacted {
    fn notes(&self) -> HashMap<String, String> {
        let figures = [
            ("buckets_scanned", self.buckets_scanned),
            ("buckets_compacted", self.buckets_compacted),
            ("files_before", self.files_before),
            ("files_after", self.files_after),
        ];
        let notes = figures.map(|(name, figure)| (name.to_owned(), figure.to_string()));
        HashMap::from(notes)
    }
}

impl Lake {
    /// Merges small files within their partitions and sorts their rows, in one snapshot with the same rows. With `dry`
    /// nothing is written and the figures tell what would be merged.
    ///
    /// # Errors
    /// [`LakeError::InputsGone`] when others replaced all files to merge meanwhile; otherwise as for a commit.
    pub async fn compact(
        &self,
        table: TableName,
        how: &Compaction,
        dry: bool,
        pace: &dyn Pace,
    ) -> Result<Compacted, LakeError> {
        let base = self.base(table).await?;
        let manifests = base.manifests(self).await?;
        let listed = base.files(self, manifests.iter()).await?;
        let mut buckets: BTreeMap<Option<Partition>, Vec<LiveFile>> = BTreeMap::new();
        for file in listed.iter().flat_map(|files| files.iter()) {
            let bucket = buckets.entry(file.partition.clone()).or_default();
            bucket.push(file.clone());
        }
        let mut work = Replace {
            lake: self,
            table,
            groups: Vec::new(),
            figures: Compacted {
                buckets_scanned: buckets.len() as u64,
                ..Compacted::default()
            },
            memory: usize::try_from(how.target_bytes.saturating_mul(2))
                .unwrap_or(usize::MAX)
                .max(LEAST_MEMORY),
            pace,
        };
        let all_theirs = schema::has_more(table, &base.metadata) || base.check_spec().is_err();
        let mut budget = how.most_bytes.unwrap_or(u64::MAX);
        for (partition, files) in buckets {
            let groups = pack(files, how);
            if all_theirs || partition.is_some() != (table == TableName::StacItems) {
                work.figures.files_left += count(&groups);
                continue;
            }
            let (groups, waiting) = within(&mut budget, groups);
            work.figures.files_waiting += count(&waiting);
            if dry {
                work.figures.buckets_compacted += u64::from(!groups.is_empty());
                work.figures.files_after += groups.len() as u64;
                work.figures.files_before += count(&groups);
            } else {
                work.merge_all(partition.as_ref(), groups).await?;
            }
        }
        if dry || work.groups.is_empty() {
            return Ok(work.figures);
        }
        let attempts = Attempts {
            lake: self,
            table,
            work: &work,
            pace,
        };
        let ended = attempts.run().await?;
        Ok(Compacted {
            snapshot_id: ended.snapshot_id,
            ..ended.done
        })
    }

    async fn fetch_all(
        &self,
        table: TableName,
        files: &[LiveFile],
    ) -> Result<Vec<Bytes>, LakeError> {
        // Gathered first: a stream that holds the closure is not `Send` for every lifetime.
        let reads: Vec<_> = files
            .iter()
            .map(|file| self.fetch_live(table, &file.location))
            .collect();
        futures::stream::iter(reads)
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }
}

impl Replace<'_> {
    /// Merges groups one after another for as long as there is time, the first whatever the time.
    async fn merge_all(
        &mut self,
        partition: Option<&Partition>,
        groups: Vec<Vec<LiveFile>>,
    ) -> Result<(), LakeError> {
        for files in groups {
            if self.groups.is_empty() || self.pace.may_go_on() {
                self.merge(partition, files).await?;
            } else {
                self.figures.files_waiting += files.len() as u64;
            }
        }
        Ok(())
    }

    /// Writes the rows of several files as one; files of others are left out, and counted.
    async fn merge(
        &mut self,
        partition: Option<&Partition>,
        mut inputs: Vec<LiveFile>,
    ) -> Result<(), LakeError> {
        let (lake, table, memory) = (self.lake, self.table, self.memory);
        while let [first, _, ..] = &inputs[..] {
            let location = first.location.clone();
            let files = lake.fetch_all(table, &inputs).await?;
            let merge = move || merge::every_row(table, files, memory);
            match blocking(&location, merge).await? {
                Ok(encoded) => {
                    let (location, facts) = lake.put_merged(table, partition, encoded).await?;
                    self.groups.push(Group {
                        partition: partition.cloned(),
                        inputs,
                        location,
                        facts,
                    });
                    return Ok(());
                }
                Err(Unmerged {
                    place: Some(place),
                    source,
                }) if source.class() == Class::Invalid && place < inputs.len() => {
                    let location = inputs.remove(place).location;
                    let error = swath_core::chain(&source);
                    tracing::warn!(location, error, "a file is not merged");
                    self.figures.files_left += 1;
                }
                Err(Unmerged { source, .. }) => return Err(LakeError::Rows { location, source }),
            }
        }
        Ok(())
    }
}

fn count(groups: &[Vec<LiveFile>]) -> u64 {
    groups.iter().map(|group| group.len() as u64).sum()
}

/// Puts small files into groups of at least two whose size together is at most the target.
fn pack(mut files: Vec<LiveFile>, how: &Compaction) -> Vec<Vec<LiveFile>> {
    files.retain(|file| file.size_bytes < how.target_bytes / 4 * 3);
    if files.len() < how.threshold.max(2) {
        return Vec::new();
    }
    files.sort_by(|one, other| {
        let one = (one.size_bytes, &one.location);
        one.cmp(&(other.size_bytes, &other.location))
    });
    let mut groups: Vec<(u64, Vec<LiveFile>)> = Vec::new();
    for file in files {
        let size = file.size_bytes;
        match groups.last_mut() {
            Some((bytes, group)) if *bytes + size <= how.target_bytes => {
                *bytes += size;
                group.push(file);
            }
            _ => groups.push((size, vec![file])),
        }
    }
    let groups = groups.into_iter().map(|(_, group)| group);
    groups.filter(|group| group.len() > 1).collect()
}

/// Parts groups of files from those that lie beyond a number of bytes.
fn within(
    budget: &mut u64,
    groups: Vec<Vec<LiveFile>>,
) -> (Vec<Vec<LiveFile>>, Vec<Vec<LiveFile>>) {
    groups.into_iter().partition(|group| {
        let begins = *budget > 0;
        let bytes = group.iter().map(|file| file.size_bytes).sum();
        *budget = budget.saturating_sub(if begins { bytes } else { 0 });
        begins
    })
}
