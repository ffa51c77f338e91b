//! Makes written files part of their tables and takes items out that are gone, one snapshot per batch and table.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use swath_core::intake::ReplaceFiles;
use swath_core::message::{Body, Message, RemovedItem, WrittenFile};
use swath_core::{Class, Classify, RunId, TableName, names};
use swath_lake::{Batch, Figures, LakeError, NewFile, Removed};
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
    /// Rows left out because there is a newer version, or an older one that cannot be taken out, or the item is gone.
    pub versions_kept_out: u64,
    /// Rows, among those added, that took the place of an older version.
    pub versions_replaced: u64,
    /// Rows that left the table because the message says that their items are gone.
    pub rows_removed: u64,
    /// Rows of such items that stay because they are newer.
    pub rows_newer: u64,
    /// How often the batch's commit was tried.
    pub attempts: u32,
}

/// A message whose files are not all part of their table, or not known to be.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A message for someone else.
    #[error("a message of kind {kind} names nothing to commit")]
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
    /// Items that are gone lie in files of others that cannot be written anew without losing columns.
    #[error("{rows} rows of items to remove stay, in files of others: {item:?} for one")]
    Stuck {
        /// Rows that stay.
        rows: u64,
        /// The id of one of the items.
        item: String,
    },
    /// The batch's snapshot could not be made, or may have been.
    #[error(
        "{files} files are not known to be part of {table}, {gone} items not to be gone from it"
    )]
    Commit {
        /// The table.
        table: TableName,
        /// Files of the batch for this table.
        files: usize,
        /// Items of the batch to remove from this table.
        gone: usize,
        /// Why.
        #[source]
        source: Arc<LakeError>,
    },
}

impl Classify for CommitError {
    fn class(&self) -> Class {
        match self {
            Self::Kind { .. } | Self::Stuck { .. } => Class::Invalid,
            Self::File { source, .. } => source.class(),
            Self::Commit { source, .. } => match source.class() {
                // Each file was found good before: what is wrong now is not the message.
                Class::Invalid => Class::Bug,
                class => class,
            },
        }
    }
}

/// What one message asks of one table.
#[derive(Clone, Copy)]
struct Asked<'a> {
    at: usize,
    run_id: &'a RunId,
    files: &'a [WrittenFile],
    gone: &'a [RemovedItem],
}

impl<'a> Asked<'a> {
    fn of(at: usize, message: &'a Message) -> Result<(TableName, Self), CommitError> {
        let run_id = &message.run_id;
        let (table, files, gone): (_, &[_], &[_]) = match &message.body {
            Body::FilesWritten(told) => (told.table, &told.files, &[]),
            Body::RemoveItems(asked) => (TableName::StacItems, &[], &asked.items),
            other => return Err(CommitError::Kind { kind: other.kind() }),
        };
        Ok((
            table,
            Self {
                at,
                run_id,
                files,
                gone,
            },
        ))
    }
}

/// Adds the files and removes the items that the messages name, one snapshot per table; returns one result per message,
/// in order.
///
/// A message with a file that is missing or not as told fails alone, the others go on. To commit a message again does no
/// harm: rows are known by their keys, whichever file brings them, and what is gone cannot leave again.
pub async fn commit(batch: &[Message], context: &Context) -> Vec<Result<Committed, CommitError>> {
    let mut tables: BTreeMap<TableName, Vec<Asked<'_>>> = BTreeMap::new();
    let mut results: Vec<Option<Result<Committed, CommitError>>> = Vec::new();
    for (at, message) in batch.iter().enumerate() {
        if let Body::ReplaceFiles(asked) = &message.body {
            results.push(Some(replace(&message.run_id, asked, context).await));
            continue;
        }
        results.push(match Asked::of(at, message) {
            Ok((table, asked)) => {
                tables.entry(table).or_default().push(asked);
                None
            }
            Err(error) => Some(Err(error)),
        });
    }
    for (table, asked) in tables {
        let answers = commit_table(table, &asked, context).await;
        for (asked, answer) in asked.iter().zip(answers) {
            if let Some(result) = results.get_mut(asked.at) {
                *result = Some(answer);
            }
        }
    }
    // Every place was filled, above or by its table.
    let results: Vec<_> = results.into_iter().flatten().collect();
    if context.publish_db && results.iter().any(Result::is_ok) {
        publish(context).await;
    }
    results
}

/// Publishes a database for `EarthCatalog`. Where that fails, what was committed stays so: the next batch publishes it, or
/// maintenance.
async fn publish(context: &Context) {
    if let Err(error) = context.lake.publish_database().await {
        let error = swath_core::chain(&error);
        tracing::warn!(error, "no database was published");
    }
}

/// Makes the files that a message names all that their table holds.
async fn replace(
    run_id: &RunId,
    asked: &ReplaceFiles,
    context: &Context,
) -> Result<Committed, CommitError> {
    let (begin, table) = (context.clock.now(), asked.table);
    let asked = Asked {
        at: 0,
        run_id,
        files: &asked.files,
        gone: &[],
    };
    let read = read_all(table, &[asked], context).await;
    let files: Result<Vec<NewFile>, _> = read.into_values().collect();
    let files = files.map_err(|source| CommitError::File { table, source })?;
    let patience = Patience::new(&context.clock);
    let runs = [run_id.clone()];
    let done = context.lake.replace(table, &files, &runs, &patience).await;
    let done = done.map_err(|source| CommitError::Commit {
        table,
        files: files.len(),
        gone: 0,
        source: Arc::new(source),
    })?;
    tell(
        &done,
        &runs[0].to_string(),
        (1, 0),
        context.clock.since(begin),
    );
    Shares::of(&done).take(&done, &asked)
}

async fn commit_table(
    table: TableName,
    asked: &[Asked<'_>],
    context: &Context,
) -> Vec<Result<Committed, CommitError>> {
    let begin = context.clock.now();
    let read = read_all(table, asked, context).await;
    let (mut good, mut gone) = (Vec::new(), Vec::new());
    let (mut runs, mut bad) = (Vec::new(), 0_usize);
    for (one, failure) in asked.iter().zip(failures(asked, &read)) {
        if failure.is_some() {
            bad += 1;
            continue;
        }
        runs.push(one.run_id.clone());
        gone.extend_from_slice(one.gone);
        let files = one.files.iter().filter_map(|file| read.get(file));
        good.extend(files.filter_map(|file| file.as_ref().ok()).cloned());
    }
    let patience = Patience::new(&context.clock);
    let batch = Batch {
        table,
        files: &good,
        gone: &gone,
        runs: &runs,
    };
    let done = context.lake.change(&batch, &patience).await;
    let done = done.map_err(|source| CommitError::Commit {
        table,
        files: good.len(),
        gone: gone.len(),
        source: Arc::new(source),
    });
    if let Ok(done) = &done {
        let names = names(asked.iter().map(|asked| asked.run_id));
        tell(done, &names, (asked.len(), bad), context.clock.since(begin));
    }
    let mut shares = done.as_ref().map(Shares::of).unwrap_or_default();
    asked
        .iter()
        .zip(failures(asked, &read))
        .map(|(one, failure)| match (failure, &done) {
            (Some(source), _) => Err(CommitError::File { table, source }),
            (None, Err(error)) => Err(error.clone()),
            (None, Ok(done)) => shares.take(done, one),
        })
        .collect()
}

fn tell(
    done: &swath_lake::Committed,
    runs: &str,
    (messages, failed): (usize, usize),
    elapsed: Duration,
) {
    let total = done.total();
    info!(
        table = %done.table,
        snapshot.id = done.snapshot_id,
        runs,
        batch.messages = messages,
        batch.failed = failed,
        files_added = total.files_added,
        rows_added = total.rows_added,
        rows_known = total.rows_known,
        versions_kept_out = total.versions_kept_out,
        versions_replaced = total.versions_replaced,
        rows_removed = done.removed.iter().map(|removed| removed.rows).sum::<u64>(),
        attempts = done.attempts,
        elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        "committed"
    );
}

type Read<'a> = HashMap<&'a WrittenFile, Result<NewFile, Arc<LakeError>>>;

/// Reads each file that a message names, once.
async fn read_all<'a>(table: TableName, asked: &[Asked<'a>], context: &Context) -> Read<'a> {
    let mut files: Vec<&'a WrittenFile> =
        asked.iter().flat_map(|asked| asked.files.iter()).collect();
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
    asked: &'a [Asked<'_>],
    read: &'a Read<'_>,
) -> impl Iterator<Item = Option<Arc<LakeError>>> + 'a {
    asked.iter().map(|asked| {
        let files = asked.files.iter().filter_map(|file| read.get(file));
        let mut errors = files.filter_map(|file| file.as_ref().err());
        errors.next().map(Arc::clone)
    })
}

/// What became of a batch's files and removals, to be shared out to its messages in their order.
#[derive(Default)]
struct Shares {
    files: BTreeMap<String, Figures>,
    removed: std::vec::IntoIter<Removed>,
}

impl Shares {
    fn of(done: &swath_lake::Committed) -> Self {
        Self {
            files: done.files.clone(),
            removed: done.removed.clone().into_iter(),
        }
    }

    /// Takes a message's share; of a file that several messages name, the first one has it all, and to the others its
    /// rows are known.
    fn take(
        &mut self,
        done: &swath_lake::Committed,
        asked: &Asked<'_>,
    ) -> Result<Committed, CommitError> {
        let mut sum = Figures::default();
        for file in asked.files {
            sum += self.files.remove(&file.path).unwrap_or(Figures {
                rows_known: file.rows,
                ..Figures::default()
            });
        }
        let (mut removed, mut stuck) = (Removed::default(), None);
        for (item, became) in asked.gone.iter().zip(self.removed.by_ref()) {
            removed += became;
            stuck = stuck.or((became.rows_stuck > 0).then_some(item));
        }
        if let Some(item) = stuck {
            return Err(CommitError::Stuck {
                rows: removed.rows_stuck,
                item: item.id.clone(),
            });
        }
        Ok(Committed {
            table: done.table,
            snapshot_id: done.snapshot_id,
            files_added: sum.files_added,
            rows_added: sum.rows_added,
            rows_known: sum.rows_known,
            versions_kept_out: sum.versions_kept_out,
            versions_replaced: sum.versions_replaced,
            rows_removed: removed.rows,
            rows_newer: removed.rows_newer,
            attempts: done.attempts,
        })
    }
}
