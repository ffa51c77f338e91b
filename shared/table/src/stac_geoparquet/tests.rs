//! Items in, items out.

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::items::tests::real_items;
use crate::items::{check_items, read_items};
use crate::json::canonical;
use crate::{Effort, Expected, ItemRow};

/// Writes texts as one file; returns it, and how many values are kept beside the columns.
fn file(texts: &[String]) -> (Bytes, u64) {
    let mut inference = Inference::default();
    let texts: Vec<_> = texts
        .iter()
        .map(|text| ItemRow::canonical(text).unwrap())
        .collect();
    let (first, second) = texts.split_at(texts.len() / 2);
    for part in [first, second] {
        let mut other = Inference::default();
        for text in part {
            other.learn(text);
        }
        inference.merge(other);
    }
    let layout = Layout::of(&inference);
    for has_rest in [false, true] {
        let out = Vec::new();
        let mut file = ItemFile::new(&layout, has_rest, out, Effort::Ingest, Expected::MANY);
        for text in &texts {
            file.push(text).unwrap();
        }
        if !file.lacks_rest() {
            let kept = file.kept();
            return (Bytes::from(file.finish().unwrap().0), kept);
        }
    }
    unreachable!("a file with the column lacks nothing")
}

fn assert_equal(texts: &[String], bytes: &Bytes) {
    let found = read_items(bytes.clone()).unwrap();
    assert_eq!(found.len(), texts.len());
    for (found, text) in found.iter().zip(texts) {
        assert_eq!(canonical(found).unwrap(), canonical(text).unwrap());
    }
}

fn column(bytes: &Bytes, name: &str) -> Option<arrow_array::ArrayRef> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let batch = builder.build().unwrap().next()?.unwrap();
    batch.column_by_name(name).cloned()
}

fn item(id: &str, properties: &Value, more: &Value) -> String {
    let mut item = json!({
        "type": "Feature", "stac_version": "1.1.0", "id": id, "collection": "c", "stac_extensions": [],
        "geometry": {"type": "Point", "coordinates": [1.5, 2.5]}, "bbox": [1.5, 2.5, 1.5, 2.5],
        "properties": properties, "links": [], "assets": {"a": {"href": "x"}},
    });
    for (key, value) in more.as_object().unwrap() {
        item[key] = value.clone();
    }
    item.to_string()
}

#[test]
fn plain_items_need_no_column_beside_the_others() {
    let at = |second: u32| json!({"datetime": format!("2024-01-01T00:00:{second:02}.000Z"), "gsd": 10 + second, "x": 0.5});
    let texts: Vec<_> = (0..5)
        .map(|n| item(&n.to_string(), &at(n), &json!({})))
        .collect();
    let (bytes, kept) = file(&texts);
    assert_equal(&texts, &bytes);
    assert_eq!(kept, 0);
    assert!(column(&bytes, REST).is_none());
    let sides = column(&bytes, "bbox").unwrap();
    assert_eq!(
        sides.as_struct().column_names(),
        ["xmin", "ymin", "xmax", "ymax"]
    );
}

#[test]
fn what_no_column_gives_back_is_kept_beside() {
    let mut texts = vec![
        item(
            "numbers",
            &json!({"datetime": null, "n": 9_007_199_254_740_993_i64, "big": u64::MAX, "mixed": 1}),
            &json!({}),
        ),
        item(
            "clashes",
            &json!({"datetime": "2024-01-01T00:00:00.123456789Z", "n": 0.5, "big": 1, "mixed": "1"}),
            &json!({}),
        ),
        item(
            "objects",
            &json!({"datetime": "0001-01-01T00:00:00Z", "mixed": {"a": [1]}, "empty": {}, "deep": {"a": {}}}),
            &json!({}),
        ),
        item(
            "names",
            &json!({"datetime": "..", "id": 7, "type": "t", "links": [], "swath:rest": 1, "a/b~c": null, "": 1}),
            &json!({}),
        ),
        item(
            "nulls",
            &json!({"datetime": null, "gsd": null, "list": [1, null, 2.5], "deep": {"a": {"b": null}}}),
            &json!({"license": "x"}),
        ),
        item(
            "lists",
            &json!({"datetime": null, "list": [[1], "x"], "none": [], "objects": [{"a": 1}, null, {}]}),
            &json!({"links": null}),
        ),
        item(
            "shapes",
            &json!({"datetime": null, "proj:geometry": {"type": "Point", "coordinates": [1, 2]}}),
            &json!({"geometry": null, "bbox": [1, 2, 3, 4, 5, 6]}),
        ),
        item(
            "boxes",
            &json!({"datetime": null, "proj:geometry": 5}),
            &json!({"bbox": null, "assets": [], "geometry": {"type": "GeometryCollection", "geometries": []}}),
        ),
        item(
            "parts",
            &Value::Null,
            &json!({"bbox": "x", "assets": {"a": 1, "b": {"href": null}}, "collection": null, "stac_version": 1}),
        ),
    ];
    texts.push(r#"{"type":"Feature","id":"bare","geometry":{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}}"#.to_owned());
    texts.push(r#"{"type":"Feature","id":"odd","geometry":null,"properties":{"datetime":"2024-01-01T00:00:00Z","n":1.50,"x":-0,"y":1e5,"z":-0.0,"t":"\u0000\"\\é"}}"#.to_owned());
    let (bytes, kept) = file(&texts);
    assert!(kept > 0);
    assert_equal(&texts, &bytes);
    let mixed = column(&bytes, "mixed").unwrap();
    let mixed = mixed.as_string::<i32>();
    assert_eq!(
        [mixed.value(0), mixed.value(1), mixed.value(2)],
        ["1", "1", r#"{"a":[1]}"#]
    );
    // A box for readers that prune by it, although the item has none.
    assert!(column(&bytes, "bbox").unwrap().is_valid(9));
}

#[test]
fn a_property_that_comes_late_has_its_column() {
    let mut texts: Vec<_> = (0..3000)
        .map(|n| item(&format!("i{n}"), &json!({"datetime": null}), &json!({})))
        .collect();
    texts.push(item(
        "late",
        &json!({"datetime": null, "late": 7}),
        &json!({}),
    ));
    let (bytes, kept) = file(&texts);
    assert_equal(&texts, &bytes);
    assert_eq!(kept, 0);
    assert!(column(&bytes, "late").is_some());
}

#[test]
fn more_keys_than_columns_are_kept_beside() {
    let assets = |n: usize| {
        let keys = (0..40).map(|key| (format!("{n}-{key}"), json!({"href": "x", "roles": ["r"]})));
        Value::Object(keys.collect())
    };
    let texts: Vec<_> = (0..60)
        .map(|n| {
            item(
                &n.to_string(),
                &json!({"datetime": null, "n": n}),
                &json!({"assets": assets(n)}),
            )
        })
        .collect();
    let (bytes, kept) = file(&texts);
    assert!(kept > 0);
    assert_equal(&texts, &bytes);
    assert!(column(&bytes, "n").is_some());
}

#[test]
fn every_real_item_comes_out_of_one_file_as_it_went_in() {
    let Some(texts) = real_items() else {
        return;
    };
    let is_item = |text: &String| ItemRow::canonical(text).is_ok();
    let texts: Vec<_> = texts.into_iter().filter(is_item).collect();
    assert!(texts.len() > 40, "{} items", texts.len());
    assert_equal(&texts, &file(&texts).0);
}

#[test]
fn a_file_that_does_not_give_back_its_items_is_found_out() {
    let texts = [item("a", &json!({"datetime": null}), &json!({}))];
    let (bytes, _) = file(&texts);
    let content = ItemRow::parse(&texts[0]).unwrap().content;
    check_items(&bytes, [content].into_iter()).unwrap();
    assert!(check_items(&bytes, [content ^ 1].into_iter()).is_err());
    assert!(check_items(&bytes, [content, content].into_iter()).is_err());
}

/// Any JSON value, few kinds of keys, so that items clash.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-5..5_i64).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        (-50..50_i32).prop_map(|n| Value::from(f64::from(n) / 4.0)),
        "[a-z\"\\\\é\u{0}]{0,4}".prop_map(Value::from),
        Just(Value::from("2024-01-01T00:00:00.100Z")),
        Just(Value::from("2024-01-01T00:00:00+00:00")),
        Just(json!({"type": "Point", "coordinates": [1.5, 2]})),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = [
        "a",
        "b",
        "a/b",
        "~",
        "",
        "*",
        "id",
        "href",
        "proj:geometry",
        "datetime",
        "updated",
        "element",
        "é\"",
    ];
    proptest::sample::select(known.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_items_come_out_as_they_went_in(
        items in proptest::collection::vec((
            proptest::collection::btree_map(key(), value(), 0..6),
            proptest::collection::btree_map(
                proptest::sample::select(vec!["bbox", "geometry", "assets", "links", "collection", "stac_extensions", "stac_version", "properties", "x"]),
                value(), 0..3,
            ),
        ), 1..6)
    ) {
        let texts: Vec<_> = items.iter().enumerate().map(|(n, (properties, members))| {
            item(&n.to_string(), &json!(properties), &json!(members))
        }).collect();
        assert_equal(&texts, &file(&texts).0);
    }
}
