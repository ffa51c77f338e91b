//! The rows that say what to download: Parquet, CSV or NDJSON, told apart by their content.

use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use serde_json::{Map, Value};
use swath_core::stac::parse_datetime;
use swath_table::plain::row_of;
use time::OffsetDateTime;

use super::csv;
use crate::run::CommandError;

/// What a row says of one asset.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) catalog: Option<String>,
    pub(crate) collection: Option<String>,
    pub(crate) item_id: String,
    pub(crate) asset_name: String,
    pub(crate) href: Option<String>,
    pub(crate) alternate_hrefs: Vec<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) checksum: Option<String>,
    pub(crate) datetime: Option<OffsetDateTime>,
    /// Longitude and latitude.
    pub(crate) middle: Option<(f64, f64)>,
}

/// Rows that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowsError {
    /// A line that is no JSON object.
    #[error("line {line} is no JSON object")]
    Json {
        /// Its number, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// Not text.
    #[error("neither Parquet nor text in UTF-8")]
    NotText(#[source] std::str::Utf8Error),
    /// A Parquet file that cannot be read.
    #[error("the Parquet file cannot be read")]
    Parquet(#[source] parquet::errors::ParquetError),
    /// A batch of it that cannot be read.
    #[error("rows of the Parquet file cannot be read")]
    Arrow(#[source] arrow_schema::ArrowError),
    /// A row without what every row needs.
    #[error("row {row} has no {column}: every row needs item_id and asset_name")]
    Missing {
        /// Its number, from 1.
        row: usize,
        /// The column.
        column: &'static str,
    },
}

/// Reads a file of rows; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>, CommandError> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes = bytes.map_err(|source| CommandError::File {
        path: path.to_owned(),
        source,
    })?;
    parse(bytes.into()).map_err(|source| CommandError::Rows {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

fn parse(bytes: Bytes) -> Result<Vec<Row>, RowsError> {
    let objects = if bytes.starts_with(b"PAR1") {
        of_parquet(bytes)?
    } else {
        let text = std::str::from_utf8(&bytes).map_err(RowsError::NotText)?;
        match text
            .trim_start_matches('\u{feff}')
            .trim_start()
            .chars()
            .next()
        {
            Some('{') => of_lines(text)?,
            _ => of_csv(text),
        }
    };
    let rows = objects.iter().enumerate();
    rows.map(|(place, object)| Row::of(place + 1, object))
        .collect()
}

fn of_lines(text: &str) -> Result<Vec<Map<String, Value>>, RowsError> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(place, line)| {
            let line_number = place + 1;
            serde_json::from_str(line.trim_start_matches('\u{feff}')).map_err(|source| {
                RowsError::Json {
                    line: line_number,
                    source,
                }
            })
        })
        .collect()
}

fn of_csv(text: &str) -> Vec<Map<String, Value>> {
    let mut records = csv::records(text).into_iter();
    let names = records.next().unwrap_or_default();
    let object = |record: Vec<String>| {
        let pairs = names.iter().zip(record);
        let filled = pairs.filter(|(_, value)| !value.is_empty());
        filled
            .map(|(name, value)| (name.trim().to_owned(), Value::String(value)))
            .collect()
    };
    records.map(object).collect()
}

/// Reads the columns of plain values; others say nothing that is asked for here.
fn of_parquet(bytes: Bytes) -> Result<Vec<Map<String, Value>>, RowsError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options);
    let reader = builder.and_then(ParquetRecordBatchReaderBuilder::build);
    let mut objects = Vec::new();
    for batch in reader.map_err(RowsError::Parquet)? {
        let batch = batch.map_err(RowsError::Arrow)?;
        objects.extend((0..batch.num_rows()).map(|row| row_of(&batch, row)));
    }
    Ok(objects)
}

impl Row {
    pub(crate) fn of(row: usize, object: &Map<String, Value>) -> Result<Self, RowsError> {
        let text = |names: &[&str]| {
            let found = names.iter().filter_map(|name| object.get(*name));
            let mut texts = found.filter_map(|value| match value {
                Value::String(text) if !text.is_empty() => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
            texts.next()
        };
        let needed = |column| text(&[column]).ok_or(RowsError::Missing { row, column });
        let datetime = text(&["datetime", "date", "start_datetime"]);
        Ok(Self {
            catalog: text(&["catalog"]),
            collection: text(&["collection"]),
            item_id: needed("item_id")?,
            asset_name: needed("asset_name")?,
            href: text(&["href", "source_href"]),
            alternate_hrefs: object.get("alternate_hrefs").map(texts).unwrap_or_default(),
            media_type: text(&["asset_type", "media_type"]),
            size_bytes: text(&["file_size", "file:size"]).and_then(|size| size.parse().ok()),
            checksum: text(&["file_checksum", "file:checksum"]),
            datetime: datetime.and_then(|text| parse_datetime(&text)),
            middle: text(&["item_bbox"]).and_then(|polygon| middle(&polygon)),
        })
    }
}

/// Returns the texts of a list, which CSV has as JSON.
fn texts(list: &Value) -> Vec<String> {
    let parsed;
    let list = match list {
        Value::String(text) => {
            parsed = serde_json::from_str(text).unwrap_or_default();
            &parsed
        }
        list => list,
    };
    let texts = list.as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns the middle of a rectangle written as a GeoJSON Polygon.
fn middle(polygon: &str) -> Option<(f64, f64)> {
    let polygon: Value = serde_json::from_str(polygon).ok()?;
    let ring = polygon.get("coordinates")?.get(0)?;
    let at = |place: usize| {
        let point = ring.get(place)?;
        Some((point.get(0)?.as_f64()?, point.get(1)?.as_f64()?))
    };
    let ((west, south), (east, north)) = (at(0)?, at(2)?);
    Some((f64::midpoint(west, east), f64::midpoint(south, north)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_and_lines_of_json_say_the_same() {
        let csv = "item_id,asset_name,href,file_size,extra,alternate_hrefs\n\
                   i,B04,https://h.example/a,12,x,\"[\"\"s3://b/a\"\"]\"\n";
        let json = "{\"item_id\":\"i\",\"asset_name\":\"B04\",\"href\":\"https://h.example/a\",\"file_size\":12,\
                    \"alternate_hrefs\":[\"s3://b/a\",7]}\n\n";
        let rows = parse(csv.into()).unwrap();
        assert_eq!(rows, parse(json.into()).unwrap());
        assert_eq!(
            (rows[0].size_bytes, rows[0].collection.as_deref()),
            (Some(12), None)
        );
        assert_eq!(rows[0].alternate_hrefs, ["s3://b/a"]);
    }

    #[test]
    fn a_row_without_an_item_is_named() {
        let error = parse("item_id,asset_name\n,B04\n".into()).unwrap_err();
        assert!(
            error.to_string().contains("row 1 has no item_id"),
            "{error}"
        );
        assert!(parse("{\"item_id\":1".into()).is_err());
    }

    #[test]
    fn the_middle_of_a_box_is_read_off_its_polygon() {
        let polygon = r#"{"type":"Polygon","coordinates":[[[2,48],[4,48],[4,50],[2,50],[2,48]]]}"#;
        assert_eq!(middle(polygon), Some((3.0, 49.0)));
        assert_eq!(middle("none"), None);
    }
}
