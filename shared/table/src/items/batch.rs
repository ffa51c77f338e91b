//! Rows of items into columns, one partition to a file.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use swath_core::TableName;

use super::{ItemRow, Value, place};
use crate::TableError;
use crate::schema::{self, Kind};
use crate::writer::{Effort, EncodedFile, encode};

const TABLE: TableName = TableName::StacItems;

/// An item on its way into a file, and where it came from.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// The item.
    pub row: &'a ItemRow,
    /// A STAC API or a file.
    pub source: &'a str,
}

/// Writes the items of one (cell, year) as one file, sorted by platform, datetime and id. The caller groups by cell and
/// [`ItemRow::year`]: readers take the partition of a file from one of its rows.
///
/// # Errors
/// When the columns do not form a batch, which is a fault of ours.
pub fn encode_partition(
    cell: &str,
    rows: &[Placed<'_>],
    effort: Effort,
) -> Result<EncodedFile, TableError> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| a.order().cmp(&b.order()));
    encode(TABLE, &[batch(Some(cell), &sorted)?], effort)
}

impl<'a> Placed<'a> {
    /// Returns what the rows of a file are sorted by: platform, datetime, id, and what tells equal ones apart.
    pub fn order(&self) -> impl Ord + use<'a> {
        let row = self.row;
        (
            (row.platform(), row.datetime(), row.id()),
            (row.collection(), row.content, self.source),
        )
    }
}

/// Puts items of one cell into columns, in the order they come; `None` for a file that has no grid.
///
/// # Errors
/// When the columns do not form a batch, which is a fault of ours.
pub fn batch(cell: Option<&str>, rows: &[Placed<'_>]) -> Result<RecordBatch, TableError> {
    let failed = |source| TableError::Batch {
        table: TABLE,
        source,
    };
    let arrow = schema::of(TABLE).arrow();
    let mut arrays = Vec::with_capacity(place::COLUMNS);
    for (place, column) in schema::of(TABLE).columns.iter().enumerate() {
        arrays.push(match place {
            place::GRID_PARTITION => repeated(cell, rows.len()),
            place::SOURCE => texts(rows, |placed| Some(placed.source)),
            place::GEOMETRY_BBOX => boxes(rows, arrow.field(place).data_type()).map_err(failed)?,
            _ => scalars(rows, place, column.kind),
        });
    }
    RecordBatch::try_new(arrow, arrays).map_err(failed)
}

fn repeated(text: Option<&str>, rows: usize) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(rows, rows * text.map_or(0, str::len));
    for _ in 0..rows {
        builder.append_option(text);
    }
    Arc::new(builder.finish())
}

fn texts<'a>(rows: &'a [Placed<'a>], text: impl Fn(&'a Placed<'a>) -> Option<&'a str>) -> ArrayRef {
    let bytes = rows.iter().filter_map(&text).map(str::len).sum();
    let mut builder = StringBuilder::with_capacity(rows.len(), bytes);
    for row in rows {
        builder.append_option(text(row));
    }
    Arc::new(builder.finish())
}

fn scalars(rows: &[Placed<'_>], place: usize, kind: Kind) -> ArrayRef {
    let values = rows.iter().map(|placed| placed.row.value(place));
    match kind {
        Kind::String => texts(rows, |placed| placed.row.text(place)),
        Kind::Binary => {
            let mut builder = BinaryBuilder::new();
            for placed in rows {
                builder.append_option(placed.row.wkb.as_deref());
            }
            Arc::new(builder.finish())
        }
        Kind::Double => {
            let mut builder = Float64Builder::with_capacity(rows.len());
            builder.extend(values.map(|value| match value {
                Value::Double(number) => Some(number),
                _ => None,
            }));
            Arc::new(builder.finish())
        }
        Kind::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(rows.len());
            builder.extend(values.map(|value| match value {
                Value::Boolean(truth) => Some(truth),
                _ => None,
            }));
            Arc::new(builder.finish())
        }
        Kind::Timestamptz => {
            let mut builder = TimestampMicrosecondBuilder::with_capacity(rows.len());
            builder.extend(values.map(|value| match value {
                Value::Instant(micros) => Some(micros),
                _ => None,
            }));
            Arc::new(builder.finish().with_timezone("UTC"))
        }
        Kind::Int | Kind::Long | Kind::Struct(_) | Kind::List(_) => {
            let mut builder = Int64Builder::with_capacity(rows.len());
            builder.extend(values.map(|value| match value {
                Value::Long(number) => Some(number),
                _ => None,
            }));
            Arc::new(builder.finish())
        }
    }
}

/// Builds `geometry_bbox`; a row without geometry has none.
fn boxes(rows: &[Placed<'_>], kind: &DataType) -> Result<ArrayRef, arrow_schema::ArrowError> {
    let DataType::Struct(fields) = kind else {
        return Err(arrow_schema::ArrowError::SchemaError(
            "geometry_bbox is no struct".to_owned(),
        ));
    };
    let extents: Vec<_> = rows.iter().map(|placed| placed.row.extent).collect();
    let side = |index: usize| -> ArrayRef {
        let sides = extents
            .iter()
            .map(|extent| extent.and_then(|e| e.get(index).copied()));
        Arc::new(sides.collect::<Float64Array>())
    };
    let sides = (0..fields.len()).map(side).collect();
    let valid: NullBuffer = extents.iter().map(Option::is_some).collect();
    Ok(Arc::new(StructArray::try_new(
        fields.clone(),
        sides,
        Some(valid),
    )?))
}
