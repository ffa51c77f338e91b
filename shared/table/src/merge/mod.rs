//! Rows of several files as one file, in the order in which files are written, with few of them in memory at a time.
//!
//! Files are made [`Run`]s, sorted as the merged file will be, of which no more are kept than can be read side by side in
//! the memory that is given; then they are read and written column after column, so that only one column of each is open.

mod gather;
mod order;
mod output;
mod run;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use bytes::Bytes;
use swath_core::TableName;

use crate::TableError;
use crate::keys::RowKey;
use crate::writer::{Effort, EncodedFile};
use gather::encode;
use run::Runs;

/// Bytes that are decoded at a time for [`newest`]: its files are small.
const FEW: usize = 32 << 20;

/// Why files were not merged.
#[derive(Debug, thiserror::Error)]
#[error("files of one table cannot be merged")]
pub struct Unmerged {
    /// The file that is the reason, by its place among those given, if it is one of them.
    pub place: Option<usize>,
    /// Why.
    #[source]
    pub source: TableError,
}

impl Unmerged {
    fn at(place: impl Into<Option<usize>>) -> impl Fn(TableError) -> Self {
        let place = place.into();
        move |source| Self { place, source }
    }
}

impl From<TableError> for Unmerged {
    fn from(source: TableError) -> Self {
        Self {
            place: None,
            source,
        }
    }
}

/// A row, by the place of its run and its own in it.
type Row = (usize, usize);

/// Merges whole files of ours; of rows with one key the newest stays, by `updated` and then by content. `None` when there
/// are no rows.
///
/// # Errors
/// When a file is none of the table's.
pub fn newest(table: TableName, files: &[Bytes]) -> Result<Option<EncodedFile>, Unmerged> {
    let runs = Runs::of(table, files.to_vec(), FEW)?;
    let mut newest: HashMap<u128, (RowKey, Row)> = HashMap::new();
    for (place, run) in runs.iter().enumerate() {
        for (row, key) in run.keys(table)?.into_iter().enumerate() {
            let found = newest.entry(key.key).or_insert((key, (place, row)));
            if (key.updated, key.content) > (found.0.updated, found.0.content) {
                *found = (key, (place, row));
            }
        }
    }
    if newest.is_empty() {
        return Ok(None);
    }
    let rows = newest.into_values().map(|(_, row)| row).collect();
    encode(table, runs, rows, Effort::Ingest).map(Some)
}

/// Merges every row of whole files, as a file that stays. Beyond the files and what becomes of them, about so many bytes
/// of `memory` are used, however many files there are.
///
/// # Errors
/// When a file is none of the table's, or has columns that the table lacks.
pub fn every_row(
    table: TableName,
    files: Vec<Bytes>,
    memory: usize,
) -> Result<EncodedFile, Unmerged> {
    let runs = Runs::of(table, files, memory)?;
    let rows = run::rows(&runs);
    encode(table, runs, rows, Effort::Compact)
}
