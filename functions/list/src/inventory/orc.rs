//! ORC: columns by name, a batch of rows at a time.

use std::fs::File;

use orc_rust::ArrowReaderBuilder;
use orc_rust::projection::ProjectionMask;

use super::arrow::{places, take_batch};
use super::{Flow, InventoryError, Needs, Row};

/// Rows that are held at a time.
const BATCH: usize = 8192;

pub(super) fn read(
    name: &str,
    file: File,
    needs: Needs,
    take: &mut dyn FnMut(&Row<'_>) -> Flow,
) -> Result<(), InventoryError> {
    let failed = |reason: String| InventoryError::Orc {
        at: name.to_owned(),
        reason,
    };
    let builder = ArrowReaderBuilder::try_new(file).map_err(|error| failed(error.to_string()))?;
    let schema = builder.schema();
    let wanted = places(name, &schema, needs)?;
    let fields = wanted
        .iter()
        .filter_map(|place| schema.fields().get(*place));
    let wanted: Vec<&str> = fields.map(|field| field.name().as_str()).collect();
    let mask = ProjectionMask::named_roots(builder.file_metadata().root_data_type(), &wanted);
    for batch in builder.with_projection(mask).with_batch_size(BATCH).build() {
        let batch = batch.map_err(|error| failed(error.to_string()))?;
        if take_batch(&batch, take) == Flow::Enough {
            break;
        }
    }
    Ok(())
}
