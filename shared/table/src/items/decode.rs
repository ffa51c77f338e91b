//! From rows back to items.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array as _, RecordBatch, RecordBatchReader as _};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::file::reader::ChunkReader;
use swath_core::TableName;
use xxhash_rust::xxh3::xxh3_128;

use super::draft::push_key;
use super::foreign;
use super::place::{self, PROPERTY_COLUMNS, Shape};
use crate::columns::{Columns, bytes, text};
use crate::geometry::text::push_number;
use crate::geometry::wkb;
use crate::json::{Document, Member, canonical};
use crate::stac_geoparquet::{Decoder, FOOTER};
use crate::{TableError, instant, reader};

const TABLE: TableName = TableName::StacItems;

/// Reads every item of a file of ours, in the file's order, as JSON text.
///
/// # Errors
/// When the bytes are not a whole Parquet file of the table.
pub fn read_items<R: ChunkReader + 'static>(input: R) -> Result<Vec<String>, TableError> {
    ItemReader::open(input)?
        .map(|item| item.map(|(text, _)| text))
        .collect()
}

/// Reads a file back and compares its items with those that went in, by their hashes ([`ItemRow::content`](super::ItemRow)).
///
/// # Errors
/// When the items are not the same, or the bytes are not a whole file.
pub fn check_items(file: &Bytes, contents: impl Iterator<Item = u128>) -> Result<(), TableError> {
    let mut read = Vec::new();
    for item in ItemReader::open(file.clone())? {
        // A text that is no item cannot have the hash of one.
        let text = canonical(&item?.0).unwrap_or_default();
        read.push(xxh3_128(text.as_bytes()));
    }
    let mut written: Vec<u128> = contents.collect();
    read.sort_unstable();
    written.sort_unstable();
    if read == written {
        return Ok(());
    }
    let items = written.len();
    Err(TableError::NotGivenBack { items })
}

/// Items of a file one after another, as JSON text with the hash that the file has of it; a batch of rows is held. Of a
/// file of stac-geoparquet, ours or another's, or of EarthCatalog, the hash is empty.
pub struct ItemReader {
    batches: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    row: usize,
    form: Form,
}

/// What a file's rows are.
enum Form {
    Table,
    StacGeoparquet(Decoder),
    Foreign,
}

impl std::fmt::Debug for ItemReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ItemReader {{ row: {} }}", self.row)
    }
}

impl ItemReader {
    /// Opens a file.
    ///
    /// # Errors
    /// When the bytes are not a whole Parquet file.
    pub fn open<R: ChunkReader + 'static>(input: R) -> Result<Self, TableError> {
        let (batches, footer) = reader::open_with_footer(TABLE, input, FOOTER)?;
        let schema = batches.schema();
        let decoder = footer.and_then(|footer| Decoder::new(&footer, &schema));
        let form = match decoder {
            Some(decoder) => Form::StacGeoparquet(decoder),
            None if foreign::is_foreign(&schema) => Form::Foreign,
            None => Form::Table,
        };
        Ok(Self {
            form,
            batches,
            batch: None,
            row: 0,
        })
    }

    fn read(&mut self) -> Result<Option<(String, String)>, TableError> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|b| self.row < b.num_rows()) {
                let row = self.row;
                self.row += 1;
                let item = match &self.form {
                    Form::StacGeoparquet(decoder) => decoder.item(batch, row)?,
                    Form::Foreign => foreign::item(batch, row)?,
                    Form::Table => {
                        let item = decode(batch, row)?;
                        let hashes = Columns::new(TABLE, batch).text("content_hash")?;
                        let hash = text(hashes, row).unwrap_or_default().to_owned();
                        return Ok(Some((item, hash)));
                    }
                };
                return Ok(Some((item, String::new())));
            }
            let Some(next) = self.batches.next() else {
                return Ok(None);
            };
            let next = next.map_err(|source| TableError::Rows {
                table: TABLE,
                source,
            })?;
            self.batch = Some(match self.form {
                Form::StacGeoparquet(_) => next,
                Form::Foreign => reader::named(TABLE, &next)?,
                Form::Table => crate::writer::conform(TABLE, &next)?,
            });
            self.row = 0;
        }
    }
}

impl Iterator for ItemReader {
    type Item = Result<(String, String), TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Writes the item of one row as JSON text: equal, in canonical form, to the item that was encoded.
///
/// # Errors
/// When the batch is not of the table, or `stac_rest` or `geometry` were changed by someone.
pub fn decode(batch: &RecordBatch, row: usize) -> Result<String, TableError> {
    let columns = Columns::new(TABLE, batch);
    let rest = text(columns.text("stac_rest")?, row).unwrap_or("{}");
    let rest = Document::read(rest).map_err(|_| broken(row, "stac_rest is not an object"))?;
    let filled = text(columns.text("_filled")?, row).unwrap_or_default();
    let source = Row {
        columns,
        place: row,
        filled,
    };
    let mut item = Object::begin(&rest.members, true);
    for name in ["type", "stac_version", "id", "stac_extensions"] {
        source.member(&mut item, name)?;
    }
    source.geometry(&mut item)?;
    source.member(&mut item, "bbox")?;
    if !source.is_filled(place::PROPERTIES) && !item.is_kept(place::PROPERTIES, true) {
        let properties = source.properties(&rest.properties)?;
        item.push(place::PROPERTIES, &properties);
    }
    for name in ["links", "assets", "collection"] {
        source.member(&mut item, name)?;
    }
    Ok(item.end())
}

fn broken(row: usize, reason: &'static str) -> TableError {
    TableError::Row {
        table: TABLE,
        row,
        reason,
    }
}

struct Row<'a> {
    columns: Columns<'a>,
    place: usize,
    /// Comma-separated names.
    filled: &'a str,
}

impl Row<'_> {
    fn is_filled(&self, name: &str) -> bool {
        self.filled.split(',').any(|filled| filled == name)
    }

    fn member(&self, into: &mut Object<'_>, name: &'static str) -> Result<(), TableError> {
        let value = text(self.columns.text(name)?, self.place);
        if self.is_filled(name) || into.is_kept(name, false) {
            return Ok(());
        }
        match (name, value) {
            (_, None) => {}
            ("stac_extensions" | "links" | "assets" | "bbox", Some(json)) => into.push(name, json),
            (_, Some(value)) => into.push(name, &quoted(value)),
        }
        Ok(())
    }

    fn geometry(&self, into: &mut Object<'_>) -> Result<(), TableError> {
        let value = bytes(self.columns.binary("geometry")?, self.place);
        let (Some(value), false) = (value, into.is_kept("geometry", false)) else {
            return Ok(());
        };
        let geometry = wkb::read(value).ok_or_else(|| broken(self.place, "geometry is not WKB"))?;
        let mut json = String::new();
        geometry.write_text(&mut json);
        into.push("geometry", &json);
        Ok(())
    }

    fn properties(&self, rest: &[Member<'_>]) -> Result<String, TableError> {
        let mut properties = Object::begin(rest, false);
        for (name, _, shape) in PROPERTY_COLUMNS {
            if self.is_filled(name) || properties.is_kept(name, false) {
                continue;
            }
            if let Some(value) = self.property(name, shape)? {
                properties.push(name, &value);
            }
        }
        Ok(properties.end())
    }

    fn property(&self, name: &'static str, shape: Shape) -> Result<Option<String>, TableError> {
        let row = self.place;
        Ok(match shape {
            Shape::Text => text(self.columns.text(name)?, row).map(quoted),
            Shape::Instant => {
                let micros = self.columns.instants(name)?.get(row);
                micros.and_then(instant::spell).map(|text| quoted(&text))
            }
            Shape::Long => {
                let array = self
                    .columns
                    .typed(name, |a| a.as_primitive_opt::<Int64Type>())?;
                array.is_valid(row).then(|| array.value(row).to_string())
            }
            Shape::Double => {
                let array = self
                    .columns
                    .typed(name, |a| a.as_primitive_opt::<Float64Type>())?;
                array.is_valid(row).then(|| {
                    let mut text = String::new();
                    push_number(&mut text, array.value(row));
                    text
                })
            }
        })
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A JSON object being written; what `stac_rest` keeps wins over a column and comes last.
struct Object<'a> {
    text: String,
    rest: &'a [Member<'a>],
    /// Whether this is the item itself, whose `properties` are written from two parts.
    is_item: bool,
}

impl<'a> Object<'a> {
    fn begin(rest: &'a [Member<'a>], is_item: bool) -> Self {
        Self {
            text: String::from("{"),
            rest,
            is_item,
        }
    }

    /// Returns whether the rest keeps this member; `unless_object` asks for a value that is no object.
    fn is_kept(&self, name: &str, unless_object: bool) -> bool {
        self.rest
            .iter()
            .any(|member| member.key == name && !(unless_object && member.value.starts_with('{')))
    }

    fn push(&mut self, key: &str, json: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        push_key(&mut self.text, key);
        self.text.push_str(json);
    }

    fn end(mut self) -> String {
        for member in self.rest {
            let is_part =
                self.is_item && member.key == place::PROPERTIES && member.value.starts_with('{');
            if !is_part {
                self.push(&member.key, member.value);
            }
        }
        self.text.push('}');
        self.text
    }
}
