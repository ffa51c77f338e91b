//! Rows of the tables about assets and areas into Parquet files.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::DataType;
use serde_json::Value;
use swath_core::row::{AreaStatus, AssetFile, AssetRow};
use swath_core::{Class, TableName};
use time::OffsetDateTime;
use xxhash_rust::xxh3::xxh3_128;

use crate::instant::micros;
use crate::writer::{Effort, EncodedFile, encode};
use crate::{TableError, schema};

/// Writes rows of `asset_rows` as one file, sorted by run, area, item and asset.
///
/// # Errors
/// When the columns do not form a batch, which is a fault of ours.
pub fn encode_asset_rows(rows: &[&AssetRow], effort: Effort) -> Result<EncodedFile, TableError> {
    encode(TableName::AssetRows, &[asset_rows_batch(rows)?], effort)
}

/// Puts rows of `asset_rows` into columns, sorted by run, area, item and asset.
///
/// # Errors
/// When the columns do not form a batch, which is a fault of ours.
pub fn asset_rows_batch(rows: &[&AssetRow]) -> Result<RecordBatch, TableError> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| asset_row_order(a).cmp(&asset_row_order(b)));
    let rows = sorted.as_slice();
    let arrays = vec![
        text(rows, |row| Some(row.sought.run_id.as_str())),
        text(rows, |row| Some(&row.sought.row_id)),
        long(rows, |row| Some(row.sought.row_number)),
        json(rows, |row| Value::Object(row.sought.area.clone())),
        text(rows, |row| Some(&row.found.catalog)),
        text(rows, |row| row.found.collection.as_deref()),
        text(rows, |row| Some(&row.found.item_id)),
        text(rows, |row| row.found.date.as_deref()),
        text(rows, |row| row.found.item_bbox.as_deref()),
        text(rows, |row| Some(&row.found.item_properties)),
        text(rows, |row| Some(&row.found.asset_name)),
        text(rows, |row| Some(&row.found.href)),
        text(rows, |row| row.found.asset_type.as_deref()),
        texts(rows, "asset_roles", |row| &row.found.asset_roles),
        long(rows, |row| row.found.file_size),
        text(rows, |row| row.found.file_checksum.as_deref()),
        instants(rows, |row| row.found.datetime),
        instants(rows, |row| row.found.start_datetime),
        instants(rows, |row| row.found.end_datetime),
        texts(rows, "alternate_hrefs", |row| &row.found.alternate_hrefs),
    ];
    batch(TableName::AssetRows, arrays)
}

fn asset_row_order(row: &AssetRow) -> impl Ord {
    (
        row.sought.run_id.as_str(),
        row.sought.row_number,
        (&row.sought.row_id, &row.found.catalog),
        (
            &row.found.collection,
            &row.found.item_id,
            &row.found.asset_name,
        ),
        &row.found.href,
    )
}

/// Writes rows of `asset_files` as one file, sorted by catalog, item, asset and time.
///
/// # Errors
/// When the columns do not form a batch, which is a fault of ours.
pub fn encode_asset_files(rows: &[&AssetFile], effort: Effort) -> Result<EncodedFile, TableError> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| asset_file_order(a).cmp(&asset_file_order(b)));
    let rows = sorted.as_slice();
    let arrays = vec![
        text(rows, |row| Some(row.run_id.as_str())),
        text(rows, |row| Some(&row.catalog)),
        text(rows, |row| row.collection.as_deref()),
        text(rows, |row| Some(&row.item_id)),
        text(rows, |row| Some(&row.asset_name)),
        text(rows, |row| row.out_file_path.as_deref()),
        long(rows, |row| row.out_file_sz),
        Arc::new(
            rows.iter()
                .map(|row| Some(row.is_out_file_valid))
                .collect::<BooleanArray>(),
        ),
        instants(rows, |row| Some(row.last_update)),
        text(rows, |row| row.sha256.as_deref()),
        text(rows, |row| row.etag.as_deref()),
        text(rows, |row| Some(&row.source_href)),
        long(rows, |row| Some(u64::from(row.attempts))),
        Arc::new(
            rows.iter()
                .map(|row| row.http_status.map(i32::from))
                .collect::<Int32Array>(),
        ),
        text(rows, |row| row.error_class.map(Class::as_str)),
        text(rows, |row| row.error_code.as_deref()),
        text(rows, |row| row.error.as_deref()),
        text(rows, |row| Some(row.validation_level.as_str())),
        text(rows, |row| row.validation.as_deref()),
        Arc::new(
            rows.iter()
                .map(|row| row.bytes_per_s)
                .collect::<Float64Array>(),
        ),
    ];
    finish(TableName::AssetFiles, arrays, effort)
}

fn asset_file_order(row: &AssetFile) -> impl Ord {
    (
        &row.catalog,
        (&row.collection, &row.item_id, &row.asset_name),
        row.last_update,
        row.run_id.as_str(),
        (&row.out_file_path, &row.source_href),
    )
}

/// Writes rows of `area_status` as one file, sorted by run and area.
///
/// # Errors
/// When the columns do not form a batch, which is a fault of ours.
pub fn encode_area_status(rows: &[&AreaStatus], effort: Effort) -> Result<EncodedFile, TableError> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| area_status_order(a).cmp(&area_status_order(b)));
    let rows = sorted.as_slice();
    let hashes: Vec<String> = rows.iter().map(|row| found_hash(row)).collect();
    let count = |value: fn(&AreaStatus) -> u64| long(rows, |row| Some(value(row)));
    let arrays = vec![
        text(rows, |row| Some(row.run_id.as_str())),
        text(rows, |row| Some(&row.row_id)),
        count(|row| row.row_number),
        text(rows, |row| Some(&row.catalog)),
        text(rows, |row| Some(row.status.as_str())),
        count(|row| row.pages),
        count(|row| row.requests),
        long(rows, |row| row.matched),
        count(|row| row.returned),
        count(|row| row.items),
        count(|row| row.assets),
        count(|row| row.rejected),
        count(|row| row.lightened),
        count(|row| row.elapsed_ms),
        instants(rows, |row| Some(row.finished)),
        text(rows, |row| row.stopped.as_deref()),
        text(rows, |row| row.error_class.map(Class::as_str)),
        text(rows, |row| row.error.as_deref()),
        Arc::new(hashes.iter().map(Some).collect::<StringArray>()),
    ];
    finish(TableName::AreaStatus, arrays, effort)
}

fn area_status_order(row: &AreaStatus) -> impl Ord {
    (
        row.run_id.as_str(),
        row.row_number,
        (&row.row_id, &row.catalog),
        row.finished,
    )
}

/// Hashes what a search found and how it ended, 32 hex digits.
fn found_hash(row: &AreaStatus) -> String {
    let found = (
        row.status,
        row.matched,
        row.items,
        row.assets,
        row.rejected,
        (&row.stopped, row.error_class, &row.error),
    );
    let text = serde_json::to_vec(&found).unwrap_or_default();
    format!("{:032x}", xxh3_128(&text))
}

fn finish(
    table: TableName,
    arrays: Vec<ArrayRef>,
    effort: Effort,
) -> Result<EncodedFile, TableError> {
    encode(table, &[batch(table, arrays)?], effort)
}

fn batch(table: TableName, arrays: Vec<ArrayRef>) -> Result<RecordBatch, TableError> {
    let schema = schema::of(table).arrow();
    RecordBatch::try_new(schema, arrays).map_err(|source| TableError::Batch { table, source })
}

fn text<'a, T>(rows: &[&'a T], value: impl Fn(&'a T) -> Option<&'a str>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| value(row)).collect::<StringArray>())
}

fn json<T>(rows: &[&T], value: impl Fn(&T) -> Value) -> ArrayRef {
    let texts = rows.iter().map(|row| Some(value(row).to_string()));
    Arc::new(texts.collect::<StringArray>())
}

/// Sizes beyond 8 EiB are nobody's; they count as unknown.
fn long<T>(rows: &[&T], value: impl Fn(&T) -> Option<u64>) -> ArrayRef {
    let numbers = rows.iter().map(|row| i64::try_from(value(row)?).ok());
    Arc::new(numbers.collect::<Int64Array>())
}

fn instants<T>(rows: &[&T], value: impl Fn(&T) -> Option<OffsetDateTime>) -> ArrayRef {
    let instants = rows.iter().map(|row| value(row).and_then(micros));
    let array: TimestampMicrosecondArray = instants.collect();
    Arc::new(array.with_timezone("UTC"))
}

fn texts(rows: &[&AssetRow], column: &str, values: fn(&AssetRow) -> &[String]) -> ArrayRef {
    let arrow = schema::of(TableName::AssetRows).arrow();
    let mut builder = ListBuilder::new(StringBuilder::new());
    if let Ok(field) = arrow.field_with_name(column)
        && let DataType::List(element) = field.data_type()
    {
        builder = builder.with_field(Arc::clone(element));
    }
    for row in rows {
        for value in values(row) {
            builder.values().append_value(value);
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}
