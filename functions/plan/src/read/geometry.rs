//! A cell of a table that holds a geometry: `GeoJSON`, WKT, or a cell of H3, made into `GeoJSON` text.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Feature<'a> {
    #[serde(borrow)]
    geometry: Option<&'a RawValue>,
    r#type: Option<&'a str>,
}

/// Reads a geometry in any spelling; `GeoJSON` comes back byte for byte.
pub(super) fn of_text(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it has no geometry".to_owned());
    }
    if text.starts_with('{') {
        return match serde_json::from_str::<Feature<'_>>(text) {
            Ok(Feature {
                geometry: Some(geometry),
                r#type: Some("Feature"),
            }) => Ok(geometry.get().to_owned()),
            Ok(Feature {
                r#type: Some("Feature"),
                ..
            }) => Err("it has no geometry".to_owned()),
            _ => Ok(text.to_owned()),
        };
    }
    if let Ok(cell) = text.parse::<h3o::CellIndex>() {
        return Ok(of_cell(cell));
    }
    of_wkt(text)
}

/// Returns the outline of a cell of H3.
pub(super) fn of_cell(cell: h3o::CellIndex) -> String {
    let mut ring: Vec<[f64; 2]> = cell
        .boundary()
        .iter()
        .map(|at| [at.lng(), at.lat()])
        .collect();
    ring.extend(ring.first().copied());
    json!({"type": "Polygon", "coordinates": [ring]}).to_string()
}

/// Reads a number that names a cell of H3.
pub(super) fn of_number(number: u64) -> Result<String, String> {
    let cell = h3o::CellIndex::try_from(number);
    cell.map(of_cell)
        .map_err(|_| format!("{number} is no cell of H3"))
}

/// Nested lists deeper than any geometry of WKT.
const DEEPEST: usize = 5;

/// Reads WKT, with or without a leading `SRID=4326;`; heights are dropped.
fn of_wkt(text: &str) -> Result<String, String> {
    let bare = match text.split_once(';') {
        Some((srid, rest)) if srid.eq_ignore_ascii_case("SRID=4326") => rest.trim(),
        _ => text,
    };
    let mut reader = Reader { text: bare, at: 0 };
    let geometry = reader.geometry(0)?;
    if !reader.rest().trim().is_empty() {
        return Err(format!(
            "text after its geometry: {:?}",
            shortened(reader.rest())
        ));
    }
    Ok(geometry.to_string())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a character, if it is the next one.
    fn take(&mut self, wanted: char) -> bool {
        self.skip();
        let is_next = self.rest().starts_with(wanted);
        self.at += if is_next { wanted.len_utf8() } else { 0 };
        is_next
    }

    fn word(&mut self) -> String {
        self.skip();
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default().to_ascii_uppercase();
        self.at += end;
        word
    }

    fn geometry(&mut self, depth: usize) -> Result<Value, String> {
        let shown = shortened(self.rest());
        let wrong =
            || format!("its geometry is neither GeoJSON nor WKT nor a cell of H3: {shown:?}");
        let name = self.word();
        let kind = [
            "POINT",
            "LINESTRING",
            "POLYGON",
            "MULTIPOINT",
            "MULTILINESTRING",
            "MULTIPOLYGON",
            "GEOMETRYCOLLECTION",
        ]
        .into_iter()
        .find(|kind| {
            name.strip_prefix(kind)
                .is_some_and(|end| ["", "Z", "M", "ZM"].contains(&end))
        });
        let kind = kind.ok_or_else(wrong)?;
        let before = self.at;
        if !matches!(self.word().as_str(), "Z" | "M" | "ZM") {
            self.at = before;
        }
        if kind == "GEOMETRYCOLLECTION" {
            return self.collection(depth);
        }
        let before = self.at;
        let is_empty = self.word() == "EMPTY";
        if !is_empty {
            self.at = before;
        }
        let list = if is_empty { json!([]) } else { self.list(0)? };
        let coordinates = match kind {
            "POINT" => list.get(0).cloned().unwrap_or(list),
            // Both ((1 2), (3 4)) and (1 2, 3 4) are in use.
            "MULTIPOINT" => flattened(list),
            _ => list,
        };
        let names = [
            ("POINT", "Point"),
            ("LINESTRING", "LineString"),
            ("POLYGON", "Polygon"),
            ("MULTIPOINT", "MultiPoint"),
            ("MULTILINESTRING", "MultiLineString"),
            ("MULTIPOLYGON", "MultiPolygon"),
        ];
        let name = names
            .into_iter()
            .find(|(wkt, _)| *wkt == kind)
            .map(|(_, name)| name);
        Ok(json!({"type": name, "coordinates": coordinates}))
    }

    fn collection(&mut self, depth: usize) -> Result<Value, String> {
        let mut parts = Vec::new();
        if depth > DEEPEST || !self.take('(') {
            return Err("a collection without parts, or too deep".to_owned());
        }
        loop {
            parts.push(self.geometry(depth + 1)?);
            if self.take(')') {
                return Ok(json!({"type": "GeometryCollection", "geometries": parts}));
            }
            if !self.take(',') {
                return Err("a collection that does not end".to_owned());
            }
        }
    }

    /// Reads `( … , … )`, whose parts are lists or positions.
    fn list(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST || !self.take('(') {
            return Err(format!(
                "no coordinates where they should be: {:?}",
                shortened(self.rest())
            ));
        }
        let mut parts = Vec::new();
        loop {
            self.skip();
            parts.push(if self.rest().starts_with('(') {
                self.list(depth + 1)?
            } else {
                self.position()?
            });
            if self.take(')') {
                return Ok(Value::Array(parts));
            }
            if !self.take(',') {
                return Err(format!(
                    "a list that does not end: {:?}",
                    shortened(self.rest())
                ));
            }
        }
    }

    fn position(&mut self) -> Result<Value, String> {
        let rest = self.rest();
        let end = rest.find([',', ')', '(']).unwrap_or(rest.len());
        let words: Vec<&str> = rest
            .get(..end)
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let numbers: Result<Vec<f64>, _> = words
            .iter()
            .take(2)
            .map(|word| word.parse::<f64>())
            .collect();
        self.at += end;
        match numbers {
            Ok(numbers) if numbers.len() == 2 && (2..=4).contains(&words.len()) => {
                Ok(json!(numbers))
            }
            _ => Err(format!("{:?} is no position", words.join(" "))),
        }
    }
}

fn flattened(list: Value) -> Value {
    let Value::Array(parts) = list else {
        return list;
    };
    let one = |part: Value| match part.get(0) {
        Some(inner) if inner.is_array() => inner.clone(),
        _ => part,
    };
    Value::Array(parts.into_iter().map(one).collect())
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
