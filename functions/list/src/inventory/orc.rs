//! ORC: columns by name, a batch of rows at a time.

use std::fs::File;

use orc_rust::ArrowReaderBuilder;
use orc_rust::projection::ProjectionMask;

use super::arrow::{Names, take_batch};
use super::{Flow, InventoryError, Row};

/// Rows that are held at a time.
const BATCH: usize = 8192;

pub(super) fn read(
    name: &str,
    file: File,
    take: &mut dyn FnMut(&Row<'_>) -> Flow,
) -> Result<(), InventoryError> {
    let failed = |reason: String| InventoryError::Orc {
        at: name.to_owned(),
        reason,
    };
    let builder = ArrowReaderBuilder::try_new(file).map_err(|error| failed(error.to_string()))?;
    let root = builder.file_metadata().root_data_type();
    let all: Vec<String> = root
        .children()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    let names = Names::of(&all).ok_or_else(|| InventoryError::Schema {
        at: name.to_owned(),
        column: "key",
        found: all.join(", "),
    })?;
    let wanted: Vec<&str> = names
        .places()
        .iter()
        .filter_map(|place| all.get(*place))
        .map(String::as_str)
        .collect();
    let mask = ProjectionMask::named_roots(root, &wanted);
    for batch in builder.with_projection(mask).with_batch_size(BATCH).build() {
        let batch = batch.map_err(|error| failed(error.to_string()))?;
        if take_batch(name, &batch, take)? == Flow::Enough {
            break;
        }
    }
    Ok(())
}
