//! Reading a table as a whole.

use arrow_array::RecordBatch;
use futures::{StreamExt as _, TryStreamExt as _};
use swath_core::TableName;

use crate::error::LakeError;
use crate::file::blocking;
use crate::lake::Lake;

/// Files that are read at the same time.
const AT_ONCE: usize = 4;

impl Lake {
    /// Reads every row that a table has now, in the table's columns; the order is none.
    ///
    /// # Errors
    /// When there is no such table or a file of it cannot be read.
    pub async fn rows(&self, table: TableName) -> Result<Vec<RecordBatch>, LakeError> {
        let base = self.base(table).await?;
        let manifests = base.manifests(self).await?;
        let listed = base.files(self, manifests.iter()).await?;
        let reads: Vec<_> = listed
            .iter()
            .flat_map(|files| files.iter())
            .map(|file| self.rows_of(table, &file.location))
            .collect();
        let reads = futures::stream::iter(reads).buffered(AT_ONCE);
        let batches: Vec<Vec<RecordBatch>> = reads.try_collect().await?;
        Ok(batches.into_iter().flatten().collect())
    }

    async fn rows_of(
        &self,
        table: TableName,
        location: &str,
    ) -> Result<Vec<RecordBatch>, LakeError> {
        let bytes = self.fetch_live(table, location).await?;
        let read = blocking(location, move || swath_table::reader::read(table, bytes)).await?;
        read.map_err(|source| LakeError::Rows {
            location: location.to_owned(),
            source,
        })
    }
}
