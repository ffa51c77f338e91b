//! The files that a batch becomes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use swath_core::TableName;
use swath_core::grid::CellKey;
use swath_core::message::{Partition, WrittenFile};
use swath_table::items::{check_items, encode_partition};
use swath_table::layout::data_path;
use swath_table::rows::{encode_area_status, encode_asset_files, encode_asset_rows};
use swath_table::{Effort, EncodedFile, TableError};

use crate::gather::{Brought, Gathered, Item};

/// A file to be put into the lake, or the reason why it could not be made.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) table: TableName,
    /// The messages that wait for it.
    pub(crate) messages: BTreeSet<usize>,
    pub(crate) file: Result<(WrittenFile, Bytes), Arc<TableError>>,
}

/// Makes one file per (cell, year) of the items, whose cells are given in their order, and one per table of the rows.
///
/// With `check`, files of items are read back; one that does not give back its items is none.
pub(crate) fn plan(gathered: &Gathered<'_>, cells: Vec<Vec<CellKey>>, check: bool) -> Vec<Planned> {
    let mut partitions: BTreeMap<(CellKey, i32), Vec<&Item<'_>>> = BTreeMap::new();
    for (item, cells) in gathered.items.iter().zip(cells) {
        let year = item.row.year();
        for cell in cells {
            partitions.entry((cell, year)).or_default().push(item);
        }
    }
    let mut files: Vec<Planned> = partitions
        .into_iter()
        .map(|((cell, year), items)| {
            let cell = cell.as_str().to_owned();
            let partition = Partition { cell, year };
            let placed: Vec<_> = items.iter().map(|item| item.placed()).collect();
            let mut encoded = encode_partition(&partition.cell, &placed, Effort::Ingest);
            if check {
                let rows = items.iter().map(|item| item.row.content);
                encoded = encoded.and_then(|file| check_items(&file.bytes, rows).map(|()| file));
            }
            let messages = items
                .iter()
                .flat_map(|item| item.messages.iter().copied())
                .collect();
            planned(TableName::StacItems, Some(partition), messages, encoded)
        })
        .collect();
    if !gathered.asset_rows.is_empty() {
        let (rows, messages) = apart(&gathered.asset_rows);
        let encoded = encode_asset_rows(&rows, Effort::Ingest);
        files.push(planned(TableName::AssetRows, None, messages, encoded));
    }
    if !gathered.asset_files.is_empty() {
        let (rows, messages) = apart(&gathered.asset_files);
        let encoded = encode_asset_files(&rows, Effort::Ingest);
        files.push(planned(TableName::AssetFiles, None, messages, encoded));
    }
    if !gathered.area_status.is_empty() {
        let (rows, messages) = apart(&gathered.area_status);
        let encoded = encode_area_status(&rows, Effort::Ingest);
        files.push(planned(TableName::AreaStatus, None, messages, encoded));
    }
    files
}

fn apart<'a, T>(brought: &[Brought<&'a T>]) -> (Vec<&'a T>, BTreeSet<usize>) {
    let rows = brought.iter().map(|row| row.what).collect();
    let messages = brought
        .iter()
        .flat_map(|row| row.messages.iter().copied())
        .collect();
    (rows, messages)
}

fn planned(
    table: TableName,
    partition: Option<Partition>,
    messages: BTreeSet<usize>,
    encoded: Result<EncodedFile, TableError>,
) -> Planned {
    let file = encoded.map_err(Arc::new).map(|encoded| {
        let path = data_path(table, partition.as_ref(), &encoded.name);
        let (rows, size_bytes) = (encoded.rows, encoded.bytes.len() as u64);
        let file = WrittenFile {
            path,
            partition,
            rows,
            size_bytes,
        };
        (file, encoded.bytes)
    });
    Planned {
        table,
        messages,
        file,
    }
}
