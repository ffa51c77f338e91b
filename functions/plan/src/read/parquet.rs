//! Parquet and `GeoParquet`: batch by batch, each column with its type as far as JSON has one.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};
use swath_core::aoi::Areas;
use swath_table::geometry::wkb;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{ReadError, geometry, geometry_column, take_row};

/// Rows taken out at a time.
const BATCH: usize = 1024;

/// Reads areas from a Parquet file; `GeoParquet` names its geometry column itself.
pub(super) fn read(bytes: Bytes, column: Option<&str>) -> Result<Areas, ReadError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(ReadError::Parquet)?;
    let metadata = builder.metadata().file_metadata().key_value_metadata();
    let primary = metadata.and_then(|pairs| primary_column(pairs));
    let names: Vec<String> = builder
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let place = geometry_column(&names, column.or(primary.as_deref()))?;
    let reader = builder
        .with_batch_size(BATCH)
        .build()
        .map_err(ReadError::Parquet)?;
    let mut areas = Areas::default();
    let mut number = 0;
    for batch in reader {
        let batch = batch.map_err(ReadError::Rows)?;
        for row in 0..batch.num_rows() {
            let columns = columns(&batch, row, place);
            take_row(
                &mut areas,
                number,
                shape(batch.column(place).as_ref(), row),
                columns,
            );
            number += 1;
        }
    }
    Ok(areas)
}

fn primary_column(pairs: &[parquet::file::metadata::KeyValue]) -> Option<String> {
    let geo = pairs.iter().find(|pair| pair.key == "geo")?;
    let value: Value = serde_json::from_str(geo.value.as_deref()?).ok()?;
    Some(value.get("primary_column")?.as_str()?.to_owned())
}

fn shape(column: &dyn Array, row: usize) -> Result<String, String> {
    if column.is_null(row) {
        return Err("it has no geometry".to_owned());
    }
    let of_bytes = |bytes: &[u8]| {
        let shape = wkb::read(bytes).ok_or("its geometry is no WKB that is read")?;
        let mut text = String::new();
        shape.write_text(&mut text);
        Ok(text)
    };
    match column.data_type() {
        DataType::Binary => of_bytes(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => of_bytes(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => of_bytes(column.as_binary_view().value(row)),
        _ => match value(column, row) {
            Value::String(text) => geometry::of_text(&text),
            Value::Number(number) => match number.as_u64() {
                Some(number) => geometry::of_number(number),
                None => Err(format!("{number} is no cell of H3")),
            },
            _ => Err(format!(
                "a column of type {} holds no geometries",
                column.data_type()
            )),
        },
    }
}

fn columns(batch: &RecordBatch, row: usize, geometry: usize) -> Map<String, Value> {
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(batch.columns()).enumerate();
    let others = fields.filter(|(at, _)| *at != geometry);
    others
        .map(|(_, (field, column))| (field.name().clone(), value(column.as_ref(), row)))
        .collect()
}

/// Returns a value as JSON: times as RFC 3339 text, exact decimals as text, bytes as hex.
fn value(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => json!(column.as_boolean().value(row)),
        DataType::Int8 => json!(column.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => json!(column.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => json!(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => json!(column.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => json!(column.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => json!(column.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => json!(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => json!(column.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => {
            json!(column.as_primitive::<Decimal128Type>().value_as_string(row))
        }
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => json!(column.as_string::<i64>().value(row)),
        DataType::Utf8View => json!(column.as_string_view().value(row)),
        DataType::Binary => json!(hex(column.as_binary::<i32>().value(row))),
        DataType::LargeBinary => json!(hex(column.as_binary::<i64>().value(row))),
        DataType::List(_) => list(column.as_list::<i32>().value(row).as_ref()),
        DataType::LargeList(_) => list(column.as_list::<i64>().value(row).as_ref()),
        DataType::Struct(fields) => {
            let parts = fields.iter().zip(column.as_struct().columns());
            parts
                .map(|(field, part)| (field.name().clone(), value(part.as_ref(), row)))
                .collect()
        }
        _ => moment(column, row).map_or(Value::Null, Value::String),
    }
}

fn list(items: &dyn Array) -> Value {
    (0..items.len()).map(|row| value(items, row)).collect()
}

fn moment(column: &dyn Array, row: usize) -> Option<String> {
    let nanoseconds = |count: i64, unit: i128| i128::from(count).checked_mul(unit);
    let since_1970 = match column.data_type() {
        DataType::Date32 => {
            let days = i64::from(column.as_primitive::<Date32Type>().value(row));
            let day = OffsetDateTime::from_unix_timestamp(days * 86_400).ok()?;
            return Some(day.date().to_string());
        }
        DataType::Timestamp(TimeUnit::Second, _) => nanoseconds(
            column.as_primitive::<TimestampSecondType>().value(row),
            1_000_000_000,
        ),
        DataType::Timestamp(TimeUnit::Millisecond, _) => nanoseconds(
            column.as_primitive::<TimestampMillisecondType>().value(row),
            1_000_000,
        ),
        DataType::Timestamp(TimeUnit::Microsecond, _) => nanoseconds(
            column.as_primitive::<TimestampMicrosecondType>().value(row),
            1_000,
        ),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => nanoseconds(
            column.as_primitive::<TimestampNanosecondType>().value(row),
            1,
        ),
        _ => None,
    }?;
    OffsetDateTime::from_unix_timestamp_nanos(since_1970)
        .ok()?
        .format(&Rfc3339)
        .ok()
}

fn hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect()
}
