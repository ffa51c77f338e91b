//! Rows of Arrow batches, whatever format they came from.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};

use super::{Flow, InventoryError, Row};

/// The columns that rows are made of, as Parquet and ORC spell them.
const COLUMNS: [&str; 7] = [
    "bucket",
    "key",
    "is_latest",
    "is_delete_marker",
    "size",
    "last_modified_date",
    "e_tag",
];

/// Which columns of a file are those that rows are made of.
pub(super) struct Names(Vec<usize>);

fn plain(name: &str) -> String {
    name.replace('_', "").to_ascii_lowercase()
}

impl Names {
    /// Finds columns by name, whatever their case; `None` when there are no keys.
    pub(super) fn of(names: &[String]) -> Option<Self> {
        let is_wanted = |name: &str| COLUMNS.iter().any(|column| plain(column) == plain(name));
        let numbered = names.iter().enumerate();
        let wanted: Vec<usize> = numbered
            .filter(|(_, name)| is_wanted(name))
            .map(|(place, _)| place)
            .collect();
        names
            .iter()
            .any(|name| plain(name) == "key")
            .then_some(Self(wanted))
    }

    /// Returns their places.
    pub(super) fn places(&self) -> &[usize] {
        &self.0
    }
}

/// Columns of one batch.
struct Columns<'a> {
    bucket: Option<&'a StringArray>,
    key: &'a StringArray,
    is_latest: Option<&'a BooleanArray>,
    is_delete_marker: Option<&'a BooleanArray>,
    size: Option<&'a ArrayRef>,
    modified: Option<&'a ArrayRef>,
    etag: Option<&'a StringArray>,
}

impl<'a> Columns<'a> {
    fn of(at: &str, batch: &'a RecordBatch) -> Result<Self, InventoryError> {
        let find = |name: &str| {
            let schema = batch.schema();
            let place = schema
                .fields()
                .iter()
                .position(|field| plain(field.name()) == plain(name));
            place.map(|place| batch.column(place))
        };
        let wrong = |column: &'static str, array: &ArrayRef| InventoryError::Type {
            at: at.to_owned(),
            column,
            found: array.data_type().to_string(),
        };
        let text = |name: &'static str| {
            let array = find(name);
            array
                .map(|array| {
                    array
                        .as_string_opt::<i32>()
                        .ok_or_else(|| wrong(name, array))
                })
                .transpose()
        };
        let flag = |name: &'static str| {
            let array = find(name);
            array
                .map(|array| array.as_boolean_opt().ok_or_else(|| wrong(name, array)))
                .transpose()
        };
        let key = text("key")?.ok_or_else(|| InventoryError::Schema {
            at: at.to_owned(),
            column: "key",
            found: batch
                .schema()
                .fields()
                .iter()
                .map(|field| field.name().as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })?;
        let number = |name: &'static str| {
            let array = find(name);
            match array {
                Some(array) if !is_number(array.data_type()) => Err(wrong(name, array)),
                array => Ok(array),
            }
        };
        Ok(Self {
            bucket: text("bucket")?,
            key,
            is_latest: flag("is_latest")?,
            is_delete_marker: flag("is_delete_marker")?,
            size: number("size")?,
            modified: number("last_modified_date")?,
            etag: text("e_tag")?,
        })
    }

    fn row(&self, row: usize) -> Row<'a> {
        let text = |array: Option<&'a StringArray>| {
            let array = array.filter(|array| array.is_valid(row))?;
            Some(array.value(row))
        };
        let flag = |array: Option<&BooleanArray>| {
            let array = array.filter(|array| array.is_valid(row))?;
            Some(array.value(row))
        };
        Row {
            bucket: text(self.bucket).unwrap_or_default(),
            key: text(Some(self.key)).unwrap_or_default(),
            size: self
                .size
                .and_then(|array| number(array, row))
                .and_then(|size| u64::try_from(size).ok()),
            modified_ms: self.modified.and_then(|array| number(array, row)),
            etag: text(self.etag)
                .map(|etag| etag.trim_matches('"'))
                .filter(|etag| !etag.is_empty()),
            is_old: flag(self.is_latest) == Some(false),
            is_delete_marker: flag(self.is_delete_marker) == Some(true),
        }
    }
}

fn is_number(kind: &DataType) -> bool {
    matches!(kind, DataType::Int64 | DataType::Timestamp(_, _))
}

/// Returns a number; of a moment, milliseconds since 1970.
fn number(array: &ArrayRef, row: usize) -> Option<i64> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Int64 => array.as_primitive_opt::<Int64Type>()?.value(row),
        DataType::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive_opt::<TimestampSecondType>()?.value(row) * 1000
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => array
            .as_primitive_opt::<TimestampMillisecondType>()?
            .value(row),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array
                .as_primitive_opt::<TimestampMicrosecondType>()?
                .value(row)
                / 1000
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            array
                .as_primitive_opt::<TimestampNanosecondType>()?
                .value(row)
                / 1_000_000
        }
        _ => return None,
    })
}

/// Hands every row of a batch to `take`, until it says stop.
pub(super) fn take_batch(
    at: &str,
    batch: &RecordBatch,
    take: &mut dyn FnMut(&Row<'_>) -> Flow,
) -> Result<Flow, InventoryError> {
    let columns = Columns::of(at, batch)?;
    for row in 0..batch.num_rows() {
        if take(&columns.row(row)) == Flow::Enough {
            return Ok(Flow::Enough);
        }
    }
    Ok(Flow::More)
}
