//! What can go wrong with a lake.

use swath_core::{Class, Classify, TableName};
use swath_table::TableError;

use crate::place::OutsideLake;
use crate::pointer::{Effect, PointerError};

/// A call to a lake that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The pointer of a table cannot be read or changed.
    #[error("the pointer of {table}")]
    Pointer {
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        source: PointerError,
    },
    /// Metadata of a table cannot be read or written.
    #[error("{table}: {doing} failed")]
    Metadata {
        /// The table.
        table: TableName,
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: iceberg::Error,
    },
    /// There is no such table.
    #[error("the lake has no table {table}")]
    NoTable {
        /// The table.
        table: TableName,
    },
    /// The table was made for another grid.
    #[error(
        "the lake's items lie in grid {found}, not in {asked}: use that grid or another folder"
    )]
    Grid {
        /// What was asked for.
        asked: String,
        /// What is there.
        found: String,
    },
    /// The table was made by others in a way that files of ours do not fit.
    #[error("{table} cannot take files of ours: {what}")]
    Foreign {
        /// The table.
        table: TableName,
        /// What does not fit.
        what: String,
    },
    /// A path or location that is not in the lake.
    #[error("a file of {table}")]
    Outside {
        /// The table.
        table: TableName,
        /// Which.
        #[source]
        source: OutsideLake,
    },
    /// A file that a message names is not there.
    #[error("{location} is not there")]
    Missing {
        /// The file.
        location: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// A file of the table is not there: it was replaced and cleared away, or the table is damaged.
    #[error("{location} is part of {table}, but it is not there")]
    Dangling {
        /// The table.
        table: TableName,
        /// The file.
        location: String,
    },
    /// A file that a message names is not what the message says.
    #[error("{path}: {what} is {found}, the message says {told}")]
    NotAsTold {
        /// The file.
        path: String,
        /// Which property.
        what: &'static str,
        /// What the message says.
        told: String,
        /// What the file says.
        found: String,
    },
    /// A file cannot be read or written.
    #[error("{location}: the store's call failed")]
    Store {
        /// The file.
        location: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// A data file's rows cannot be read or rewritten.
    #[error("{location}: its rows cannot be read")]
    Rows {
        /// The file.
        location: String,
        /// Why.
        #[source]
        source: TableError,
    },
    /// A data file's footer cannot be read.
    #[error("{location}: its footer cannot be read")]
    Footer {
        /// The file.
        location: String,
        /// Why.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A file cannot be made in the folder for temporary ones.
    #[error("a temporary file cannot be made")]
    Scratch {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A computation was cut off.
    #[error("{location}: reading it was cut off")]
    CutOff {
        /// The file.
        location: String,
        /// Why.
        #[source]
        source: tokio::task::JoinError,
    },
    /// A run of the id index cannot be written.
    #[error("{run}: a run of the id index cannot be written: {what}")]
    Index {
        /// Where runs lie.
        run: String,
        /// Why.
        what: String,
    },
    /// Others committed first, each time; nothing of ours is in the table.
    #[error("{table}: others committed first, {attempts} times")]
    Conflict {
        /// The table.
        table: TableName,
        /// How often a commit was tried.
        attempts: u32,
    },
    /// Files that were to be replaced are no longer part of the table: others replaced them first.
    #[error("{table}: files to replace are no longer part of it, {location} for one")]
    InputsGone {
        /// The table.
        table: TableName,
        /// One of the files.
        location: String,
    },
    /// The function's time is over before the work was begun.
    #[error("{table}: there is no time left for it")]
    Late {
        /// The table.
        table: TableName,
    },
    /// There is no such snapshot.
    #[error("{table} has no snapshot {snapshot_id}")]
    NoSnapshot {
        /// The table.
        table: TableName,
        /// Its id.
        snapshot_id: i64,
    },
    /// A name that is taken by what the table is now.
    #[error("a snapshot of {table} cannot be called {name:?}")]
    Name {
        /// The table.
        table: TableName,
        /// The name.
        name: String,
    },
    /// It is not known whether a commit took effect: its files must stay.
    #[error("{table}: it is not known whether the commit took effect, after {attempts} attempts")]
    Unknown {
        /// The table.
        table: TableName,
        /// How often a commit was tried.
        attempts: u32,
        /// The last failure.
        #[source]
        source: Box<LakeError>,
    },
}

impl LakeError {
    pub(crate) fn metadata(
        table: TableName,
        doing: &'static str,
    ) -> impl Fn(iceberg::Error) -> Self + Copy {
        move |source| Self::Metadata {
            table,
            doing,
            source,
        }
    }

    pub(crate) fn pointer(table: TableName) -> impl Fn(PointerError) -> Self + Copy {
        move |source| Self::Pointer { table, source }
    }

    /// Says that a table's pointer failed.
    pub fn from_pointer(table: TableName) -> impl Fn(PointerError) -> Self + Copy {
        Self::pointer(table)
    }

    pub(crate) fn outside(table: TableName) -> impl Fn(OutsideLake) -> Self + Copy {
        move |source| Self::Outside { table, source }
    }

    /// Returns what a failed commit has done to the table.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Unknown { .. } => Effect::Unknown,
            Self::Pointer { source, .. } => source.effect(),
            _ => Effect::None,
        }
    }
}

impl Classify for LakeError {
    fn class(&self) -> Class {
        match self {
            Self::Pointer { source, .. } => source.class(),
            // What is written there, others cannot read either: every message would fail alike.
            Self::Metadata { source, .. } if !source.retryable() => Class::Denied,
            Self::Metadata { .. }
            | Self::Dangling { .. }
            | Self::Scratch { .. }
            | Self::Late { .. } => Class::Transient,
            Self::NoTable { .. } | Self::Grid { .. } | Self::Foreign { .. } => Class::Denied,
            Self::Outside { .. }
            | Self::Missing { .. }
            | Self::NotAsTold { .. }
            | Self::Footer { .. }
            | Self::NoSnapshot { .. }
            | Self::Name { .. } => Class::Invalid,
            Self::Store { source, .. } => class_of(source),
            Self::Rows { source, .. } => source.class(),
            Self::CutOff { .. } | Self::Index { .. } => Class::Bug,
            Self::Conflict { .. } | Self::InputsGone { .. } => Class::Conflict,
            Self::Unknown { .. } => Class::Uncertain,
        }
    }
}

fn class_of(error: &object_store::Error) -> Class {
    use object_store::Error as E;
    match error {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => Class::Denied,
        E::NotSupported { .. } | E::NotImplemented { .. } | E::InvalidPath { .. } => Class::Bug,
        _ => Class::Transient,
    }
}
