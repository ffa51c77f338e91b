//! GeoJSON geometries: read from text, written as WKB and as text again.

mod extent;
mod rings;
#[cfg(test)]
mod tests;
pub(crate) mod text;
pub mod wkb;

use geo::{Coord, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon};

/// A geometry's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryKind {
    /// One position, or none.
    Point,
    /// Positions joined by straight lines.
    LineString,
    /// Rings: the outline, then the holes.
    Polygon,
    /// Positions.
    MultiPoint,
    /// Lines.
    MultiLineString,
    /// Polygons.
    MultiPolygon,
    /// Geometries of any type.
    GeometryCollection,
}

/// A geometry in degrees of longitude and latitude, with heights or without; positions lie flat in one list.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    kind: GeometryKind,
    has_z: bool,
    positions: Vec<[f64; 3]>,
    /// Where each ring or line ends in `positions`.
    rings: Vec<usize>,
    /// Where each polygon ends in `rings`.
    polygons: Vec<usize>,
    members: Vec<Self>,
}

/// Text that is not a geometry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// Not an object with `type` and `coordinates` (or `geometries`).
    #[error("not a GeoJSON geometry")]
    Malformed(#[source] serde_json::Error),
    /// A type that GeoJSON does not have.
    #[error("unknown geometry type {0:?}")]
    UnknownType(String),
    /// `coordinates` (or `geometries`) is missing.
    #[error("a {0} without coordinates")]
    NoCoordinates(&'static str),
    /// `coordinates` is not nested as its type asks, or holds something else than finite numbers.
    #[error("coordinates of a {0} are not positions")]
    Coordinates(&'static str),
    /// Collections inside collections beyond all use.
    #[error("geometry collections nested deeper than {0}")]
    TooDeep(usize),
}

impl GeometryKind {
    const ALL: [Self; 7] = [
        Self::Point,
        Self::LineString,
        Self::Polygon,
        Self::MultiPoint,
        Self::MultiLineString,
        Self::MultiPolygon,
        Self::GeometryCollection,
    ];

    /// Returns GeoJSON's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Point => "Point",
            Self::LineString => "LineString",
            Self::Polygon => "Polygon",
            Self::MultiPoint => "MultiPoint",
            Self::MultiLineString => "MultiLineString",
            Self::MultiPolygon => "MultiPolygon",
            Self::GeometryCollection => "GeometryCollection",
        }
    }

    /// Returns `GeoParquet`'s name: GeoJSON's, with ` Z` where there are heights.
    pub fn with_z(self, has_z: bool) -> &'static str {
        match (self, has_z) {
            (kind, false) => kind.as_str(),
            (Self::Point, true) => "Point Z",
            (Self::LineString, true) => "LineString Z",
            (Self::Polygon, true) => "Polygon Z",
            (Self::MultiPoint, true) => "MultiPoint Z",
            (Self::MultiLineString, true) => "MultiLineString Z",
            (Self::MultiPolygon, true) => "MultiPolygon Z",
            (Self::GeometryCollection, true) => "GeometryCollection Z",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl Geometry {
    fn empty(kind: GeometryKind) -> Self {
        Self {
            kind,
            has_z: false,
            positions: Vec::new(),
            rings: Vec::new(),
            polygons: Vec::new(),
            members: Vec::new(),
        }
    }

    /// Returns the type.
    pub fn kind(&self) -> GeometryKind {
        self.kind
    }

    /// Returns whether positions have heights.
    pub fn has_z(&self) -> bool {
        self.has_z
    }

    /// Returns how many numbers its positions have, those of its members left out.
    pub(crate) fn numbers(&self) -> usize {
        self.positions.len() * if self.has_z { 3 } else { 2 }
    }

    /// Returns whether there is no position at all.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.members.iter().all(Self::is_empty)
    }

    /// Returns the rings or lines.
    fn rings(&self) -> impl Iterator<Item = &[[f64; 3]]> {
        pieces(&self.positions, &self.rings)
    }

    /// Returns the rings of each polygon.
    fn polygons(&self) -> impl Iterator<Item = Vec<&[[f64; 3]]>> {
        let rings: Vec<_> = self.rings().collect();
        let mut begin = 0;
        self.polygons.iter().map(move |end| {
            let polygon = rings.get(begin..*end).unwrap_or_default().to_vec();
            begin = *end;
            polygon
        })
    }

    /// Returns the geometry without heights; an empty point becomes an empty multi-point.
    pub fn to_geo(&self) -> geo::Geometry<f64> {
        let coord = |p: &[f64; 3]| Coord { x: p[0], y: p[1] };
        let line = |ring: &[[f64; 3]]| LineString::new(ring.iter().map(coord).collect());
        let polygon = |rings: Vec<&[[f64; 3]]>| {
            let mut rings = rings.into_iter().map(line);
            let outline = rings.next().unwrap_or_else(|| LineString::new(Vec::new()));
            Polygon::new(outline, rings.collect())
        };
        let points = || self.positions.iter().map(|p| Point(coord(p)));
        match self.kind {
            GeometryKind::Point => match points().next() {
                Some(point) => point.into(),
                None => MultiPoint::new(Vec::new()).into(),
            },
            GeometryKind::LineString => line(&self.positions).into(),
            GeometryKind::MultiPoint => MultiPoint::new(points().collect()).into(),
            GeometryKind::MultiLineString => {
                MultiLineString::new(self.rings().map(line).collect()).into()
            }
            GeometryKind::Polygon => polygon(self.rings().collect()).into(),
            GeometryKind::MultiPolygon => {
                MultiPolygon::new(self.polygons().map(polygon).collect()).into()
            }
            GeometryKind::GeometryCollection => {
                geo::Geometry::GeometryCollection(self.members.iter().map(Self::to_geo).collect())
            }
        }
    }
}

/// Cuts a list at the given ends.
fn pieces<'a, T>(list: &'a [T], ends: &'a [usize]) -> impl Iterator<Item = &'a [T]> {
    let mut begin = 0;
    ends.iter().map(move |end| {
        let piece = list.get(begin..*end).unwrap_or_default();
        begin = *end;
        piece
    })
}
