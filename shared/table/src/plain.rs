//! The plain values of a row, as JSON: texts, lists of texts, numbers, truths and instants; other columns say nothing here.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt64Type,
};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Returns the columns in which row `row` of a batch has a plain value.
pub fn row_of(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let schema = batch.schema_ref();
    let columns = schema.fields().iter().zip(batch.columns());
    columns
        .filter_map(|(field, array)| Some((field.name().clone(), value_of(array, row)?)))
        .collect()
}

fn value_of(array: &ArrayRef, row: usize) -> Option<Value> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row).into()),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row).into()),
        DataType::Utf8View => Some(array.as_string_view().value(row).into()),
        DataType::List(_) => texts(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => texts(&array.as_list::<i64>().value(row)),
        DataType::Boolean => Some(array.as_boolean().value(row).into()),
        DataType::Int32 => Some(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Some(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::UInt64 => Some(array.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Float64 => Some(array.as_primitive::<Float64Type>().value(row).into()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            instant(i128::from(micros) * 1_000)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            let millis = array.as_primitive::<TimestampMillisecondType>().value(row);
            instant(i128::from(millis) * 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let nanos = array.as_primitive::<TimestampNanosecondType>().value(row);
            instant(i128::from(nanos))
        }
        _ => None,
    }
}

/// Returns a list of texts; nothing for lists of anything else.
fn texts(items: &ArrayRef) -> Option<Value> {
    let text = matches!(
        items.data_type(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    );
    let values = (0..items.len()).map(|place| value_of(items, place).unwrap_or_default());
    text.then(|| values.collect())
}

fn instant(nanos: i128) -> Option<Value> {
    let instant = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    instant.format(&Rfc3339).ok().map(Value::String)
}
