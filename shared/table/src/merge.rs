//! Rows of several files as one file, in the order in which files are written, with few of them in memory at a time.

use std::collections::{BTreeMap, HashMap};

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array as _, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_select::interleave::interleave_record_batch;
use bytes::Bytes;
use swath_core::TableName;

use crate::TableError;
use crate::keys::{RowKey, read_keys};
use crate::reader::Parts;
use crate::writer::{Effort, EncodedFile, Expected, FileWriter, name_of};

/// Bytes of rows, decoded, that are read before they are written.
const DECODED: usize = 24 << 20;

/// Rows that are written at a time; a part that is read has a multiple of it.
const STEP: usize = 1024;

/// Why files were not merged.
#[derive(Debug, thiserror::Error)]
#[error("files of one table cannot be merged")]
pub struct Unmerged {
    /// The file that is the reason, by its place among those given, if it is one of them.
    pub place: Option<usize>,
    /// Why.
    #[source]
    pub source: TableError,
}

impl Unmerged {
    fn at(place: usize) -> impl Fn(TableError) -> Self {
        move |source| Self {
            place: Some(place),
            source,
        }
    }
}

impl From<TableError> for Unmerged {
    fn from(source: TableError) -> Self {
        Self {
            place: None,
            source,
        }
    }
}

/// Merges whole files of ours; of rows with one key the newest stays, by `updated` and then by content. `None` when there
/// are no rows.
///
/// # Errors
/// When a file is none of the table's.
pub fn newest(table: TableName, files: &[Bytes]) -> Result<Option<EncodedFile>, Unmerged> {
    let inputs = Inputs::open(table, files)?;
    let mut newest: HashMap<u128, (RowKey, Row)> = HashMap::new();
    for (file, bytes) in files.iter().enumerate() {
        let keys = read_keys(table, bytes.clone()).map_err(Unmerged::at(file))?;
        for (row, key) in keys.into_iter().enumerate() {
            let found = newest.entry(key.key).or_insert((key, (file, row)));
            if (key.updated, key.content) > (found.0.updated, found.0.content) {
                *found = (key, (file, row));
            }
        }
    }
    if newest.is_empty() {
        return Ok(None);
    }
    let mut rows: Vec<Row> = newest.into_values().map(|(_, row)| row).collect();
    rows.sort_unstable();
    inputs.encode(rows, Effort::Ingest).map(Some)
}

/// Merges every row of whole files, as a file that stays.
///
/// # Errors
/// When a file is none of the table's, or has columns that the table lacks.
pub fn every_row(table: TableName, files: &[Bytes]) -> Result<EncodedFile, Unmerged> {
    let inputs = Inputs::open(table, files)?;
    let files = inputs.files.iter().enumerate();
    let rows = files.flat_map(|(place, file)| (0..file.rows()).map(move |row| (place, row)));
    inputs.encode(rows.collect(), Effort::Compact)
}

/// A row, by the place of its file and its own in it.
type Row = (usize, usize);

/// Files whose rows become one file.
struct Inputs {
    table: TableName,
    files: Vec<Parts>,
    /// Bytes of rows, decoded, that are read before they are written.
    decoded: usize,
}

impl Inputs {
    fn open(table: TableName, files: &[Bytes]) -> Result<Self, Unmerged> {
        let files = files.iter().enumerate();
        let files = files
            .map(|(place, bytes)| Parts::open(table, bytes.clone()).map_err(Unmerged::at(place)));
        let files = files.collect::<Result<_, _>>()?;
        Ok(Self {
            table,
            files,
            decoded: DECODED,
        })
    }

    fn encode(&self, mut rows: Vec<Row>, effort: Effort) -> Result<EncodedFile, Unmerged> {
        let table = self.table;
        let orders = self.files.iter().enumerate();
        let orders = orders.map(|(place, file)| Order::of(file).map_err(Unmerged::at(place)));
        let orders: Vec<Order> = orders.collect::<Result<_, _>>()?;
        let order = |row: &Row| (orders.get(row.0).map(|order| order.of_row(row.1)), *row);
        // Files of ours are sorted: this finds their runs and merges them.
        rows.sort_by(|one, other| order(one).cmp(&order(other)));
        drop(orders);
        let all: usize = self.files.iter().map(Parts::rows).sum();
        let bytes: usize = self.files.iter().map(Parts::text_bytes).sum();
        let expected = Expected {
            rows: rows.len(),
            bytes: bytes / all.max(1) * rows.len(),
        };
        let mut writer = FileWriter::new(table, Vec::new(), effort, expected)?;
        let (mut left, mut row_bytes) = (&rows[..], bytes / all.max(1) * 2);
        while !left.is_empty() {
            let fitting = self.decoded / row_bytes.max(1) / STEP * STEP;
            let (part, rest) = left.split_at(fitting.max(STEP).min(left.len()));
            row_bytes = self.write(part, &mut writer)? / part.len();
            left = rest;
        }
        let (bytes, rows) = writer.finish()?;
        let bytes = Bytes::from(bytes);
        let name = name_of(&bytes);
        Ok(EncodedFile { bytes, rows, name })
    }

    /// Writes rows in this order; returns how many bytes of memory they took.
    fn write(&self, rows: &[Row], writer: &mut FileWriter<Vec<u8>>) -> Result<usize, Unmerged> {
        let failed = |source| TableError::Batch {
            table: self.table,
            source,
        };
        let mut wanted: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (at, (file, row)) in rows.iter().enumerate() {
            wanted.entry(*file).or_default().push((*row, at));
        }
        let (mut batches, mut spots) = (Vec::new(), vec![(0, 0); rows.len()]);
        for (file, mut wanted) in wanted {
            wanted.sort_unstable();
            let Some(parts) = self.files.get(file) else {
                continue;
            };
            let read = parts.read(wanted.iter().map(|(row, _)| *row));
            let read = read.map_err(Unmerged::at(file))?;
            let found = read.iter().zip(batches.len()..);
            let found =
                found.flat_map(|(rows, batch)| (0..rows.num_rows()).map(move |row| (batch, row)));
            for ((_, at), found) in wanted.iter().zip(found) {
                if let Some(spot) = spots.get_mut(*at) {
                    *spot = found;
                }
            }
            batches.extend(read);
        }
        let given: Vec<&RecordBatch> = batches.iter().collect();
        for spots in spots.chunks(STEP) {
            writer.write(&interleave_record_batch(&given, spots).map_err(failed)?)?;
        }
        Ok(batches.iter().map(RecordBatch::get_array_memory_size).sum())
    }
}

/// What the rows of a file are sorted by: platform, datetime and id, where the table has them.
struct Order {
    platforms: Option<StringArray>,
    instants: Option<TimestampMicrosecondArray>,
    ids: Option<StringArray>,
}

impl Order {
    fn of(file: &Parts) -> Result<Self, TableError> {
        if file.table() != TableName::StacItems {
            return Ok(Self {
                platforms: None,
                instants: None,
                ids: None,
            });
        }
        let rows = file.columns(&["platform", "datetime", "id"])?;
        let text = |name: &str| rows.column_by_name(name)?.as_string_opt::<i32>().cloned();
        let instants = rows.column_by_name("datetime");
        let instants =
            instants.and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>());
        Ok(Self {
            platforms: text("platform"),
            instants: instants.cloned(),
            ids: text("id"),
        })
    }

    fn of_row(&self, row: usize) -> (Option<&str>, Option<i64>, Option<&str>) {
        let instants = self.instants.as_ref().filter(|array| array.is_valid(row));
        (
            value(self.platforms.as_ref(), row),
            instants.map(|array| array.value(row)),
            value(self.ids.as_ref(), row),
        )
    }
}

fn value(array: Option<&StringArray>, row: usize) -> Option<&str> {
    let array = array.filter(|array| array.is_valid(row))?;
    Some(array.value(row))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ItemRow;
    use crate::items::{Placed, encode_partition};

    const CELL: &str = "8106bffffffffff";
    const ITEMS: TableName = TableName::StacItems;

    /// A file of items, every `step`th of those from `first` on.
    fn file(first: usize, step: usize, count: usize) -> Bytes {
        let rows = (0..count).map(|place| {
            let number = first + place * step;
            let text = json!({
                "type": "Feature", "stac_version": "1.1.0", "id": format!("i{number:06}"), "collection": "c",
                "geometry": {"type": "Point", "coordinates": [-44.5, 70.5]},
                "properties": {"datetime": "2024-01-01T00:00:00Z", "platform": format!("p{}", number % 3)},
                "links": [], "assets": {"data": {"href": format!("s3://b/{number}.tif")}},
            });
            ItemRow::parse(&text.to_string()).unwrap()
        });
        let rows: Vec<ItemRow> = rows.collect();
        let placed = rows.iter().map(|row| Placed { row, source: "s" });
        let placed: Vec<Placed<'_>> = placed.collect();
        encode_partition(CELL, &placed, Effort::Ingest)
            .unwrap()
            .bytes
    }

    fn read(file: &EncodedFile) -> Vec<RecordBatch> {
        crate::reader::read(ITEMS, file.bytes.clone()).unwrap()
    }

    #[test]
    fn rows_are_merged_in_order_however_few_are_in_memory() {
        // Rows of three files by turns, and a file of which all come between two of theirs.
        let mut files: Vec<Bytes> = (0..3).map(|first| file(first, 4, 900)).collect();
        files.push(file(3, 4, 10));
        let whole = every_row(ITEMS, &files).unwrap();
        assert_eq!(whole.rows, 2710);
        let mut inputs = Inputs::open(ITEMS, &files).unwrap();
        inputs.decoded = 1;
        let all = inputs.files.iter().enumerate();
        let all = all.flat_map(|(place, file)| (0..file.rows()).map(move |row| (place, row)));
        let in_parts = inputs.encode(all.rev().collect(), Effort::Compact).unwrap();
        assert_eq!(read(&in_parts), read(&whole));
        let order = Parts::open(ITEMS, whole.bytes.clone()).unwrap();
        let order = Order::of(&order).unwrap();
        let places: Vec<_> = (0..2710).map(|row| order.of_row(row)).collect();
        assert!(places.is_sorted());
        // What came in is what went out: the same file whatever is merged first.
        files.reverse();
        assert_eq!(read(&every_row(ITEMS, &files).unwrap()), read(&whole));
    }

    #[test]
    fn a_file_that_cannot_be_merged_is_named() {
        let cut = file(0, 1, 5).slice(..100);
        let files = [file(0, 1, 3), cut, file(3, 1, 3)];
        let unmerged = every_row(ITEMS, &files).unwrap_err();
        assert_eq!(unmerged.place, Some(1));
        let good = [files[0].clone(), files[2].clone()];
        assert_eq!(every_row(ITEMS, &good).unwrap().rows, 6);
    }

    #[test]
    fn of_rows_with_one_key_the_newest_stays() {
        let twice = [file(0, 1, 30), file(10, 1, 40)];
        assert_eq!(newest(ITEMS, &twice).unwrap().unwrap().rows, 50);
        assert!(newest(ITEMS, &[]).unwrap().is_none());
    }
}
