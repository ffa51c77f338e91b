//! The grid of named regions: which of them a geometry touches, in the plane of longitude and latitude.

use std::sync::Arc;

use geo::{BoundingRect, Coord, Geometry, Intersects, LineString, MultiPoint, Polygon, Translate};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::outline::{Kind, Outline};
use super::{CellKey, Grid, GridError, GridOptions, GridSpec};

/// Covers geometries with the regions of a file that they touch; a common point is enough, on an outline as well.
#[derive(Clone, Debug)]
pub struct RegionGrid {
    spec: GridSpec,
    cap: Option<usize>,
    regions: Arc<[Region]>,
    outline: Outline,
}

#[derive(Debug)]
struct Region {
    key: CellKey,
    pieces: Vec<Piece>,
}

/// A plain geometry and its extent.
#[derive(Debug)]
struct Piece {
    geometry: Geometry<f64>,
    min: Coord<f64>,
    max: Coord<f64>,
}

#[derive(Deserialize)]
struct Collection {
    #[serde(rename = "type")]
    _type: CollectionType,
    features: Vec<Feature>,
}

#[derive(Deserialize)]
enum CollectionType {
    FeatureCollection,
}

#[derive(Deserialize)]
struct Feature {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    geometry: Option<geojson::Geometry>,
    #[serde(default)]
    properties: Option<Map<String, Value>>,
}

impl RegionGrid {
    /// Reads the regions from the bytes of a GeoJSON `FeatureCollection`.
    ///
    /// A region is named by the property that the grid says, else by the feature's id, else by its place in the file, from 0.
    /// Features of one name are one region; one without a geometry is never met.
    ///
    /// # Errors
    /// When the bytes are no such collection or not the pinned ones, a name is empty or reserved, or the options do
    /// not suit an EarthCatalog.
    pub(super) fn new(
        spec: GridSpec,
        bytes: &[u8],
        options: GridOptions,
    ) -> Result<Self, GridError> {
        options.check(&spec)?;
        let mut regions = Vec::new();
        if let GridSpec::GeoJson {
            path,
            id_field,
            sha256,
        } = &spec
        {
            check_content(path, sha256.as_deref(), bytes)?;
            let collection: Collection =
                serde_json::from_slice(bytes).map_err(|source| GridError::Boundaries {
                    path: path.clone(),
                    source,
                })?;
            for (index, feature) in collection.features.into_iter().enumerate() {
                let key = region_key(&feature, id_field, index);
                check_key(&key, options).map_err(|reason| GridError::RegionKey {
                    path: path.clone(),
                    index,
                    key: key.to_string(),
                    reason,
                })?;
                let geometry = feature.geometry.as_ref().map(to_geo);
                let mut outline = Outline::default();
                outline.read(geometry.as_ref());
                let pieces = pieces(&outline);
                regions.push(Region { key, pieces });
            }
        }
        Ok(Self {
            spec: spec.pinned(bytes),
            cap: options.cap.map(std::num::NonZeroUsize::get),
            regions: regions.into(),
            outline: Outline::default(),
        })
    }
}

impl Grid for RegionGrid {
    fn spec(&self) -> &GridSpec {
        &self.spec
    }

    fn cover(
        &mut self,
        geometry: Option<&Geometry<f64>>,
        out: &mut Vec<CellKey>,
    ) -> Result<(), GridError> {
        out.clear();
        self.outline.read(geometry);
        let pieces = pieces(&self.outline);
        out.extend(
            self.regions
                .iter()
                .filter(|region| region.meets(&pieces))
                .map(|region| region.key.clone()),
        );
        out.sort_unstable();
        out.dedup();
        if self.cap.is_some_and(|cap| out.len() > cap) {
            out.clear();
            out.push(CellKey::global());
        }
        if out.is_empty() {
            out.push(CellKey::none());
        }
        Ok(())
    }
}

impl Region {
    fn meets(&self, pieces: &[Piece]) -> bool {
        self.pieces
            .iter()
            .any(|own| pieces.iter().any(|other| own.meets(other)))
    }
}

impl Piece {
    fn new(geometry: Geometry<f64>) -> Option<Self> {
        let extent = geometry.bounding_rect()?;
        Some(Self {
            geometry,
            min: extent.min(),
            max: extent.max(),
        })
    }

    /// Says whether the two have a point of the globe in common: any whole turns apart.
    fn meets(&self, other: &Self) -> bool {
        if self.min.y > other.max.y || other.min.y > self.max.y {
            return false;
        }
        let mut turn = ((self.min.x - other.max.x) / 360.0).ceil() * 360.0;
        while other.min.x + turn <= self.max.x {
            let met = if turn.abs() < 1.0 {
                self.geometry.intersects(&other.geometry)
            } else {
                self.geometry
                    .intersects(&other.geometry.translate(turn, 0.0))
            };
            if met {
                return true;
            }
            turn += 360.0;
        }
        false
    }
}

/// Returns the parts of an outline as plain geometries.
fn pieces(outline: &Outline) -> Vec<Piece> {
    let coords = |part| -> Vec<Coord<f64>> {
        outline
            .positions(part)
            .iter()
            .map(|[x, y]| Coord { x: *x, y: *y })
            .collect()
    };
    outline
        .groups()
        .filter_map(|group| {
            let (first, holes) = group.split_first()?;
            Piece::new(match first.kind {
                Kind::Points => {
                    MultiPoint(coords(first).into_iter().map(geo::Point).collect()).into()
                }
                Kind::Line => LineString(coords(first)).into(),
                Kind::Outer | Kind::Hole => Polygon::new(
                    LineString(coords(first)),
                    holes.iter().map(|hole| LineString(coords(hole))).collect(),
                )
                .into(),
            })
        })
        .collect()
}

fn check_content(path: &str, pinned: Option<&str>, bytes: &[u8]) -> Result<(), GridError> {
    let found = sha256_hex(bytes);
    match pinned {
        Some(pinned) if !pinned.eq_ignore_ascii_case(&found) => Err(GridError::BoundariesChanged {
            path: path.to_owned(),
            pinned: pinned.to_owned(),
            found,
        }),
        _ => Ok(()),
    }
}

fn region_key(feature: &Feature, id_field: &str, index: usize) -> CellKey {
    let named = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    feature
        .properties
        .as_ref()
        .and_then(|properties| properties.get(id_field))
        .and_then(named)
        .or_else(|| feature.id.as_ref().and_then(named))
        .unwrap_or_else(|| index.to_string())
        .into()
}

fn check_key(key: &CellKey, options: GridOptions) -> Result<(), &'static str> {
    if key.as_str().is_empty() {
        return Err("is empty");
    }
    if key.is_reserved() {
        return Err("is reserved");
    }
    if options.earthcatalog && key.path_segment() != key.as_str() {
        return Err(
            "would not be the same in the path of a file, by which EarthCatalog goes: \
             use letters, digits, _ and -",
        );
    }
    Ok(())
}

/// Returns a GeoJSON geometry with positions of too few numbers left out.
fn to_geo(geometry: &geojson::Geometry) -> Geometry<f64> {
    use geojson::GeometryValue as G;
    match &geometry.value {
        G::Point { coordinates } => points(std::slice::from_ref(coordinates)),
        G::MultiPoint { coordinates } => points(coordinates),
        G::LineString { coordinates } => line(coordinates).into(),
        G::MultiLineString { coordinates } => {
            geo::MultiLineString(coordinates.iter().map(|l| line(l)).collect()).into()
        }
        G::Polygon { coordinates } => polygon(coordinates).into(),
        G::MultiPolygon { coordinates } => {
            geo::MultiPolygon(coordinates.iter().map(|p| polygon(p)).collect()).into()
        }
        G::GeometryCollection { geometries } => {
            Geometry::GeometryCollection(geometries.iter().map(to_geo).collect())
        }
    }
}

fn line(positions: &[geojson::Position]) -> LineString<f64> {
    let coord = |position: &geojson::Position| match position.as_slice() {
        [x, y, ..] => Some(Coord { x: *x, y: *y }),
        _ => None,
    };
    LineString(positions.iter().filter_map(coord).collect())
}

fn points(positions: &[geojson::Position]) -> Geometry<f64> {
    let points = line(positions).0.into_iter().map(geo::Point).collect();
    MultiPoint(points).into()
}

fn polygon(rings: &[Vec<geojson::Position>]) -> Polygon<f64> {
    let mut rings = rings.iter().map(|ring| line(ring));
    let outer = rings.next().unwrap_or_else(|| LineString(Vec::new()));
    Polygon::new(outer, rings.collect())
}

/// Returns the SHA-256 of some bytes, lower-case hex.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}
