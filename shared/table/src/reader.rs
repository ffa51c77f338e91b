//! Batches of rows from Parquet bytes.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, Field, Schema};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{PageType, Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
pub use parquet::file::reader::ChunkReader;
use parquet::schema::types::{SchemaDescriptor, TypePtr};
use swath_core::TableName;

use crate::TableError;
use crate::schema::{Column, FIELD_ID_KEY, of};

/// Rows of a file that are read at once, however many bytes they are.
const FEWEST_AT_ONCE: usize = 16;
/// Rows of a file that are read at once, however few bytes they are said to be.
const MOST_AT_ONCE: usize = 4096;

/// Opens a file and reads the named columns, all of them when `columns` is `None`; a name that the file lacks is left out.
pub(crate) fn open<R: ChunkReader + 'static>(
    table: TableName,
    input: R,
    columns: Option<&[&str]>,
) -> Result<ParquetRecordBatchReader, TableError> {
    open_parsed(table, input, None, columns)
}

/// Opens a file as [`open`] does, given its footer if that is at hand.
pub(crate) fn open_parsed<R: ChunkReader + 'static>(
    table: TableName,
    input: R,
    footer: Option<Arc<ParquetMetaData>>,
    columns: Option<&[&str]>,
) -> Result<ParquetRecordBatchReader, TableError> {
    let read = || -> Result<ParquetRecordBatchReader, ParquetError> {
        let builder = match footer {
            None => builder(input)?,
            Some(footer) => {
                let footer = ArrowReaderMetadata::try_new(footer, options())?;
                ParquetRecordBatchReaderBuilder::new_with_metadata(input, footer)
            }
        };
        let mask = columns.map_or_else(ProjectionMask::all, |names| {
            mask(table, builder.parquet_schema(), names)
        });
        builder.with_projection(mask).build()
    };
    read().map_err(|source| TableError::Read { table, source })
}

fn mask(table: TableName, schema: &SchemaDescriptor, names: &[&str]) -> ProjectionMask {
    let roots = schema.root_schema().get_fields().iter();
    let wanted = roots
        .enumerate()
        .filter(|(_, field)| column_of(table, field).is_some_and(|c| names.contains(&c)))
        .map(|(index, _)| index);
    ProjectionMask::roots(schema, wanted)
}

/// Opens a file and reads all columns; returns also what its footer has under a key.
pub(crate) fn open_with_footer<R: ChunkReader + 'static>(
    table: TableName,
    input: R,
    key: &str,
) -> Result<(ParquetRecordBatchReader, Option<String>), TableError> {
    let read = || -> Result<_, ParquetError> {
        let builder = builder(input)?;
        let metadata = builder.metadata().file_metadata();
        let pairs = metadata.key_value_metadata().into_iter().flatten();
        let mut found = pairs.filter(|pair| pair.key == key);
        let value = found.next().and_then(|pair| pair.value.clone());
        Ok((builder.build()?, value))
    };
    read().map_err(|source| TableError::Read { table, source })
}

fn builder<R: ChunkReader + 'static>(
    input: R,
) -> Result<ParquetRecordBatchReaderBuilder<R>, ParquetError> {
    ParquetRecordBatchReaderBuilder::try_new_with_options(input, options())
}

/// An Arrow schema that another writer embedded could turn text into dictionaries or views.
fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}

/// Returns which of the table's columns a column of a file is: by its name, or by its field id if its name is that of the
/// column as some writers encode it (`proj_x3Acode`).
pub fn column_of(table: TableName, field: &TypePtr) -> Option<&'static str> {
    let info = field.get_basic_info();
    let id = info.has_id().then(|| info.id());
    Some(find(table, field.name(), id)?.name)
}

fn find(table: TableName, name: &str, id: Option<i32>) -> Option<&'static Column> {
    // An id alone proves nothing: writers that know nothing of the table number fields too.
    let by_id = || {
        let mut columns = of(table).columns.iter();
        columns.find(|column| Some(column.id) == id && encoded(column.name) == name)
    };
    of(table).column(name).or_else(by_id)
}

/// Encodes a name as Avro's rules demand and `PyIceberg` does for Parquet too.
fn encoded(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() || letter == '_' {
            text.push(letter);
        } else {
            let _never_fails = write!(text, "_x{:X}", u32::from(letter));
        }
    }
    text
}

/// Gives the columns of a file's batch the names that the table has for them; see [`column_of`].
pub(crate) fn named(table: TableName, batch: &RecordBatch) -> Result<RecordBatch, TableError> {
    let schema = batch.schema();
    let fields = schema.fields().iter().map(|field| {
        let id = field.metadata().get(FIELD_ID_KEY);
        let column = find(table, field.name(), id.and_then(|id| id.parse().ok()));
        match column.filter(|c| c.name != field.name() && schema.index_of(c.name).is_err()) {
            Some(column) => Arc::new(Field::clone(field).with_name(column.name)),
            None => Arc::clone(field),
        }
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let renamed = RecordBatch::try_new(schema, batch.columns().to_vec());
    renamed.map_err(|source| TableError::Rows { table, source })
}

/// Reads every row of a file, in the table's columns.
///
/// # Errors
/// When the bytes are not a whole Parquet file of the table.
pub fn read<R: ChunkReader + 'static>(
    table: TableName,
    input: R,
) -> Result<Vec<RecordBatch>, TableError> {
    open(table, input, None)?
        .map(|batch| {
            let batch = batch.map_err(|source| TableError::Rows { table, source })?;
            crate::writer::conform(table, &named(table, &batch)?)
        })
        .collect()
}

/// A file that is in memory as it is written, whose rows or columns are read in parts.
pub(crate) struct Parts {
    table: TableName,
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    rows: usize,
    /// For each of the table's columns, which of the file's it is.
    roots: Vec<usize>,
}

impl Parts {
    /// Reads the footer; rows of the file will be in the table's columns.
    pub(crate) fn open(table: TableName, bytes: Bytes) -> Result<Self, TableError> {
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_encoding_stats_as_mask(false);
        let metadata = ArrowReaderMetadata::load(&bytes, options);
        let metadata = metadata.map_err(|source| TableError::Read { table, source })?;
        let none = named(
            table,
            &RecordBatch::new_empty(Arc::clone(metadata.schema())),
        )?;
        crate::writer::conform(table, &none)?;
        let found = none.schema();
        let columns = of(table).columns.iter();
        let roots = columns.map(|column| found.index_of(column.name));
        let roots: Result<_, ArrowError> = roots.collect();
        let rows = metadata.metadata().file_metadata().num_rows();
        Ok(Self {
            table,
            bytes,
            rows: usize::try_from(rows).unwrap_or(0),
            roots: roots.map_err(|source| TableError::Rows { table, source })?,
            metadata,
        })
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Returns how many bytes of texts there are, fewer where they repeat.
    pub(crate) fn text_bytes(&self) -> usize {
        let texts = self.chunks();
        let texts = texts.filter(|chunk| chunk.column_type() == Type::BYTE_ARRAY);
        texts.map(encoded_bytes).sum()
    }

    /// Returns how many bytes all rows take in memory, about.
    pub(crate) fn decoded_bytes(&self) -> usize {
        (0..self.roots.len()).map(|at| self.column_bytes(at)).sum()
    }

    /// Returns how many bytes a column takes in memory, about.
    pub(crate) fn column_bytes(&self, at: usize) -> usize {
        self.chunks_of(at).map(decoded_bytes).sum()
    }

    /// Returns how many bytes are held at most, about, while a column is read a few rows at a time: a page of the widest.
    pub(crate) fn page_bytes(&self) -> usize {
        self.chunks().map(page_bytes).max().unwrap_or(0)
    }

    /// Reads some columns of every row.
    pub(crate) fn columns(&self, names: &[&str]) -> Result<RecordBatch, TableError> {
        let table = self.table;
        let builder = self.builder();
        let mask = mask(table, builder.parquet_schema(), names);
        let read = builder
            .with_projection(mask)
            .with_batch_size(self.rows.max(1));
        let read = read.build();
        let read = read.map_err(|source| TableError::Read { table, source })?;
        let read = read.map(|batch| {
            let batch = batch.map_err(|source| TableError::Rows { table, source })?;
            named(table, &batch)
        });
        let read: Vec<RecordBatch> = read.collect::<Result<_, _>>()?;
        let schema = read
            .first()
            .map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        let whole = concat_batches(&schema, &read);
        let whole = whole.map_err(|source| TableError::Rows { table, source })?;
        self.check(whole.num_rows())?;
        Ok(whole)
    }

    /// Checks that as many rows were read as the footer promises.
    pub(crate) fn check(&self, rows: usize) -> Result<(), TableError> {
        if rows == self.rows {
            return Ok(());
        }
        let (table, promised) = (self.table, self.rows);
        let message = format!("{rows} rows where its footer promises {promised}");
        let source = ParquetError::EOF(message);
        Err(TableError::Read { table, source })
    }

    /// Reads every row, so many bytes of them at a time, in the table's columns.
    pub(crate) fn batches(
        &self,
        bytes: usize,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, TableError>>, TableError> {
        let table = self.table;
        let rows = self.rows_in(self.decoded_bytes(), bytes);
        let read = self.builder().with_batch_size(rows).build();
        let read = read.map_err(|source| TableError::Read { table, source })?;
        Ok(read.map(move |batch| {
            let batch = batch.map_err(|source| TableError::Rows { table, source })?;
            crate::writer::conform(table, &named(table, &batch)?)
        }))
    }

    /// Reads one of the table's columns, so many bytes at a time.
    pub(crate) fn column(
        &self,
        at: usize,
        bytes: usize,
    ) -> Result<impl Iterator<Item = Result<ArrayRef, TableError>> + use<>, TableError> {
        let table = self.table;
        let builder = self.builder();
        let root = self.roots.get(at).copied();
        let mask = ProjectionMask::roots(builder.parquet_schema(), root);
        let rows = self.rows_in(self.column_bytes(at), bytes);
        let builder = builder.with_projection(mask).with_batch_size(rows);
        let read = builder.build();
        let read = read.map_err(|source| TableError::Read { table, source })?;
        let field = of(table).arrow().fields().get(at).map(Arc::clone);
        let schema = Arc::new(Schema::new(Vec::from_iter(field)));
        Ok(read.map(move |batch| {
            let failed = |source| TableError::Rows { table, source };
            let columns = batch.map_err(failed)?.columns().to_vec();
            // Also checks the type, and that there are values where the table demands them.
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(failed)?;
            Ok(Arc::clone(batch.column(0)))
        }))
    }

    /// Returns how many rows of a column, or of all of them, take so many bytes.
    fn rows_in(&self, all: usize, bytes: usize) -> usize {
        let row = (all / self.rows.max(1)).max(1);
        (bytes / row).clamp(FEWEST_AT_ONCE, MOST_AT_ONCE)
    }

    fn builder(&self) -> ParquetRecordBatchReaderBuilder<Bytes> {
        let (bytes, metadata) = (self.bytes.clone(), self.metadata.clone());
        ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata)
    }

    fn chunks(&self) -> impl Iterator<Item = &ColumnChunkMetaData> {
        let groups = self.metadata.metadata().row_groups().iter();
        groups.flat_map(RowGroupMetaData::columns)
    }

    fn chunks_of(&self, at: usize) -> impl Iterator<Item = &ColumnChunkMetaData> {
        let root = self.roots.get(at).copied();
        let groups = self.metadata.metadata().row_groups().iter();
        groups.flat_map(move |group| {
            let schema = group.schema_descr();
            let chunks = group.columns().iter().enumerate();
            chunks
                .filter(move |(leaf, _)| Some(schema.get_column_root_idx(*leaf)) == root)
                .map(|(_, chunk)| chunk)
        })
    }
}

fn encoded_bytes(chunk: &ColumnChunkMetaData) -> usize {
    usize::try_from(chunk.uncompressed_size()).unwrap_or(0)
}

/// Returns how many bytes a page of a chunk has at most, as far as all but the last are alike; without a count of them,
/// all are one.
fn page_bytes(chunk: &ColumnChunkMetaData) -> usize {
    let pages = chunk.page_encoding_stats().into_iter().flatten();
    let pages: usize = pages
        .filter(|pages| pages.page_type != PageType::DICTIONARY_PAGE)
        .map(|pages| usize::try_from(pages.count).unwrap_or(0))
        .sum();
    encoded_bytes(chunk) / pages.saturating_sub(1).max(1)
}

/// What writers do not tell is guessed: a text that repeats may take far more bytes than the file has.
fn decoded_bytes(chunk: &ColumnChunkMetaData) -> usize {
    let texts = chunk.unencoded_byte_array_data_bytes();
    let texts = texts.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(0));
    encoded_bytes(chunk).max(texts)
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use arrow_schema::DataType;

    use super::*;

    #[test]
    fn a_column_whose_name_another_writer_encoded_is_found_by_its_field_id() {
        let name_of = |name: &str, id: &str| {
            let metadata = [(FIELD_ID_KEY.to_owned(), id.to_owned())].into();
            let field = Field::new(name, DataType::Utf8, true).with_metadata(metadata);
            let column = Arc::new(StringArray::from(vec!["EPSG:4326"]));
            let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]);
            let named = named(TableName::StacItems, &batch.unwrap()).unwrap();
            named.schema().field(0).name().clone()
        };
        assert_eq!(name_of("proj_x3Acode", "8"), "proj:code");
        assert_eq!(name_of("proj_x3Acode", "9"), "proj_x3Acode");
        assert_eq!(name_of("number_8", "8"), "number_8");
        assert_eq!(name_of("proj:code", "77"), "proj:code");
    }
}
