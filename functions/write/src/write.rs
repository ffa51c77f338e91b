//! Writes what a batch of messages brings and tells `commit` about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use futures::{StreamExt as _, stream};
use swath_cloud::queue::QueueError;
use swath_cloud::runs::{LedgerError, SettleError};
use swath_cloud::store::StoreError;
use swath_core::message::{Body, FilesWritten, Message, WrittenFile};
use swath_core::names;
use swath_core::{Class, Classify, TableName};
use swath_table::TableError;
use tracing::info;

use crate::files::{Planned, plan};
use crate::gather::{Counts, gather};
use crate::merge::{self, MergeError};
use crate::put::put_new;
use crate::quarantine::{keep_originals, quarantine};
use crate::stage;
use crate::{Context, Rejected};

/// Files that are on their way to the store at a time.
pub(crate) const PUTS: usize = 16;

/// What one message came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Items that were written; an item in several cells counts once.
    pub items: usize,
    /// Rows of the tables about assets that were written.
    pub rows: usize,
    /// Items and rows that the batch already held, exactly so.
    pub duplicates: usize,
    /// Items of which the batch held a newer version.
    pub superseded: usize,
    /// Values of items that are not of their column's type; they are kept beside it.
    pub clashes: usize,
    /// Items that were read back from their files and are those that came, where that was asked for.
    pub checked: usize,
    /// What is no item; each is kept in quarantine.
    pub rejected: Vec<Rejected>,
}

/// A message whose items or rows are not all written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A message for someone else.
    #[error("a message of kind {kind} brings nothing to write")]
    Kind {
        /// Its kind.
        kind: &'static str,
    },
    /// Rows do not fit their table.
    #[error("rows of {table} cannot be encoded")]
    Encode {
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        source: Arc<TableError>,
    },
    /// The store did not take a file.
    #[error("the lake took no {what}")]
    Put {
        /// A data file or a rejected item.
        what: &'static str,
        /// Why.
        #[source]
        source: Arc<StoreError>,
    },
    /// The files lie in the lake, but `commit` does not know.
    #[error("{files} files of {table} lie in the lake untold")]
    Tell {
        /// The table.
        table: TableName,
        /// How many.
        files: usize,
        /// Why.
        #[source]
        source: Arc<QueueError>,
    },
    /// `commit` does not know which items are gone.
    #[error("items that are gone are not passed on")]
    PassOn(#[source] Arc<QueueError>),
    /// The files of a bulk run lie in the lake, but its books do not know.
    #[error("the run's books do not know of its files")]
    Note(#[source] Arc<LedgerError>),
    /// Whether a bulk run is complete is not known.
    #[error(transparent)]
    Settle(Arc<SettleError>),
    /// Files that were to be merged cannot be read.
    #[error("{path} cannot be merged")]
    Merge {
        /// The file, or the first of several.
        path: String,
        /// Why.
        #[source]
        source: Arc<MergeError>,
    },
}

impl Classify for WriteError {
    fn class(&self) -> Class {
        match self {
            Self::Kind { .. } => Class::Invalid,
            Self::Encode { source, .. } => source.class(),
            Self::Put { source, .. } => match source.class() {
                // Paths are ours: a refused one is not the message's fault.
                Class::Invalid => Class::Bug,
                class => class,
            },
            Self::Tell { source, .. } | Self::PassOn(source) => source.class(),
            Self::Note(source) => source.class(),
            Self::Settle(source) => source.class(),
            Self::Merge { source, .. } => source.class(),
        }
    }
}

/// Writes what the messages bring: items to one file per cell and year, rows to one file per table; then names the
/// files of each table to `commit` in one message. Returns one result per message, in order.
///
/// A message is done when every file that holds something of it lies in the lake and was named. To write it again does
/// no harm: files are named by their content, and `commit` knows rows by their keys.
pub async fn write(batch: &[Message], context: &Context) -> Vec<Result<Written, WriteError>> {
    let begin = context.clock.now();
    let mut gathered = gather(batch, &context.rules);
    let cells = {
        // A panic elsewhere leaves a grid with at worst a cell less in its memory.
        let mut grid = context.grid.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.file(grid.as_mut())
    };
    let files = plan(&gathered, cells, context.check_roundtrip);
    // The rows are in the files; they need not wait with them for the store and for `commit`.
    let items = std::mem::take(&mut gathered.items).len();
    let mut results: Vec<Result<Written, WriteError>> = batch
        .iter()
        .zip(&gathered.counts)
        .map(|(message, counts)| begin_result(message, *counts, context.check_roundtrip))
        .collect();
    quarantine(&gathered.refused, context, &mut results).await;
    keep_originals(&gathered.mended, context, &mut results).await;
    let written = put_all(files, context, &mut results).await;
    let count: usize = written.values().map(Vec::len).sum();
    stage::note(&written, batch, context, &mut results).await;
    merge::merge_all(batch, context, &mut results).await;
    for (table, files) in written {
        let told = stage::untold(files, batch);
        tell(table, told, batch, context, &mut results).await;
    }
    pass_on(batch, context, &mut results).await;
    stage::settle(batch, context, &mut results).await;
    info!(
        batch.messages = batch.len(),
        batch.files = count,
        batch.items = items,
        batch.rejected = gathered.refused.len(),
        batch.mended = gathered.mended.len(),
        elapsed_ms = u64::try_from((context.clock.now() - begin).whole_milliseconds()).unwrap_or(0),
        "written"
    );
    results
}

fn begin_result(
    message: &Message,
    counts: Counts,
    check_roundtrip: bool,
) -> Result<Written, WriteError> {
    match &message.body {
        // Merges and replacements bring nothing of their own.
        Body::MergeFiles(_) | Body::ReplaceFiles(_) | Body::RemoveItems(_) => {
            Ok(Written::default())
        }
        Body::WriteItems(_) | Body::StageItems(_) | Body::WriteRows(_) => Ok(Written {
            items: counts.items,
            rows: counts.rows,
            duplicates: counts.duplicates,
            superseded: counts.superseded,
            clashes: counts.clashes,
            // One that is not read back equal fails its file, and with it the message.
            checked: if check_roundtrip { counts.items } else { 0 },
            rejected: Vec::new(),
        }),
        other => Err(WriteError::Kind { kind: other.kind() }),
    }
}

/// Passes on which items are gone, behind the files that may hold them: what a batch brings and takes away is not there.
async fn pass_on(
    batch: &[Message],
    context: &Context,
    results: &mut [Result<Written, WriteError>],
) {
    let is_removal = |message: &Message| matches!(message.body, Body::RemoveItems(_));
    let (messages, removals): (BTreeSet<usize>, Vec<Message>) = batch
        .iter()
        .enumerate()
        .filter(|(_, message)| is_removal(message))
        .map(|(index, message)| (index, message.clone()))
        .unzip();
    if removals.is_empty() {
        return;
    }
    if let Err(source) = context.commit.send(removals).await {
        let error = WriteError::PassOn(Arc::new(source));
        fail(results, &messages, &error);
    }
}

/// Marks messages as failed; the first failure of each stays.
pub(crate) fn fail(
    results: &mut [Result<Written, WriteError>],
    messages: &BTreeSet<usize>,
    error: &WriteError,
) {
    for message in messages {
        if let Some(result @ Ok(_)) = results.get_mut(*message) {
            *result = Err(error.clone());
        }
    }
}

/// Files of one table that lie in the lake.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) files: Vec<WrittenFile>,
    pub(crate) messages: BTreeSet<usize>,
}

/// Files that lie in the lake, each with the messages that brought something of it.
pub(crate) type Files = Vec<(WrittenFile, BTreeSet<usize>)>;

async fn put_all(
    files: Vec<Planned>,
    context: &Context,
    results: &mut [Result<Written, WriteError>],
) -> BTreeMap<TableName, Files> {
    let puts = files.into_iter().map(|planned| async move {
        let outcome = match planned.file {
            Ok((file, bytes)) => put_new(&file.path, bytes, "data file", context)
                .await
                .map(|()| file),
            Err(source) => Err(WriteError::Encode {
                table: planned.table,
                source,
            }),
        };
        (planned.table, planned.messages, outcome)
    });
    let mut written: BTreeMap<TableName, Files> = BTreeMap::new();
    let mut puts = stream::iter(puts).buffered(PUTS);
    while let Some((table, messages, outcome)) = puts.next().await {
        match outcome {
            Ok(file) => written.entry(table).or_default().push((file, messages)),
            Err(error) => fail(results, &messages, &error),
        }
    }
    written
}

pub(crate) async fn tell(
    table: TableName,
    told: Told,
    batch: &[Message],
    context: &Context,
    results: &mut [Result<Written, WriteError>],
) {
    let Told { files, messages } = told;
    if files.is_empty() {
        return;
    }
    // A batch may hold messages of several runs; the name is for the log, rows carry their own.
    let first = messages.first().and_then(|index| batch.get(*index));
    let Some(run_id) = first.map(|message| message.run_id.clone()) else {
        return;
    };
    let count = files.len();
    let told = messages.iter().filter_map(|index| batch.get(*index));
    let runs = names(told.map(|message| &message.run_id));
    info!(%table, run.id = %run_id, runs, files = count, "telling commit");
    let body = Body::FilesWritten(FilesWritten { table, files });
    if let Err(source) = context.commit.send(vec![Message { run_id, body }]).await {
        let error = WriteError::Tell {
            table,
            files: count,
            source: Arc::new(source),
        };
        fail(results, &messages, &error);
    }
}
