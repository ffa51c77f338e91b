//! Batches of rows in, bytes of one Parquet file out; equal rows give equal bytes.

use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use swath_core::{TableName, digest_hex};

use crate::geoparquet::Summary;
use crate::{TableError, schema};

/// Rows of a group at most.
const ROWS_PER_GROUP: usize = 16_384;
/// Bytes of a group's texts at most, before compression, as far as rows are alike: rows of items are 2 to 20 KiB.
const BYTES_PER_GROUP: usize = 64 << 20;
/// Rows of a group at least, however fat they are.
const FEWEST_PER_GROUP: usize = 1024;

/// Bytes of texts, about, after which is looked whether a page is full; it is at 1 MiB.
const BYTES_PER_LOOK: usize = 256 << 10;

/// Rows up to which a file is a tiny one: a dictionary or a zstd context costs more there than all that it saves.
const TINY: usize = 32;
/// Rows from which a page index and a bloom filter find more than they weigh.
pub(crate) const LARGE: usize = 4096;

/// How much work goes into making a file small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For many small files that will be rewritten: zstd 1 on large columns, snappy on the rest, whose zstd
    /// contexts would cost more than everything else; in files of a few rows, snappy throughout.
    Ingest,
    /// For files that stay: zstd 3 throughout; 9 takes three times the work and makes them hardly smaller.
    Compact,
}

/// One Parquet file, not yet anywhere.
#[derive(Clone, Debug)]
pub struct EncodedFile {
    /// The file.
    pub bytes: Bytes,
    /// Rows in it.
    pub rows: u64,
    /// `part_{16 hex digits of the content's SHA-256}.parquet`: equal content gets an equal name.
    pub name: String,
}

/// Writes the batches as one file, in the order they come.
///
/// # Errors
/// When the batches are not of the table's schema.
pub fn encode(
    table: TableName,
    batches: &[RecordBatch],
    effort: Effort,
) -> Result<EncodedFile, TableError> {
    let mut writer = FileWriter::new(table, Vec::new(), effort, Expected::of(batches))?;
    for batch in batches {
        writer.write(batch)?;
    }
    let (bytes, rows) = writer.finish()?;
    let bytes = Bytes::from(bytes);
    let name = name_of(&bytes);
    Ok(EncodedFile { bytes, rows, name })
}

/// Names a file by its content.
pub(crate) fn name_of(bytes: &[u8]) -> String {
    format!("part_{}.parquet", digest_hex(&[bytes], 8))
}

/// What will come into a file, on which its settings depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Rows.
    pub rows: usize,
    /// Bytes of their texts, about.
    pub bytes: usize,
}

impl Expected {
    /// Any number of short rows: what is said of a stream.
    pub const MANY: Self = Self {
        rows: usize::MAX,
        bytes: usize::MAX,
    };

    /// Counts what is there: the same rows count the same, however they are cut into batches.
    pub fn of(batches: &[RecordBatch]) -> Self {
        let columns = batches.iter().flat_map(RecordBatch::columns);
        Self {
            rows: batches.iter().map(RecordBatch::num_rows).sum(),
            bytes: columns.map(text_bytes).sum(),
        }
    }

    /// Returns how many rows a row group has at most.
    pub(crate) fn rows_per_group(self) -> usize {
        let fitting = BYTES_PER_GROUP / (self.bytes / self.rows.max(1)).max(1);
        fitting.clamp(FEWEST_PER_GROUP, ROWS_PER_GROUP)
    }

    /// Returns after how many rows is looked whether a page is full: of fat rows, a thousand are a page many times over.
    fn rows_per_look(self) -> usize {
        let fitting = BYTES_PER_LOOK / (self.bytes / self.rows.max(1)).max(1);
        fitting.clamp(16, 1024)
    }
}

/// Returns how many bytes of text or binary an array has.
fn text_bytes(array: &ArrayRef) -> usize {
    let between = |offsets: &[i32]| match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => usize::try_from(last - first).unwrap_or(0),
        _ => 0,
    };
    match array.data_type() {
        DataType::Utf8 => between(array.as_string::<i32>().value_offsets()),
        DataType::Binary => between(array.as_binary::<i32>().value_offsets()),
        _ => 0,
    }
}

/// One Parquet file in the making; never more than a row group of it, compressed, is held.
pub struct FileWriter<W: Write + Send> {
    table: TableName,
    writer: ArrowWriter<W>,
    summary: Summary,
    rows: u64,
}

impl<W: Write + Send> std::fmt::Debug for FileWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows = &self.rows;
        write!(f, "FileWriter {{ table: {}, rows: {rows} }}", self.table)
    }
}

impl<W: Write + Send> FileWriter<W> {
    /// Begins a file of a table.
    ///
    /// # Errors
    /// When the output takes no bytes.
    pub fn new(
        table: TableName,
        output: W,
        effort: Effort,
        expected: Expected,
    ) -> Result<Self, TableError> {
        Ok(Self {
            table,
            writer: arrow_writer(table, output, effort, expected)?,
            summary: Summary::default(),
            rows: 0,
        })
    }

    /// Appends the rows of a batch.
    ///
    /// # Errors
    /// When the batch is not of the table's schema, or the output takes no bytes.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        if self.table == TableName::StacItems {
            self.summary.add(batch)?;
        }
        let table = self.table;
        let failed = |source| TableError::Write { table, source };
        self.writer.write(batch).map_err(failed)?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Ends the row group, whose rows are sorted by what the footer says; those of the next one begin anew.
    ///
    /// # Errors
    /// When the output takes no bytes.
    pub fn end_group(&mut self) -> Result<(), TableError> {
        let table = self.table;
        let failed = |source| TableError::Write { table, source };
        self.writer.flush().map_err(failed)
    }

    /// Writes the footer; returns the output and how many rows the file has.
    ///
    /// # Errors
    /// When the output takes no bytes.
    pub fn finish(mut self) -> Result<(W, u64), TableError> {
        let table = self.table;
        for told in footer(table, &self.summary) {
            self.writer.append_key_value_metadata(told);
        }
        let failed = |source| TableError::Write { table, source };
        let output = self.writer.into_inner().map_err(failed)?;
        Ok((output, self.rows))
    }
}

/// Begins a file with the settings that files of a table have.
pub(crate) fn arrow_writer<W: Write + Send>(
    table: TableName,
    output: W,
    effort: Effort,
    expected: Expected,
) -> Result<ArrowWriter<W>, TableError> {
    let options = ArrowWriterOptions::new()
        .with_properties(properties(table, effort, expected))
        // The embedded Arrow schema is 5 KiB per file and says nothing that the Parquet types do not.
        .with_skip_arrow_metadata(true);
    let arrow = schema::of(table).arrow();
    ArrowWriter::try_new_with_options(output, arrow, options)
        .map_err(|source| TableError::Write { table, source })
}

/// Returns what the footer of a table's file says beyond Parquet.
pub(crate) fn footer(table: TableName, summary: &Summary) -> Vec<KeyValue> {
    if table != TableName::StacItems {
        return Vec::new();
    }
    let geo = summary.to_json("geometry_bbox");
    let stac = r#"{"version":"1.0.0"}"#.to_owned();
    vec![
        KeyValue::new("geo".to_owned(), geo),
        KeyValue::new("stac-geoparquet".to_owned(), stac),
    ]
}

fn properties(table: TableName, effort: Effort, expected: Expected) -> WriterProperties {
    let is_large = expected.rows >= LARGE;
    let is_tiny = expected.rows <= TINY;
    let statistics = if is_large {
        EnabledStatistics::Page
    } else {
        EnabledStatistics::Chunk
    };
    let builder = WriterProperties::builder()
        // Without a version: the same rows give the same bytes in every release that keeps the settings.
        .set_created_by("swath".to_owned())
        .set_max_row_group_row_count(Some(expected.rows_per_group()))
        .set_write_batch_size(expected.rows_per_look())
        .set_statistics_enabled(statistics)
        .set_offset_index_disabled(!is_large)
        .set_sorting_columns(sorting(table));
    let builder = match effort {
        Effort::Compact => builder.set_compression(zstd(3)),
        Effort::Ingest => builder.set_compression(Compression::SNAPPY),
    };
    if is_tiny {
        return builder.set_dictionary_enabled(false).build();
    }
    let builder = if effort == Effort::Ingest {
        large(table).iter().fold(builder, |builder, name| {
            builder.set_column_compression(path(name), zstd(1))
        })
    } else {
        builder
    };
    let builder = undictionaried(table).iter().fold(builder, |builder, name| {
        builder.set_column_dictionary_enabled(path(name), false)
    });
    if is_large && table == TableName::StacItems {
        let group = expected.rows_per_group().min(expected.rows) as u64;
        return with_bloom_filter(builder, path("id"), group).build();
    }
    builder.build()
}

/// Lets readers that look for one value of a column pass over the groups that lack it.
pub(crate) fn with_bloom_filter(
    builder: WriterPropertiesBuilder,
    column: ColumnPath,
    values: u64,
) -> WriterPropertiesBuilder {
    builder
        .set_column_bloom_filter_enabled(column.clone(), true)
        .set_column_bloom_filter_fpp(column.clone(), 0.01)
        .set_column_bloom_filter_ndv(column, values)
}

pub(crate) fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default())
}

pub(crate) fn path(name: &str) -> ColumnPath {
    ColumnPath::new(vec![name.to_owned()])
}

/// Columns that hold most of a table's bytes.
fn large(table: TableName) -> &'static [&'static str] {
    match table {
        TableName::StacItems => &[
            "id",
            "assets",
            "links",
            "geometry",
            "stac_extensions",
            "stac_rest",
        ],
        TableName::AssetRows => &["area", "item_properties", "item_bbox", "item_id", "href"],
        TableName::AssetFiles => &["item_id", "out_file_path", "source_href", "sha256", "error"],
        TableName::AreaStatus => &["row_id", "content_hash", "error"],
    }
}

/// Columns whose values hardly repeat: a dictionary would be built only to be thrown away.
fn undictionaried(table: TableName) -> &'static [&'static str] {
    match table {
        TableName::StacItems => &[
            "id",
            "assets",
            "links",
            "geometry",
            "stac_rest",
            "bbox",
            "content_hash",
        ],
        TableName::AssetRows => &["href"],
        TableName::AssetFiles => &["out_file_path", "source_href", "sha256", "etag"],
        TableName::AreaStatus => &["row_id", "content_hash"],
    }
}

/// The leading leaves of `stac_items` are scalar, so that a column's place is its leaf's.
fn sorting(table: TableName) -> Option<Vec<SortingColumn>> {
    if table != TableName::StacItems {
        return None;
    }
    let columns = schema::of(table).columns;
    ["platform", "datetime", "id"]
        .iter()
        .map(|name| {
            let place = columns.iter().position(|column| column.name == *name)?;
            Some(SortingColumn {
                column_idx: i32::try_from(place).ok()?,
                descending: false,
                nulls_first: true,
            })
        })
        .collect()
}

/// Gives columns the table's schema, by name.
pub(crate) fn conform(table: TableName, batch: &RecordBatch) -> Result<RecordBatch, TableError> {
    let arrow = schema::of(table).arrow();
    let columns = schema::of(table)
        .columns
        .iter()
        .map(|column| {
            let found = batch.column_by_name(column.name);
            found.map(Arc::clone).ok_or_else(|| TableError::Column {
                table,
                column: column.name,
                found: "nothing".to_owned(),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(arrow, columns).map_err(|source| TableError::Rows { table, source })
}
