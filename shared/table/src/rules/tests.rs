//! Items as they should be, and what is said of those that are not.

use serde_json::{Value, json};

use super::*;

pub(super) fn good() -> Value {
    json!({
        "type": "Feature", "stac_version": "1.0.0", "id": "a", "collection": "c",
        "geometry": {"type": "Polygon", "coordinates": [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]]},
        "bbox": [0.0, 0.0, 1.0, 1.0],
        "properties": {"datetime": "2024-01-01T00:00:00Z"},
        "links": [{"href": "./c.json", "rel": "collection", "type": "application/json"}],
        "assets": {"B04": {"href": "s3://b/B04.tif", "roles": ["data"]}},
        "stac_extensions": [],
    })
}

/// Changes a value at a JSON pointer; `None` takes it out.
pub(super) fn with(at: &str, value: Option<Value>) -> Value {
    let mut item = good();
    let (above, name) = at.rsplit_once('/').unwrap();
    let object = item.pointer_mut(above).unwrap();
    match (object, value) {
        (Value::Object(object), Some(value)) => drop(object.insert(name.to_owned(), value)),
        (Value::Object(object), None) => drop(object.remove(name)),
        (Value::Array(array), Some(value)) => array[name.parse::<usize>().unwrap()] = value,
        other => panic!("{other:?}"),
    }
    item
}

fn core() -> Rules {
    Rules::new(Validation::Core, &[], None).unwrap()
}

fn code(item: &Value) -> Option<&'static str> {
    let refused = core().admit(&item.to_string()).err();
    refused.map(|refusal| refusal.code)
}

#[test]
fn each_rule_of_the_core_has_a_code_of_its_own() {
    assert_eq!(code(&good()), None);
    let cases: &[(&str, Option<Value>, &str)] = &[
        ("/stac_version", None, "no_stac_version"),
        ("/stac_version", Some(json!("0.9.0")), "stac_version"),
        ("/stac_version", Some(json!(1.1)), "stac_version"),
        ("/id", Some(json!(7)), "no_id"),
        ("/type", Some(json!("Catalog")), "not_an_item"),
        ("/geometry", None, "no_geometry"),
        (
            "/geometry",
            Some(json!({"type": "Point", "coordinates": ["1", 2]})),
            "geometry",
        ),
        (
            "/geometry",
            Some(json!({"type": "Point", "coordinates": [500_000, 4_200_000]})),
            "geometry",
        ),
        (
            "/geometry/coordinates/0/3",
            Some(json!([0.0, 0.5])),
            "geometry",
        ),
        ("/geometry", Some(Value::Null), "bbox"),
        ("/bbox", None, "no_bbox"),
        ("/bbox", Some(json!([0, 0, 1])), "bbox"),
        ("/bbox", Some(json!([0, 1, 1, 0])), "bbox_order"),
        ("/bbox", Some(json!([0, 0, 9, 1, 1, 8])), "bbox_order"),
        ("/bbox", Some(json!([0, 0, 1, 91])), "bbox"),
        ("/properties", None, "no_properties"),
        ("/properties", Some(json!([])), "properties"),
        ("/properties/datetime", None, "no_datetime"),
        ("/properties/datetime", Some(Value::Null), "interval"),
        ("/properties/datetime", Some(json!("2024-01-01")), "instant"),
        ("/properties/datetime", Some(json!(20_240_101)), "instant"),
        (
            "/properties/start_datetime",
            Some(json!("2024-01-01T00:00:00Z")),
            "interval",
        ),
        ("/properties/created", Some(json!("yesterday")), "instant"),
        ("/links", None, "no_links"),
        ("/links", Some(json!({})), "links"),
        ("/links/0", Some(json!({"href": "x"})), "links"),
        ("/assets", None, "no_assets"),
        ("/assets/B04", Some(json!({"roles": []})), "assets"),
        ("/assets/B04/roles", Some(json!("data")), "assets"),
        ("/stac_extensions", Some(json!("eo")), "stac_extensions"),
        ("/collection", None, "collection"),
        ("/collection", Some(json!(4)), "collection"),
    ];
    for (at, value, expected) in cases {
        assert_eq!(
            code(&with(at, value.clone())),
            Some(*expected),
            "{at} {value:?}"
        );
    }
}

#[test]
fn what_the_specification_allows_is_taken() {
    let mut no_place = with("/geometry", Some(Value::Null));
    no_place.as_object_mut().unwrap().remove("bbox");
    let mut interval = good();
    interval["properties"] = json!({"datetime": null, "start_datetime": "2024-01-01T00:00:00Z",
        "end_datetime": "2024-01-02T00:00:00.123456+02:00", "updated": null});
    let mut alone = with("/links", Some(json!([])));
    alone.as_object_mut().unwrap().remove("collection");
    let allowed = [
        no_place,
        interval,
        alone,
        with("/bbox", Some(json!([170.5, 0, -170, 1]))),
        with("/bbox", Some(json!([0, 0, -5.0, 1, 1, 9]))),
        with("/stac_version", Some(json!("1.1.0-beta.1"))),
    ];
    for item in allowed {
        assert_eq!(code(&item), None, "{item}");
    }
}

#[test]
fn all_faults_of_an_item_are_told_at_once_and_no_more_than_can_be_read() {
    let mut item = good();
    item["bbox"] = json!("x".repeat(1000));
    item["properties"]["datetime"] = json!("z".repeat(1000));
    item["links"] = json!(vec![7; 100]);
    let refusal = core().admit(&item.to_string()).unwrap_err();
    assert_eq!(refusal.code, "bbox");
    assert!(
        refusal.reason.contains("links[3]: not an object"),
        "{refusal}"
    );
    assert!(refusal.reason.ends_with("and 94 faults more"), "{refusal}");
    assert!(refusal.reason.len() < 3000);
}

/// What is broken, where, by what, and how it reads once it is mended.
type Case = (Repair, &'static str, Option<Value>, &'static str);

fn cases() -> Vec<Case> {
    vec![
        (
            Repair::RingsClosed,
            "/geometry/coordinates/0",
            Some(json!([[0, 0], [1, 0], [1, 1]])),
            r#""coordinates":[[[0.0,0.0],[1.0,0.0],[1.0,1.0],[0.0,0.0]]]"#,
        ),
        (
            Repair::BboxMissing,
            "/bbox",
            None,
            r#""bbox":[0.0,0.0,1.0,1.0]"#,
        ),
        (
            Repair::BboxOrder,
            "/bbox",
            Some(json!([0, 1, 1, 0])),
            r#""bbox":[0.0,0.0,1.0,1.0]"#,
        ),
        (
            Repair::DatetimeZone,
            "/properties/datetime",
            Some(json!("2024-01-01 10:00:00")),
            r#""datetime":"2024-01-01T10:00:00Z""#,
        ),
        (
            Repair::DatetimeZone,
            "/properties/datetime",
            Some(json!("2024-01-01")),
            r#""datetime":"2024-01-01T00:00:00Z""#,
        ),
        (
            Repair::ListsMissing,
            "/links",
            Some(Value::Null),
            r#""links":[]"#,
        ),
        (Repair::ListsMissing, "/assets", None, r#""assets":{}"#),
    ]
}

#[test]
fn a_repair_is_made_when_it_was_asked_for_and_leaves_the_rest_as_it_was() {
    for (repair, at, value, expected) in cases() {
        let broken = with(at, value);
        // A number that no double holds shows that what is not mended is not touched.
        let text = broken
            .to_string()
            .replacen('{', "{\"big\":1.000000000000000000001,", 1);
        assert!(core().admit(&text).is_err(), "{text}");
        let mending = Rules::new(Validation::Core, &[repair], None).unwrap();
        let admitted = mending.admit(&text).unwrap();
        let repaired = admitted.repaired.unwrap();
        assert_eq!(repaired.repairs, [repair]);
        assert!(repaired.text.contains(expected), "{}", repaired.text);
        assert!(repaired.text.contains("\"big\":1.000000000000000000001"));
        let others: Vec<_> = Repair::ALL
            .into_iter()
            .filter(|other| *other != repair)
            .collect();
        let other = Rules::new(Validation::Core, &others, None).unwrap();
        assert!(other.admit(&text).is_err(), "{text}");
        assert!(
            mending
                .admit(&good().to_string())
                .unwrap()
                .repaired
                .is_none()
        );
    }
    let mut interval = good();
    interval["properties"] =
        json!({"start_datetime": "2024-01-01T00:00:00Z", "end_datetime": "2024-01-02T00:00:00Z"});
    let mending = Rules::new(Validation::Core, &Repair::ALL, None).unwrap();
    let repaired = mending
        .admit(&interval.to_string())
        .unwrap()
        .repaired
        .unwrap();
    assert_eq!(repaired.repairs, [Repair::DatetimeNull]);
}

#[test]
fn without_rules_an_item_is_what_can_become_a_row() {
    let admitted = Rules::default()
        .admit(r#"{"type":"Feature","id":"a"}"#)
        .unwrap();
    assert_eq!((admitted.row.id(), admitted.repaired), ("a", None));
    assert_eq!(Rules::default().admit("{").unwrap_err().code, "not_json");
    assert_eq!("schema".parse(), Ok(Validation::Schema));
    let error = "strict".parse::<Validation>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"strict\" is none of none, core, schema"
    );
}
