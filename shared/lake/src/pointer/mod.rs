//! The table pointer: which metadata file is current, and the one step that changes it.

mod bucket;
#[cfg(any(test, feature = "testing"))]
mod faulty;
#[cfg(feature = "glue")]
mod glue;
mod kind;
mod locked;
mod memory;
mod object;
mod s3;
mod sqlite;

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;
use object_store::path::Path;
use swath_core::{Class, Classify, TableName};

use crate::lock::{LockError, Now};
use crate::place::{OutsideLake, Place};

pub use bucket::BucketPointer;
#[cfg(any(test, feature = "testing"))]
pub use faulty::{Fault, FaultyPointer};
#[cfg(feature = "glue")]
pub use glue::{Glue, GluePointer};
pub use kind::{Answer, PointerKind, UnknownKind};
pub use locked::LockedPointer;
pub use memory::MemoryPointer;
pub(crate) use object::DATABASE;
pub use object::DatabaseObject;
pub use s3::S3Pointer;
pub use sqlite::SqlitePointer;

/// Which metadata file is current, table by table, changed by compare-and-swap alone.
///
/// Everything else of a table is immutable files; whoever swaps the pointer has committed.
#[async_trait]
pub trait TablePointer: Debug + Send + Sync {
    /// Returns what the pointer of a table says; `None` when there is no such table.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn load(&self, table: TableName) -> Result<Option<Pointed>, PointerError>;

    /// Makes `location` current if the pointer still is what `expected` says; `None` expects no table yet, and makes it.
    ///
    /// # Errors
    /// When it was not changed, or when that is not known: see [`PointerError::effect`].
    async fn swap(
        &self,
        table: TableName,
        expected: Option<&Pointed>,
        location: &str,
    ) -> Result<Swap, PointerError>;

    /// Forgets a table; its files stay. A table that is not there is no error.
    ///
    /// # Errors
    /// When it was not removed, or when that is not known.
    async fn remove(&self, table: TableName) -> Result<(), PointerError>;
}

/// Returns a lake's place and its pointers: a folder's lie in its `SQLite` file, a bucket's in objects that are put on
/// condition, unless `EarthCatalog` made it. The base is a URI, and a folder too when it is one.
pub fn of_lake(
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    (uri, folder): (&str, Option<&std::path::Path>),
    now: Now,
) -> (Place, Arc<dyn TablePointer>) {
    if let Some(folder) = folder {
        let place = Place::new(store, prefix, &folder.to_string_lossy());
        let pointer = LockedPointer::in_folder(folder, &place, now);
        return (place, Arc::new(pointer));
    }
    let place = Place::new(store, prefix, uri);
    (place.clone(), Arc::new(BucketPointer::new(place, now)))
}

/// What a pointer said when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointed {
    /// The current metadata file's absolute location.
    pub location: String,
    /// What the pointer's holder compares: the location itself, a version, an entity tag.
    pub token: String,
}

/// How a swap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The new location is current.
    Swapped,
    /// The pointer was not what was expected, and stays as it is.
    Lost,
}

/// What a failed call has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Perhaps all of it: only the pointer itself can tell.
    Unknown,
}

/// A call to a pointer that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PointerError {
    /// The catalog's database refused.
    #[error("{}: {doing} failed", database.display())]
    Database {
        /// The database.
        database: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What has been done.
        effect: Effect,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The catalog's folder cannot be made.
    #[error("the folder of {} cannot be made", database.display())]
    Folder {
        /// The database.
        database: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The row of a table has no location.
    #[error("{}: {table} has no metadata location", database.display())]
    NoLocation {
        /// The database.
        database: PathBuf,
        /// The table.
        table: TableName,
    },
    /// The call was cut off before it answered.
    #[error("the call was cut off before it answered")]
    CutOff {
        /// What has been done.
        effect: Effect,
        /// Why.
        #[source]
        source: tokio::task::JoinError,
    },
    /// The store failed.
    #[error("{location}: {doing} failed")]
    Store {
        /// The pointer's object.
        location: String,
        /// What was being done.
        doing: &'static str,
        /// What has been done.
        effect: Effect,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// The store puts whatever the condition says, so that commits would overwrite one another.
    #[error("{base}: the store ignores {condition}; keep the lake in one that does not")]
    Unconditional {
        /// The lake's base.
        base: String,
        /// The condition.
        condition: &'static str,
    },
    /// The pointer's object holds no name of a metadata file, or came without an entity tag.
    #[error("{location} does not say which metadata file is current")]
    Hint {
        /// The pointer's object.
        location: String,
    },
    /// A metadata file that does not lie where the pointer's object can name it.
    #[error("{location} is no metadata file in the folder of {table}")]
    Misplaced {
        /// The table.
        table: TableName,
        /// The file.
        location: String,
    },
    /// The lock that goes with the pointer cannot be taken; nothing has been changed.
    #[error("the catalog's lock cannot be taken")]
    Locked {
        /// Why.
        #[source]
        source: LockError,
    },
    /// The service that holds the pointer refused, or did not answer.
    #[error("{table}: {what}")]
    Service {
        /// The table.
        table: TableName,
        /// What was asked and what it said.
        what: String,
        /// What has been done.
        effect: Effect,
        /// What is to be done about it, when nothing has been done.
        class: Class,
    },
    /// A location outside the lake.
    #[error("the pointer cannot lead there")]
    Outside(#[source] OutsideLake),
    /// A failure that a test asked for.
    #[cfg(any(test, feature = "testing"))]
    #[error("a failure was asked for")]
    Asked {
        /// What has been done.
        effect: Effect,
    },
}

impl PointerError {
    /// Returns what the failed call has done.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Database { effect, .. }
            | Self::CutOff { effect, .. }
            | Self::Service { effect, .. }
            | Self::Store { effect, .. } => *effect,
            Self::Folder { .. }
            | Self::NoLocation { .. }
            | Self::Unconditional { .. }
            | Self::Hint { .. }
            | Self::Misplaced { .. }
            | Self::Locked { .. }
            | Self::Outside(_) => Effect::None,
            #[cfg(any(test, feature = "testing"))]
            Self::Asked { effect } => *effect,
        }
    }
}

impl Classify for PointerError {
    fn class(&self) -> Class {
        if self.effect() == Effect::Unknown {
            return Class::Uncertain;
        }
        match self {
            Self::Database { source, .. } => sqlite::class_of(source),
            Self::Service { class, .. } => *class,
            Self::Store { source, .. }
            | Self::Locked {
                source: LockError::Store { source, .. },
            } => s3::class_of(source),
            // Whoever holds it gives it back.
            Self::Locked {
                source: LockError::Held { .. },
            } => Class::Transient,
            Self::Folder { .. }
            | Self::NoLocation { .. }
            | Self::Unconditional { .. }
            | Self::Hint { .. } => Class::Denied,
            Self::CutOff { .. } | Self::Misplaced { .. } | Self::Outside(_) => Class::Bug,
            #[cfg(any(test, feature = "testing"))]
            Self::Asked { .. } => Class::Transient,
        }
    }
}
