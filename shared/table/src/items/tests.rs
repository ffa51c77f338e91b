//! Items through Parquet and back.

use std::path::{Path, PathBuf};

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use swath_core::TableName;

use super::*;
use crate::json::canonical;
use crate::writer::Effort;
use crate::{columns, reader};

fn through_parquet(texts: &[String]) -> Vec<String> {
    let rows: Vec<_> = texts
        .iter()
        .map(|text| ItemRow::parse(text).unwrap())
        .collect();
    let placed: Vec<_> = rows
        .iter()
        .map(|row| Placed {
            row,
            source: "test",
        })
        .collect();
    let file = encode_partition("8106bffffffffff", &placed, Effort::Ingest).unwrap();
    assert_eq!(file.rows, texts.len() as u64);
    read_items(file.bytes).unwrap()
}

/// Compares as text, and as `serde_json` reads both.
fn assert_same(before: &[String], after: &[String]) {
    let sorted = |texts: &[String]| {
        let mut texts: Vec<_> = texts.iter().map(|text| canonical(text).unwrap()).collect();
        texts.sort();
        texts
    };
    let (before, after) = (sorted(before), sorted(after));
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(read(before), read(after));
    }
}

fn assert_survives(item: &Value) -> ItemRow {
    let text = vec![item.to_string()];
    assert_same(&text, &through_parquet(&text));
    ItemRow::parse(&text[0]).unwrap()
}

fn item(properties: &Value, geometry: &Value) -> Value {
    json!({
        "type": "Feature", "stac_version": "1.0.0", "id": "i", "collection": "c", "geometry": geometry,
        "bbox": [1.5, 2.5, 3.5, 4.5], "properties": properties, "links": [], "assets": {}, "stac_extensions": [],
    })
}

/// One column of one row, as text.
fn column(item: &Value, name: &'static str) -> Option<String> {
    let row = ItemRow::parse(&item.to_string()).unwrap();
    let placed = [Placed {
        row: &row,
        source: "test",
    }];
    let file = encode_partition("cell", &placed, Effort::Ingest).unwrap();
    let batch = reader::read(TableName::StacItems, file.bytes)
        .unwrap()
        .remove(0);
    let named = columns::Columns::new(TableName::StacItems, &batch);
    if let Ok(array) = named.text(name) {
        return columns::text(array, 0).map(str::to_owned);
    }
    if let Ok(array) = named.instants(name) {
        return array.get(0).and_then(crate::instant::spell);
    }
    let array = named.find(name).unwrap();
    if array.is_null(0) {
        return None;
    }
    Some(match array.as_boolean_opt() {
        Some(truth) => truth.value(0).to_string(),
        None => array.as_primitive::<Int64Type>().value(0).to_string(),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the data of others lies is set from outside"
)]
fn real_data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    let root = std::env::var("SWATH_REAL_DATA")
        .map_or(beside, PathBuf::from)
        .join("stac");
    root.is_dir().then_some(root)
}

fn json_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            json_files(&path, into);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            into.push(path);
        }
    }
}

fn features(text: &str) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Outer<'a> {
        r#type: String,
        #[serde(borrow, default)]
        features: Vec<&'a serde_json::value::RawValue>,
    }
    match serde_json::from_str::<Outer<'_>>(text) {
        Ok(outer) if outer.r#type == "Feature" => vec![text.to_owned()],
        Ok(outer) => outer
            .features
            .iter()
            .map(|item| item.get().to_owned())
            .collect(),
        Err(_) => Vec::new(),
    }
}

/// Returns the texts of all real items, one among them that is none.
pub(crate) fn real_items() -> Option<Vec<String>> {
    let Some(root) = real_data() else {
        println!("NOT RUN: no real items; set SWATH_REAL_DATA to a folder with stac/");
        return None;
    };
    let mut files = Vec::new();
    json_files(&root, &mut files);
    let texts = files
        .iter()
        .flat_map(|path| features(&std::fs::read_to_string(path).unwrap()));
    Some(texts.collect())
}

#[test]
fn every_real_item_comes_back_as_it_went_in() {
    let Some(items) = real_items() else {
        return;
    };
    let (good, bad): (Vec<_>, Vec<_>) = items
        .into_iter()
        .partition(|text| ItemRow::parse(text).is_ok());
    for text in &bad {
        println!("refused: {}", ItemRow::parse(text).unwrap_err());
    }
    println!("{} items, {} refused", good.len(), bad.len());
    assert!(good.len() > 40, "{} items", good.len());
    // Among the examples is one that is no item on purpose.
    assert!(
        bad.iter()
            .all(|text| matches!(ItemRow::parse(text), Err(ItemError::NoId)))
    );
    assert!(bad.len() <= 1);
    assert_same(&good, &through_parquet(&good));
}

#[test]
fn an_item_without_datetime_gets_one_for_its_place_and_keeps_none() {
    let cases = [
        (
            json!({"datetime": null, "start_datetime": "2020-03-04T05:06:07Z", "end_datetime": "2021-01-01T00:00:00Z"}),
            "2020-03-04T05:06:07Z",
            "2020-03-04T05:06:07Z",
            "2021-01-01T00:00:00Z",
        ),
        (
            json!({"end_datetime": "2021-01-01T00:00:00Z"}),
            "2021-01-01T00:00:00Z",
            "2021-01-01T00:00:00Z",
            "2021-01-01T00:00:00Z",
        ),
        (
            json!({"datetime": null, "created": "2019-01-01T00:00:00Z"}),
            "2019-01-01T00:00:00Z",
            "2019-01-01T00:00:00Z",
            "2019-01-01T00:00:00Z",
        ),
        (
            json!({"datetime": null}),
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
        ),
        (
            json!({"datetime": "soon"}),
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
        ),
    ];
    for (properties, datetime, start, end) in cases {
        let item = item(&properties, &Value::Null);
        assert_eq!(column(&item, "datetime").as_deref(), Some(datetime));
        assert_eq!(column(&item, "start_datetime").as_deref(), Some(start));
        assert_eq!(column(&item, "end_datetime").as_deref(), Some(end));
        assert_eq!(column(&item, "_datetime_null").as_deref(), Some("true"));
        let row = assert_survives(&item);
        assert_eq!(row.year().to_string(), datetime[..4]);
    }
    let with = item(
        &json!({"datetime": "2020-12-31T23:59:59-01:00"}),
        &Value::Null,
    );
    assert_eq!(column(&with, "_datetime_null").as_deref(), Some("false"));
    assert_eq!(
        column(&with, "start_datetime").as_deref(),
        Some("2021-01-01T00:59:59Z")
    );
    assert_eq!(assert_survives(&with).year(), 2021);
}

#[test]
fn geometries_of_every_type_are_kept() {
    let ring = json!([[0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [0.5, 0.5]]);
    let geometries = [
        (json!({"type": "Point", "coordinates": [1.25, 2.5]}), true),
        (
            json!({"type": "Point", "coordinates": [1.25, 2.5, 3.75]}),
            true,
        ),
        (json!({"type": "Point", "coordinates": []}), true),
        (json!({"type": "Point", "coordinates": [1, 2]}), true),
        (json!({"type": "LineString", "coordinates": ring}), true),
        (
            json!({"type": "Polygon", "coordinates": [ring, ring]}),
            true,
        ),
        (json!({"type": "Polygon", "coordinates": []}), true),
        (json!({"type": "MultiPoint", "coordinates": ring}), true),
        (
            json!({"type": "MultiLineString", "coordinates": [ring, ring]}),
            true,
        ),
        (
            json!({"type": "MultiPolygon", "coordinates": [[ring], [ring, ring]]}),
            true,
        ),
        (
            json!({"type": "MultiPolygon", "coordinates": [[], [ring]]}),
            true,
        ),
        (
            json!({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1.5, 2.5]}, {"type": "GeometryCollection", "geometries": []}]}),
            true,
        ),
        (
            json!({"type": "Polygon", "coordinates": [[[0.5, 0.5, 9.5], [1.5, 0.5], [1.5, 1.5, 1.5]]]}),
            true,
        ),
        (
            json!({"type": "Point", "coordinates": [1.5, 2.5, 3.5, 4.5], "crs": "x"}),
            true,
        ),
        (Value::Null, false),
        (json!({"type": "Circle", "coordinates": [1.5, 2.5]}), false),
        (json!({"type": "Point", "coordinates": ["a", 2]}), false),
        (json!({"type": "Polygon"}), false),
        (json!("here"), false),
    ];
    for (geometry, is_readable) in geometries {
        let row = assert_survives(&item(&json!({}), &geometry));
        assert_eq!(row.geometry.is_some(), is_readable, "{geometry}");
        assert_eq!(
            row.clashes,
            usize::from(!is_readable && !geometry.is_null()),
            "{geometry}"
        );
    }
    let mut without = item(&json!({}), &Value::Null);
    without.as_object_mut().unwrap().remove("geometry");
    assert_survives(&without);
}

#[test]
fn a_value_of_another_type_is_kept_and_counted() {
    let clashing = [
        ("percent_valid_pixels", json!("high"), None),
        ("percent_valid_pixels", json!(97.5), None),
        ("percent_valid_pixels", json!(true), None),
        ("date_dt", json!({"a": 1}), None),
        ("date_dt", json!(18_446_744_073_709_551_615_u64), None),
        ("version", json!(3), Some("3")),
        ("platform", json!(["a"]), None),
        ("created", json!(1_600_000_000), None),
        ("created", json!("yesterday"), None),
        ("mid_datetime", json!(false), Some("false")),
    ];
    for (name, value, expected) in clashing {
        let item = item(&json!({name: value}), &Value::Null);
        assert_eq!(column(&item, name).as_deref(), expected, "{name} {value}");
        assert_eq!(assert_survives(&item).clashes, 1, "{name} {value}");
    }
    let fitting = [
        ("percent_valid_pixels", json!(97), Some("97")),
        ("percent_valid_pixels", json!(97.0), Some("97")),
        ("percent_valid_pixels", json!(-0.0), Some("0")),
        ("percent_valid_pixels", Value::Null, None),
        ("version", json!("3\n\"é"), Some("3\n\"é")),
        (
            "updated",
            json!("2020-01-01T00:00:00.000Z"),
            Some("2020-01-01T00:00:00Z"),
        ),
        (
            "updated",
            json!("2020-01-01 00:00:00.1234567+00:00"),
            Some("2020-01-01T00:00:00.123456Z"),
        ),
    ];
    for (name, value, expected) in fitting {
        let item = item(&json!({name: value}), &Value::Null);
        assert_eq!(column(&item, name).as_deref(), expected, "{name} {value}");
        assert_eq!(assert_survives(&item).clashes, 0, "{name} {value}");
    }
}

#[test]
fn a_property_named_like_a_member_or_a_column_of_ours_stays_a_property() {
    let properties = json!({
        "id": "p", "bbox": [1], "geometry": null, "type": 7, "links": "l", "assets": [], "collection": {"a": {}},
        "properties": {"properties": {"x": 1}}, "grid_partition": "g", "content_hash": "h", "source": 1,
        "stac_rest": "{", "_filled": "id", "_datetime_null": true, "geometry_bbox": {},
    });
    let mut item = item(&properties, &Value::Null);
    item["datetime"] = json!("a foreign member");
    item["grid_partition"] = json!("another");
    let row = assert_survives(&item);
    assert_eq!((row.id(), row.collection()), ("i", Some("c")));
    assert_eq!(column(&item, "grid_partition").as_deref(), Some("cell"));
}

#[test]
fn members_that_are_missing_null_or_of_another_type_stay_so() {
    let whole = item(
        &json!({"datetime": "2020-01-01T00:00:00Z", "a": 1}),
        &json!({"type": "Point", "coordinates": [1.5, 2.5]}),
    );
    for name in [
        "stac_version",
        "collection",
        "bbox",
        "properties",
        "links",
        "assets",
        "stac_extensions",
        "geometry",
    ] {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(name);
        assert_survives(&without);
        for value in [
            Value::Null,
            json!([]),
            json!({}),
            json!("text"),
            json!(1.5),
            json!({"b": [null]}),
        ] {
            let mut changed = whole.clone();
            changed[name] = value;
            assert_survives(&changed);
        }
    }
    for bbox in [
        json!([1, 2, 3, 4]),
        json!([1, 2.5, 3, 4, 5, 6]),
        json!([170.5, 0, -170.5, 1]),
        json!([1, "2", 3, 4]),
        json!([[1], 2, 3, 4]),
    ] {
        let mut changed = whole.clone();
        changed["bbox"] = bbox;
        assert_survives(&changed);
    }
    let mut flat = whole.clone();
    flat["bbox"] = json!([1, 2.5, 3, 4, 5, 6]);
    assert_eq!(column(&flat, "bbox").as_deref(), Some("[1, 2.5, 4, 5]"));
    let mut without = whole;
    without.as_object_mut().unwrap().remove("bbox");
    assert_eq!(
        column(&without, "bbox").as_deref(),
        Some("[1.5, 2.5, 1.5, 2.5]")
    );
    assert_eq!(column(&without, "assets").as_deref(), Some("{}"));
}

#[test]
fn spelling_and_order_survive_inside_columns_of_json() {
    let text = r#" { "type" : "Feature", "id":"\u0069", "propert\u0069es" : {"b": 1.0, "a": 12345678901234567890.10, "e": 1E400},
        "assets": {"z": {"href": "a  \" b"}, "a": { }}, "geometry": {"coordinates": [1.50, -0, 1e2], "type": "Point"}, "x": "\ud83d\ude00" } "#;
    assert_eq!(
        through_parquet(&[text.to_owned()]),
        [r#"{"type":"Feature","id":"i","properties":{"b":1.0,"a":12345678901234567890.10,"e":1E400},"assets":{"z":{"href":"a  \" b"},"a":{}},"geometry":{"coordinates":[1.50,-0,1e2],"type":"Point"},"x":"😀"}"#
            .replace('😀', r"\ud83d\ude00")]
    );
}

#[test]
fn what_is_no_item_is_refused_with_its_reason() {
    let cases = [
        ("[]", "not a JSON object"),
        (r#"{"id":"a"}"#, "an object of type nothing"),
        (r#"{"type":"Collection","id":"a"}"#, "type \"Collection\""),
        (r#"{"type":"Feature"}"#, "no id"),
        (r#"{"type":"Feature","id":5}"#, "no id"),
        (r#"{"type":"Feature","id":""}"#, "no id"),
        (
            r#"{"type":"Feature","id":"a","id":"a"}"#,
            "\"id\" occurs twice",
        ),
        (
            r#"{"type":"Feature","id":"a","properties":{"x":1,"\u0078":2}}"#,
            "\"x\" occurs twice",
        ),
        (
            r#"{"type":"Feature","id":"a","assets":{"x":{"y":1,"y":2}}}"#,
            "\"y\" occurs twice",
        ),
        (r#"{"type":"Feature","id":"\ud800"}"#, "unpaired surrogate"),
    ];
    for (text, reason) in cases {
        let error = swath_core::chain(&ItemRow::parse(text).unwrap_err());
        assert!(error.contains(reason), "{text}: {error}");
    }
    let many = format!(
        r#"{{"type":"Feature","id":"a","links":[{}]}}"#,
        vec!["{}"; crate::json::MAX_OBJECTS].join(",")
    );
    let error = swath_core::chain(&ItemRow::parse(&many).unwrap_err());
    assert!(error.contains("more than 65536 objects"), "{error}");
}

#[test]
fn the_same_items_in_another_order_give_the_same_bytes() {
    let texts: Vec<String> = (0..40)
        .map(|n| {
            let mut item = item(
                &json!({"datetime": format!("2020-01-{:02}T00:00:00Z", n % 7 + 1), "n": n}),
                &Value::Null,
            );
            item["id"] = json!(format!("i{n}"));
            item.to_string()
        })
        .collect();
    let rows: Vec<_> = texts
        .iter()
        .map(|text| ItemRow::parse(text).unwrap())
        .collect();
    let mut placed: Vec<_> = rows.iter().map(|row| Placed { row, source: "s" }).collect();
    let first = encode_partition("c", &placed, Effort::Ingest).unwrap();
    placed.reverse();
    let second = encode_partition("c", &placed, Effort::Ingest).unwrap();
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(first.name, second.name);
    placed.pop();
    assert_ne!(
        first.name,
        encode_partition("c", &placed, Effort::Ingest).unwrap().name
    );
}

#[test]
fn content_is_the_same_whatever_the_order_and_the_space_and_not_whatever_the_value() {
    let parse = |text: &str| ItemRow::parse(text).unwrap().content;
    let first = parse(r#"{"type":"Feature","id":"a","properties":{"x":1,"y":"\u00e9"}}"#);
    assert_eq!(
        first,
        parse(r#"{"id":"a", "properties":{"y":"é","x":1},"type":"Feature"}"#)
    );
    assert_ne!(
        first,
        parse(r#"{"type":"Feature","id":"a","properties":{"x":2,"y":"é"}}"#)
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1000_i32..1000).prop_map(|n| json!(f64::from(n))),
        any::<f64>()
            .prop_filter("JSON has no infinity", |n| n.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        (0_i64..4_000_000_000_000_000).prop_map(|micros| crate::instant::spell(micros).into()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    let columns = crate::schema::of(TableName::StacItems).columns;
    prop_oneof![
        3 => proptest::sample::select(columns).prop_map(|column| column.name.to_owned()),
        1 => Just("properties".to_owned()),
        1 => any::<String>(),
    ]
}

fn any_members() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::vec((any_name(), any_json()), 0..12)
        .prop_map(|pairs| pairs.into_iter().collect())
}

proptest! {
    #[test]
    fn any_item_comes_back_as_it_went_in(members in any_members(), properties in any_members(), has_properties: bool) {
        let mut item = members;
        item.insert("type".to_owned(), json!("Feature"));
        item.insert("id".to_owned(), json!("i"));
        if has_properties {
            item.insert("properties".to_owned(), properties.into());
        }
        let text = vec![Value::Object(item).to_string()];
        assert_same(&text, &through_parquet(&text));
    }

    #[test]
    fn any_positions_come_back_as_they_went_in(
        rings in proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(
            any::<f64>().prop_filter("JSON has no infinity", |n| n.is_finite()), 2..5), 0..6), 0..4),
    ) {
        for kind in ["Polygon", "MultiLineString"] {
            assert_survives(&item(&json!({}), &json!({"type": kind, "coordinates": rings})));
        }
        assert_survives(&item(&json!({}), &json!({"type": "MultiPolygon", "coordinates": [rings, []]})));
    }
}
