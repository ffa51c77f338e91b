//! Many small files of a partition become few large ones, with the same rows.

use std::collections::{BTreeMap, HashMap};

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array as _, ArrayRef, RecordBatch, UInt32Array};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use async_trait::async_trait;
use bytes::Bytes;
use swath_core::message::Partition;
use swath_core::{Class, Classify as _, TableName};
use swath_table::{Effort, EncodedFile, TableError, reader, writer};

use crate::attempts::{Attempts, Step, Work};
use crate::commit::Pace;
use crate::error::LakeError;
use crate::file::{NewFile, blocking};
use crate::lake::{Base, Lake};
use crate::live::LiveFile;
use crate::schema;
use crate::snapshot::{Change, stage};

/// When files are worth merging, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Small files that a partition must have before they are merged.
    pub threshold: usize,
    /// Size that merged files aim at, bytes; no more than this, compressed, is read into memory at a time.
    pub target_bytes: u64,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            threshold: 2,
            target_bytes: 32 << 20,
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
    /// The snapshot, if one was made.
    pub snapshot_id: Option<i64>,
}

/// Files of one partition that become one.
struct Group {
    partition: Option<Partition>,
    inputs: Vec<LiveFile>,
    output: NewFile,
}

/// A replacement of files by others with the same rows.
struct Replace<'a> {
    lake: &'a Lake,
    table: TableName,
    groups: Vec<Group>,
    figures: Compacted,
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
            let Some(found) = found.filter(|_| !live.contains_key(&*group.output.location)) else {
                continue;
            };
            for file in found {
                let gone = change.remove.entry(file.manifest.to_string()).or_default();
                gone.insert(file.location.clone());
            }
            done.files_before += group.inputs.len() as u64;
            done.files_after += 1;
            buckets.insert(&group.partition);
            change.add.push(group.output.facts.clone());
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
        let mut figures = Compacted {
            buckets_scanned: buckets.len() as u64,
            ..Compacted::default()
        };
        let mut work = Replace {
            lake: self,
            table,
            groups: Vec::new(),
            figures: Compacted::default(),
            pace,
        };
        let all_theirs = schema::has_more(table, &base.metadata) || base.check_spec().is_err();
        for (partition, files) in buckets {
            let groups = pack(files, how);
            if all_theirs || partition.is_some() != (table == TableName::StacItems) {
                figures.files_left += groups.iter().map(|group| group.len() as u64).sum::<u64>();
            } else if dry {
                figures.buckets_compacted += u64::from(!groups.is_empty());
                figures.files_after += groups.len() as u64;
                figures.files_before += groups.iter().map(|group| group.len() as u64).sum::<u64>();
            } else {
                for files in groups {
                    let merged = self.merge(table, partition.as_ref(), files).await?;
                    figures.files_left += merged.1;
                    work.groups.extend(merged.0);
                }
            }
        }
        if dry || work.groups.is_empty() {
            return Ok(figures);
        }
        work.figures = figures;
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

    /// Writes the rows of several files as one; files of others are left out, and counted.
    async fn merge(
        &self,
        table: TableName,
        partition: Option<&Partition>,
        files: Vec<LiveFile>,
    ) -> Result<(Option<Group>, u64), LakeError> {
        let (mut inputs, mut batches, mut left) = (Vec::new(), Vec::new(), 0);
        for file in files {
            let bytes = self.fetch_live(table, &file.location).await?;
            let read = move || reader::read::<Bytes>(table, bytes);
            match blocking(&file.location, read).await? {
                Ok(rows) => {
                    batches.extend(rows);
                    inputs.push(file);
                }
                Err(error) if error.class() == Class::Invalid => {
                    let error = swath_core::chain(&error);
                    tracing::warn!(location = file.location, error, "a file is not merged");
                    left += 1;
                }
                Err(source) => {
                    let location = file.location;
                    return Err(LakeError::Rows { location, source });
                }
            }
        }
        let Some(first) = inputs.first().filter(|_| inputs.len() > 1) else {
            return Ok((None, left));
        };
        let location = first.location.clone();
        let encoded = blocking(&location, move || encode(table, &batches)).await?;
        let encoded = encoded.map_err(|source| LakeError::Rows { location, source })?;
        let output = self.put_new(table, partition, encoded).await?;
        let group = Group {
            partition: partition.cloned(),
            inputs,
            output,
        };
        Ok((Some(group), left))
    }
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

fn encode(table: TableName, batches: &[RecordBatch]) -> Result<EncodedFile, TableError> {
    let batch_error = |source| TableError::Batch { table, source };
    let schema = swath_table::schema::of(table).arrow();
    let all = concat_batches(&schema, batches).map_err(batch_error)?;
    let sorted = match table {
        TableName::StacItems => take_record_batch(&all, &order(&all)).map_err(batch_error)?,
        TableName::AssetRows | TableName::AssetFiles | TableName::AreaStatus => all,
    };
    writer::encode(table, &[sorted], Effort::Compact)
}

/// Orders items as `EarthCatalog` does: by platform, datetime, id.
fn order(items: &RecordBatch) -> UInt32Array {
    let text = |name: &str| {
        items
            .column_by_name(name)
            .and_then(|a| a.as_string_opt::<i32>())
    };
    let (platforms, ids) = (text("platform"), text("id"));
    let instants = items.column_by_name("datetime");
    let instants = instants.and_then(ArrayRef::as_primitive_opt::<TimestampMicrosecondType>);
    let rows = u32::try_from(items.num_rows()).unwrap_or(u32::MAX);
    let mut order: Vec<u32> = (0..rows).collect();
    order.sort_by_key(|row| {
        let row = *row as usize;
        let text = |array: Option<&'_ arrow_array::StringArray>| {
            let array = array.filter(|array| array.is_valid(row));
            array.map(|array| array.value(row).to_owned())
        };
        let instant = instants.filter(|array| array.is_valid(row));
        (
            text(platforms),
            instant.map(|array| array.value(row)),
            text(ids),
        )
    });
    UInt32Array::from(order)
}
