//! A database of the catalog beside a lake in a bucket, for `EarthCatalog`, which looks for its tables nowhere else.

use swath_core::TableName;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::pointer::{DATABASE, DatabaseObject, SqlitePointer, Swap, TablePointer as _};

/// Times that the database is made anew because others published theirs meanwhile.
const TRIES: u32 = 20;

impl Lake {
    /// Writes the database anew, with each table as it is now; it is a copy that readers open, and no writer may change it.
    /// Whoever publishes last has read the pointers last: a database never leads to less than the one before it. Returns
    /// false where the database is the catalog itself and stays as it is: in a folder, and where `EarthCatalog` made it.
    ///
    /// # Errors
    /// When a pointer cannot be read, or the database cannot be written.
    pub async fn publish_database(&self) -> Result<bool, LakeError> {
        if self.place.base().starts_with('/') {
            return Ok(false);
        }
        let table = TableName::StacItems;
        let failed = LakeError::pointer(table);
        let object = DatabaseObject::new(self.place.clone());
        for _ in 0..TRIES {
            let before = object.fetch().await.map_err(failed)?;
            if before.as_ref().is_some_and(|found| !found.is_copy()) {
                return Ok(false);
            }
            // The pointers are read after it: what is put in its place is at least as new.
            let bytes = self.database().await?;
            if object.put(bytes, before).await.map_err(failed)? == Swap::Swapped {
                return Ok(true);
            }
        }
        Err(LakeError::Conflict {
            table,
            attempts: TRIES,
        })
    }

    /// Returns the bytes of a database that leads to each table as it is now.
    async fn database(&self) -> Result<Vec<u8>, LakeError> {
        let failed = |source| LakeError::Scratch { source };
        let folder = tempfile::tempdir().map_err(failed)?;
        let database = folder.path().join(DATABASE);
        let pointer = SqlitePointer::new(database.clone());
        for table in TableName::ALL {
            if let Some(location) = self.metadata_location(table).await? {
                let swapped = pointer.swap(table, None, &location).await;
                swapped.map_err(LakeError::pointer(table))?;
            }
        }
        let mut bytes = tokio::fs::read(&database).await.map_err(failed)?;
        DatabaseObject::mark(&mut bytes);
        Ok(bytes)
    }
}
