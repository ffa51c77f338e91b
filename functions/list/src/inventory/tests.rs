//! The formats say the same, however they spell it.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use super::{Flow, Format, InventoryError, Layout, Needs, read_rows};

type Read = (
    String,
    String,
    Option<u64>,
    Option<i64>,
    Option<String>,
    bool,
);

fn rows(path: &Path, format: Format, columns: Option<&str>) -> Result<Vec<Read>, InventoryError> {
    let columns = columns.map(|names| names.split(", ").map(str::to_owned).collect());
    read(path, format, columns, ALL)
}

const ALL: Needs = Needs {
    address: true,
    time: true,
};

fn read(
    path: &Path,
    format: Format,
    columns: Option<Vec<String>>,
    needs: Needs,
) -> Result<Vec<Read>, InventoryError> {
    let layout = Layout {
        format,
        columns,
        needs,
    };
    let mut found = Vec::new();
    read_rows("file", path, &layout, &mut |row| {
        let etag = row.etag.map(str::to_owned);
        found.push((
            row.bucket.to_owned(),
            row.key.to_owned(),
            row.size,
            row.modified_ms,
            etag,
            row.is_current(),
        ));
        Flow::More
    })?;
    Ok(found)
}

fn csv(text: &str, columns: Option<&str>) -> Result<Vec<Read>, InventoryError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    rows(file.path(), Format::Csv, columns)
}

const ETAG: &str = "0123456789abcdef0123456789abcdef";

fn key_of(text: &str) -> String {
    let line = format!("\"b\",\"{text}\"\n");
    csv(&line, Some("Bucket, Key")).unwrap().remove(0).1
}

#[test]
fn regression_16_keys_of_csv_are_decoded_once() {
    for (spelt, key) in [
        ("a+b", "a b"),
        ("a%20b", "a b"),
        ("a%2Bb", "a+b"),
        ("a%252Fb", "a%2Fb"),
        ("%C3%A9", "é"),
        ("a,b%22", "a,b\""),
    ] {
        assert_eq!(key_of(spelt), key);
    }
}

#[test]
fn columns_are_told_by_what_stands_in_them_when_nothing_names_them() {
    let text = format!(
        "\"b\",\"gone\",\"v1\",\"true\",\"true\",\"\",\"2024-06-01T00:00:00.000Z\",\"\",\"\"\n\
         \"b\",\"k\",\"v2\",\"true\",\"false\",\"12\",\"2024-06-01T00:00:01.000Z\",\"{ETAG}\",\"STANDARD\"\r\n\
         \"b\",\"old\",\"v3\",\"false\",\"false\",\"7\",\"2024-06-01T00:00:02.000Z\",\"{ETAG}-3\",\"STANDARD\"\n"
    );
    let rows = csv(&text, None).unwrap();
    assert_eq!(
        rows.iter().map(|row| row.5).collect::<Vec<_>>(),
        [false, true, false]
    );
    let modified = Some(1_717_200_001_000);
    let whole = (
        "b".to_owned(),
        "k".to_owned(),
        Some(12),
        modified,
        Some(ETAG.to_owned()),
        true,
    );
    assert_eq!(rows[1], whole);
    let headed = format!("bucket,key,etag\nb,k,{ETAG}\n");
    assert_eq!(csv(&headed, None).unwrap()[0].4.as_deref(), Some(ETAG));
}

#[test]
fn a_field_may_hold_quotes_commas_and_ends_of_lines() {
    let rows = csv("\"b\",\"a\"\"b,\nc\"\n\"b\",\"d\"", Some("Bucket, Key")).unwrap();
    assert_eq!(rows[0].1, "a\"b,\nc");
    assert_eq!(rows[1].1, "d");
}

#[test]
fn rows_that_are_not_what_the_schema_says_are_named() {
    for (text, says) in [
        ("\"b\",\"k\",\"1\"\n", "3 fields"),
        ("\"b\",\"k\n", "quote"),
        ("\"b\",\"\"\n", "empty"),
        ("\"b\",\"%ff\"\n", "UTF-8"),
    ] {
        let error = csv(text, Some("Bucket, Key")).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("row 1"), "{error}");
    }
    let error = csv("\"b\",\"k\",\"x\"\n", Some("Bucket, Key, Size")).unwrap_err();
    assert!(error.to_string().contains("size"), "{error}");
}

fn batch() -> RecordBatch {
    let text = |values: [Option<&str>; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    RecordBatch::try_from_iter([
        ("e_tag", text([Some(ETAG), None, Some(ETAG)])),
        ("key", text([Some("a%20b+c"), Some("gone"), Some("old")])),
        ("bucket", text([Some("b"); 3])),
        (
            "is_latest",
            Arc::new(BooleanArray::from(vec![true, true, false])) as ArrayRef,
        ),
        (
            "is_delete_marker",
            Arc::new(BooleanArray::from(vec![false, true, false])) as ArrayRef,
        ),
        (
            "size",
            Arc::new(Int64Array::from(vec![Some(12), None, Some(7)])) as ArrayRef,
        ),
        (
            "last_modified_date",
            Arc::new(Int64Array::from(vec![1000, 2000, 3000])) as ArrayRef,
        ),
    ])
    .unwrap()
}

#[test]
fn parquet_and_orc_say_the_same_and_their_keys_stand_as_they_are() {
    let batch = batch();
    let folder = tempfile::tempdir().unwrap();
    let (parquet, orc) = (folder.path().join("a.parquet"), folder.path().join("a.orc"));
    let file = std::fs::File::create(&parquet).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let file = std::fs::File::create(&orc).unwrap();
    let mut writer = orc_rust::ArrowWriterBuilder::new(file, batch.schema())
        .try_build()
        .unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let from_parquet = rows(&parquet, Format::Parquet, None).unwrap();
    assert_eq!(from_parquet, rows(&orc, Format::Orc, None).unwrap());
    let first = (
        "b".to_owned(),
        "a%20b+c".to_owned(),
        Some(12),
        Some(1000),
        Some(ETAG.to_owned()),
        true,
    );
    assert_eq!(from_parquet[0], first);
    assert_eq!(from_parquet.iter().filter(|row| row.5).count(), 1);
    // One is not the other.
    assert!(
        rows(&orc, Format::Parquet, None).is_err() && rows(&parquet, Format::Orc, None).is_err()
    );
}

#[test]
fn what_is_not_needed_is_not_read_but_its_type_is_looked_at() {
    const FEW: Needs = Needs {
        address: false,
        time: false,
    };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, batch: &RecordBatch| {
        let path = folder.path().join(name);
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        path
    };
    let batch = batch();
    let path = write("a.parquet", &batch);
    let few = read(&path, Format::Parquet, None, FEW).unwrap();
    let all = read(&path, Format::Parquet, None, ALL).unwrap();
    for (few, all) in few.iter().zip(&all) {
        assert_eq!((&few.1, few.2, few.5), (&all.1, all.2, all.5));
        assert_eq!((few.0.as_str(), few.3, &few.4), ("", None, &None));
    }
    assert_eq!(few.len(), all.len());
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        columns.push((field.name().clone(), Arc::clone(array)));
    }
    let (name, etags) = columns
        .iter_mut()
        .find(|(name, _)| name.eq_ignore_ascii_case("e_tag"))
        .unwrap();
    (*name, *etags) = (
        "e_tag".to_owned(),
        Arc::new(Int64Array::from(vec![1, 2, 3])),
    );
    let path = write("b.parquet", &RecordBatch::try_from_iter(columns).unwrap());
    let error = read(&path, Format::Parquet, None, FEW).unwrap_err();
    assert!(
        matches!(
            error,
            InventoryError::Type {
                column: "e_tag",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn lines_longer_than_the_blocks_that_are_read_are_whole() {
    let long = "k".repeat(300 << 10);
    let text = format!("\"b\",\"{long}1\"\n\n\"b\",\"{long}2\"\r\n\"b\",\"x\"");
    for columns in [Some("Bucket, Key"), None] {
        let keys: Vec<_> = csv(&text, columns).unwrap();
        let keys: Vec<_> = keys.iter().map(|row| row.1.clone()).collect();
        assert_eq!(
            keys,
            [format!("{long}1"), format!("{long}2"), "x".to_owned()]
        );
    }
    let endless = format!("b,k\n{}", "x".repeat(3 << 20));
    let error = csv(&endless, Some("Bucket, Key")).unwrap_err().to_string();
    assert!(
        error.contains("row 2: the line is longer than 1 MiB"),
        "{error}"
    );
}
