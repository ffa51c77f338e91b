//! Makes written files part of their tables, one snapshot per batch and table.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use swath_core::message::{Body, FilesWritten, Message, WrittenFile};
use swath_core::{Class, Classify, RunId, TableName};
use swath_lake::{Figures, LakeError, NewFile};
use tracing::info;

use crate::Context;
use crate::pace::Patience;

/// Files that are read at the same time.
const READS: usize = 16;

/// What one message came to: its share of the batch's snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The table.
    pub table: TableName,
    /// The snapshot that the batch became; absent when nothing in it was new.
    pub snapshot_id: Option<i64>,
    /// Files added.
    pub files_added: u64,
    /// New rows.
    pub rows_added: u64,
    /// Rows that the table, or an earlier message of the batch, had already.
    pub rows_known: u64,
    /// Rows left out because there is a newer version, or an older one that cannot be taken out.
    pub versions_kept_out: u64,
    /// Rows, among those added, that took the place of an older version.
    pub versions_replaced: u64,
    /// How often the batch's commit was tried.
    pub attempts: u32,
}

/// A message whose files are not all part of their table, or not known to be.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A message for someone else.
    #[error("a message of kind {kind} names no files to commit")]
    Kind {
        /// Its kind.
        kind: &'static str,
    },
    /// A file that the message names cannot be added.
    #[error("a file for {table} cannot be added")]
    File {
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        source: Arc<LakeError>,
    },
    /// The batch's snapshot could not be made, or may have been.
    #[error("{files} files are not known to be part of {table}")]
    Commit {
        /// The table.
        table: TableName,
        /// Files of the batch for this table.
        files: usize,
        /// Why.
        #[source]
        source: Arc<LakeError>,
    },
}

impl Classify for CommitError {
    fn class(&self) -> Class {
        match self {
            Self::Kind { .. } => Class::Invalid,
            Self::File { source, .. } => source.class(),
            Self::Commit { source, .. } => match source.class() {
                // Each file was found good before: what is wrong now is not the message.
                Class::Invalid => Class::Bug,
                class => class,
            },
        }
    }
}

/// Adds the files that the messages name, one snapshot per table; returns one result per message, in order.
///
/// A message with a file that is missing or not as told fails alone, the others go on. To commit a message again does no
/// harm: rows are known by their keys, whichever file brings them.
pub async fn commit(batch: &[Message], context: &Context) -> Vec<Result<Committed, CommitError>> {
    let mut tables: BTreeMap<TableName, Vec<(usize, &RunId, &FilesWritten)>> = BTreeMap::new();
    let mut results: Vec<Option<Result<Committed, CommitError>>> = Vec::new();
    for (at, message) in batch.iter().enumerate() {
        results.push(match &message.body {
            Body::FilesWritten(told) => {
                let table = tables.entry(told.table).or_default();
                table.push((at, &message.run_id, told));
                None
            }
            other => Some(Err(CommitError::Kind { kind: other.kind() })),
        });
    }
    for (table, asked) in tables {
        let places: Vec<usize> = asked.iter().map(|(at, _, _)| *at).collect();
        let answers = commit_table(table, &asked, context).await;
        for (at, answer) in places.into_iter().zip(answers) {
            if let Some(result) = results.get_mut(at) {
                *result = Some(answer);
            }
        }
    }
    // Every place was filled, above or by its table.
    results.into_iter().flatten().collect()
}

async fn commit_table(
    table: TableName,
    asked: &[(usize, &RunId, &FilesWritten)],
    context: &Context,
) -> Vec<Result<Committed, CommitError>> {
    let begin = context.clock.now();
    let read = read_all(table, asked, context).await;
    let (mut good, mut runs, mut bad) = (Vec::new(), Vec::new(), 0_usize);
    for ((_, run_id, told), failure) in asked.iter().zip(failures(asked, &read)) {
        if failure.is_some() {
            bad += 1;
            continue;
        }
        runs.push((*run_id).clone());
        let files = told.files.iter().filter_map(|file| read.get(file));
        good.extend(files.filter_map(|file| file.as_ref().ok()).cloned());
    }
    let patience = Patience::new(&context.clock);
    let done = context.lake.commit(table, &good, &runs, &patience).await;
    let done = done.map_err(|source| CommitError::Commit {
        table,
        files: good.len(),
        source: Arc::new(source),
    });
    if let Ok(done) = &done {
        tell(done, asked.len(), bad, context.clock.since(begin));
    }
    let mut shares = done
        .as_ref()
        .map(|done| done.files.clone())
        .unwrap_or_default();
    asked
        .iter()
        .zip(failures(asked, &read))
        .map(|((_, _, told), failure)| match (failure, &done) {
            (Some(source), _) => Err(CommitError::File { table, source }),
            (None, Err(error)) => Err(error.clone()),
            (None, Ok(done)) => Ok(share(done, told, &mut shares)),
        })
        .collect()
}

fn tell(done: &swath_lake::Committed, messages: usize, failed: usize, elapsed: Duration) {
    let total = done.total();
    info!(
        table = %done.table,
        snapshot.id = done.snapshot_id,
        batch.messages = messages,
        batch.failed = failed,
        files_added = total.files_added,
        rows_added = total.rows_added,
        rows_known = total.rows_known,
        versions_kept_out = total.versions_kept_out,
        versions_replaced = total.versions_replaced,
        attempts = done.attempts,
        elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        "committed"
    );
}

type Read<'a> = HashMap<&'a WrittenFile, Result<NewFile, Arc<LakeError>>>;

/// Reads each file that a message names, once.
async fn read_all<'a>(
    table: TableName,
    asked: &[(usize, &RunId, &'a FilesWritten)],
    context: &Context,
) -> Read<'a> {
    let mut files: Vec<&'a WrittenFile> = asked
        .iter()
        .flat_map(|(_, _, told)| told.files.iter())
        .collect();
    files.sort_unstable();
    files.dedup();
    let reads: Vec<_> = files
        .into_iter()
        .map(|file| async move {
            (
                file,
                context.lake.inspect(table, file).await.map_err(Arc::new),
            )
        })
        .collect();
    stream::iter(reads).buffer_unordered(READS).collect().await
}

/// Returns for each message why it fails, if one of its files does.
fn failures<'a>(
    asked: &'a [(usize, &RunId, &'a FilesWritten)],
    read: &'a Read<'_>,
) -> impl Iterator<Item = Option<Arc<LakeError>>> + 'a {
    asked.iter().map(|(_, _, told)| {
        let files = told.files.iter().filter_map(|file| read.get(file));
        let mut errors = files.filter_map(|file| file.as_ref().err());
        errors.next().map(Arc::clone)
    })
}

/// Takes a message's share of what became of the files; of a file that several messages name, the first one has it all,
/// and to the others its rows are known.
fn share(
    done: &swath_lake::Committed,
    told: &FilesWritten,
    shares: &mut BTreeMap<String, Figures>,
) -> Committed {
    let mut sum = Figures::default();
    for file in &told.files {
        sum += shares.remove(&file.path).unwrap_or(Figures {
            rows_known: file.rows,
            ..Figures::default()
        });
    }
    Committed {
        table: done.table,
        snapshot_id: done.snapshot_id,
        files_added: sum.files_added,
        rows_added: sum.rows_added,
        rows_known: sum.rows_known,
        versions_kept_out: sum.versions_kept_out,
        versions_replaced: sum.versions_replaced,
        attempts: done.attempts,
    }
}
