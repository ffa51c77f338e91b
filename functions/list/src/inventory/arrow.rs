//! Rows of Arrow batches, whatever format they came from.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, StringViewArray};
use arrow_schema::{DataType, Schema, TimeUnit};

use super::{Flow, InventoryError, Needs, Row};

/// What is read of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Number,
}

impl Kind {
    fn has(self, found: &DataType) -> bool {
        match self {
            Self::Text => matches!(found, DataType::Utf8 | DataType::Utf8View),
            Self::Flag => matches!(found, DataType::Boolean),
            Self::Number => matches!(found, DataType::Int64 | DataType::Timestamp(_, _)),
        }
    }
}

/// The columns that rows are made of, as Parquet and ORC spell them.
const COLUMNS: [(&str, Kind); 7] = [
    ("bucket", Kind::Text),
    ("key", Kind::Text),
    ("is_latest", Kind::Flag),
    ("is_delete_marker", Kind::Flag),
    ("size", Kind::Number),
    ("last_modified_date", Kind::Number),
    ("e_tag", Kind::Text),
];

fn plain(name: &str) -> String {
    name.replace('_', "").to_ascii_lowercase()
}

fn is_read(column: &str, needs: Needs) -> bool {
    match column {
        "bucket" | "e_tag" => needs.address,
        "last_modified_date" => needs.time,
        _ => true,
    }
}

/// Returns the places of the columns that are read, by their names in any case; says what is wrong with a schema: no keys, or
/// a column of a type that it has in no inventory, be it read or not.
pub(super) fn places(
    at: &str,
    schema: &Schema,
    needs: Needs,
) -> Result<Vec<usize>, InventoryError> {
    let mut places = Vec::new();
    let mut has_keys = false;
    for (place, field) in schema.fields().iter().enumerate() {
        let name = plain(field.name());
        let Some((column, kind)) = COLUMNS.iter().find(|(column, _)| plain(column) == name) else {
            continue;
        };
        if !kind.has(field.data_type()) {
            return Err(InventoryError::Type {
                at: at.to_owned(),
                column,
                found: field.data_type().to_string(),
            });
        }
        has_keys |= *column == "key";
        if is_read(column, needs) {
            places.push(place);
        }
    }
    if has_keys {
        return Ok(places);
    }
    let names = schema.fields().iter().map(|field| field.name().as_str());
    Err(InventoryError::Schema {
        at: at.to_owned(),
        column: "key",
        found: names.collect::<Vec<_>>().join(", "),
    })
}

/// A column of texts.
#[derive(Clone, Copy)]
enum Texts<'a> {
    Copied(&'a StringArray),
    Viewed(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    fn of(array: &'a ArrayRef) -> Option<Self> {
        let copied = array.as_string_opt::<i32>().map(Self::Copied);
        copied.or_else(|| array.as_string_view_opt().map(Self::Viewed))
    }

    fn get(self, row: usize) -> Option<&'a str> {
        match self {
            Self::Copied(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Viewed(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// A column of numbers; of moments, milliseconds since 1970 once multiplied and divided.
struct Numbers<'a> {
    array: &'a ArrayRef,
    values: &'a [i64],
    times: i64,
    over: i64,
}

impl<'a> Numbers<'a> {
    fn of(array: &'a ArrayRef) -> Option<Self> {
        macro_rules! values {
            ($kind:ty) => {
                array.as_primitive_opt::<$kind>()?.values()
            };
        }
        let (values, times, over): (&[i64], i64, i64) = match array.data_type() {
            DataType::Int64 => (values!(Int64Type), 1, 1),
            DataType::Timestamp(TimeUnit::Second, _) => (values!(TimestampSecondType), 1000, 1),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                (values!(TimestampMillisecondType), 1, 1)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                (values!(TimestampMicrosecondType), 1, 1000)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                (values!(TimestampNanosecondType), 1, 1_000_000)
            }
            _ => return None,
        };
        Some(Self {
            array,
            values,
            times,
            over,
        })
    }

    fn get(&self, row: usize) -> Option<i64> {
        if self.array.is_null(row) {
            return None;
        }
        let value = *self.values.get(row)?;
        Some(match (self.times, self.over) {
            (1, 1) => value,
            (times, over) => value.saturating_mul(times).div_euclid(over),
        })
    }
}

/// Columns of one batch.
struct Columns<'a> {
    bucket: Option<Texts<'a>>,
    key: Option<Texts<'a>>,
    is_latest: Option<&'a BooleanArray>,
    is_delete_marker: Option<&'a BooleanArray>,
    size: Option<Numbers<'a>>,
    modified: Option<Numbers<'a>>,
    etag: Option<Texts<'a>>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Self {
        let schema = batch.schema_ref();
        let find = |name: &str| {
            let mut fields = schema.fields().iter();
            let place = fields.position(|field| plain(field.name()) == plain(name))?;
            batch.columns().get(place)
        };
        let text = |name| find(name).and_then(Texts::of);
        let flag = |name| find(name).and_then(|array| array.as_boolean_opt());
        let number = |name| find(name).and_then(Numbers::of);
        Self {
            bucket: text("bucket"),
            key: text("key"),
            is_latest: flag("is_latest"),
            is_delete_marker: flag("is_delete_marker"),
            size: number("size"),
            modified: number("last_modified_date"),
            etag: text("e_tag"),
        }
    }

    fn row(&self, row: usize) -> Row<'a> {
        let flag = |array: Option<&BooleanArray>| {
            let array = array.filter(|array| array.is_valid(row))?;
            Some(array.value(row))
        };
        let text = |texts: Option<Texts<'a>>| texts.and_then(|texts| texts.get(row));
        let size = self.size.as_ref().and_then(|numbers| numbers.get(row));
        Row {
            bucket: text(self.bucket).unwrap_or_default(),
            key: text(self.key).unwrap_or_default(),
            size: size.and_then(|size| u64::try_from(size).ok()),
            modified_ms: self.modified.as_ref().and_then(|numbers| numbers.get(row)),
            etag: text(self.etag)
                .map(|etag| etag.trim_matches('"'))
                .filter(|etag| !etag.is_empty()),
            is_old: flag(self.is_latest) == Some(false),
            is_delete_marker: flag(self.is_delete_marker) == Some(true),
        }
    }
}

/// Hands every row of a batch to `take`, until it says stop; the schema of the batches has gone through [`places`].
pub(super) fn take_batch(batch: &RecordBatch, take: &mut dyn FnMut(&Row<'_>) -> Flow) -> Flow {
    let columns = Columns::of(batch);
    for row in 0..batch.num_rows() {
        if take(&columns.row(row)) == Flow::Enough {
            return Flow::Enough;
        }
    }
    Flow::More
}
