//! Rows of several files as one file: each row once, in the order in which files are written.

use std::collections::HashMap;

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array as _, ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use bytes::Bytes;
use swath_core::TableName;

use crate::keys::{RowKey, batch_keys};
use crate::writer::{Effort, EncodedFile, encode};
use crate::{TableError, reader};

/// Merges whole files of ours; of rows with one key the newest stays, by `updated` and then by content. `None` when there
/// are no rows.
///
/// # Errors
/// When a file is none of the table's.
pub fn merge(table: TableName, files: Vec<Bytes>) -> Result<Option<EncodedFile>, TableError> {
    let mut batches = Vec::new();
    for file in files {
        batches.extend(reader::read(table, file)?);
    }
    let batch_error = |source| TableError::Batch { table, source };
    let schema = crate::schema::of(table).arrow();
    let all = concat_batches(&schema, &batches).map_err(batch_error)?;
    drop(batches);
    let keys = batch_keys(table, &all)?;
    if keys.is_empty() {
        return Ok(None);
    }
    let order = order(&all, newest(&keys));
    let sorted = take_record_batch(&all, &order).map_err(batch_error)?;
    drop(all);
    encode(table, &[sorted], Effort::Ingest).map(Some)
}

/// Returns the places of the rows that stay.
fn newest(keys: &[RowKey]) -> Vec<u32> {
    let mut newest: HashMap<u128, usize> = HashMap::with_capacity(keys.len());
    let age = |row: &RowKey| (row.updated, row.content);
    for (place, key) in keys.iter().enumerate() {
        let first = newest.entry(key.key).or_insert(place);
        if keys.get(*first).is_some_and(|other| age(key) > age(other)) {
            *first = place;
        }
    }
    let places = newest.into_values();
    places
        .map(|place| u32::try_from(place).unwrap_or(u32::MAX))
        .collect()
}

/// Orders rows by platform, datetime and id, where the table has them.
fn order(rows: &RecordBatch, mut places: Vec<u32>) -> UInt32Array {
    let text = |name: &str| rows.column_by_name(name)?.as_string_opt::<i32>();
    let (platforms, ids) = (text("platform"), text("id"));
    let instants = rows.column_by_name("datetime");
    let instants = instants.and_then(ArrayRef::as_primitive_opt::<TimestampMicrosecondType>);
    places.sort_unstable_by_key(|place| {
        let row = *place as usize;
        let instant = instants.filter(|array| array.is_valid(row));
        (
            value(platforms, row),
            instant.map(|array| array.value(row)),
            value(ids, row),
            *place,
        )
    });
    UInt32Array::from(places)
}

fn value(array: Option<&StringArray>, row: usize) -> Option<&str> {
    let array = array.filter(|array| array.is_valid(row))?;
    Some(array.value(row))
}
