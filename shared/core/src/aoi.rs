//! Areas of interest.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::digest_hex;

/// One area of interest: a row of the file of places.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Area {
    /// Its place in the file, from 0.
    pub row_number: u64,
    /// Its id: the feature's own, else a hash of its content.
    pub row_id: String,
    /// The GeoJSON geometry, byte for byte as handed in, WGS 84 lon/lat degrees; `null` is everywhere.
    pub geometry: Box<RawValue>,
    /// The row's own columns, carried through to every result row.
    #[serde(default)]
    pub columns: Map<String, Value>,
}

/// A row of the file of places that cannot be searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedArea {
    /// Its place in the file, from 0.
    pub row_number: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// What a file of places holds: rows that can be searched and rows that cannot.
#[derive(Clone, Debug, Default)]
pub struct Areas {
    /// In the order of the file.
    pub areas: Vec<Area>,
    /// In the order of the file.
    pub rejected: Vec<RejectedArea>,
}

/// A file of places that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AoiError {
    /// The bytes are not JSON.
    #[error("the file of areas is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// The JSON is not GeoJSON.
    #[error(
        "the file of areas is JSON of type {0:?}: use a FeatureCollection, a Feature or a geometry"
    )]
    NotGeoJson(String),
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(default)]
    r#type: Option<String>,
    #[serde(borrow, default)]
    features: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Feature<'a> {
    #[serde(default)]
    id: Option<Value>,
    #[serde(borrow)]
    geometry: Option<&'a RawValue>,
    #[serde(default)]
    properties: Option<Map<String, Value>>,
}

impl Area {
    /// Returns whether any place will do, one without a place too.
    pub fn is_everywhere(&self) -> bool {
        self.geometry.get().trim() == "null"
    }
}

/// Returns a box's GeoJSON Polygon, counter-clockwise; one whose west lies east of its east crosses the antimeridian.
/// `None` when the numbers are no box: 4, or 6 with heights, south not above north, all on the globe.
pub fn polygon_of_bbox(numbers: &[f64]) -> Option<String> {
    let [west, south, east, north] = crate::stac::flat_bbox(numbers)?;
    let on_globe = [west, east].iter().all(|lon| lon.abs() <= 540.0)
        && [south, north].iter().all(|lat| lat.abs() <= 90.0);
    if !on_globe || south > north {
        return None;
    }
    let east = if east < west { east + 360.0 } else { east };
    // No edge may span 180° or more, or it would be read the short way round.
    let steps: Vec<f64> = (0..=4)
        .map(|step| west + (east - west) * f64::from(step) / 4.0)
        .collect();
    let along = |lat: f64| steps.iter().map(move |lon| [*lon, lat]);
    let mut ring: Vec<[f64; 2]> = along(south).chain(along(north).rev()).collect();
    ring.push([west, south]);
    let ring = serde_json::to_string(&ring).ok()?;
    Some(format!(r#"{{"type":"Polygon","coordinates":[{ring}]}}"#))
}

impl Areas {
    /// Reads a GeoJSON `FeatureCollection`, `Feature` or geometry; a bad row is rejected with its number, the others go on.
    /// A bbox (an array of 4 or 6 numbers) is one area, and `null` is one that is everywhere.
    ///
    /// # Errors
    /// When the text as a whole is not GeoJSON.
    pub fn from_geojson(text: &str) -> Result<Self, AoiError> {
        let mut found = Self::default();
        if text.trim() == "null" {
            found.areas.extend(everywhere());
            return Ok(found);
        }
        if text.trim_start().starts_with('[') {
            let numbers: Vec<f64> = serde_json::from_str(text).map_err(AoiError::NotJson)?;
            let polygon = polygon_of_bbox(&numbers);
            let polygon = polygon.ok_or_else(|| AoiError::NotGeoJson("bbox".to_owned()))?;
            found.take(0, None, &polygon, Map::new());
            return Ok(found);
        }
        let document: Document<'_> = serde_json::from_str(text).map_err(AoiError::NotJson)?;
        match (document.r#type.as_deref(), document.features) {
            (Some("FeatureCollection"), Some(features)) => {
                for (row_number, feature) in (0..).zip(features) {
                    found.take_feature(row_number, feature.get());
                }
            }
            (Some("Feature"), _) => found.take_feature(0, text),
            (Some(kind), _) if GEOMETRY_TYPES.contains(&kind) => {
                found.take(0, None, text.trim(), Map::new());
            }
            (kind, _) => return Err(AoiError::NotGeoJson(kind.unwrap_or("none").to_owned())),
        }
        Ok(found)
    }

    /// Returns [`digest_hex`](crate::digest_hex) of what is searched, 64 digits: every area's id, geometry and columns.
    pub fn digest_hex(&self) -> String {
        let columns: Vec<Vec<u8>> = self
            .areas
            .iter()
            .map(|area| serde_json::to_vec(&area.columns).unwrap_or_default())
            .collect();
        let parts: Vec<&[u8]> = self
            .areas
            .iter()
            .zip(&columns)
            .flat_map(|(area, columns)| {
                [
                    area.row_id.as_bytes(),
                    area.geometry.get().as_bytes(),
                    columns,
                ]
            })
            .collect();
        digest_hex(&parts, 32)
    }

    /// Takes one GeoJSON Feature, or rejects it with its number.
    pub fn take_feature(&mut self, row_number: u64, text: &str) {
        match serde_json::from_str::<Feature<'_>>(text) {
            Err(error) => self.reject(row_number, format!("not a GeoJSON Feature: {error}")),
            Ok(Feature { geometry: None, .. }) => {
                self.reject(row_number, "it has no geometry".to_owned());
            }
            Ok(Feature {
                id,
                geometry: Some(geometry),
                properties,
            }) => {
                self.take(
                    row_number,
                    id,
                    geometry.get(),
                    properties.unwrap_or_default(),
                );
            }
        }
    }

    /// Takes one row: a GeoJSON geometry's text and the row's own columns, one named `id` among them when `id` is none.
    pub fn take(
        &mut self,
        row_number: u64,
        id: Option<Value>,
        geometry: &str,
        columns: Map<String, Value>,
    ) {
        if let Err(reason) = check_geometry(geometry) {
            return self.reject(row_number, reason);
        }
        let Ok(raw) = RawValue::from_string(geometry.to_owned()) else {
            return self.reject(row_number, "its geometry is not JSON".to_owned());
        };
        let row_id = row_id(
            id.or_else(|| columns.get("id").cloned()),
            geometry,
            &columns,
        );
        self.areas.push(Area {
            row_number,
            row_id,
            geometry: raw,
            columns,
        });
    }

    /// Names a row that cannot be searched.
    pub fn reject(&mut self, row_number: u64, reason: String) {
        self.rejected.push(RejectedArea { row_number, reason });
    }
}

fn everywhere() -> Option<Area> {
    Some(Area {
        row_number: 0,
        row_id: "everywhere".to_owned(),
        geometry: RawValue::from_string("null".to_owned()).ok()?,
        columns: Map::new(),
    })
}

const GEOMETRY_TYPES: [&str; 7] = [
    "Point",
    "MultiPoint",
    "LineString",
    "MultiLineString",
    "Polygon",
    "MultiPolygon",
    "GeometryCollection",
];

fn row_id(id: Option<Value>, geometry: &str, columns: &Map<String, Value>) -> String {
    match id {
        Some(Value::String(text)) if !text.is_empty() => text,
        Some(Value::Number(number)) => number.to_string(),
        _ => {
            let columns = serde_json::to_vec(columns).unwrap_or_default();
            digest_hex(&[geometry.as_bytes(), &columns], 8)
        }
    }
}

/// Refuses what no STAC API can search: unknown types, empty geometries, positions off the globe, short rings.
fn check_geometry(text: &str) -> Result<(), String> {
    let geometry: geojson::Geometry = serde_json::from_str(text)
        .map_err(|error| format!("its geometry is not GeoJSON: {error}"))?;
    let mut positions = 0_usize;
    check_value(&geometry.value, &mut positions)?;
    if positions == 0 {
        return Err("its geometry is empty".to_owned());
    }
    Ok(())
}

fn check_value(value: &geojson::GeometryValue, positions: &mut usize) -> Result<(), String> {
    use geojson::GeometryValue as G;
    match value {
        G::Point { coordinates } => check_line(std::slice::from_ref(coordinates), positions),
        G::MultiPoint { coordinates } | G::LineString { coordinates } => {
            check_line(coordinates, positions)
        }
        G::MultiLineString { coordinates } => coordinates
            .iter()
            .try_for_each(|line| check_line(line, positions)),
        G::Polygon { coordinates } => check_rings(coordinates, positions),
        G::MultiPolygon { coordinates } => coordinates
            .iter()
            .try_for_each(|rings| check_rings(rings, positions)),
        G::GeometryCollection { geometries } => geometries
            .iter()
            .try_for_each(|part| check_value(&part.value, positions)),
    }
}

fn check_rings(rings: &[Vec<geojson::Position>], positions: &mut usize) -> Result<(), String> {
    for ring in rings {
        // A ring that does not come back to its begin is closed when it is sent.
        let open = ring.first() != ring.last();
        if ring.len() + usize::from(open) < 4 {
            return Err(format!(
                "a ring has {} positions, 3 different ones are the least",
                ring.len()
            ));
        }
        check_line(ring, positions)?;
    }
    Ok(())
}

fn check_line(line: &[geojson::Position], positions: &mut usize) -> Result<(), String> {
    for position in line {
        let (Some(lon), Some(lat)) = (position.as_slice().first(), position.as_slice().get(1))
        else {
            return Err("a position has fewer than two numbers".to_owned());
        };
        if !(-90.0..=90.0).contains(lat) || !(-540.0..=540.0).contains(lon) {
            return Err(format!("the position [{lon}, {lat}] lies off the globe"));
        }
        *positions += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}"#;

    fn collection(features: &[String]) -> String {
        format!(
            r#"{{"type":"FeatureCollection","features":[{}]}}"#,
            features.join(",")
        )
    }

    fn feature(extra: &str, geometry: &str) -> String {
        format!(
            r#"{{"type":"Feature",{extra}"properties":{{"name":"x","n":1.50}},"geometry":{geometry}}}"#
        )
    }

    #[test]
    fn one_bad_row_does_not_sink_its_neighbours() {
        let text = collection(&[
            feature(r#""id":"a","#, SQUARE),
            feature(
                "",
                r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[0,0]]]}"#,
            ),
            feature("", "null"),
            feature(r#""id":7,"#, r#"{"type":"Point","coordinates":[5,95]}"#),
            feature(r#""id":8,"#, r#"{"type":"Point","coordinates":[5,5,100]}"#),
        ]);
        let found = Areas::from_geojson(&text).unwrap();
        let ids: Vec<_> = found
            .areas
            .iter()
            .map(|a| (a.row_number, a.row_id.as_str()))
            .collect();
        assert_eq!(ids, [(0, "a"), (4, "8")]);
        let rows: Vec<_> = found.rejected.iter().map(|r| r.row_number).collect();
        assert_eq!(rows, [1, 2, 3]);
        assert!(found.rejected[2].reason.contains("off the globe"));
    }

    #[test]
    fn a_geometry_is_kept_byte_for_byte() {
        let odd = r#"{ "type":"Point", "coordinates":[1.0, 2.50] }"#;
        let found = Areas::from_geojson(odd).unwrap();
        assert_eq!(found.areas[0].geometry.get(), odd);
    }

    #[test]
    fn a_row_without_an_id_is_named_by_its_content() {
        let text = collection(&[feature("", SQUARE), feature("", SQUARE)]);
        let found = Areas::from_geojson(&text).unwrap();
        assert_eq!(found.areas[0].row_id, found.areas[1].row_id);
        assert_eq!(found.areas[0].row_id.len(), 16);
    }

    #[test]
    fn an_open_ring_is_taken_as_it_stands() {
        let open = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1]]]}"#;
        let found = Areas::from_geojson(open).unwrap();
        assert_eq!(found.areas[0].geometry.get(), open);
        let two = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0]]]}"#;
        assert_eq!(Areas::from_geojson(two).unwrap().rejected.len(), 1);
    }

    #[test]
    fn a_box_is_an_area_and_null_is_everywhere() {
        let found = Areas::from_geojson("[170,-50,0,-170,70,9]").unwrap();
        let text = found.areas[0].geometry.get();
        assert!(
            text.contains("[170.0,-50.0],[175.0,-50.0]") && text.contains("[190.0,70.0]"),
            "{text}"
        );
        assert!(!found.areas[0].is_everywhere());
        assert!(Areas::from_geojson(" null ").unwrap().areas[0].is_everywhere());
        for text in ["[1,2,3]", "[0,10,1,5]", "[0,0,1,91]", "[0,0,1,\"a\"]"] {
            assert!(Areas::from_geojson(text).is_err(), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_geojson_is_an_error() {
        assert!(matches!(
            Areas::from_geojson("{"),
            Err(AoiError::NotJson(_))
        ));
        assert!(matches!(
            Areas::from_geojson(r#"{"type":"Topology"}"#),
            Err(AoiError::NotGeoJson(_))
        ));
    }
}
