//! What can go wrong between rows and Parquet bytes.

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;
use swath_core::{Class, Classify, TableName};

/// A Parquet file that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Rows could not be put into columns.
    #[error("columns of {table} do not form a batch")]
    Batch {
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        source: ArrowError,
    },
    /// A file could not be written.
    #[error("writing a Parquet file of {table}")]
    Write {
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        source: ParquetError,
    },
    /// The bytes are not a whole Parquet file.
    #[error("reading a Parquet file of {table}")]
    Read {
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        source: ParquetError,
    },
    /// The file's columns could not be read.
    #[error("reading the rows of a Parquet file of {table}")]
    Rows {
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        source: ArrowError,
    },
    /// A column is missing, or of a type that this table does not have there.
    #[error("{table} has no readable column {column:?}: found {found}")]
    Column {
        /// The table.
        table: TableName,
        /// The column.
        column: &'static str,
        /// The type found, or `nothing`.
        found: String,
    },
    /// A file read back has other items than went in.
    #[error("a file of {items} items does not give them back as they were")]
    NotGivenBack {
        /// How many went in.
        items: usize,
    },
    /// A row does not hold what it should.
    #[error("row {row} of {table}: {reason}")]
    Row {
        /// The table.
        table: TableName,
        /// The row's place in its file, from 0.
        row: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Classify for TableError {
    fn class(&self) -> Class {
        match self {
            Self::Batch { .. } | Self::Write { .. } | Self::NotGivenBack { .. } => Class::Bug,
            Self::Read { .. } | Self::Rows { .. } | Self::Column { .. } | Self::Row { .. } => {
                Class::Invalid
            }
        }
    }
}
