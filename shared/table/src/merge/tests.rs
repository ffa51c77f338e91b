use arrow_array::RecordBatch;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::json;

use super::order::Order;
use super::*;
use crate::ItemRow;
use crate::items::{Placed, encode_partition};
use crate::reader::Parts;

const CELL: &str = "8106bffffffffff";
const ITEMS: TableName = TableName::StacItems;

/// A file of items, every `step`th of those from `first` on.
fn file(first: usize, step: usize, count: usize) -> Bytes {
    file_of((0..count).map(|place| first + place * step), "")
}

/// A file of items of 20 kB.
fn fat_file(first: usize, count: usize) -> Bytes {
    file_of(first..first + count, &"x".repeat(20_000))
}

fn file_of(numbers: impl Iterator<Item = usize>, more: &str) -> Bytes {
    let rows = numbers.map(|number| {
        let text = json!({
            "type": "Feature", "stac_version": "1.1.0", "id": format!("i{number:06}"), "collection": "c",
            "geometry": {"type": "Point", "coordinates": [-44.5, 70.5]},
            "properties": {"datetime": "2024-01-01T00:00:00Z", "platform": format!("p{}", number % 3)},
            "links": [{"rel": "about", "href": format!("{number}{more}")}], "assets": {"data": {"href": format!("s3://b/{number}.tif")}},
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

const MUCH: usize = 64 << 20;

/// Returns whether the rows of a file are in order, of which it has so many.
fn is_sorted(file: &EncodedFile) -> bool {
    let parts = Parts::open(ITEMS, file.bytes.clone()).unwrap();
    let order = Order::of_file(ITEMS, &parts).unwrap();
    let rows = usize::try_from(file.rows).unwrap();
    assert_eq!(parts.rows(), rows);
    (0..rows).is_sorted_by_key(|row| order.of_row(row))
}

#[test]
fn rows_are_merged_in_order_however_few_are_in_memory() {
    // Rows of three files by turns, and a file of which all come between two of theirs.
    let mut files: Vec<Bytes> = (0..3).map(|first| file(first, 4, 900)).collect();
    files.push(file(3, 4, 10));
    let whole = every_row(ITEMS, files.clone(), MUCH).unwrap();
    assert_eq!(whole.rows, 2710);
    assert!(is_sorted(&whole));
    let in_parts = every_row(ITEMS, files.clone(), 1).unwrap();
    assert_eq!(read(&in_parts), read(&whole));
    // What came in is what went out: the same file whatever is merged first.
    files.reverse();
    let again = every_row(ITEMS, files.clone(), MUCH).unwrap();
    assert_eq!(again.bytes, whole.bytes);
    let in_parts = every_row(ITEMS, files, 1).unwrap();
    assert_eq!(read(&in_parts), read(&whole));
}

/// The rows of a file, the last first, as others may write them.
fn turned(file: &Bytes) -> Bytes {
    let batches = crate::reader::read(ITEMS, file.clone()).unwrap();
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let rows = batches.iter().enumerate();
    let rows = rows.flat_map(|(at, batch)| (0..batch.num_rows()).map(move |row| (at, row)));
    let rows: Vec<(usize, usize)> = rows.rev().collect();
    let turned = arrow_select::interleave::interleave_record_batch(&batches, &rows).unwrap();
    crate::writer::encode(ITEMS, &[turned], Effort::Ingest)
        .unwrap()
        .bytes
}

#[test]
fn files_that_are_not_sorted_are_merged_like_those_that_are() {
    let files = [file(0, 2, 2000), file(1, 2, 1500)];
    let whole = every_row(ITEMS, files.to_vec(), MUCH).unwrap();
    let unsorted = vec![turned(&files[0]), files[1].clone()];
    for memory in [1, MUCH] {
        let merged = every_row(ITEMS, unsorted.clone(), memory).unwrap();
        assert!(is_sorted(&merged));
        assert_eq!(read(&merged), read(&whole));
    }
}

#[test]
fn however_many_files_there_are_few_are_open_at_once() {
    let memory = 8 << 20;
    // Each of the fat ones takes a page of a MiB when it is open.
    let (fat, small) = (fat_file(0, 60), file(0, 1, 1));
    for (bytes, count) in [(fat, 30), (small, 300)] {
        let mut runs = Runs::new(ITEMS, memory);
        for place in 0..count {
            runs.add(place, bytes.clone()).unwrap();
            assert!(runs.cost() <= memory, "{place}");
            assert!(runs.decoded_bytes <= memory / 4, "{place}");
        }
        let rows = Parts::open(ITEMS, bytes).unwrap().rows();
        let runs = runs.finish().unwrap();
        assert!(runs.len() <= 8);
        assert_eq!(run::rows(&runs).len(), rows * count);
    }
}

#[test]
fn pages_of_fat_rows_are_as_large_as_is_reckoned() {
    let largest = |bytes: &Bytes| {
        let file = SerializedFileReader::new(bytes.clone()).unwrap();
        let groups = 0..file.metadata().num_row_groups();
        let pages = groups.flat_map(|group| {
            let group = file.get_row_group(group).unwrap();
            let columns = 0..group.num_columns();
            let pages = columns.flat_map(|at| group.get_column_page_reader(at).unwrap());
            pages
                .map(|page| page.unwrap().buffer().len())
                .collect::<Vec<_>>()
        });
        pages.max().unwrap()
    };
    let file = fat_file(0, 300);
    let merged = every_row(ITEMS, vec![file.clone(), fat_file(300, 10)], MUCH).unwrap();
    for bytes in [file, merged.bytes] {
        let reckoned = Parts::open(ITEMS, bytes.clone()).unwrap().page_bytes();
        let page = largest(&bytes);
        assert!((1 << 20..3 << 19).contains(&page), "{page}");
        assert!(page <= reckoned, "{page} {reckoned}");
    }
}

#[test]
fn a_file_that_cannot_be_merged_is_named() {
    let cut = file(0, 1, 5).slice(..100);
    let files = [file(0, 1, 3), cut, file(3, 1, 3)];
    let unmerged = every_row(ITEMS, files.to_vec(), MUCH).unwrap_err();
    assert_eq!(unmerged.place, Some(1));
    let good = vec![files[0].clone(), files[2].clone()];
    assert_eq!(every_row(ITEMS, good, MUCH).unwrap().rows, 6);
}

#[test]
fn of_rows_with_one_key_the_newest_stays() {
    let twice = [file(0, 1, 30), file(10, 1, 40)];
    assert_eq!(newest(ITEMS, &twice).unwrap().unwrap().rows, 50);
    assert!(newest(ITEMS, &[]).unwrap().is_none());
}
