//! What makes two rows the same row, whichever files they lie in.

use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch, StringArray};
use arrow_select::filter::filter_record_batch;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader;
use serde::{Deserialize, Serialize};
use swath_core::TableName;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::columns::{Columns, Instants, text};
use crate::schema::of;
use crate::writer::{Effort, EncodedFile, encode};
use crate::{TableError, reader};

/// The identity of one row and, where the table has them, its content and its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// Hash of the key columns, each prefixed by its length; see [`key_columns`].
    pub key: u128,
    /// Hash of the columns that identify what the row is a version of, wherever it lies: of items, collection and id; of
    /// other tables, the key.
    pub item: u128,
    /// Hash of `content_hash`.
    pub content: Option<u128>,
    /// `updated` of items, `finished` of searches, microseconds since 1970.
    pub updated: Option<i64>,
}

/// What identifies one row of `earthcatalog.stac_items`, in words; the order is that of collection and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Known {
    /// The item's collection.
    pub collection: Option<String>,
    /// The item's id.
    pub id: String,
    /// The cell that the row lies in.
    pub cell: Option<String>,
    /// The hash of its content; rows of other writers have none.
    pub content_hash: Option<String>,
    /// `updated`, microseconds since 1970.
    pub updated: Option<i64>,
}

/// Returns the columns that identify a row of the table, in the order they are hashed.
pub fn key_columns(table: TableName) -> &'static [&'static str] {
    match table {
        TableName::StacItems => &["collection", "id", "grid_partition"],
        TableName::AssetRows => &["catalog", "row_id", "collection", "item_id", "asset_name"],
        TableName::AssetFiles => &["catalog", "collection", "item_id", "asset_name"],
        TableName::AreaStatus => &["run_id", "catalog", "row_id"],
    }
}

/// The instant that also belongs to the key: an asset's outcomes are one row per attempt.
fn key_instant(table: TableName) -> Option<&'static str> {
    (table == TableName::AssetFiles).then_some("last_update")
}

/// The instant by which versions of a row are told apart, where a table has versions.
fn age(table: TableName) -> Option<&'static str> {
    match table {
        TableName::StacItems => Some("updated"),
        TableName::AreaStatus => Some("finished"),
        TableName::AssetRows | TableName::AssetFiles => None,
    }
}

/// Returns the columns from which [`read_keys`] makes keys.
pub fn columns_read(table: TableName) -> Vec<&'static str> {
    let mut wanted = key_columns(table).to_vec();
    wanted.extend(key_instant(table));
    if let Some(age) = age(table) {
        wanted.extend(["content_hash", age]);
    }
    wanted
}

/// Reads the key of every row of a file, in the file's order; only the key columns are read. One that may be null and is
/// missing, as columns without values are in files of others, counts as null.
///
/// # Errors
/// When the bytes are not a whole Parquet file with the table's key columns.
pub fn read_keys<R: ChunkReader + 'static>(
    table: TableName,
    input: R,
) -> Result<Vec<RowKey>, TableError> {
    Ok(read_rows(table, input, None)?.0)
}

/// Reads the key of every row of a file as [`read_keys`] does and, of items, what the keys are made of; the footer need not
/// be parsed again where it is at hand.
///
/// # Errors
/// As for [`read_keys`].
pub fn read_rows<R: ChunkReader + 'static>(
    table: TableName,
    input: R,
    footer: Option<Arc<ParquetMetaData>>,
) -> Result<(Vec<RowKey>, Vec<Known>), TableError> {
    let wanted = columns_read(table);
    let (mut keys, mut known) = (Vec::new(), Vec::new());
    for batch in reader::open_parsed(table, input, footer, Some(&wanted))? {
        let batch = batch.map_err(|source| TableError::Rows { table, source })?;
        let batch = reader::named(table, &batch)?;
        keys.extend(batch_keys(table, &batch)?);
        if table == TableName::StacItems {
            known.extend(batch_known(&batch)?);
        }
    }
    Ok((keys, known))
}

fn batch_known(batch: &RecordBatch) -> Result<Vec<Known>, TableError> {
    let columns = Columns::new(TableName::StacItems, batch);
    let find = |name: &'static str| columns.find(name).map(|_| columns.text(name)).transpose();
    let (collections, cells) = (find("collection")?, find("grid_partition")?);
    let (ids, hashes) = (columns.text("id")?, find("content_hash")?);
    let updated = columns.find("updated").map(|_| columns.instants("updated"));
    let updated = updated.transpose()?;
    let rows = (0..batch.num_rows()).map(|row| {
        let word = |array: Option<&StringArray>| Some(text(array?, row)?.to_owned());
        Known {
            collection: word(collections),
            id: word(Some(ids)).unwrap_or_default(),
            cell: word(cells),
            content_hash: word(hashes),
            updated: updated.as_ref().and_then(|array| array.get(row)),
        }
    });
    Ok(rows.collect())
}

/// Returns the key of every row of a batch.
///
/// # Errors
/// When the batch lacks a key column.
pub fn batch_keys(table: TableName, batch: &RecordBatch) -> Result<Vec<RowKey>, TableError> {
    let columns = Columns::new(table, batch);
    let names: Vec<Option<&StringArray>> = key_columns(table)
        .iter()
        .map(|name| match columns.find(name) {
            None if may_lack(table, name) => Ok(None),
            _ => columns.text(name).map(Some),
        })
        .collect::<Result<_, _>>()?;
    let of_item = match table {
        TableName::StacItems => names.get(..2),
        TableName::AssetRows | TableName::AssetFiles | TableName::AreaStatus => None,
    };
    let instant = key_instant(table)
        .map(|name| columns.instants(name))
        .transpose()?;
    // Files of other writers have neither.
    let content = columns
        .find("content_hash")
        .map(|_| columns.text("content_hash"))
        .transpose()?;
    let updated = age(table)
        .filter(|name| columns.find(name).is_some())
        .map(|name| columns.instants(name))
        .transpose()?;
    Ok((0..batch.num_rows())
        .map(|row| {
            let key = row_key(&names, instant.as_ref(), row);
            RowKey {
                key,
                item: of_item.map_or(key, |names| row_key(names, None, row)),
                content: content
                    .and_then(|array| text(array, row))
                    .map(|hash| xxh3_128(hash.as_bytes())),
                updated: updated.as_ref().and_then(|array| array.get(row)),
            }
        })
        .collect())
}

/// Returns [`RowKey::item`] of an item's rows.
pub fn item_key(collection: Option<&str>, id: &str) -> u128 {
    let mut hash = Xxh3::new();
    absorb(&mut hash, collection);
    absorb(&mut hash, Some(id));
    hash.digest128()
}

/// Only what a row is called cannot be missing.
fn may_lack(table: TableName, name: &str) -> bool {
    name != "id"
        && of(table)
            .column(name)
            .is_some_and(|column| !column.required)
}

fn row_key(names: &[Option<&StringArray>], instant: Option<&Instants>, row: usize) -> u128 {
    let mut hash = Xxh3::new();
    for array in names {
        absorb(&mut hash, array.and_then(|array| text(array, row)));
    }
    if let Some(instants) = instant {
        hash.update(&instants.get(row).unwrap_or(i64::MIN).to_be_bytes());
    }
    hash.digest128()
}

/// An absent value has a length that no text has, so that it differs from an empty one.
fn absorb(hash: &mut Xxh3, value: Option<&str>) {
    match value {
        Some(value) => {
            hash.update(&(value.len() as u64).to_be_bytes());
            hash.update(value.as_bytes());
        }
        None => hash.update(&u64::MAX.to_be_bytes()),
    }
}

/// Rewrites a file of ours without the rows for which `keep` (given the row's place, from 0) is false; `None` when no
/// row is left. The footer is made anew from the rows that stay.
///
/// # Errors
/// When the bytes are not a whole Parquet file of the table.
pub fn filter_rows<R: ChunkReader + 'static>(
    table: TableName,
    input: R,
    keep: impl Fn(usize) -> bool,
) -> Result<Option<EncodedFile>, TableError> {
    let mut first = 0;
    let mut kept = Vec::new();
    for batch in reader::read(table, input)? {
        let rows = batch.num_rows();
        let mask: BooleanArray = (first..first + rows).map(|row| Some(keep(row))).collect();
        first += rows;
        let rest = filter_record_batch(&batch, &mask)
            .map_err(|source| TableError::Rows { table, source })?;
        if rest.num_rows() > 0 {
            kept.push(rest);
        }
    }
    if kept.is_empty() {
        return Ok(None);
    }
    encode(table, &kept, Effort::Ingest).map(Some)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::ArrayRef;
    use arrow_schema::{DataType, Field, Schema};
    use parquet::arrow::ArrowWriter;

    use super::*;

    /// Keys of a file of others with one row: columns of text with a name and a value.
    fn keys(columns: &[(&str, &str)]) -> Result<Vec<RowKey>, TableError> {
        let fields = columns.iter();
        let fields = fields.map(|(name, _)| Field::new(*name, DataType::Utf8, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let arrays = columns.iter();
        let arrays = arrays.map(|(_, value)| Arc::new(StringArray::from(vec![*value])) as ArrayRef);
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        read_keys(TableName::StacItems, bytes::Bytes::from(bytes))
    }

    #[test]
    fn a_missing_collection_counts_as_null_and_a_missing_id_is_refused() {
        let lacking = keys(&[("id", "a"), ("grid_partition", "x")]).unwrap();
        let with = [("id", "a"), ("grid_partition", "x"), ("collection", "c")];
        assert_ne!(lacking[0].key, keys(&with).unwrap()[0].key);
        assert_ne!(lacking[0].item, keys(&with).unwrap()[0].item);
        assert_eq!(lacking[0].content, None);
        assert!(keys(&[("collection", "c"), ("grid_partition", "x")]).is_err());
    }

    #[test]
    fn rows_of_one_item_in_two_cells_are_versions_of_the_same() {
        let [one, other] = ["x", "y"].map(|cell| {
            let columns = [("id", "a"), ("grid_partition", cell), ("collection", "c")];
            keys(&columns).unwrap()[0]
        });
        assert_ne!(one.key, other.key);
        assert_eq!(one.item, other.item);
        assert_eq!(one.item, item_key(Some("c"), "a"));
        let lacking = keys(&[("id", "a"), ("grid_partition", "x")]).unwrap();
        assert_eq!(lacking[0].item, item_key(None, "a"));
    }
}
