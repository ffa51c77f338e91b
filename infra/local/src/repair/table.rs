//! A Parquet file of the user's own with a row per file: read, brought up to date, written in its own columns.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use time::OffsetDateTime;

use crate::download::AssetLine;

/// The columns that such a table must have.
const NEEDED: [&str; 4] = [
    "item_id",
    "asset_name",
    "out_file_path",
    "is_out_file_valid",
];

/// A table that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A column is missing.
    #[error("it has no column {0}")]
    Column(&'static str),
    /// A column cannot take what comes of a repair.
    #[error("its columns cannot be brought up to date")]
    Merge(#[source] ArrowError),
    /// Not Parquet, or broken.
    #[error("it cannot be read or written as Parquet")]
    Parquet(#[from] ParquetError),
    /// The file cannot be read or replaced.
    #[error("the file cannot be read or replaced")]
    File(#[from] std::io::Error),
}

/// The rows of a file.
#[derive(Debug)]
pub(super) struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

/// What came of one row.
struct Outcome<'a> {
    good: bool,
    path: Option<&'a str>,
    size_bytes: Option<i64>,
    micros: i64,
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is no Parquet file, or lacks a column.
    pub(super) fn read(path: &Path) -> Result<Self, TableError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
        let schema = Arc::clone(builder.schema());
        for column in NEEDED {
            let there = schema.column_with_name(column);
            there.ok_or(TableError::Column(column))?;
        }
        let batches: Result<Vec<_>, _> = builder.build()?.collect();
        Ok(Self {
            schema,
            batches: batches.map_err(TableError::Merge)?,
        })
    }

    pub(super) fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
    }

    /// Brings the rows up to date whose assets were settled: they are newer than what they said.
    ///
    /// # Errors
    /// When a column holds other values than such a table's.
    pub(super) fn merge(&mut self, settled: &[AssetLine]) -> Result<(), TableError> {
        let outcomes: HashMap<usize, Outcome<'_>> = settled
            .iter()
            .map(|line| (line.number, Outcome::of(line)))
            .collect();
        let mut first = 0;
        for batch in &mut self.batches {
            let rows = first..first + batch.num_rows();
            first = rows.end;
            if rows.clone().any(|row| outcomes.contains_key(&row)) {
                let outcomes: Vec<_> = rows.map(|row| outcomes.get(&row)).collect();
                *batch = merged(batch, &outcomes).map_err(TableError::Merge)?;
            }
        }
        Ok(())
    }

    /// Writes the rows in the place of the file, whole or not at all.
    ///
    /// # Errors
    /// When the folder does not take the file.
    pub(super) fn write(&self, path: &Path) -> Result<(), TableError> {
        let path = path.canonicalize()?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let schema = Arc::clone(&self.schema);
        let mut writer = ArrowWriter::try_new(&mut file, schema, Some(properties.build()))?;
        for batch in &self.batches {
            writer.write(batch)?;
        }
        writer.close()?;
        let mode = path.metadata()?.permissions();
        file.as_file().set_permissions(mode)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }
}

impl<'a> Outcome<'a> {
    fn of(line: &'a AssetLine) -> Self {
        let micros = line.last_update.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Self {
            good: line.good,
            path: line.path.as_deref().filter(|_| line.good),
            size_bytes: line
                .size_bytes
                .filter(|_| line.good)
                .and_then(|size| size.try_into().ok()),
            micros: i64::try_from(micros.unix_timestamp_nanos() / 1000).unwrap_or_default(),
        }
    }
}

/// Replaces what the outcomes say, in each column's own type; other columns and rows stay.
fn merged(
    batch: &RecordBatch,
    outcomes: &[Option<&Outcome<'_>>],
) -> Result<RecordBatch, ArrowError> {
    let each = || outcomes.iter().copied();
    let mut columns = batch.columns().to_vec();
    for (column, field) in columns.iter_mut().zip(batch.schema_ref().fields()) {
        let fresh: ArrayRef = match field.name().as_str() {
            "out_file_path" => Arc::new(each().map(|one| one?.path).collect::<StringArray>()),
            "out_file_sz" => Arc::new(each().map(|one| one?.size_bytes).collect::<Int64Array>()),
            "is_out_file_valid" => {
                Arc::new(each().map(|one| Some(one?.good)).collect::<BooleanArray>())
            }
            "last_update" => {
                let micros = each().map(|one| Some(one?.micros));
                let micros: TimestampMicrosecondArray = micros.collect();
                Arc::new(micros.with_timezone_utc())
            }
            _ => continue,
        };
        let fresh = arrow_cast::cast(&fresh, field.data_type())?;
        let replaced = arrow_array::Array::nulls(&fresh);
        let replaced: BooleanArray = match replaced {
            Some(nulls) => nulls.iter().map(Some).collect(),
            None => vec![true; fresh.len()].into(),
        };
        *column = arrow_select::zip::zip(&replaced, &fresh, column)?;
    }
    RecordBatch::try_new(batch.schema(), columns)
}
