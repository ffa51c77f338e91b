//! Items out of files that others made: stac-geoparquet as its Python library and rustac write it, and EarthCatalog's files
//! with JSON in columns of text.
//!
//! Such files cannot say whether a member was absent or null: a null is read as absent, but for `geometry` and
//! `datetime`, which every item has.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_schema::{DataType, Schema, TimeUnit};
use serde_json::{Map, Value};
use swath_core::TableName;
use time::OffsetDateTime;

use crate::geometry::wkb;
use crate::{TableError, instant};

/// Columns that are members of the item; all others are properties.
const MEMBERS: [&str; 9] = [
    "type",
    "stac_version",
    "stac_extensions",
    "id",
    "geometry",
    "bbox",
    "links",
    "assets",
    "collection",
];

/// Members that some writers keep as JSON text.
const TEXTS: [&str; 4] = ["stac_extensions", "bbox", "links", "assets"];

/// Columns of a table of ours or of EarthCatalog that no item has.
const NO_MEMBERS: [&str; 2] = ["grid_partition", "geometry_bbox"];

/// Why a value cannot be read.
pub(crate) type Unreadable = &'static str;

/// Says whether a file is none of ours: without `stac_rest` and `content_hash` its rows are not whole items.
pub(super) fn is_foreign(schema: &Schema) -> bool {
    ["stac_rest", "content_hash"]
        .iter()
        .any(|name| schema.index_of(name).is_err())
}

/// Writes the item of one row as JSON text.
///
/// # Errors
/// When a column is of a type that no JSON has.
pub(super) fn item(batch: &RecordBatch, row: usize) -> Result<String, TableError> {
    let broken = |reason| TableError::Row {
        table: TableName::StacItems,
        row,
        reason,
    };
    let (mut item, mut properties) = (Map::new(), Map::new());
    item.insert("type".to_owned(), "Feature".into());
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        let name = field.name();
        if NO_MEMBERS.contains(&name.as_str()) {
            continue;
        }
        let found = value(array, row).map_err(broken)?;
        match (name.as_str(), found) {
            ("geometry", found) => drop(item.insert(name.clone(), found.unwrap_or(Value::Null))),
            ("datetime", found) => {
                properties.insert(name.clone(), found.unwrap_or(Value::Null));
            }
            (_, None) => {}
            ("properties", Some(Value::Object(inner))) => properties.extend(inner),
            ("bbox", Some(Value::Object(sides))) => drop(item.insert(name.clone(), bbox(&sides))),
            (member, Some(found)) if MEMBERS.contains(&member) => {
                item.insert(name.clone(), member_of(member, found));
            }
            (_, Some(found)) => drop(properties.insert(name.clone(), found)),
        }
    }
    item.insert("properties".to_owned(), properties.into());
    Ok(Value::Object(item).to_string())
}

/// Reads a member that may be kept as JSON text.
fn member_of(name: &str, found: Value) -> Value {
    match found {
        Value::String(text) if TEXTS.contains(&name) => {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        other => other,
    }
}

/// Makes the list that STAC has of the struct that GeoParquet has.
fn bbox(sides: &Map<String, Value>) -> Value {
    let side = |name: &&str| sides.get(*name).cloned();
    let all = ["xmin", "ymin", "zmin", "xmax", "ymax", "zmax"];
    all.iter().filter_map(side).collect()
}

/// Returns a row's value; `None` for null.
pub(crate) fn value(array: &dyn Array, row: usize) -> Result<Option<Value>, Unreadable> {
    if !array.is_valid(row) || matches!(array.data_type(), DataType::Null) {
        return Ok(None);
    }
    macro_rules! number {
        ($kind:ty) => {
            array.as_primitive::<$kind>().value(row).into()
        };
    }
    Ok(Some(match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float64 => number!(Float64Type),
        // Its own digits: as a double, 0.1 would get seven more that nobody wrote.
        DataType::Float32 => {
            let text = array.as_primitive::<Float32Type>().value(row).to_string();
            text.parse::<f64>().unwrap_or(f64::NAN).into()
        }
        DataType::Decimal128(..) => {
            let text = array.as_primitive::<Decimal128Type>().value_as_string(row);
            serde_json::from_str(&text).map_err(|_| "a decimal that is no number")?
        }
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::Binary => shape(array.as_binary::<i32>().value(row))?,
        DataType::LargeBinary => shape(array.as_binary::<i64>().value(row))?,
        DataType::BinaryView => shape(array.as_binary_view().value(row))?,
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value_as_date(row);
            days.ok_or("a date beyond the calendar")?.to_string().into()
        }
        DataType::Timestamp(unit, _) => spelt(array, *unit, row)?,
        DataType::List(_) => list(&array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row))?,
        DataType::Struct(_) => object(array.as_struct(), row)?,
        DataType::Map(..) => map(&array.as_map().value(row))?,
        _ => return Err("a column of a type that JSON does not have"),
    }))
}

fn list(elements: &dyn Array) -> Result<Value, Unreadable> {
    let values = (0..elements.len()).map(|row| Ok(value(elements, row)?.unwrap_or(Value::Null)));
    values.collect()
}

fn object(array: &StructArray, row: usize) -> Result<Value, Unreadable> {
    let mut members = Map::new();
    for (name, column) in array.column_names().into_iter().zip(array.columns()) {
        if let Some(value) = value(column, row)? {
            members.insert(name.to_owned(), value);
        }
    }
    Ok(members.into())
}

/// Makes an object of keys and values; here a null was written by someone.
fn map(entries: &StructArray) -> Result<Value, Unreadable> {
    let [keys, values] = entries.columns() else {
        return Err("a map without keys and values");
    };
    let mut members = Map::new();
    for row in 0..entries.len() {
        let Some(Value::String(key)) = value(keys, row)? else {
            return Err("a map whose keys are no texts");
        };
        members.insert(key, value(values, row)?.unwrap_or(Value::Null));
    }
    Ok(members.into())
}

/// Makes a geometry of WKB: items have no other bytes.
fn shape(bytes: &[u8]) -> Result<Value, Unreadable> {
    let geometry = wkb::read(bytes).ok_or("bytes that are not WKB")?;
    let mut text = String::new();
    geometry.write_text(&mut text);
    serde_json::from_str(&text).map_err(|_| "a geometry with coordinates that are no numbers")
}

fn spelt(array: &dyn Array, unit: TimeUnit, row: usize) -> Result<Value, Unreadable> {
    let nanos = match unit {
        TimeUnit::Second => {
            i128::from(array.as_primitive::<TimestampSecondType>().value(row)) * 1_000_000_000
        }
        TimeUnit::Millisecond => {
            i128::from(array.as_primitive::<TimestampMillisecondType>().value(row)) * 1_000_000
        }
        TimeUnit::Microsecond => {
            i128::from(array.as_primitive::<TimestampMicrosecondType>().value(row)) * 1_000
        }
        TimeUnit::Nanosecond => {
            i128::from(array.as_primitive::<TimestampNanosecondType>().value(row))
        }
    };
    let text = OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(instant::spell_nanos);
    Ok(text.ok_or("an instant beyond the calendar")?.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{
        ArrayRef, BinaryArray, Float32Array, Float64Array, Int32Array, StringArray,
        TimestampMillisecondArray, TimestampNanosecondArray,
    };
    use arrow_schema::Field;
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use serde_json::json;

    use super::*;
    use crate::geometry::Geometry;
    use crate::items::read_items;

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn record(fields: &[(&str, ArrayRef)]) -> ArrayRef {
        let field = |name: &str, array: &ArrayRef| {
            Arc::new(Field::new(name, array.data_type().clone(), true))
        };
        let parts = fields
            .iter()
            .map(|(name, array)| (field(name, array), Arc::clone(array)));
        Arc::new(StructArray::from(parts.collect::<Vec<_>>()))
    }

    fn items(columns: Vec<(&str, ArrayRef)>) -> Vec<Value> {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let items = read_items(Bytes::from(bytes)).unwrap();
        items
            .iter()
            .map(|item| serde_json::from_str(item).unwrap())
            .collect()
    }

    fn point() -> ArrayRef {
        let mut bytes = Vec::new();
        let point = Geometry::parse(r#"{"type":"Point","coordinates":[1.5,2.5]}"#).unwrap();
        wkb::write(&point, &mut bytes);
        Arc::new(BinaryArray::from(vec![Some(bytes.as_slice()), None]))
    }

    #[test]
    fn rows_of_stac_geoparquet_become_the_items_they_were() {
        let sides = |values: [f64; 2]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let mut extensions = ListBuilder::new(StringBuilder::new());
        extensions.append_value([Some("https://x.example/eo.json")]);
        extensions.append_value::<[Option<&str>; 0], &str>([]);
        let millis = TimestampMillisecondArray::from(vec![Some(1_704_067_200_123), None]);
        let nanos = TimestampNanosecondArray::from(vec![Some(1_704_067_200_000_000_001), None]);
        let assets = record(&[(
            "red",
            record(&[
                ("href", texts(&[Some("r.tif"), Some("s.tif")])),
                ("type", texts(&[None, Some("image/tiff")])),
            ]),
        )]);
        let found = items(vec![
            ("id", texts(&[Some("a"), Some("b")])),
            ("stac_version", texts(&[Some("1.0.0"), Some("1.1.0")])),
            ("stac_extensions", Arc::new(extensions.finish())),
            ("geometry", point()),
            (
                "bbox",
                record(&[
                    ("xmin", sides([1.5, 0.0])),
                    ("ymin", sides([2.5, 0.0])),
                    ("xmax", sides([1.5, 1.0])),
                    ("ymax", sides([2.5, 1.0])),
                ]),
            ),
            ("assets", assets),
            ("datetime", Arc::new(millis.with_timezone("UTC"))),
            ("start_datetime", Arc::new(nanos.with_timezone("UTC"))),
            (
                "eo:cloud_cover",
                Arc::new(Int32Array::from(vec![Some(7), None])),
            ),
            ("gsd", Arc::new(Float32Array::from(vec![0.1, 10.0]))),
            ("proj:geometry", point()),
        ]);
        let place = json!({"type": "Point", "coordinates": [1.5, 2.5]});
        assert_eq!(
            found[0],
            json!({
                "type": "Feature", "id": "a", "stac_version": "1.0.0", "stac_extensions": ["https://x.example/eo.json"],
                "geometry": place, "bbox": [1.5, 2.5, 1.5, 2.5], "assets": {"red": {"href": "r.tif"}},
                "properties": {"datetime": "2024-01-01T00:00:00.123Z", "start_datetime": "2024-01-01T00:00:00.000000001Z",
                    "eo:cloud_cover": 7, "gsd": 0.1, "proj:geometry": place},
            })
        );
        assert_eq!(
            found[1],
            json!({
                "type": "Feature", "id": "b", "stac_version": "1.1.0", "stac_extensions": [], "geometry": null,
                "bbox": [0.0, 0.0, 1.0, 1.0], "assets": {"red": {"href": "s.tif", "type": "image/tiff"}},
                "properties": {"datetime": null, "gsd": 10.0},
            })
        );
    }

    #[test]
    fn json_in_columns_of_text_is_read_as_earthcatalog_keeps_it() {
        let found = items(vec![
            ("id", texts(&[Some("a"), Some("b")])),
            ("grid_partition", texts(&[Some("8106bffffffffff"), None])),
            ("geometry", point()),
            (
                "bbox",
                texts(&[Some("[1.5, 2.5, 1.5, 2.5]"), Some("no JSON")]),
            ),
            ("assets", texts(&[Some(r#"{"d": {"href": "x"}}"#), None])),
            ("mid_datetime", texts(&[Some("2024"), Some("[1]")])),
        ]);
        assert_eq!(found[0]["assets"], json!({"d": {"href": "x"}}));
        assert_eq!(found[0]["bbox"], json!([1.5, 2.5, 1.5, 2.5]));
        assert_eq!(found[0].get("grid_partition"), None);
        assert_eq!(found[1]["bbox"], "no JSON");
        assert_eq!(found[1]["properties"], json!({"mid_datetime": "[1]"}));
    }
}
