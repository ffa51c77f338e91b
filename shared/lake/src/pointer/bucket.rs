//! The pointers of a lake in a bucket, whoever made it.

use std::sync::Arc;

use async_trait::async_trait;
use swath_core::TableName;
use tokio::sync::OnceCell;

use super::{DatabaseObject, LockedPointer, Pointed, PointerError, S3Pointer, Swap, TablePointer};
use crate::lock::{Lock, Now};
use crate::place::Place;

/// Objects of swath's own; or, where `EarthCatalog` made the catalog, its database, changed under its lock.
#[derive(Debug)]
pub struct BucketPointer {
    objects: S3Pointer,
    object: DatabaseObject,
    database: LockedPointer,
    is_theirs: OnceCell<bool>,
}

impl BucketPointer {
    /// Takes the lake's place; nothing is read or written.
    pub fn new(place: Place, now: Now) -> Self {
        let object = DatabaseObject::new(place.clone());
        let lock = Lock::new(place.clone(), now);
        Self {
            database: LockedPointer::new(Arc::new(object.clone()), lock),
            object,
            objects: S3Pointer::new(place),
            is_theirs: OnceCell::new(),
        }
    }

    /// Looks, once, where the table of items is; a new lake gets pointers of swath's own.
    async fn holder(&self) -> Result<&dyn TablePointer, PointerError> {
        let look = || async {
            let ours = self.objects.load(TableName::StacItems).await?;
            Ok(ours.is_none() && self.object.is_catalog().await?)
        };
        let is_theirs = *self.is_theirs.get_or_try_init(look).await?;
        Ok(if is_theirs {
            &self.database
        } else {
            &self.objects
        })
    }
}

#[async_trait]
impl TablePointer for BucketPointer {
    async fn load(&self, table: TableName) -> Result<Option<Pointed>, PointerError> {
        self.holder().await?.load(table).await
    }

    async fn swap(
        &self,
        table: TableName,
        expected: Option<&Pointed>,
        location: &str,
    ) -> Result<Swap, PointerError> {
        let holder = self.holder().await?;
        holder.swap(table, expected, location).await
    }

    async fn remove(&self, table: TableName) -> Result<(), PointerError> {
        self.holder().await?.remove(table).await
    }
}
