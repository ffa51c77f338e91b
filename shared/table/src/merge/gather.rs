//! Rows of runs, read and written column after column.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_select::interleave::interleave;
use parquet::errors::ParquetError;
use swath_core::TableName;

use super::order::Order;
use super::output::Output;
use super::run::{Run, Source, sorted};
use super::{Row, Unmerged};
use crate::TableError;
use crate::schema;
use crate::writer::{Effort, EncodedFile, Expected};

/// Bytes of a column that are read, or written, at a time.
const STEP: usize = 256 << 10;
/// Rows that are written at a time.
const ROWS: std::ops::RangeInclusive<usize> = 16..=4096;

/// Writes rows of runs as one file, sorted.
pub(super) fn encode(
    table: TableName,
    runs: Vec<Run>,
    rows: Vec<Row>,
    effort: Effort,
) -> Result<EncodedFile, Unmerged> {
    let orders: Vec<&Order> = runs.iter().map(|run| &run.order).collect();
    let rows = sorted(&orders, rows);
    let all = runs.iter().map(Run::rows).sum::<usize>().max(1);
    let expected = Expected {
        rows: rows.len(),
        bytes: runs.iter().map(Run::text_bytes).sum::<usize>() / all * rows.len(),
    };
    let mut output = Output::new(table, effort, expected)?;
    for (at, field) in schema::of(table).arrow().fields().iter().enumerate() {
        let wide: usize = runs.iter().map(|run| run.column_bytes(at)).sum();
        let step = (STEP / (wide / all).max(1)).clamp(*ROWS.start(), *ROWS.end());
        let mut column = Column::open(table, at, &runs)?;
        for (group, rows) in rows.chunks(expected.rows_per_group()).enumerate() {
            let arrays = rows.chunks(step).map(|rows| column.take(rows));
            output.write(group, field, arrays)?;
        }
    }
    // The columns are put together beside themselves, not beside what they are made of too.
    drop(runs);
    Ok(output.finish()?)
}

/// A column of all runs, of which each is read from its first row to its last.
struct Column {
    table: TableName,
    cursors: Vec<Cursor>,
}

/// Where a run is read.
struct Cursor {
    place: Option<usize>,
    arrays: Box<dyn Iterator<Item = Result<ArrayRef, TableError>>>,
    /// What was read last, and the place in the run of its first row.
    array: Option<ArrayRef>,
    begin: usize,
    /// Where it is among the arrays of which rows are taken now.
    slot: Option<usize>,
}

impl Column {
    fn open(table: TableName, at: usize, runs: &[Run]) -> Result<Self, Unmerged> {
        let cursors = runs.iter().map(|run| {
            let arrays: Box<dyn Iterator<Item = _>> = match &run.source {
                Source::File(file) => {
                    Box::new(file.column(at, STEP).map_err(Unmerged::at(run.place))?)
                }
                Source::Rows(rows) => Box::new(std::iter::once(Ok(Arc::clone(rows.column(at))))),
            };
            Ok(Cursor {
                place: run.place,
                arrays,
                array: None,
                begin: 0,
                slot: None,
            })
        });
        let cursors = cursors.collect::<Result<_, Unmerged>>()?;
        Ok(Self { table, cursors })
    }

    /// Returns the values of rows, of which none lies before one of the same run that was asked for earlier.
    fn take(&mut self, rows: &[Row]) -> Result<ArrayRef, Unmerged> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.cursors.len());
        let mut spots = Vec::with_capacity(rows.len());
        for cursor in &mut self.cursors {
            cursor.slot = None;
        }
        for (run, row) in rows {
            if let Some(cursor) = self.cursors.get_mut(*run) {
                spots.push(cursor.spot(*row, self.table, &mut arrays)?);
            }
        }
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        let taken = interleave(&arrays, &spots);
        let table = self.table;
        Ok(taken.map_err(|source| TableError::Batch { table, source })?)
    }
}

impl Cursor {
    /// Reads on to a row; returns where its value is among arrays, to which it adds what it reads.
    fn spot(
        &mut self,
        row: usize,
        table: TableName,
        arrays: &mut Vec<ArrayRef>,
    ) -> Result<(usize, usize), Unmerged> {
        loop {
            if let Some(array) = &self.array
                && row < self.begin + array.len()
            {
                let slot = *self.slot.get_or_insert_with(|| {
                    arrays.push(Arc::clone(array));
                    arrays.len() - 1
                });
                return Ok((slot, row - self.begin));
            }
            self.begin += self.array.as_ref().map_or(0, Array::len);
            self.slot = None;
            let failed = Unmerged::at(self.place);
            let next = self.arrays.next().unwrap_or_else(|| {
                let begin = self.begin;
                let source = format!("{begin} rows of a column, fewer than its footer promises");
                let source = ParquetError::EOF(source);
                Err(TableError::Read { table, source })
            });
            self.array = Some(next.map_err(failed)?);
        }
    }
}
