//! What can be wrong with an inventory.

use std::io;

use swath_cloud::sources::SourceError;
use swath_core::{Class, Classify};

/// An inventory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// The manifest is none.
    #[error("{at}: no manifest of an inventory")]
    Manifest {
        /// Where.
        at: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The format is none that inventories have.
    #[error("{at}: files of format {format:?}: inventories have CSV, Parquet or ORC")]
    Format {
        /// The manifest.
        at: String,
        /// The format.
        format: String,
    },
    /// The schema lacks what every inventory has.
    #[error("{at}: the schema has no column {column}, only {found}")]
    Schema {
        /// The manifest or file.
        at: String,
        /// The column.
        column: &'static str,
        /// The columns that are there.
        found: String,
    },
    /// A column is of a type that it has in no inventory.
    #[error("{at}: column {column} is of type {found}")]
    Type {
        /// The file.
        at: String,
        /// The column.
        column: &'static str,
        /// Its type.
        found: String,
    },
    /// The content is not what the manifest promises.
    #[error("{at}: its MD5 is {found}, the manifest says {promised}")]
    Checksum {
        /// The file.
        at: String,
        /// The one it has.
        found: String,
        /// The one it should have.
        promised: String,
    },
    /// A file of the manifest is not there.
    #[error(
        "{file}: not there: of {tried} places none has it (its key in the manifest's bucket, below the manifest's folder and \
         those above it, its bare name beside the manifest and in `data/`)"
    )]
    Missing {
        /// The file as the manifest calls it.
        file: String,
        /// At how many places it was looked for.
        tried: usize,
    },
    /// A file cannot be brought here.
    #[error("{file}: cannot be had")]
    Fetch {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: Box<SourceError>,
    },
    /// A row is not what the schema says.
    #[error("{at}: row {row}: {reason}")]
    Row {
        /// The file.
        at: String,
        /// From 1.
        row: u64,
        /// What is wrong.
        reason: String,
    },
    /// A file breaks off, or cannot be read.
    #[error("{at}: cannot be read to its end")]
    Read {
        /// The file.
        at: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A Parquet file is none.
    #[error("{at}: no whole Parquet file")]
    Parquet {
        /// The file.
        at: String,
        /// Why.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// An ORC file is none.
    #[error("{at}: no whole ORC file: {reason}")]
    Orc {
        /// The file.
        at: String,
        /// Why.
        reason: String,
    },
}

impl InventoryError {
    pub(super) fn read(at: &str) -> impl Fn(io::Error) -> Self {
        let at = at.to_owned();
        move |source| Self::Read {
            at: at.clone(),
            source,
        }
    }
}

impl Classify for InventoryError {
    fn class(&self) -> Class {
        match self {
            Self::Fetch { source, .. } => source.class(),
            _ => Class::Invalid,
        }
    }
}
