//! What a lake holds, counted.

use std::collections::HashSet;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, RecordBatch};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use swath_core::{TableName, digest_hex};

use crate::error::LakeError;
use crate::file::blocking;
use crate::lake::Lake;

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

    /// Counts the items of `earthcatalog.stac_items`, each once whatever the number of cells that it lies in; reads two
    /// columns of every live file.
    ///
    /// # Errors
    /// When there is no such table or a file of it cannot be read.
    pub async fn distinct_items(&self) -> Result<u64, LakeError> {
        let table = TableName::StacItems;
        let base = self.base(table).await?;
        let manifests = base.manifests(self).await?;
        let listed = base.files(self, manifests.iter()).await?;
        let reads: Vec<_> = listed
            .iter()
            .flat_map(|files| files.iter())
            .map(|file| self.items(table, &file.location))
            .collect();
        let mut reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        let mut items = HashSet::new();
        while let Some(found) = reads.try_next().await? {
            items.extend(found);
        }
        Ok(items.len() as u64)
    }

    async fn items(&self, table: TableName, location: &str) -> Result<Vec<String>, LakeError> {
        let bytes = self.fetch_live(table, location).await?;
        let items = blocking(location, move || items(bytes)).await?;
        items.map_err(|source| LakeError::Footer {
            location: location.to_owned(),
            source,
        })
    }
}

/// Names each row's item by a digest of its collection and id.
fn items(bytes: Bytes) -> Result<Vec<String>, ParquetError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?;
    let columns = ["collection", "id"];
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
    let mut items = Vec::new();
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        items.extend((0..batch.num_rows()).map(|row| {
            // An absent value is no text, so its length differs from that of any.
            let parts = columns.map(|name| text(&batch, name, row).map(str::as_bytes));
            let [collection, id] = parts.map(Option::unwrap_or_default);
            let present = parts.map(|part| u8::from(part.is_some()));
            digest_hex(&[&present, collection, id], 16)
        }));
    }
    Ok(items)
}

fn text<'a>(batch: &'a RecordBatch, name: &str, row: usize) -> Option<&'a str> {
    let array = batch.column_by_name(name)?.as_string_opt::<i32>()?;
    array.is_valid(row).then(|| array.value(row))
}
