//! Batches of rows from Parquet bytes.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Field, Schema};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, RowGroupMetaData};
pub use parquet::file::reader::ChunkReader;
use parquet::schema::types::{SchemaDescriptor, TypePtr};
use swath_core::TableName;

use crate::TableError;
use crate::schema::{Column, FIELD_ID_KEY, of};

/// Opens a file and reads the named columns, all of them when `columns` is `None`; a name that the file lacks is left out.
pub(crate) fn open<R: ChunkReader + 'static>(
    table: TableName,
    input: R,
    columns: Option<&[&str]>,
) -> Result<ParquetRecordBatchReader, TableError> {
    let read = || -> Result<ParquetRecordBatchReader, ParquetError> {
        let builder = builder(input)?;
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
    // An Arrow schema that another writer embedded could turn text into dictionaries or views.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    ParquetRecordBatchReaderBuilder::try_new_with_options(input, options)
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

/// A file that is in memory as it is written, whose rows are read in parts.
pub(crate) struct Parts {
    table: TableName,
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    rows: usize,
}

impl Parts {
    /// Reads the footer; rows of the file will be in the table's columns.
    pub(crate) fn open(table: TableName, bytes: Bytes) -> Result<Self, TableError> {
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&bytes, options);
        let metadata = metadata.map_err(|source| TableError::Read { table, source })?;
        let none = RecordBatch::new_empty(Arc::clone(metadata.schema()));
        crate::writer::conform(table, &named(table, &none)?)?;
        let rows = metadata.metadata().file_metadata().num_rows();
        Ok(Self {
            table,
            bytes,
            metadata,
            rows: usize::try_from(rows).unwrap_or(0),
        })
    }

    pub(crate) fn table(&self) -> TableName {
        self.table
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Returns how many bytes of texts there are, fewer where they repeat.
    pub(crate) fn text_bytes(&self) -> usize {
        let groups = self.metadata.metadata().row_groups().iter();
        let columns = groups.flat_map(RowGroupMetaData::columns);
        let texts = columns.filter(|column| column.column_type() == Type::BYTE_ARRAY);
        let bytes: i64 = texts.map(ColumnChunkMetaData::uncompressed_size).sum();
        usize::try_from(bytes).unwrap_or(0)
    }

    /// Reads some columns of every row.
    pub(crate) fn columns(&self, names: &[&str]) -> Result<RecordBatch, TableError> {
        let table = self.table;
        let builder = self.builder();
        let mask = mask(table, builder.parquet_schema(), names);
        let read = self.finish(builder.with_projection(mask), self.rows)?;
        let read: Vec<RecordBatch> = read
            .iter()
            .map(|batch| named(table, batch))
            .collect::<Result<_, _>>()?;
        let schema = read
            .first()
            .map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        let whole = concat_batches(&schema, &read);
        whole.map_err(|source| TableError::Rows { table, source })
    }

    /// Reads the rows at these places, which ascend, in all of the table's columns.
    pub(crate) fn read(
        &self,
        places: impl ExactSizeIterator<Item = usize>,
    ) -> Result<Vec<RecordBatch>, TableError> {
        let (table, wanted) = (self.table, places.len());
        let mut builder = self.builder();
        if wanted < self.rows {
            let ranges = places.map(|row| row..row + 1);
            let selection = RowSelection::from_consecutive_ranges(ranges, self.rows);
            builder = builder.with_row_selection(selection);
        }
        let read = self.finish(builder, wanted)?;
        let read = read.iter();
        read.map(|batch| crate::writer::conform(table, &named(table, batch)?))
            .collect()
    }

    fn builder(&self) -> ParquetRecordBatchReaderBuilder<Bytes> {
        let (bytes, metadata) = (self.bytes.clone(), self.metadata.clone());
        ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata)
    }

    /// Reads what a builder is made for, and checks that it is as many rows as the footer promises.
    fn finish(
        &self,
        builder: ParquetRecordBatchReaderBuilder<Bytes>,
        wanted: usize,
    ) -> Result<Vec<RecordBatch>, TableError> {
        let table = self.table;
        let failed = |source| TableError::Rows { table, source };
        let read = builder.with_batch_size(wanted.max(1)).build();
        let read = read.map_err(|source| TableError::Read { table, source })?;
        let read: Vec<RecordBatch> = read.collect::<Result<_, _>>().map_err(failed)?;
        let rows: usize = read.iter().map(RecordBatch::num_rows).sum();
        if rows != wanted {
            let message = format!("{rows} rows where its footer promises {wanted}");
            return Err(failed(ArrowError::ParquetError(message)));
        }
        Ok(read)
    }
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
