//! What each band holds: type, nodata, scale and offset.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Number, Value, json};

use crate::tiff::Facts;

/// More bands than this are not described one by one.
pub(super) const MAX_BANDS: u64 = 1024;

/// GDAL's own metadata: of the file, and by band.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub(super) of_file: BTreeMap<String, String>,
    /// By band from 0, then by role or name.
    of_band: BTreeMap<u64, BTreeMap<String, String>>,
    /// Why it could not be read to its end.
    pub(super) broken: Option<String>,
}

impl Metadata {
    /// Reads the XML of tag 42112.
    pub(super) fn parse(xml: &str) -> Self {
        let mut found = Self::default();
        let mut reader = Reader::from_str(xml);
        loop {
            match reader.read_event() {
                Ok(Event::Start(start)) if start.name().as_ref() == b"Item" => {
                    let text = reader.read_text(start.name()).ok();
                    if let Some(text) = text.and_then(|text| unescaped(&text)) {
                        found.add(&start, text);
                    }
                }
                Ok(Event::Eof) => return found,
                Ok(_) => {}
                Err(error) => {
                    found.broken = Some(error.to_string());
                    return found;
                }
            }
        }
    }

    fn add(&mut self, start: &BytesStart<'_>, text: String) {
        let attribute = |name: &str| -> Option<String> {
            let found = start.try_get_attribute(name).ok().flatten()?;
            let value = String::from_utf8_lossy(&found.value).into_owned();
            Some(unescape(&value).ok()?.into_owned())
        };
        let Some(name) = attribute("name") else {
            return;
        };
        match attribute("sample").and_then(|sample| sample.parse().ok()) {
            Some(sample) => {
                let key = attribute("role").unwrap_or(name);
                self.of_band.entry(sample).or_default().insert(key, text);
            }
            // Other domains hold other tables under the same names.
            None if attribute("domain").is_none() => {
                self.of_file.insert(name, text);
            }
            None => {}
        }
    }

    fn band(&self, index: u64, key: &str) -> Option<&str> {
        self.of_band.get(&index)?.get(key).map(String::as_str)
    }
}

/// Takes XML's escapes off twice: GDAL puts them on twice.
fn unescaped(text: &str) -> Option<String> {
    let once = unescape(text).ok()?;
    Some(unescape(&once).map_or_else(|_| once.to_string(), std::borrow::Cow::into_owned))
}

/// STAC's name of the samples' type (<https://github.com/radiantearth/stac-spec>, data types).
pub(super) fn data_type(facts: &Facts) -> &'static str {
    if facts.mixed {
        return "other";
    }
    match (facts.format, facts.bits) {
        (1 | 4, 1..=8) => "uint8",
        (1 | 4, 9..=16) => "uint16",
        (1 | 4, 17..=32) => "uint32",
        (1 | 4, 33..=64) => "uint64",
        (2, 1..=8) => "int8",
        (2, 9..=16) => "int16",
        (2, 17..=32) => "int32",
        (2, 33..=64) => "int64",
        (3, 16) => "float16",
        (3, 24 | 32) => "float32",
        (3, 64) => "float64",
        (5, 32) => "cint16",
        (5, 64) => "cint32",
        (6, 64) => "cfloat32",
        (6, 128) => "cfloat64",
        _ => "other",
    }
}

/// The bands in order, as STAC 1.1 describes them.
pub(super) fn bands(facts: &Facts, metadata: &Metadata, notes: &mut Vec<String>) -> Vec<Value> {
    if facts.samples > MAX_BANDS {
        notes.push(format!(
            "the {} bands are not described one by one; {MAX_BANDS} are at most",
            facts.samples
        ));
        return Vec::new();
    }
    let data_type = data_type(facts);
    let nodata = nodata(facts, notes);
    let mut bands = Vec::new();
    for index in 0..facts.samples {
        let mut band = Map::new();
        let name = metadata.band(index, "description");
        let unnamed = || format!("b{}", index + 1);
        band.insert(
            "name".to_owned(),
            json!(name.map_or_else(unnamed, str::to_owned)),
        );
        band.insert("data_type".to_owned(), json!(data_type));
        if let Some(nodata) = &nodata {
            band.insert("nodata".to_owned(), nodata.clone());
        }
        if let Some(unit) = metadata.band(index, "unittype") {
            band.insert("unit".to_owned(), json!(unit));
        }
        for (role, field) in [("scale", "raster:scale"), ("offset", "raster:offset")] {
            let Some(text) = metadata.band(index, role) else {
                continue;
            };
            match text.trim().parse::<f64>().ok().and_then(Number::from_f64) {
                Some(number) => {
                    band.insert(field.to_owned(), Value::Number(number));
                }
                None => notes.push(format!(
                    "the {role} of band {} is no number: {text:?}",
                    index + 1
                )),
            }
        }
        bands.push(Value::Object(band));
    }
    bands
}

/// The value that means "nothing here"; numbers without a JSON form are the words that STAC gives them.
fn nodata(facts: &Facts, notes: &mut Vec<String>) -> Option<Value> {
    let text = facts.gdal_nodata.as_deref()?.trim();
    let Ok(value) = text.parse::<f64>() else {
        notes.push(format!("the nodata value is no number: {text:?}"));
        return None;
    };
    if value.is_nan() {
        return Some(json!("nan"));
    }
    if value.is_infinite() {
        return Some(json!(if value > 0.0 { "inf" } else { "-inf" }));
    }
    // Whole numbers past 2^53 keep all their digits only as they stand.
    if let Ok(whole) = text.parse::<i64>() {
        return Some(json!(whole));
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Some(json!(whole));
    }
    Some(json!(value))
}
