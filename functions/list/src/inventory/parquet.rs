//! Parquet: columns by name, a batch of rows at a time.

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::arrow::{Names, take_batch};
use super::{Flow, InventoryError, Row};

/// Rows that are held at a time.
const BATCH: usize = 8192;

/// Says whether a file has a column of keys.
pub(super) fn has_keys(path: &Path) -> bool {
    let columns = || -> Option<bool> {
        let reader = SerializedFileReader::new(File::open(path).ok()?).ok()?;
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let names: Vec<String> = schema
            .root_schema()
            .get_fields()
            .iter()
            .map(|field| field.name().to_owned())
            .collect();
        Some(Names::of(&names).is_some())
    };
    columns().unwrap_or(false)
}

pub(super) fn read(
    name: &str,
    file: File,
    take: &mut dyn FnMut(&Row<'_>) -> Flow,
) -> Result<(), InventoryError> {
    let failed = |source: ParquetError| InventoryError::Parquet {
        at: name.to_owned(),
        source,
    };
    // An Arrow schema that another writer embedded could turn text into dictionaries.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options);
    let builder = builder.map_err(failed)?;
    let fields = builder.parquet_schema().root_schema().get_fields().iter();
    let all: Vec<String> = fields.map(|field| field.name().to_owned()).collect();
    let names = Names::of(&all).ok_or_else(|| InventoryError::Schema {
        at: name.to_owned(),
        column: "key",
        found: all.join(", "),
    })?;
    let wanted = names.places();
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.iter().copied());
    let reader = builder.with_projection(mask).with_batch_size(BATCH).build();
    for batch in reader.map_err(failed)? {
        let batch: RecordBatch = batch.map_err(|error| failed(error.into()))?;
        if take_batch(name, &batch, take)? == Flow::Enough {
            break;
        }
    }
    Ok(())
}
