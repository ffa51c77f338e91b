//! What the specification says of every item, whatever its extensions:
//! <https://github.com/radiantearth/stac-spec/blob/v1.1.0/item-spec/item-spec.md>.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Faults;
use crate::ItemRow;

/// Common instants besides the interval, which has rules of its own.
const INSTANTS: [&str; 4] = ["created", "updated", "expires", "published"];

/// Adds the faults of an item that became a row, so it is an object of type `Feature` with an id.
pub(super) fn check(item: &Value, row: &ItemRow, faults: &mut Faults) {
    let Some(item) = item.as_object() else {
        return;
    };
    version(item, faults);
    geometry(item, row, faults);
    bbox(item, faults);
    match item.get("properties") {
        Some(Value::Object(properties)) => instants(properties, faults),
        Some(_) => faults.add("properties", "properties", "not an object"),
        None => faults.add("no_properties", "properties", "missing"),
    }
    let names_collection = links(item, faults);
    assets(item, faults);
    extensions(item, faults);
    match item.get("collection") {
        Some(Value::String(name)) if !name.is_empty() => {}
        None | Some(Value::Null) if !names_collection => {}
        None => faults.add("collection", "collection", "missing beside a link to one"),
        Some(_) => faults.add("collection", "collection", "not the id of a collection"),
    }
}

/// Says that a member is there.
fn needed<'a>(
    object: &'a Map<String, Value>,
    name: &'static str,
    code: &'static str,
    faults: &mut Faults,
) -> Option<&'a Value> {
    let found = object.get(name);
    if found.is_none() {
        faults.add(code, name, "missing");
    }
    found
}

fn version(item: &Map<String, Value>, faults: &mut Faults) {
    let Some(value) = needed(item, "stac_version", "no_stac_version", faults) else {
        return;
    };
    let is_one = |text: &str| {
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = core.split('.');
        let are_numbers = numbers.clone().count() == 3
            && numbers.all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        are_numbers && core.starts_with("1.")
    };
    if !value.as_str().is_some_and(is_one) {
        let what = format!("{value} is no version 1 of STAC");
        faults.add("stac_version", "stac_version", &what);
    }
}

fn geometry(item: &Map<String, Value>, row: &ItemRow, faults: &mut Faults) {
    let Some(value) = needed(item, "geometry", "no_geometry", faults) else {
        return;
    };
    if value.is_null() {
        return;
    }
    match &row.geometry {
        None => faults.add("geometry", "geometry", "not a GeoJSON geometry"),
        Some(geometry) => {
            if let Some(flaw) = geometry.flaw() {
                faults.add("geometry", "geometry", flaw);
            }
        }
    }
}

fn bbox(item: &Map<String, Value>, faults: &mut Faults) {
    let (value, geometry) = (item.get("bbox"), item.get("geometry"));
    let has_geometry = geometry.is_some_and(|geometry| !geometry.is_null());
    let value = match (value, has_geometry) {
        (None, true) => return faults.add("no_bbox", "bbox", "missing beside a geometry"),
        (None, false) => return,
        (Some(_), false) => return faults.add("bbox", "bbox", "there, but no geometry"),
        (Some(value), true) => value,
    };
    let numbers: Option<Vec<f64>> = value
        .as_array()
        .and_then(|values| values.iter().map(Value::as_f64).collect());
    let (flat, heights) = match numbers.as_deref() {
        Some(&[west, south, east, north]) => ([west, south, east, north], None),
        Some(&[west, south, low, east, north, high]) => {
            ([west, south, east, north], Some((low, high)))
        }
        _ => return faults.add("bbox", "bbox", "not 4 or 6 numbers"),
    };
    let [west, south, east, north] = flat;
    if !(-90.0..=90.0).contains(&south) || !(-90.0..=90.0).contains(&north) {
        faults.add("bbox", "bbox", "a latitude beyond 90 degrees");
    } else if west.abs() > 180.0 || east.abs() > 180.0 {
        faults.add("bbox", "bbox", "a longitude beyond 180 degrees");
    } else if south > north {
        faults.add("bbox_order", "bbox", "its south lies north of its north");
    } else if heights.is_some_and(|(low, high)| low > high) {
        faults.add("bbox_order", "bbox", "its low lies above its high");
    }
}

fn instants(properties: &Map<String, Value>, faults: &mut Faults) {
    let at = |name: &str| format!("properties.{name}");
    let mut read = |name: &'static str| match properties.get(name) {
        None | Some(Value::Null) => None,
        Some(value) => {
            let text = value.as_str();
            let instant = text.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
            if instant.is_none() {
                let what = format!("{value} is no instant of RFC 3339");
                faults.add("instant", &at(name), &what);
            }
            instant
        }
    };
    read("datetime");
    let interval = [read("start_datetime"), read("end_datetime")];
    for name in INSTANTS {
        read(name);
    }
    let has = |name| {
        properties
            .get(name)
            .is_some_and(|value: &Value| !value.is_null())
    };
    let ends = [has("start_datetime"), has("end_datetime")];
    match properties.get("datetime") {
        None => faults.add("no_datetime", &at("datetime"), "missing"),
        Some(Value::Null) if ends != [true, true] => faults.add(
            "interval",
            &at("datetime"),
            "null without start_datetime and end_datetime",
        ),
        _ if ends[0] != ends[1] => faults.add(
            "interval",
            "properties",
            "one of start_datetime and end_datetime without the other",
        ),
        _ => {}
    }
    if let [Some(start), Some(end)] = interval
        && start > end
    {
        faults.add("interval", &at("start_datetime"), "after end_datetime");
    }
}

/// Returns whether one of the links leads to a collection.
fn links(item: &Map<String, Value>, faults: &mut Faults) -> bool {
    let Some(value) = needed(item, "links", "no_links", faults) else {
        return false;
    };
    let Some(links) = value.as_array() else {
        faults.add("links", "links", "not an array");
        return false;
    };
    let mut names_collection = false;
    for (place, link) in links.iter().enumerate() {
        let at = format!("links[{place}]");
        let Some(link) = link.as_object() else {
            faults.add("links", &at, "not an object");
            continue;
        };
        texts(("links", &at), link, &["href", "rel"], true, faults);
        texts(("links", &at), link, &["type", "title"], false, faults);
        names_collection |= link.get("rel").is_some_and(|rel| rel == "collection");
    }
    names_collection
}

fn assets(item: &Map<String, Value>, faults: &mut Faults) {
    let Some(value) = needed(item, "assets", "no_assets", faults) else {
        return;
    };
    let Some(assets) = value.as_object() else {
        return faults.add("assets", "assets", "not an object");
    };
    for (key, asset) in assets {
        let at = format!("assets.{key}");
        let Some(asset) = asset.as_object() else {
            faults.add("assets", &at, "not an object");
            continue;
        };
        texts(("assets", &at), asset, &["href"], true, faults);
        let others = ["title", "description", "type"];
        texts(("assets", &at), asset, &others, false, faults);
        let are_texts = |roles: &Value| {
            roles
                .as_array()
                .is_some_and(|roles| roles.iter().all(Value::is_string))
        };
        if asset.get("roles").is_some_and(|roles| !are_texts(roles)) {
            faults.add("assets", &at, "roles are not an array of texts");
        }
    }
}

/// Checks that members are texts; those that are needed must not be empty.
fn texts(
    (code, at): (&'static str, &str),
    object: &Map<String, Value>,
    names: &[&str],
    are_needed: bool,
    faults: &mut Faults,
) {
    for name in names {
        let what = match object.get(*name) {
            Some(Value::String(text)) if text.is_empty() && are_needed => "is empty",
            None if are_needed => "is missing",
            Some(Value::String(_)) | None => continue,
            Some(_) => "is no text",
        };
        faults.add(code, at, &format!("{name} {what}"));
    }
}

fn extensions(item: &Map<String, Value>, faults: &mut Faults) {
    let name = "stac_extensions";
    let Some(value) = item.get(name) else {
        return;
    };
    let all = value.as_array();
    if !all.is_some_and(|all| all.iter().all(Value::is_string)) {
        faults.add("stac_extensions", name, "not an array of texts");
    }
}
