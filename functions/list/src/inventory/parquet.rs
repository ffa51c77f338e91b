//! Parquet: columns by name, a batch of rows at a time.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use super::arrow::{places, take_batch};
use super::{Flow, InventoryError, Needs, Row};

/// Rows that are held at a time.
const BATCH: usize = 8192;

/// Says whether a file has a column of keys.
pub(super) fn has_keys(path: &Path) -> bool {
    let columns = || -> Option<bool> {
        let head = ArrowReaderMetadata::load(&File::open(path).ok()?, options()).ok()?;
        let names = head.schema().fields().iter();
        let mut names = names.map(|field| field.name().to_ascii_lowercase());
        Some(names.any(|name| name == "key"))
    };
    columns().unwrap_or(false)
}

/// An Arrow schema that another writer embedded could turn text into dictionaries.
fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}

pub(super) fn read(
    name: &str,
    file: File,
    needs: Needs,
    take: &mut dyn FnMut(&Row<'_>) -> Flow,
) -> Result<(), InventoryError> {
    let failed = |source: ParquetError| InventoryError::Parquet {
        at: name.to_owned(),
        source,
    };
    let head = ArrowReaderMetadata::load(&file, options()).map_err(failed)?;
    let wanted = places(name, head.schema(), needs)?;
    let options = options().with_schema(Arc::new(viewed(head.schema())));
    let head = ArrowReaderMetadata::try_new(Arc::clone(head.metadata()), options);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, head.map_err(failed)?);
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let reader = builder.with_projection(mask).with_batch_size(BATCH).build();
    for batch in reader.map_err(failed)? {
        let batch: RecordBatch = batch.map_err(|error| failed(error.into()))?;
        if take_batch(&batch, take) == Flow::Enough {
            break;
        }
    }
    Ok(())
}

/// Has texts read in the pages that they came in, where they are looked at, rather than copied out of them.
fn viewed(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 => Field::new(field.name(), DataType::Utf8View, field.is_nullable()).into(),
        _ => Arc::clone(field),
    });
    Schema::new(fields.collect::<Vec<_>>())
}
