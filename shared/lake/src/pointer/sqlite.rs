//! The pointer in a SQLite file, in the tables of `PyIceberg`'s SQL catalog.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior};
use swath_core::{Class, TableName};

use super::{Effect, Pointed, PointerError, Swap, TablePointer};

/// The catalog's name, part of every key: `EarthCatalog` opens no other.
const CATALOG: &str = "earthcatalog";

/// How long a call waits for another process's lock.
const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS iceberg_tables (
  catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
  metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),
  PRIMARY KEY (catalog_name, table_namespace, table_name));
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
  catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL,
  property_value VARCHAR(1000) NOT NULL, PRIMARY KEY (catalog_name, namespace, property_key));";

/// Pointers in the file `earthcatalog.db`, which is opened for each call: another program may replace it as a whole.
#[derive(Clone, Debug)]
pub struct SqlitePointer {
    database: PathBuf,
}

impl SqlitePointer {
    /// Names the file; it is made with its folder when the first table is.
    pub fn new(database: impl Into<PathBuf>) -> Self {
        let database = database.into();
        Self { database }
    }

    /// Returns the file's path.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Returns whether the file's table of tables lacks the column `iceberg_type`, as older writers make it; false when there
    /// is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn lacks_type(&self) -> Result<bool, PointerError> {
        let lacks = |database: &Database| {
            let Some(connection) = database.open(false)? else {
                return Ok(false);
            };
            let lacks = || Ok(has_tables(&connection)? && !has_type(&connection)?);
            lacks().map_err(database.failed("reading the tables", Effect::None))
        };
        self.blocking(Effect::None, lacks).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        effect: Effect,
        call: impl FnOnce(&Database) -> Result<T, PointerError> + Send + 'static,
    ) -> Result<T, PointerError> {
        let database = Database(self.database.clone());
        let task = tokio::task::spawn_blocking(move || call(&database));
        task.await
            .map_err(|source| PointerError::CutOff { effect, source })?
    }
}

#[async_trait]
impl TablePointer for SqlitePointer {
    async fn load(&self, table: TableName) -> Result<Option<Pointed>, PointerError> {
        self.blocking(Effect::None, move |database| database.load(table))
            .await
    }

    async fn swap(
        &self,
        table: TableName,
        expected: Option<&Pointed>,
        location: &str,
    ) -> Result<Swap, PointerError> {
        let (expected, location) = (expected.cloned(), location.to_owned());
        self.blocking(Effect::Unknown, move |database| match expected {
            Some(expected) => database.update(table, &expected.location, &location),
            None => database.insert(table, &location),
        })
        .await
    }

    async fn remove(&self, table: TableName) -> Result<(), PointerError> {
        self.blocking(Effect::Unknown, move |database| database.remove(table))
            .await
    }
}

/// The file, used by threads that may block.
struct Database(PathBuf);

impl Database {
    /// Opens the file; `None` when there is none and `make` is false.
    fn open(&self, make: bool) -> Result<Option<Connection>, PointerError> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if make {
            if let Some(folder) = self.0.parent() {
                std::fs::create_dir_all(folder).map_err(|source| PointerError::Folder {
                    database: self.0.clone(),
                    source,
                })?;
            }
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        } else if !self.0.exists() {
            return Ok(None);
        }
        let open = || {
            let connection = Connection::open_with_flags(&self.0, flags)?;
            connection.busy_timeout(BUSY)?;
            Ok(connection)
        };
        open()
            .map(Some)
            .map_err(self.failed("opening", Effect::None))
    }

    fn failed(
        &self,
        doing: &'static str,
        effect: Effect,
    ) -> impl Fn(rusqlite::Error) -> PointerError {
        move |source| PointerError::Database {
            database: self.0.clone(),
            doing,
            effect: settled(effect, &source),
            source,
        }
    }

    fn load(&self, table: TableName) -> Result<Option<Pointed>, PointerError> {
        let failed = self.failed("reading the pointer", Effect::None);
        let Some(connection) = self.open(false)? else {
            return Ok(None);
        };
        if !has_tables(&connection).map_err(&failed)? {
            return Ok(None);
        }
        let row: Option<Option<String>> = connection
            .query_row(
                "SELECT metadata_location FROM iceberg_tables
                 WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3",
                (CATALOG, table.namespace(), table.name()),
                |row| row.get(0),
            )
            .optional()
            .map_err(&failed)?;
        match row {
            None => Ok(None),
            Some(None) => Err(PointerError::NoLocation {
                database: self.0.clone(),
                table,
            }),
            Some(Some(location)) => Ok(Some(Pointed {
                token: location.clone(),
                location,
            })),
        }
    }

    fn update(&self, table: TableName, old: &str, new: &str) -> Result<Swap, PointerError> {
        let Some(connection) = self.open(false)? else {
            return Ok(Swap::Lost);
        };
        keep_one_file(&connection).map_err(self.failed("preparing the swap", Effect::None))?;
        // One statement is its own transaction: its COMMIT's failure is the statement's.
        let changed = connection
            .execute(
                "UPDATE iceberg_tables SET metadata_location = ?1, previous_metadata_location = ?2
                 WHERE catalog_name = ?3 AND table_namespace = ?4 AND table_name = ?5 AND metadata_location = ?2",
                (new, old, CATALOG, table.namespace(), table.name()),
            )
            .map_err(self.failed("swapping the pointer", Effect::Unknown))?;
        Ok(if changed == 1 {
            Swap::Swapped
        } else {
            Swap::Lost
        })
    }

    fn insert(&self, table: TableName, location: &str) -> Result<Swap, PointerError> {
        let failed = self.failed("preparing a table", Effect::None);
        let Some(mut connection) = self.open(true)? else {
            return Ok(Swap::Lost);
        };
        keep_one_file(&connection).map_err(&failed)?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        transaction.execute_batch(TABLES).map_err(&failed)?;
        transaction
            .execute(
                "INSERT OR IGNORE INTO iceberg_namespace_properties VALUES (?1, ?2, 'exists', 'true')",
                (CATALOG, table.namespace()),
            )
            .map_err(&failed)?;
        // Databases of older writers lack the column.
        let (column, value) = if has_type(&transaction).map_err(&failed)? {
            (", iceberg_type", ", 'TABLE'")
        } else {
            ("", "")
        };
        let made = transaction
            .execute(
                &format!(
                    "INSERT OR IGNORE INTO iceberg_tables
                     (catalog_name, table_namespace, table_name, metadata_location{column})
                     VALUES (?1, ?2, ?3, ?4{value})"
                ),
                (CATALOG, table.namespace(), table.name(), location),
            )
            .map_err(&failed)?;
        transaction
            .commit()
            .map_err(self.failed("making a table", Effect::Unknown))?;
        Ok(if made == 1 { Swap::Swapped } else { Swap::Lost })
    }

    fn remove(&self, table: TableName) -> Result<(), PointerError> {
        let Some(connection) = self.open(false)? else {
            return Ok(());
        };
        let failed = self.failed("removing a table", Effect::Unknown);
        if has_tables(&connection).map_err(&failed)? {
            connection
                .execute(
                    "DELETE FROM iceberg_tables
                     WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3",
                    (CATALOG, table.namespace(), table.name()),
                )
                .map_err(&failed)?;
        }
        Ok(())
    }
}

/// Others copy the database as one file: nothing of it may lie in a write-ahead log beside it.
fn keep_one_file(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA journal_mode = DELETE", (), |_| Ok(()))
}

fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'iceberg_tables'")?
        .exists(())
}

fn has_type(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare("SELECT 1 FROM pragma_table_info('iceberg_tables') WHERE name = 'iceberg_type'")?
        .exists(())
}

/// A lock that was not given, and a statement that was refused, are rolled back: nothing has been done.
fn settled(effect: Effect, error: &rusqlite::Error) -> Effect {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::CannotOpen
            | ErrorCode::NotADatabase
            | ErrorCode::DiskFull
            | ErrorCode::ConstraintViolation,
        ) => Effect::None,
        _ => effect,
    }
}

/// Returns the class of a failure that has done nothing.
pub(super) fn class_of(error: &rusqlite::Error) -> Class {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::CannotOpen
            | ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::DiskFull
            | ErrorCode::AuthorizationForStatementDenied,
        ) => Class::Denied,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SystemIoFailure) => {
            Class::Transient
        }
        _ => Class::Bug,
    }
}
