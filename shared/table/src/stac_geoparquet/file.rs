//! One file of items, written batch by batch.

use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Float64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray, StructArray};
use arrow_buffer::NullBufferBuilder;
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use swath_core::TableName;

use super::build::{Column, double, push_geometry, push_member, push_members};
use super::kept::{Kept, Step};
use super::layout::{Layout, in_order};
use super::scan::Cursor;
use super::{FOOTER, REST, SIDES, settings, unquoted};
use crate::geoparquet::Summary;
use crate::{Effort, Expected, TableError};

const TABLE: TableName = TableName::StacItems;

/// Bytes of items that are put into columns at a time: each of hundreds of columns takes its time to begin anew.
const BATCH: usize = 8 << 20;

/// A file of items in the making: the items of a batch and a row group, compressed, are held.
pub struct ItemFile<W: Write + Send> {
    output: Output<W>,
    effort: Effort,
    expected: Expected,
    schema: SchemaRef,
    has_rest: bool,
    /// Values that the columns do not give back, so far.
    kept: u64,
    rows: u64,
    summary: Summary,
    footer: String,
    batch: Batch,
}

/// Where the file goes.
enum Output<W: Write + Send> {
    /// Nothing is written before the first items say how.
    Waiting(W),
    Open(Box<ArrowWriter<W>>),
    /// The writer could not be made, and took the output with it.
    Lost,
}

/// The items of one batch, in columns.
struct Batch {
    geometry: BinaryBuilder,
    geometry_is_bare: bool,
    bbox: Bbox,
    properties: Vec<Column>,
    members: Vec<Column>,
    rest: StringBuilder,
    rows: usize,
    /// Bytes of the items.
    bytes: usize,
}

struct Bbox {
    /// In the order of [`SIDES`].
    sides: [Float64Builder; 6],
    valid: NullBufferBuilder,
    has_z: bool,
    is_bare: bool,
}

impl<W: Write + Send> std::fmt::Debug for ItemFile<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ItemFile {{ rows: {} }}", self.rows)
    }
}

impl<W: Write + Send> ItemFile<W> {
    /// Begins a file, with the column `swath:rest` or without.
    pub fn new(
        layout: &Layout,
        has_rest: bool,
        output: W,
        effort: Effort,
        expected: Expected,
    ) -> Self {
        Self {
            output: Output::Waiting(output),
            effort,
            expected,
            schema: layout.schema(has_rest),
            has_rest,
            kept: 0,
            rows: 0,
            summary: Summary::default(),
            footer: layout.footer(),
            batch: Batch::new(layout),
        }
    }

    /// Appends an item, given as canonical text.
    ///
    /// # Errors
    /// When the columns do not form a batch, which is a fault of ours, or the output takes no bytes.
    pub fn push(&mut self, canonical: &str) -> Result<(), TableError> {
        self.kept += self.batch.push(canonical, &mut self.summary);
        self.rows += 1;
        if self.batch.bytes >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Returns how many values the columns do not give back, so far.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Says whether items would not be read back as they are: the file has to be begun anew with `swath:rest`.
    pub fn lacks_rest(&self) -> bool {
        self.kept > 0 && !self.has_rest
    }

    fn flush(&mut self) -> Result<(), TableError> {
        let failed = |source| TableError::Batch {
            table: TABLE,
            source,
        };
        let columns = self.batch.finish(self.has_rest).map_err(failed)?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(failed)?;
        self.writer(&batch)?.write(&batch).map_err(write_failed)
    }

    /// Returns the writer, which is made for the first items.
    fn writer(&mut self, batch: &RecordBatch) -> Result<&mut ArrowWriter<W>, TableError> {
        self.output = match std::mem::replace(&mut self.output, Output::Lost) {
            Output::Waiting(output) => {
                let properties = settings::properties(batch, self.effort, self.expected);
                let options = ArrowWriterOptions::new()
                    .with_properties(properties)
                    .with_skip_arrow_metadata(true);
                let schema = Arc::clone(&self.schema);
                let writer = ArrowWriter::try_new_with_options(output, schema, options);
                Output::Open(Box::new(writer.map_err(write_failed)?))
            }
            other => other,
        };
        match &mut self.output {
            Output::Open(writer) => Ok(writer),
            _ => Err(write_failed(ParquetError::General(LOST.to_owned()))),
        }
    }

    /// Writes what is left and the footer; returns the output and how many rows the file has.
    ///
    /// # Errors
    /// As [`ItemFile::push`].
    pub fn finish(mut self) -> Result<(W, u64), TableError> {
        if self.batch.rows > 0 {
            self.flush()?;
        }
        self.writer(&RecordBatch::new_empty(Arc::clone(&self.schema)))?;
        let Output::Open(mut writer) = self.output else {
            return Err(write_failed(ParquetError::General(LOST.to_owned())));
        };
        let geo = self.summary.to_json("bbox");
        let stac = r#"{"version":"1.0.0"}"#.to_owned();
        for (key, value) in [
            ("geo", geo),
            ("stac-geoparquet", stac),
            (FOOTER, self.footer),
        ] {
            let pair = KeyValue::new(key.to_owned(), value);
            writer.append_key_value_metadata(pair);
        }
        let output = writer.into_inner().map_err(write_failed)?;
        Ok((output, self.rows))
    }
}

/// Why nothing more is written after a failure.
const LOST: &str = "the output was lost when writing to it failed";

fn write_failed(source: ParquetError) -> TableError {
    TableError::Write {
        table: TABLE,
        source,
    }
}

impl Batch {
    fn new(layout: &Layout) -> Self {
        Self {
            geometry: BinaryBuilder::new(),
            geometry_is_bare: layout.geometry_is_bare,
            bbox: Bbox {
                sides: std::array::from_fn(|_| Float64Builder::new()),
                valid: NullBufferBuilder::new(0),
                has_z: layout.bbox_has_z,
                is_bare: layout.bbox_is_bare,
            },
            properties: layout.properties.iter().map(Column::new).collect(),
            members: layout.members.iter().map(Column::new).collect(),
            rest: StringBuilder::new(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Appends an item; returns how many of its values the columns do not give back.
    fn push(&mut self, text: &str, summary: &mut Summary) -> u64 {
        self.rows += 1;
        self.bytes += text.len();
        let mut kept = Kept::new();
        let mut item = Parts::default();
        let mut cursor = Cursor::new(text);
        let mut columns = self.members.iter_mut();
        while cursor.next() {
            let key = cursor.key();
            match key {
                "\"bbox\"" => item.bbox = Some(cursor.value()),
                "\"geometry\"" => item.geometry = Some(cursor.value()),
                "\"properties\"" => item.properties = Some(cursor.value()),
                "\"type\"" => _ = cursor.value(),
                _ => push_member(&mut columns, key, &mut cursor, &mut kept),
            }
        }
        for passed in columns {
            passed.push_nothing(&mut kept);
        }
        self.properties(item.properties, &mut kept);
        let extent = self.geometry(item.geometry, summary, &mut kept);
        self.bbox.push(item.bbox, extent, &mut kept);
        let kept = kept.finish();
        self.rest.append_option(kept.as_ref().map(|(text, _)| text));
        kept.map_or(0, |(_, count)| count)
    }

    fn properties<'a>(&mut self, json: Option<&'a str>, kept: &mut Kept<'a>) {
        let key = "\"properties\"";
        match json {
            Some(object) if object.starts_with('{') => {
                kept.path.push(Step::Key(key));
                push_members(&mut self.properties, &mut Cursor::new(object), kept);
                kept.path.pop();
                return;
            }
            Some(other) => kept.member(key, other),
            None => kept.nothing(key),
        }
        self.properties.iter_mut().for_each(Column::push_null);
    }

    fn geometry<'a>(
        &mut self,
        json: Option<&'a str>,
        summary: &mut Summary,
        kept: &mut Kept<'a>,
    ) -> Option<[f64; 4]> {
        let key = "\"geometry\"";
        let found = match json {
            None => {
                kept.nothing(key);
                None
            }
            Some("null") => None,
            Some(json) => {
                let found = push_geometry(&mut self.geometry, json, self.geometry_is_bare);
                if !found.as_ref().is_some_and(|(_, is_exact)| *is_exact) {
                    kept.member(key, json);
                }
                let (geometry, _) = found?;
                let extent = geometry.extent();
                summary.note(geometry.kind().with_z(geometry.has_z()), extent);
                return extent;
            }
        };
        self.geometry.append_null();
        found
    }

    fn finish(&mut self, has_rest: bool) -> Result<Vec<ArrayRef>, ArrowError> {
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("geometry".to_owned(), Arc::new(self.geometry.finish())),
            ("bbox".to_owned(), self.bbox.finish()?),
            ("type".to_owned(), features(self.rows)),
        ];
        for column in self.properties.iter_mut().chain(&mut self.members) {
            let name = unquoted(&column.token).into_owned();
            columns.push((name, column.finish()?));
        }
        let rest = self.rest.finish();
        if has_rest {
            columns.push((REST.to_owned(), Arc::new(rest)));
        }
        self.rows = 0;
        self.bytes = 0;
        Ok(in_order(columns.into_iter()))
    }
}

/// Makes the column `type`: readers that make items of rows do not add it.
fn features(rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
        "Feature", rows,
    )))
}

/// Members of an item that are no columns of their own.
#[derive(Default)]
struct Parts<'a> {
    bbox: Option<&'a str>,
    geometry: Option<&'a str>,
    properties: Option<&'a str>,
}

impl Bbox {
    /// Appends a box: the item's own if it is one, else the geometry's, by which readers prune.
    fn push<'a>(&mut self, json: Option<&'a str>, extent: Option<[f64; 4]>, kept: &mut Kept<'a>) {
        let key = "\"bbox\"";
        let own = json.and_then(|json| self.read(json));
        let is_given = own.is_some() || extent.is_some();
        match json {
            Some(json) if !own.is_some_and(|(_, is_exact)| is_exact) => kept.member(key, json),
            None if is_given => kept.nothing(key),
            _ => {}
        }
        let flat = extent.map(|[w, s, e, n]| [Some(w), Some(s), None, Some(e), Some(n), None]);
        let sides = own.map(|(sides, _)| sides).or(flat);
        self.valid.append(sides.is_some());
        for (builder, side) in self.sides.iter_mut().zip(sides.unwrap_or_default()) {
            builder.append_option(side);
        }
    }

    /// Reads four or six numbers, and says whether they are spelled as they are read back.
    fn read(&self, json: &str) -> Option<([Option<f64>; 6], bool)> {
        let mut cursor = Cursor::new(json);
        if cursor.peek() != b'[' {
            return None;
        }
        let mut numbers = Vec::with_capacity(6);
        let mut is_exact = true;
        while cursor.next() {
            let (number, exact) = double(cursor.value(), self.is_bare)?;
            numbers.push(Some(number));
            is_exact &= exact;
        }
        let sides = match *numbers {
            [w, s, e, n] => [w, s, None, e, n, None],
            [w, s, low, e, n, high] if self.has_z => [w, s, low, e, n, high],
            _ => return None,
        };
        Some((sides, is_exact))
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(6);
        for (name, side) in SIDES.iter().zip(&mut self.sides) {
            let array = side.finish();
            if self.has_z || !name.starts_with('z') {
                arrays.push(Arc::new(array));
            }
        }
        let fields = super::layout::sides(self.has_z);
        Ok(Arc::new(StructArray::try_new(
            fields,
            arrays,
            self.valid.finish(),
        )?))
    }
}
