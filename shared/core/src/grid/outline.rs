//! Geometries made plain: positions without gaps in longitude, rings closed.
//!
//! How an edge of more than 180° of longitude is read is said in [`crate::ring`], for items as for areas of interest. Boxes
//! given as such (`Rect`) are literal. Latitudes are cut off at ±90, longitudes beyond ±540 are brought to ±180, positions that
//! are not finite are left out.

use std::ops::Range;

use geo::{Coord, Geometry, LineString, Polygon};

use crate::ring;

/// What a run of positions is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Positions by themselves.
    Points,
    /// Positions joined by edges.
    Line,
    /// The closed outline of a polygon.
    Outer,
    /// A closed ring cut out of the polygon whose outline went before.
    Hole,
}

/// A run of positions.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) kind: Kind,
    range: Range<usize>,
    pub(super) west: f64,
    pub(super) east: f64,
}

/// A geometry as runs of positions, lon/lat degrees; from one position of a run to the next, longitude has no jump.
#[derive(Clone, Debug, Default)]
pub(super) struct Outline {
    positions: Vec<[f64; 2]>,
    parts: Vec<Part>,
}

impl Outline {
    /// Takes a geometry in place of the last one.
    pub(super) fn read(&mut self, geometry: Option<&Geometry<f64>>) {
        self.positions.clear();
        self.parts.clear();
        if let Some(geometry) = geometry {
            self.add(geometry);
        }
    }

    /// Returns the parts that stand together: an outline with its holes, any other part alone.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[Part]> {
        self.parts.chunk_by(|_, next| next.kind == Kind::Hole)
    }

    pub(super) fn positions(&self, part: &Part) -> &[[f64; 2]] {
        self.positions.get(part.range.clone()).unwrap_or_default()
    }

    /// Says whether a position lies inside the polygon of a group; anything for a position on its outline.
    ///
    /// What an outline goes round at all is inside, what a hole goes round an odd number of times is not: where a
    /// ring crosses itself and readers differ, the larger reading.
    pub(super) fn contains(&self, group: &[Part], position: [f64; 2]) -> bool {
        let Some((outer, holes)) = group.split_first() else {
            return false;
        };
        outer.kind == Kind::Outer
            && self.goes_round(outer, position, |turns| turns != 0)
            && !holes
                .iter()
                .any(|hole| self.goes_round(hole, position, |turns| turns % 2 != 0))
    }

    fn goes_round(&self, part: &Part, [lon, lat]: [f64; 2], inside: fn(i32) -> bool) -> bool {
        let ring = self.positions(part);
        let mut lon = lon + 360.0 * ((part.west - lon) / 360.0).ceil();
        while lon <= part.east {
            if inside(ring::turns(ring, [lon, lat])) {
                return true;
            }
            lon += 360.0;
        }
        false
    }

    fn add(&mut self, geometry: &Geometry<f64>) {
        match geometry {
            Geometry::Point(point) => self.points([point.0]),
            Geometry::MultiPoint(points) => self.points(points.0.iter().map(|point| point.0)),
            Geometry::Line(line) => self.line(&[line.start, line.end]),
            Geometry::LineString(line) => self.line(&line.0),
            Geometry::MultiLineString(lines) => lines.0.iter().for_each(|line| self.line(&line.0)),
            Geometry::Polygon(polygon) => self.polygon(polygon),
            Geometry::MultiPolygon(polygons) => polygons.0.iter().for_each(|p| self.polygon(p)),
            Geometry::GeometryCollection(members) => members.0.iter().for_each(|m| self.add(m)),
            Geometry::Triangle(triangle) => self.polygon(&triangle.to_polygon()),
            Geometry::Rect(rect) => self.rect(rect.min(), rect.max()),
        }
    }

    fn points(&mut self, coords: impl IntoIterator<Item = Coord<f64>>) {
        let start = self.take(coords);
        self.close_part(Kind::Points, start);
    }

    fn line(&mut self, coords: &[Coord<f64>]) {
        let start = self.take(coords.iter().copied());
        if ring::has_jump(self.tail(start)) {
            let walk = ring::unroll_line(self.tail(start));
            self.replace(start, &walk);
        }
        self.close_part(Kind::Line, start);
    }

    fn polygon(&mut self, polygon: &Polygon<f64>) {
        if !self.ring(Kind::Outer, polygon.exterior()) {
            return;
        }
        for hole in polygon.interiors() {
            self.ring(Kind::Hole, hole);
        }
    }

    fn ring(&mut self, kind: Kind, line: &LineString<f64>) -> bool {
        let start = self.take(line.0.iter().copied());
        let (first, last) = (self.tail(start).first().copied(), self.positions.last());
        if let Some(first) = first
            && last != Some(&first)
        {
            self.positions.push(first);
        }
        if ring::has_jump(self.tail(start)) {
            let walk = ring::unroll_ring(self.tail(start), kind == Kind::Hole);
            self.replace(start, &walk);
        }
        self.close_part(kind, start);
        first.is_some()
    }

    fn rect(&mut self, min: Coord<f64>, max: Coord<f64>) {
        let corner = |x, y| Coord { x, y };
        let start = self.take([min, corner(max.x, min.y), max, corner(min.x, max.y), min]);
        self.close_part(Kind::Outer, start);
    }

    /// Appends what is finite of a run and returns where it begins.
    fn take(&mut self, coords: impl IntoIterator<Item = Coord<f64>>) -> usize {
        let start = self.positions.len();
        self.positions.extend(
            coords
                .into_iter()
                .filter(|coord| coord.x.is_finite() && coord.y.is_finite())
                .map(|coord| [ring::near_longitude(coord.x), coord.y.clamp(-90.0, 90.0)]),
        );
        start
    }

    fn tail(&self, start: usize) -> &[[f64; 2]] {
        self.positions.get(start..).unwrap_or_default()
    }

    fn replace(&mut self, start: usize, positions: &[[f64; 2]]) {
        self.positions.truncate(start);
        self.positions.extend_from_slice(positions);
    }

    fn close_part(&mut self, kind: Kind, start: usize) {
        let (west, east) = ring::extent(self.tail(start));
        if west <= east {
            self.parts.push(Part {
                kind,
                range: start..self.positions.len(),
                west,
                east,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_inside_whichever_turn_of_a_wide_ring_has_it() {
        let band = LineString::from(vec![
            (-200.0, -30.0),
            (-150.0, -30.0),
            (20.0, 0.0),
            (190.0, 30.0),
            (140.0, 30.0),
            (-30.0, 0.0),
        ]);
        let mut outline = Outline::default();
        outline.read(Some(&Polygon::new(band, Vec::new()).into()));
        let group: Vec<Part> = outline.groups().flatten().cloned().collect();
        assert!(outline.contains(&group, [160.0, 28.0]));
        assert!(outline.contains(&group, [-175.0, -28.0]));
        assert!(outline.contains(&group, [185.0, -28.0]));
        assert!(!outline.contains(&group, [-175.0, 28.0 - 20.0]));
        assert!(!outline.contains(&group, [0.0, 20.0]));
    }

    #[test]
    fn longitudes_far_away_and_latitudes_beyond_a_pole_are_brought_home() {
        let line = LineString::from(vec![(725.0, 95.0), (f64::INFINITY, 0.0), (6.0, -91.0)]);
        let mut outline = Outline::default();
        outline.read(Some(&line.into()));
        let group: Vec<Part> = outline.groups().flatten().cloned().collect();
        assert_eq!(outline.positions(&group[0]), [[5.0, 90.0], [6.0, -90.0]]);
    }
}
