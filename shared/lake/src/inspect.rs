//! What a lake holds, counted.

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _};
use swath_core::TableName;

use crate::error::LakeError;
use crate::lake::{Base, Lake};

/// Files that are read at the same time.
const AT_ONCE: usize = 8;

/// A table's figures at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Live data files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Partitions that hold any; 1 in a table without partitions that has files.
    pub partitions: u64,
    /// The current snapshot; absent before the first commit.
    pub snapshot_id: Option<i64>,
    /// The current metadata file.
    pub metadata_location: String,
}

impl Lake {
    /// Counts what a table holds.
    ///
    /// # Errors
    /// When there is no such table or its metadata cannot be read.
    pub async fn counts(&self, table: TableName) -> Result<Counts, LakeError> {
        let base = self.base(table).await?;
        let manifests = base.manifests(self).await?;
        let listed = base.files(self, manifests.iter()).await?;
        let files = || listed.iter().flat_map(|files| files.iter());
        let partitions: HashSet<_> = files().map(|file| &file.partition).collect();
        Ok(Counts {
            files: files().count() as u64,
            rows: files().map(|file| file.rows).sum(),
            partitions: partitions.len() as u64,
            snapshot_id: base.metadata.current_snapshot_id(),
            metadata_location: base.pointed.location,
        })
    }

    /// Counts the items of `earthcatalog.stac_items`, each once whatever the number of cells that it lies in; reads the key
    /// columns of every live file.
    ///
    /// # Errors
    /// When there is no such table or a file of it cannot be read.
    pub async fn distinct_items(&self) -> Result<u64, LakeError> {
        let base = self.base(TableName::StacItems).await?;
        let mut items = HashSet::new();
        let take = |item| {
            items.insert(item);
            Ok::<_, LakeError>(())
        };
        self.each_item_of(&base, take).await?;
        Ok(items.len() as u64)
    }

    /// Hands the item of every row of `earthcatalog.stac_items` to `take`, as [`item_key`] names it: one in several cells
    /// more than once. A lake without the table has none.
    ///
    /// [`item_key`]: swath_table::keys::item_key
    ///
    /// # Errors
    /// When a file of the table cannot be read, or `take` fails.
    pub async fn each_item<E: From<LakeError>>(
        &self,
        take: impl FnMut(u128) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.base(TableName::StacItems).await {
            Err(LakeError::NoTable { .. }) => Ok(()),
            base => self.each_item_of(&base?, take).await,
        }
    }

    async fn each_item_of<E: From<LakeError>>(
        &self,
        base: &Base,
        mut take: impl FnMut(u128) -> Result<(), E>,
    ) -> Result<(), E> {
        let manifests = base.manifests(self).await?;
        let listed = base.files(self, manifests.iter()).await?;
        let reads: Vec<_> = listed
            .iter()
            .flat_map(|files| files.iter())
            .map(|file| self.keys(TableName::StacItems, &file.location))
            .collect();
        let mut reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        while let Some(found) = reads.try_next().await? {
            for key in found.iter() {
                take(key.item)?;
            }
        }
        Ok(())
    }
}
