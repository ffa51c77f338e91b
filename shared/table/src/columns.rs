//! Columns of a batch by name, as the types that the tables have.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{TimestampMicrosecondType, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, BinaryArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};
use swath_core::TableName;

use crate::TableError;

/// A batch of one table whose columns are asked for by name.
pub(crate) struct Columns<'a> {
    table: TableName,
    batch: &'a RecordBatch,
}

/// Instants of a column, whatever its unit.
pub(crate) enum Instants {
    Micros(PrimitiveArray<TimestampMicrosecondType>),
    Millis(PrimitiveArray<TimestampMillisecondType>),
}

impl Instants {
    /// Returns a row's instant in microseconds since 1970.
    pub(crate) fn get(&self, row: usize) -> Option<i64> {
        match self {
            Self::Micros(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Millis(array) => array
                .is_valid(row)
                .then(|| array.value(row).saturating_mul(1000)),
        }
    }
}

/// Returns a row's text.
pub(crate) fn text(array: &StringArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

/// Returns a row's bytes.
pub(crate) fn bytes(array: &BinaryArray, row: usize) -> Option<&[u8]> {
    array.is_valid(row).then(|| array.value(row))
}

impl<'a> Columns<'a> {
    pub(crate) fn new(table: TableName, batch: &'a RecordBatch) -> Self {
        Self { table, batch }
    }

    /// Returns a column, if the batch has it.
    pub(crate) fn find(&self, name: &str) -> Option<&'a ArrayRef> {
        self.batch.column_by_name(name)
    }

    pub(crate) fn text(&self, name: &'static str) -> Result<&'a StringArray, TableError> {
        self.typed(name, |array| array.as_string_opt::<i32>())
    }

    pub(crate) fn binary(&self, name: &'static str) -> Result<&'a BinaryArray, TableError> {
        self.typed(name, |array| array.as_binary_opt::<i32>())
    }

    pub(crate) fn instants(&self, name: &'static str) -> Result<Instants, TableError> {
        self.typed(name, |array| match array.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                array.as_primitive_opt().cloned().map(Instants::Micros)
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                array.as_primitive_opt().cloned().map(Instants::Millis)
            }
            _ => None,
        })
    }

    pub(crate) fn typed<T>(
        &self,
        name: &'static str,
        cast: impl FnOnce(&'a ArrayRef) -> Option<T>,
    ) -> Result<T, TableError> {
        let array = self.find(name);
        array.and_then(cast).ok_or_else(|| TableError::Column {
            table: self.table,
            column: name,
            found: array.map_or_else(|| "nothing".to_owned(), |a| a.data_type().to_string()),
        })
    }
}
