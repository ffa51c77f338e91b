//! Areas that cross the antimeridian, cut there: STAC APIs read longitudes as a plane from -180 to 180.

use geo::algorithm::{
    Area as _, BooleanOps as _, BoundingRect as _, CoordsIter as _, MapCoords as _,
};
use geo::{
    Coord, Geometry, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon, Rect,
};
use serde_json::value::RawValue;

use crate::ring::{self, Position};

mod exact;
mod halves;
#[cfg(test)]
mod seams;

pub use halves::halves;

/// An area that cannot be sent to a STAC API.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AreaNotSupported {
    /// The text is not a GeoJSON geometry.
    #[error("the area is not a GeoJSON geometry")]
    NotGeoJson(#[source] serde_json::Error),
    /// The coordinates do not make the shape that they say.
    #[error("the area's coordinates do not make a shape")]
    NotAShape(#[source] Box<geojson::Error>),
    /// A ring that has no inside that can be told.
    #[error("the area cannot be cut at the antimeridian: {0}")]
    Ring(&'static str),
}

/// A geometry as STAC APIs take it.
#[derive(Clone, Debug)]
pub struct Searchable {
    /// GeoJSON, two numbers per position, longitudes from -180 to 180.
    pub geometry: Box<RawValue>,
    /// Whether it was cut or moved to get there.
    pub cut: bool,
}

/// Makes a geometry searchable: without heights, rings closed, and cut at the antimeridian where it crosses it.
///
/// What edges of more than 180° of longitude mean, and rings round a pole, is said at the head of `ring.rs`, for areas as for
/// items. A flat geometry in range with closed rings comes back byte for byte.
///
/// # Errors
/// When the text is no geometry, or a ring goes round the globe in a way that leaves its inside open.
pub fn searchable(geometry: &RawValue) -> Result<Searchable, AreaNotSupported> {
    let parsed: geojson::Geometry =
        serde_json::from_str(geometry.get()).map_err(AreaNotSupported::NotGeoJson)?;
    let flat = is_flat(&parsed.value) && is_closed(&parsed.value);
    let given = Geometry::<f64>::try_from(parsed)
        .map_err(|error| AreaNotSupported::NotAShape(Box::new(error)))?;
    let shape = given.map_coords(on_edge);
    let cut = crosses(&shape);
    if flat && !cut && shape == given {
        let geometry = geometry.to_owned();
        return Ok(Searchable { geometry, cut });
    }
    let shape = if cut { cut_geometry(shape)? } else { shape };
    let text = geojson::Geometry::from(&shape).to_string();
    let geometry = RawValue::from_string(text).map_err(AreaNotSupported::NotGeoJson)?;
    Ok(Searchable { geometry, cut })
}

fn is_flat(value: &geojson::GeometryValue) -> bool {
    use geojson::GeometryValue as G;
    let line = |line: &[geojson::Position]| line.iter().all(|position| position.len() == 2);
    let lines = |lines: &[Vec<geojson::Position>]| lines.iter().all(|part| line(part));
    match value {
        G::Point { coordinates } => coordinates.len() == 2,
        G::MultiPoint { coordinates } | G::LineString { coordinates } => line(coordinates),
        G::MultiLineString { coordinates } | G::Polygon { coordinates } => lines(coordinates),
        G::MultiPolygon { coordinates } => coordinates.iter().all(|rings| lines(rings)),
        G::GeometryCollection { geometries } => geometries.iter().all(|part| is_flat(&part.value)),
    }
}

fn is_closed(value: &geojson::GeometryValue) -> bool {
    use geojson::GeometryValue as G;
    let closed =
        |rings: &[Vec<geojson::Position>]| rings.iter().all(|ring| ring.first() == ring.last());
    match value {
        G::Polygon { coordinates } => closed(coordinates),
        G::MultiPolygon { coordinates } => coordinates.iter().all(|rings| closed(rings)),
        G::GeometryCollection { geometries } => {
            geometries.iter().all(|part| is_closed(&part.value))
        }
        _ => true,
    }
}

/// Degrees by which a longitude may miss the map's edge and still be meant to lie on it: files are full of 180.00000000000014.
const SLACK: f64 = 1e-6;

fn on_edge(at: Coord) -> Coord {
    let past = at.x.abs() - 180.0;
    let meant = past > 0.0 && past <= SLACK;
    let x = if meant {
        180.0_f64.copysign(at.x)
    } else {
        at.x
    };
    Coord { x, y: at.y }
}

/// Whether a shape does not lie on the map as it is written.
fn crosses(shape: &Geometry) -> bool {
    let line_moves = |line: &LineString| line.0 != unrolled_line(line);
    let ring_moves = |polygon: &Polygon| {
        polygon.exterior().0 != unrolled_ring(polygon.exterior(), false)
            || polygon
                .interiors()
                .iter()
                .any(|hole| hole.0 != unrolled_ring(hole, true))
    };
    shape.coords_iter().any(|at| at.x.abs() > 180.0)
        || match shape {
            Geometry::LineString(line) => line_moves(line),
            Geometry::MultiLineString(lines) => lines.iter().any(line_moves),
            Geometry::Polygon(polygon) => ring_moves(polygon),
            Geometry::MultiPolygon(polygons) => polygons.iter().any(ring_moves),
            Geometry::GeometryCollection(parts) => parts.iter().any(crosses),
            _ => false,
        }
}

/// Puts each position beside the one before it, past ±180 where need be.
fn unrolled_line(line: &LineString) -> Vec<Coord> {
    let positions = positions(line);
    if ring::has_jump(&positions) {
        coords(&ring::unroll_line(&positions))
    } else {
        line.0.clone()
    }
}

/// Puts each position of a closed ring beside the one before it, and goes along a pole when the ring goes round it.
fn unrolled_ring(line: &LineString, hole: bool) -> Vec<Coord> {
    let positions = positions(line);
    if ring::has_jump(&positions) {
        coords(&ring::unroll_ring(&positions, hole))
    } else {
        line.0.clone()
    }
}

fn positions(line: &LineString) -> Vec<Position> {
    line.coords().map(|at| [at.x, at.y]).collect()
}

fn coords(positions: &[Position]) -> Vec<Coord> {
    let coord = |at: &Position| Coord { x: at[0], y: at[1] };
    positions.iter().map(coord).collect()
}

fn cut_geometry(shape: Geometry) -> Result<Geometry, AreaNotSupported> {
    Ok(match shape {
        Geometry::Point(point) => Geometry::Point(in_range(point)),
        Geometry::MultiPoint(points) => {
            Geometry::MultiPoint(points.into_iter().map(in_range).collect::<MultiPoint>())
        }
        Geometry::LineString(line) => one_or_many_lines(cut_line(&line)),
        Geometry::MultiLineString(lines) => {
            one_or_many_lines(lines.iter().flat_map(cut_line).collect())
        }
        Geometry::Polygon(polygon) => one_or_many(cut_polygon(&polygon)?),
        Geometry::MultiPolygon(polygons) => {
            let mut parts = Vec::new();
            for polygon in &polygons {
                parts.extend(cut_polygon(polygon)?);
            }
            Geometry::MultiPolygon(MultiPolygon(parts))
        }
        Geometry::GeometryCollection(parts) => Geometry::GeometryCollection(
            parts
                .into_iter()
                .map(cut_geometry)
                .collect::<Result<_, _>>()?,
        ),
        other => other,
    })
}

fn one_or_many(mut parts: Vec<Polygon>) -> Geometry {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => Geometry::Polygon(only),
        (last, _) => {
            parts.extend(last);
            Geometry::MultiPolygon(MultiPolygon(parts))
        }
    }
}

fn one_or_many_lines(mut parts: Vec<LineString>) -> Geometry {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => Geometry::LineString(only),
        (last, _) => {
            parts.extend(last);
            Geometry::MultiLineString(MultiLineString(parts))
        }
    }
}

fn in_range(point: Point) -> Point {
    let turns = turns_of(point.x());
    Point::new(point.x() - 360.0 * turns, point.y())
}

/// How many times 360° a longitude lies from the map; the map's own edges belong to it.
fn turns_of(lon: f64) -> f64 {
    if lon.abs() <= 180.0 {
        0.0
    } else {
        (lon / 360.0).round()
    }
}

/// The maps that an unrolled shape lies on, counted from our own.
fn maps(coords: &[Coord]) -> impl Iterator<Item = f64> + use<> {
    let west = coords.iter().fold(f64::INFINITY, |west, at| west.min(at.x));
    let east = coords
        .iter()
        .fold(f64::NEG_INFINITY, |east, at| east.max(at.x));
    (-4_i8..=4).map(f64::from).filter(move |turn| {
        let centre = turn * 360.0;
        // A shape that only touches a map's edge lies on its neighbour, unless it is all on the edge.
        west < centre + 180.0 && (east > centre - 180.0 || (east <= west && east >= centre - 180.0))
    })
}

fn cut_line(line: &LineString) -> Vec<LineString> {
    let coords = unrolled_line(line);
    let mut parts = Vec::new();
    for turn in maps(&coords) {
        let (west, east) = (turn * 360.0 - 180.0, turn * 360.0 + 180.0);
        let mut part: Vec<Coord> = Vec::new();
        for (from, to) in coords.iter().zip(coords.iter().skip(1)) {
            let Some((from, to)) = within(*from, *to, west, east) else {
                continue;
            };
            if part.last() != Some(&from) {
                flush(&mut part, turn, &mut parts);
                part.push(from);
            }
            part.push(to);
        }
        flush(&mut part, turn, &mut parts);
    }
    parts
}

fn flush(part: &mut Vec<Coord>, turn: f64, parts: &mut Vec<LineString>) {
    let coords = std::mem::take(part);
    if coords.len() > 1 {
        let back = |at: Coord| Coord {
            x: at.x - turn * 360.0,
            y: at.y,
        };
        parts.push(coords.into_iter().map(back).collect());
    }
}

/// Returns the part of an edge between two meridians, none when there is none or it is a mere touch.
fn within(from: Coord, to: Coord, west: f64, east: f64) -> Option<(Coord, Coord)> {
    if from.x.max(to.x) < west || from.x.min(to.x) > east {
        return None;
    }
    let at = |lon: f64| {
        let share = (lon - from.x) / (to.x - from.x);
        Coord {
            x: lon,
            y: from.y + share * (to.y - from.y),
        }
    };
    let clamp = |end: Coord| {
        if end.x < west {
            at(west)
        } else if end.x > east {
            at(east)
        } else {
            end
        }
    };
    let (start, end) = (clamp(from), clamp(to));
    (start != end).then_some((start, end))
}

fn cut_polygon(polygon: &Polygon) -> Result<Vec<Polygon>, AreaNotSupported> {
    let exterior = exterior_of(polygon)?;
    let mut interiors = Vec::new();
    for hole in polygon.interiors() {
        interiors.push(beside(hole, &exterior)?);
    }
    let turns: Vec<f64> = maps(&exterior).collect();
    let whole = Polygon::new(LineString(exterior), interiors);
    let mut parts = Vec::new();
    for turn in turns {
        let map = Rect::new(
            Coord {
                x: turn * 360.0 - 180.0,
                y: -90.0,
            },
            Coord {
                x: turn * 360.0 + 180.0,
                y: 90.0,
            },
        );
        let back = |at: Coord| Coord {
            x: (at.x - turn * 360.0).clamp(-180.0, 180.0),
            y: at.y.clamp(-90.0, 90.0),
        };
        let part = exact::restored(&whole.intersection(&map.to_polygon()), &whole, &map);
        let part = part.map_coords(back);
        parts.extend(part.into_iter().filter(|part| part.unsigned_area() > 0.0));
    }
    if parts.is_empty() {
        return Err(AreaNotSupported::Ring("a ring has no inside"));
    }
    Ok(parts)
}

/// Unrolls an exterior ring.
fn exterior_of(polygon: &Polygon) -> Result<Vec<Coord>, AreaNotSupported> {
    let line = polygon.exterior();
    if line.0.is_empty() {
        return Err(AreaNotSupported::Ring("a ring is empty"));
    }
    if ring::way_round(&positions(line)).abs() > 361.0 {
        return Err(AreaNotSupported::Ring(
            "a ring goes round the globe more than once",
        ));
    }
    Ok(unrolled_ring(line, false))
}

/// Unrolls a hole and moves it by whole turns to where its exterior ring lies.
fn beside(hole: &LineString, exterior: &[Coord]) -> Result<LineString, AreaNotSupported> {
    let hole = LineString(unrolled_ring(hole, true));
    let ring = LineString(exterior.to_vec());
    let (Some(inner), Some(outer)) = (hole.bounding_rect(), ring.bounding_rect()) else {
        return Err(AreaNotSupported::Ring("a ring is empty"));
    };
    let shift = (-4_i8..=4)
        .map(|turn| f64::from(turn) * 360.0)
        .find(|shift| {
            inner.min().x + shift >= outer.min().x && inner.max().x + shift <= outer.max().x
        });
    let shift = shift.ok_or(AreaNotSupported::Ring("a hole lies outside its ring"))?;
    Ok(hole.map_coords(|at| Coord {
        x: at.x + shift,
        y: at.y,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Result<(Geometry, bool), AreaNotSupported> {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        let found = searchable(&raw)?;
        let parsed: geojson::Geometry = serde_json::from_str(found.geometry.get()).unwrap();
        Ok((parsed.try_into().unwrap(), found.cut))
    }

    fn polygon(ring: &str) -> String {
        format!(r#"{{"type":"Polygon","coordinates":[{ring}]}}"#)
    }

    fn parts(shape: Geometry) -> Vec<Polygon> {
        match shape {
            Geometry::Polygon(polygon) => vec![polygon],
            Geometry::MultiPolygon(parts) => parts.0,
            other => panic!("{other:?}"),
        }
    }

    /// West and east of each part, and the area of all in square degrees.
    fn extent(shape: Geometry) -> (Vec<(f64, f64)>, f64) {
        let parts = parts(shape);
        let area = parts.iter().map(Polygon::unsigned_area).sum();
        let mut spans: Vec<_> = parts
            .iter()
            .map(|part| part.bounding_rect().unwrap())
            .map(|rect| (rect.min().x, rect.max().x))
            .collect();
        spans.sort_by(|a, b| a.0.total_cmp(&b.0));
        (spans, area)
    }

    fn assert_extent(ring: &str, spans: &[(f64, f64)], area: f64) {
        let (shape, was_cut) = cut(&polygon(ring)).unwrap();
        assert!(was_cut);
        let (found, found_area) = extent(shape);
        assert_eq!(found.len(), spans.len(), "{found:?}");
        for (a, b) in found.iter().zip(spans) {
            assert!(
                (a.0 - b.0).abs() < 1e-6 && (a.1 - b.1).abs() < 1e-6,
                "{found:?}"
            );
        }
        assert!((found_area - area).abs() < 1e-3, "{found_area}");
    }

    #[test]
    fn an_area_in_range_comes_back_byte_for_byte() {
        for text in [
            r#"{ "type":"Polygon", "coordinates":[[[0,0],[1.50,0],[1,1],[0,0]]] }"#,
            r#"{"type":"Polygon","coordinates":[[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]]}"#,
            r#"{"type":"Point","coordinates":[180,0]}"#,
        ] {
            let raw = RawValue::from_string(text.to_owned()).unwrap();
            let found = searchable(&raw).unwrap();
            assert_eq!((found.geometry.get(), found.cut), (text, false));
        }
    }

    #[test]
    fn a_longitude_that_just_misses_the_edge_is_put_on_it_and_nothing_is_cut() {
        let ring =
            "[[-180,-90],[180.00000000000014,-90],[180.00000000000014,-70],[-180,-70],[-180,-90]]";
        let (shape, was_cut) = cut(&polygon(ring)).unwrap();
        assert!(!was_cut);
        let (spans, area) = extent(shape);
        assert_eq!(spans, [(-180.0, 180.0)]);
        assert!((area - 360.0 * 20.0).abs() < 1e-9);
    }

    #[test]
    fn heights_are_dropped() {
        let raw = r#"{"type":"LineString","coordinates":[[0,1,500],[2,3,600]]}"#;
        let raw = RawValue::from_string(raw.to_owned()).unwrap();
        let found = searchable(&raw).unwrap().geometry;
        let value: serde_json::Value = serde_json::from_str(found.get()).unwrap();
        assert_eq!(
            value["coordinates"],
            serde_json::json!([[0.0, 1.0], [2.0, 3.0]])
        );
    }

    #[test]
    fn a_ring_across_the_antimeridian_is_cut_in_two_in_either_spelling() {
        let spans = [(-180.0, -170.0), (170.0, 180.0)];
        for ring in [
            "[[170,-50],[-170,-50],[-170,70],[170,70],[170,-50]]",
            "[[170,-50],[170,0],[170,70],[-170,70],[-170,-50],[170,-50]]",
            "[[170,-50],[190,-50],[190,70],[170,70],[170,-50]]",
            "[[-190,-50],[-170,-50],[-170,70],[-190,70],[-190,-50]]",
        ] {
            assert_extent(ring, &spans, 20.0 * 120.0);
        }
    }

    #[test]
    fn a_ring_beyond_the_map_is_moved_onto_it() {
        let ring = "[[190,0],[200,0],[200,10],[190,10],[190,0]]";
        assert_extent(ring, &[(-170.0, -160.0)], 100.0);
        let touching = "[[180,0],[200,0],[200,10],[180,10],[180,0]]";
        assert_extent(touching, &[(-180.0, -160.0)], 200.0);
    }

    #[test]
    fn a_ring_of_the_0_to_360_convention_across_greenwich_stays_narrow() {
        let ring = "[[350,0],[10,0],[10,10],[350,10],[350,0]]";
        assert_extent(ring, &[(-10.0, 10.0)], 200.0);
    }

    #[test]
    fn a_ring_round_a_pole_has_the_pole_inside() {
        let north = "[[-120,70],[0,70],[120,70],[-120,70]]";
        assert_extent(north, &[(-180.0, -120.0), (-120.0, 180.0)], 360.0 * 20.0);
        let south = "[[180,-60],[90,-60],[0,-60],[-90,-60],[180,-60]]";
        let (shape, _) = cut(&polygon(south)).unwrap();
        let (_, area) = extent(shape);
        assert!((area - 360.0 * 30.0).abs() < 1e-3, "{area}");
    }

    #[test]
    fn a_wide_box_is_sent_as_it_stands() {
        for ring in [
            "[[-179.9,-60],[179.9,-60],[179.9,60],[-179.9,60],[-179.9,-60]]",
            "[[-100,-40],[100,-40],[100,40],[-100,40],[-100,-40]]",
        ] {
            let (_, was_cut) = cut(&polygon(ring)).unwrap();
            assert!(!was_cut, "{ring}");
        }
    }

    #[test]
    fn a_ring_cut_at_the_seam_and_left_in_one_piece_is_narrow() {
        let ring = "[[170,-10],[180,-10],[-180,-10],[-170,-10],[-170,10],[-180,10],[180,10],[170,10],[170,-10]]";
        assert_extent(ring, &[(-180.0, -170.0), (170.0, 180.0)], 20.0 * 20.0);
    }

    #[test]
    fn a_ring_round_the_globe_across_the_equator_has_its_inside_to_the_left() {
        let (shape, _) = cut(&polygon("[[-120,-10],[0,10],[120,10],[-120,-10]]")).unwrap();
        let (_, area) = extent(shape);
        assert!((area - 360.0 * 86.666_667).abs() < 1e-2, "{area}");
    }

    #[test]
    fn a_ring_that_goes_round_twice_is_named() {
        let ring = "[[-120,50],[0,50],[120,50],[-120,60],[0,60],[120,60],[-120,50]]";
        let error = cut(&polygon(ring)).unwrap_err().to_string();
        assert!(error.contains("more than once"), "{error}");
    }

    #[test]
    fn a_hole_is_cut_with_its_ring() {
        let rings = "[[170,-50],[-170,-50],[-170,70],[170,70],[170,-50]],[[175,0],[175,10],[-175,10],[-175,0],[175,0]]";
        assert_extent(
            rings,
            &[(-180.0, -170.0), (170.0, 180.0)],
            20.0 * 120.0 - 100.0,
        );
        let beyond = "[[170,-50],[-170,-50],[-170,70],[170,70],[170,-50]],[[-178,0],[-178,10],[-175,10],[-175,0],[-178,0]]";
        assert_extent(
            beyond,
            &[(-180.0, -170.0), (170.0, 180.0)],
            20.0 * 120.0 - 30.0,
        );
    }

    #[test]
    fn a_line_is_cut_where_it_crosses() {
        let text = r#"{"type":"LineString","coordinates":[[170,0],[-170,10],[-160,10]]}"#;
        let (shape, was_cut) = cut(text).unwrap();
        assert!(was_cut);
        let Geometry::MultiLineString(lines) = shape else {
            panic!("{shape:?}")
        };
        let lines: Vec<Vec<(f64, f64)>> = lines
            .iter()
            .map(|line| line.coords().map(|at| (at.x, at.y)).collect())
            .collect();
        assert_eq!(
            lines,
            [
                vec![(170.0, 0.0), (180.0, 5.0)],
                vec![(-180.0, 5.0), (-170.0, 10.0), (-160.0, 10.0)]
            ]
        );
    }

    #[test]
    fn a_point_beyond_the_map_is_moved_onto_it() {
        let (shape, _) = cut(r#"{"type":"Point","coordinates":[-184.4,10]}"#).unwrap();
        let Geometry::Point(point) = shape else {
            panic!("{shape:?}")
        };
        assert!((point.x() - 175.6).abs() < 1e-9);
    }

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "says where the data of others lies"
    )]
    fn no_real_country_is_cut_for_it_was_cut_when_it_was_drawn() {
        let root = std::env::var_os("SWATH_REAL_DATA").map_or_else(
            || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures").into(),
            std::path::PathBuf::from,
        );
        let Ok(text) = std::fs::read_to_string(root.join("aoi/countries.geojson")) else {
            println!("NOT RUN: no countries; set SWATH_REAL_DATA to a folder with aoi/");
            return;
        };
        let areas = crate::aoi::Areas::from_geojson(&text).unwrap().areas;
        assert!(areas.len() >= 10, "{} countries", areas.len());
        for area in areas {
            let found = searchable(&area.geometry).unwrap();
            assert!(!found.cut, "{:?}", area.columns);
            let sent: geojson::Geometry = serde_json::from_str(found.geometry.get()).unwrap();
            let sent = Geometry::<f64>::try_from(sent).unwrap();
            assert!(sent.coords_iter().all(|at| at.x.abs() <= 180.0));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_cut_box_keeps_its_size_and_stays_on_the_map(
            west in -180.0..180.0_f64, width in 0.5..179.0_f64, south in -89.0..0.0_f64, height in 0.5..89.0_f64
        ) {
            let (east, north) = (west + width, south + height);
            let wrapped = if east > 180.0 { east - 360.0 } else { east };
            let ring = format!("[[{west},{south}],[{wrapped},{south}],[{wrapped},{north}],[{west},{north}],[{west},{south}]]");
            let (shape, _) = cut(&polygon(&ring)).unwrap();
            let (spans, area) = extent(shape);
            proptest::prop_assert!((area - width * height).abs() < 1e-2, "{} {}", area, width * height);
            proptest::prop_assert!(spans.iter().all(|(west, east)| *west >= -180.0 && *east <= 180.0));
        }
    }
}
