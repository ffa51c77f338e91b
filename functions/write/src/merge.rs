//! The staged files of one partition become few.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use swath_cloud::queue::QueueError;
use swath_cloud::runs::{Ledger, LedgerError};
use swath_cloud::store::StoreError;
use swath_core::intake::{COMPACT_ROWS, MergeFiles, ReplaceFiles};
use swath_core::message::{Body, Message, WrittenFile};
use swath_core::{Class, Classify, RunId, TableName};
use swath_table::layout::data_path;
use swath_table::merge::{Unmerged, newest};

use crate::put::put_new;
use crate::write::{Told, fail, tell};
use crate::{Context, WriteError, Written};

const TABLE: TableName = TableName::StacItems;
/// Bytes of files that are merged into one: all of them are held in memory, and their rows in parts.
const GROUP: u64 = 8 << 20;
/// Partitions that are merged at the same time.
const AT_ONCE: usize = 2;
/// Files that are read at the same time.
const READS: usize = 16;

/// Files that could not be merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// A file cannot be read from the lake.
    #[error("the lake does not give it")]
    Get(#[source] StoreError),
    /// A file is none of the table's.
    #[error("its rows cannot be merged")]
    Rows(#[source] Unmerged),
    /// A thread ended of itself.
    #[error("a thread ended before its work was done")]
    Ended,
    /// The run's books fail.
    #[error("the merged files cannot be noted")]
    Note(#[source] LedgerError),
    /// `commit` does not know.
    #[error("the run's files lie in the lake untold")]
    Tell(#[source] QueueError),
}

impl Classify for MergeError {
    fn class(&self) -> Class {
        match self {
            // Its files were there when the merge was asked for.
            Self::Get(error) if error.class() != Class::Invalid => error.class(),
            Self::Get(_) | Self::Ended => Class::Bug,
            Self::Rows(error) => error.source.class(),
            Self::Note(error) => error.class(),
            Self::Tell(error) => error.class(),
        }
    }
}

/// Carries out the merges and replacements that a batch asks for.
pub(crate) async fn merge_all(
    batch: &[Message],
    context: &Context,
    results: &mut [Result<Written, WriteError>],
) {
    let asked: Vec<_> = batch
        .iter()
        .enumerate()
        .filter_map(|(index, message)| match &message.body {
            Body::MergeFiles(files) => Some((index, &message.run_id, files)),
            _ => None,
        })
        .collect();
    let merging: Vec<_> = asked
        .iter()
        .map(|(index, run_id, files)| async move { (*index, one(run_id, files, context).await) })
        .collect();
    let merged: Vec<_> = stream::iter(merging).buffered(AT_ONCE).collect().await;
    let mut told = Told::default();
    for (index, outcome) in merged {
        match outcome {
            Ok(files) => {
                told.messages.insert(index);
                told.files.extend(files);
            }
            Err(error) => fail(results, &BTreeSet::from([index]), &error),
        }
    }
    tell(TABLE, told, batch, context, results).await;
    for (index, message) in batch.iter().enumerate() {
        if let Body::ReplaceFiles(replace) = &message.body
            && let Err(error) =
                ask_to_replace(&message.run_id, replace.files.clone(), context).await
        {
            let error = merge_error("", error);
            fail(results, &BTreeSet::from([index]), &error);
        }
    }
}

fn merge_error(path: &str, source: MergeError) -> WriteError {
    WriteError::Merge {
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

/// Merges the files of one partition; returns those that `commit` is to be told, which of a full run are none.
async fn one(
    run_id: &RunId,
    asked: &MergeFiles,
    context: &Context,
) -> Result<Vec<WrittenFile>, WriteError> {
    let mut merged = Vec::new();
    for group in groups(&asked.files, asked.rows.unwrap_or(COMPACT_ROWS)) {
        merged.extend(merge_group(asked, group, context).await?);
    }
    let Some(partitions) = asked.full else {
        return Ok(merged);
    };
    let first = asked.files.first().map_or("", |file| &file.path);
    let ledger = Ledger::new(context.lake.clone(), run_id.clone());
    let failed = |error| merge_error(first, MergeError::Note(error));
    let noted = ledger.put_merged(&asked.partition, &merged).await;
    noted.map_err(failed)?;
    if let Some(files) = ledger.merged(partitions).await.map_err(failed)? {
        let told = ask_to_replace(run_id, files, context).await;
        told.map_err(|error| merge_error(first, error))?;
    }
    Ok(Vec::new())
}

async fn ask_to_replace(
    run_id: &RunId,
    files: Vec<WrittenFile>,
    context: &Context,
) -> Result<(), MergeError> {
    let message = Message {
        run_id: run_id.clone(),
        body: Body::ReplaceFiles(ReplaceFiles {
            table: TABLE,
            files,
        }),
    };
    context
        .commit
        .send(vec![message])
        .await
        .map_err(MergeError::Tell)
}

/// Puts files into groups of no more than [`GROUP`] bytes and `most` rows each, or of one file that is larger.
fn groups(files: &[WrittenFile], most: u32) -> Vec<&[WrittenFile]> {
    let (mut groups, mut begin) = (Vec::new(), 0);
    let (mut bytes, mut rows) = (0, 0);
    for (index, file) in files.iter().enumerate() {
        let is_full = bytes + file.size_bytes > GROUP || rows + file.rows > u64::from(most);
        if index > begin && is_full {
            groups.extend(files.get(begin..index));
            (begin, bytes, rows) = (index, 0, 0);
        }
        bytes += file.size_bytes;
        rows += file.rows;
    }
    groups.extend(files.get(begin..).filter(|rest| !rest.is_empty()));
    groups
}

async fn merge_group(
    asked: &MergeFiles,
    group: &[WrittenFile],
    context: &Context,
) -> Result<Vec<WrittenFile>, WriteError> {
    if let [only] = group {
        return Ok(vec![only.clone()]);
    }
    let first = group.first().map_or("", |file| &file.path);
    let failed = |error| merge_error(first, error);
    let reads: Vec<_> = group
        .iter()
        .map(|file| context.lake.get(&file.path))
        .collect();
    let reads: Result<Vec<Bytes>, _> = stream::iter(reads).buffered(READS).try_collect().await;
    let bytes = reads.map_err(|error| failed(MergeError::Get(error)))?;
    let merged = tokio::task::spawn_blocking(move || newest(TABLE, &bytes)).await;
    let merged = merged.map_err(|_| failed(MergeError::Ended))?;
    let Some(encoded) = merged.map_err(|error| failed(MergeError::Rows(error)))? else {
        return Ok(Vec::new());
    };
    let file = WrittenFile {
        path: data_path(TABLE, Some(&asked.partition), &encoded.name),
        partition: Some(asked.partition.clone()),
        rows: encoded.rows,
        size_bytes: encoded.bytes.len() as u64,
    };
    put_new(&file.path, encoded.bytes, "data file", context).await?;
    Ok(vec![file])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_filled_in_order_and_none_is_lost() {
        let file = |size_bytes: u64| WrittenFile {
            path: size_bytes.to_string(),
            partition: None,
            rows: 1,
            size_bytes,
        };
        let mib = 1 << 20;
        let files: Vec<_> = [3 * mib, 4 * mib, 2 * mib, 20 * mib, mib].map(file).into();
        let sizes = |most| -> Vec<usize> {
            let groups = groups(&files, most);
            groups.iter().map(|group| group.len()).collect()
        };
        assert_eq!(sizes(100), [2, 1, 1, 1]);
        assert_eq!(sizes(1), [1; 5]);
        assert!(groups(&[], 1).is_empty());
    }
}
