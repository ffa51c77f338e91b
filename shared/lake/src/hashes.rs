//! `EarthCatalog`'s index of ids: one Parquet file with the hash of every id, beside the warehouse.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{ObjectStoreExt as _, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use swath_core::TableName;
use swath_table::layout::WAREHOUSE;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::error::LakeError;
use crate::lake::Lake;

/// The seed of the hashes.
const SEED: u64 = 42;

/// Rows in a row group: sixteen bytes each.
const GROUP: usize = 1 << 20;

/// Files that are read at the same time.
const AT_ONCE: usize = 8;

/// The property that says where the file lies.
const PROPERTY: &str = "earthcatalog.hash_index_path";

/// `EarthCatalog`'s index of ids, as it was written or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashIndex {
    /// Where it lies.
    pub location: String,
    /// Ids in it; absent when it was found, not written.
    pub ids: Option<u64>,
    /// When it was written, seconds since 1970; absent when it was written just now.
    pub written: Option<i64>,
}

impl Lake {
    /// Writes the hash of every id of `earthcatalog.stac_items`, without its collection, each once and sorted.
    ///
    /// # Errors
    /// When there is no such table, a file of it cannot be read, or the index cannot be written.
    pub async fn write_hash_index(&self) -> Result<HashIndex, LakeError> {
        let table = TableName::StacItems;
        let base = self.base(table).await?;
        let manifests = base.manifests(self).await?;
        let listed = base.files(self, manifests.iter()).await?;
        let reads: Vec<_> = listed
            .iter()
            .flat_map(|files| files.iter())
            .map(|file| self.known(table, &file.location))
            .collect();
        let mut reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        let mut hashes = BTreeSet::new();
        while let Some((_, rows)) = reads.try_next().await? {
            hashes.extend(rows.iter().map(|row| hash(&row.id)));
        }
        let below = self.hash_index_below(base.metadata.properties());
        let location = self.place.location(&below);
        let bytes = encode(&hashes).map_err(|source| LakeError::Footer {
            location: location.clone(),
            source,
        })?;
        let path = self.place.path(&below);
        let path = path.map_err(LakeError::outside(table))?;
        let put = self.place.store.put(&path, PutPayload::from(bytes));
        put.await.map_err(|source| LakeError::Store {
            location: location.clone(),
            source,
        })?;
        Ok(HashIndex {
            location,
            ids: Some(hashes.len() as u64),
            written: None,
        })
    }

    /// Returns where the file lies and when it was written; `None` when there is none.
    ///
    /// # Errors
    /// When there is no such table or the store fails.
    pub async fn hash_index(&self) -> Result<Option<HashIndex>, LakeError> {
        let table = TableName::StacItems;
        let base = self.base(table).await?;
        let below = self.hash_index_below(base.metadata.properties());
        let path = self.place.path(&below);
        let path = path.map_err(LakeError::outside(table))?;
        let location = self.place.location(&below);
        match self.place.store.head(&path).await {
            Ok(meta) => Ok(Some(HashIndex {
                location,
                ids: None,
                written: Some(meta.last_modified.timestamp()),
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(LakeError::Store { location, source }),
        }
    }

    /// The table says where, unless the lake has moved since.
    fn hash_index_below(&self, properties: &std::collections::HashMap<String, String>) -> String {
        let noted = properties.get(PROPERTY);
        let below = noted.and_then(|location| self.place.below(location).ok());
        below.map_or_else(|| format!("{WAREHOUSE}_id_hashes.parquet"), str::to_owned)
    }
}

/// Returns an id's hash as `xxhash.xxh3_128(id, seed=42).digest()` has it.
fn hash(id: &str) -> [u8; 16] {
    xxh3_128_with_seed(id.as_bytes(), SEED).to_be_bytes()
}

fn encode(hashes: &BTreeSet<[u8; 16]>) -> Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(Some(GROUP))
        .set_created_by("swath".to_owned())
        .build();
    let batch = |part: &[[u8; 16]]| {
        let values = part.iter().map(|hash| Some(hash.as_slice()));
        let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, 16)?;
        RecordBatch::try_from_iter_with_nullable([("id_hash", Arc::new(array) as ArrayRef, true)])
    };
    let all: Vec<[u8; 16]> = hashes.iter().copied().collect();
    let empty = batch(&[])?;
    let mut writer = ArrowWriter::try_new(Vec::new(), empty.schema(), Some(properties))?;
    for part in all.chunks(GROUP) {
        writer.write(&batch(part)?)?;
    }
    writer.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hashed_as_earthcatalog_hashes_them() {
        let vectors = [
            ("", "16c20acd33f7af2f3c1d09e9fe249164"),
            ("a", "28df5945863b24b74c437dd47f0716f4"),
            ("S2A_X", "cc55f79d1e8e1fe8d9148152b47c86fa"),
            ("é", "1d2e29e4cbee2ec08001c7414850805b"),
        ];
        for (id, hex) in vectors {
            assert_eq!(
                format!("{:032x}", u128::from_be_bytes(hash(id))),
                hex,
                "{id:?}"
            );
        }
    }
}
