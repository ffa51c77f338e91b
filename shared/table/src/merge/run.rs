//! Files as sorted runs, few enough to be read side by side.

use arrow_array::RecordBatch;
use arrow_select::interleave::interleave_record_batch;
use bytes::Bytes;
use swath_core::TableName;

use super::gather::encode;
use super::order::Order;
use super::{Row, Unmerged};
use crate::TableError;
use crate::keys::{RowKey, batch_keys, read_keys};
use crate::reader::Parts;
use crate::writer::{Effort, Expected};

/// Bytes of rows, decoded, below which a file is read as a whole.
const SMALL: usize = 256 << 10;
/// Bytes that an open file takes beyond its pages: its footer, buffers and the state of decoders.
const OPEN: usize = 256 << 10;

/// Rows in the order of the merged file.
pub(super) struct Run {
    pub(super) source: Source,
    pub(super) order: Order,
    /// The file that it is, by its place among those given, if it is one of them.
    pub(super) place: Option<usize>,
}

/// Where the rows of a run are.
pub(super) enum Source {
    File(Parts),
    Rows(RecordBatch),
}

impl Run {
    fn file(table: TableName, bytes: Bytes, place: Option<usize>) -> Result<Self, TableError> {
        let file = Parts::open(table, bytes)?;
        Ok(Self {
            order: Order::of_file(table, &file)?,
            source: Source::File(file),
            place,
        })
    }

    pub(super) fn rows(&self) -> usize {
        match &self.source {
            Source::File(file) => file.rows(),
            Source::Rows(rows) => rows.num_rows(),
        }
    }

    /// Returns the key of each row.
    pub(super) fn keys(&self, table: TableName) -> Result<Vec<RowKey>, Unmerged> {
        let keys = match &self.source {
            Source::File(file) => read_keys(table, file.bytes().clone()),
            Source::Rows(rows) => batch_keys(table, rows),
        };
        keys.map_err(Unmerged::at(self.place))
    }

    /// Returns how many bytes the run has: those of a file as they are, those of rows in memory.
    fn bytes(&self) -> usize {
        match &self.source {
            Source::File(file) => file.bytes().len(),
            Source::Rows(rows) => rows.get_array_memory_size(),
        }
    }

    /// Returns how many bytes of texts there are, about.
    pub(super) fn text_bytes(&self) -> usize {
        match &self.source {
            Source::File(file) => file.text_bytes(),
            Source::Rows(rows) => Expected::of(std::slice::from_ref(rows)).bytes,
        }
    }

    /// Returns how many bytes a column has, decoded, about.
    pub(super) fn column_bytes(&self, at: usize) -> usize {
        match &self.source {
            Source::File(file) => file.column_bytes(at),
            Source::Rows(rows) => rows.column(at).get_array_memory_size(),
        }
    }

    /// Returns how many bytes reading it side by side with others takes, besides those that it has.
    fn cost(&self) -> usize {
        match &self.source {
            Source::File(file) => file.page_bytes() + OPEN,
            Source::Rows(_) => 0,
        }
    }

    fn is_sorted(&self) -> bool {
        (0..self.rows()).is_sorted_by_key(|row| self.order.of_row(row))
    }
}

/// Returns every row of runs.
pub(super) fn rows(runs: &[Run]) -> Vec<Row> {
    let runs = runs.iter().enumerate();
    let rows = runs.flat_map(|(place, run)| (0..run.rows()).map(move |row| (place, row)));
    rows.collect()
}

/// Runs in the making.
pub(super) struct Runs {
    table: TableName,
    /// Bytes that may be used.
    memory: usize,
    made: Vec<Run>,
    /// Rows of small files, and of a stretch of one that is not sorted.
    decoded: Vec<RecordBatch>,
    pub(super) decoded_bytes: usize,
}

impl Runs {
    /// Makes runs of files.
    pub(super) fn of(
        table: TableName,
        files: Vec<Bytes>,
        memory: usize,
    ) -> Result<Vec<Run>, Unmerged> {
        let mut runs = Self::new(table, memory);
        for (place, bytes) in files.into_iter().enumerate() {
            runs.add(place, bytes)?;
        }
        runs.finish()
    }

    pub(super) fn new(table: TableName, memory: usize) -> Self {
        Self {
            table,
            memory,
            made: Vec::new(),
            decoded: Vec::new(),
            decoded_bytes: 0,
        }
    }

    /// Takes in a file: as it is, unless it is small or not sorted, when it is read.
    pub(super) fn add(&mut self, place: usize, bytes: Bytes) -> Result<(), Unmerged> {
        let failed = Unmerged::at(place);
        let run = Run::file(self.table, bytes, Some(place)).map_err(&failed)?;
        match &run.source {
            Source::File(file) if file.decoded_bytes() <= SMALL || !run.is_sorted() => {
                let mut rows = 0;
                for batch in file.batches(SMALL * 4).map_err(&failed)? {
                    let batch = batch.map_err(&failed)?;
                    rows += batch.num_rows();
                    self.decoded_bytes += batch.get_array_memory_size();
                    self.decoded.push(batch);
                    if self.decoded_bytes > self.memory / 4 {
                        self.put_aside()?;
                    }
                }
                file.check(rows).map_err(&failed)
            }
            _ => self.push(run),
        }
    }

    /// Returns the runs, of which reading all side by side takes no more memory than there is.
    pub(super) fn finish(mut self) -> Result<Vec<Run>, Unmerged> {
        // What is left of small files need not be encoded: most often that is all of them.
        if let Some(rows) = self.sorted()? {
            self.made.push(Run {
                order: Order::of(self.table, &rows),
                source: Source::Rows(rows),
                place: None,
            });
        }
        Ok(self.made)
    }

    /// Returns how many bytes reading the runs side by side takes, besides those that they have.
    pub(super) fn cost(&self) -> usize {
        self.made.iter().map(Run::cost).sum()
    }

    /// Makes a file of the rows that are decoded.
    fn put_aside(&mut self) -> Result<(), Unmerged> {
        let Some(rows) = self.sorted()? else {
            return Ok(());
        };
        let encoded = crate::writer::encode(self.table, &[rows], Effort::Ingest)?;
        self.push(Run::file(self.table, encoded.bytes, None)?)
    }

    /// Sorts the rows that are decoded; none are then.
    fn sorted(&mut self) -> Result<Option<RecordBatch>, TableError> {
        let table = self.table;
        let decoded = std::mem::take(&mut self.decoded);
        self.decoded_bytes = 0;
        if decoded.is_empty() {
            return Ok(None);
        }
        let batches = decoded.iter();
        let orders: Vec<Order> = batches.clone().map(|rows| Order::of(table, rows)).collect();
        let rows = batches.clone().enumerate();
        let rows = rows.flat_map(|(at, rows)| (0..rows.num_rows()).map(move |row| (at, row)));
        let rows = sorted(&orders.iter().collect::<Vec<_>>(), rows.collect());
        let sorted = interleave_record_batch(&batches.collect::<Vec<_>>(), &rows);
        let sorted = sorted.map_err(|source| TableError::Batch { table, source })?;
        Ok(Some(sorted))
    }

    /// Takes in a run; as long as there are too many to be read side by side, merges the smallest.
    fn push(&mut self, run: Run) -> Result<(), Unmerged> {
        self.made.push(run);
        while self.made.len() > 2 && self.cost() > self.memory {
            // Stable: equal input is merged equally.
            self.made.sort_by_key(Run::bytes);
            let mut cost = 0;
            let fitting = self.made.iter().take_while(|run| {
                cost += run.cost();
                cost <= self.memory
            });
            let fitting = fitting.count().clamp(2, self.made.len());
            let taken: Vec<Run> = self.made.drain(..fitting).collect();
            let all = rows(&taken);
            let merged = encode(self.table, taken, all, Effort::Ingest)?;
            self.made.push(Run::file(self.table, merged.bytes, None)?);
        }
        Ok(())
    }
}

/// Sorts rows by the orders of where they lie.
pub(super) fn sorted(orders: &[&Order], mut rows: Vec<Row>) -> Vec<Row> {
    let order = |row: &Row| (orders.get(row.0).map(|order| order.of_row(row.1)), *row);
    // Rows of one place are sorted mostly: this finds their runs and merges them.
    rows.sort_by(|one, other| order(one).cmp(&order(other)));
    rows
}
