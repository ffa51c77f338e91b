//! What rows are sorted by.

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array as _, RecordBatch, StringArray, TimestampMicrosecondArray};
use swath_core::TableName;

use crate::TableError;
use crate::reader::Parts;

/// Columns that rows of `stac_items` are sorted by; those of other tables stay as their files have them.
const COLUMNS: [&str; 3] = ["platform", "datetime", "id"];

/// What the rows of a file are sorted by: platform, datetime and id, where the table has them.
#[derive(Debug, Default)]
pub(super) struct Order {
    platforms: Option<StringArray>,
    instants: Option<TimestampMicrosecondArray>,
    ids: Option<StringArray>,
}

impl Order {
    pub(super) fn of_file(table: TableName, file: &Parts) -> Result<Self, TableError> {
        if table != TableName::StacItems {
            return Ok(Self::default());
        }
        Ok(Self::of(table, &file.columns(&COLUMNS)?))
    }

    pub(super) fn of(table: TableName, rows: &RecordBatch) -> Self {
        if table != TableName::StacItems {
            return Self::default();
        }
        let text = |name: &str| rows.column_by_name(name)?.as_string_opt::<i32>().cloned();
        let instants = rows.column_by_name("datetime");
        let instants =
            instants.and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>());
        Self {
            platforms: text("platform"),
            instants: instants.cloned(),
            ids: text("id"),
        }
    }

    pub(super) fn of_row(&self, row: usize) -> (Option<&str>, Option<i64>, Option<&str>) {
        let instants = self.instants.as_ref().filter(|array| array.is_valid(row));
        (
            value(self.platforms.as_ref(), row),
            instants.map(|array| array.value(row)),
            value(self.ids.as_ref(), row),
        )
    }
}

fn value(array: Option<&StringArray>, row: usize) -> Option<&str> {
    let array = array.filter(|array| array.is_valid(row))?;
    Some(array.value(row))
}
