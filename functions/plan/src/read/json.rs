//! JSON: one document, a text sequence (RFC 8142), or one row a line.

use serde::Deserialize;
use serde_json::value::RawValue;
use swath_core::aoi::{AoiError, Areas};

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    r#type: Option<serde_json::Value>,
}

/// Reads areas from JSON text of either kind.
pub(super) fn read(text: &str) -> Result<Areas, AoiError> {
    if text.contains('\u{1e}') {
        return Ok(rows(text.split('\u{1e}')));
    }
    // One document is one document however it is broken into lines; lines of JSON are none.
    let document = serde_json::from_str::<&RawValue>(text.trim());
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    match document {
        Err(_) if lines().count() > 1 && lines().next().is_some_and(is_object) => {
            Ok(rows(text.lines()))
        }
        _ => Areas::from_geojson(text),
    }
}

fn is_object(line: &str) -> bool {
    serde_json::from_str::<Kind>(line).is_ok()
}

fn rows<'a>(texts: impl Iterator<Item = &'a str>) -> Areas {
    let mut areas = Areas::default();
    let texts = texts.map(str::trim).filter(|text| !text.is_empty());
    for (number, text) in (0..).zip(texts) {
        match serde_json::from_str::<Kind>(text) {
            Err(error) => areas.reject(number, format!("not a JSON object: {error}")),
            Ok(kind) if kind.r#type.as_ref().and_then(|kind| kind.as_str()) == Some("Feature") => {
                areas.take_feature(number, text);
            }
            Ok(_) => areas.take(number, None, text, serde_json::Map::new()),
        }
    }
    areas
}
