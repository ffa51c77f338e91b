//! A pointer whose holder, a database, other programs replace as a whole while they hold a lock.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use swath_core::TableName;

use super::{DATABASE, Pointed, PointerError, SqlitePointer, Swap, TablePointer};
use crate::lock::{Lock, LockError, Now, Taken};
use crate::place::Place;

/// Times that a lock of ours is asked for again, and the wait between: another swap is over in milliseconds.
const TRIES: (u32, Duration) = (500, Duration::from_millis(5));

/// Changes another pointer while it holds `EarthCatalog`'s lock, and does not while others hold it.
#[derive(Debug)]
pub struct LockedPointer {
    inner: Arc<dyn TablePointer>,
    lock: Lock,
}

impl LockedPointer {
    /// Wraps a pointer.
    pub fn new(inner: Arc<dyn TablePointer>, lock: Lock) -> Self {
        Self { inner, lock }
    }

    /// Returns the pointer of a lake in a folder: `earthcatalog.db` in it, changed under its lock.
    pub fn in_folder(root: &Path, place: &Place, now: Now) -> Self {
        let database = SqlitePointer::new(root.join(DATABASE));
        Self::new(Arc::new(database), Lock::new(place.clone(), now))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a lock of ours is held for milliseconds; longer waits are the caller's, by its pace"
    )]
    async fn take(&self) -> Result<Taken, LockError> {
        let (mut tries, wait) = TRIES;
        loop {
            match self.lock.take("swath").await {
                Err(LockError::Held { holder }) if holder.token.is_some() && tries > 0 => {
                    tries -= 1;
                    tokio::time::sleep(wait).await;
                }
                taken => return taken,
            }
        }
    }

    async fn locked<T>(
        &self,
        change: impl Future<Output = Result<T, PointerError>> + Send,
    ) -> Result<T, PointerError> {
        let taken = self.take().await;
        let taken = taken.map_err(|source| PointerError::Locked { source })?;
        let done = change.await;
        if let Err(error) = self.lock.release(&taken).await {
            let error = swath_core::chain(&error);
            tracing::warn!(error, "the catalog stays locked until the lock is over");
        }
        done
    }
}

#[async_trait]
impl TablePointer for LockedPointer {
    async fn load(&self, table: TableName) -> Result<Option<Pointed>, PointerError> {
        self.inner.load(table).await
    }

    async fn swap(
        &self,
        table: TableName,
        expected: Option<&Pointed>,
        location: &str,
    ) -> Result<Swap, PointerError> {
        self.locked(self.inner.swap(table, expected, location))
            .await
    }

    async fn remove(&self, table: TableName) -> Result<(), PointerError> {
        self.locked(self.inner.remove(table)).await
    }
}
