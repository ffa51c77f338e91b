//! The outline of a raster on Earth: WGS 84, cut at the antimeridian.

use proj4rs::Proj;
use proj4rs::transform::transform;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use swath_core::split::searchable;

use super::place::Affine;

/// Parts that an edge is looked at in, as many as GDAL takes by default for the bounds of a warped raster.
const PARTS: u32 = 22;
/// An edge of longitude and latitude is straight; parts of at most this many degrees say which way it goes.
const MOST_DEGREES: f64 = 90.0;
/// A point is left out where the line between its neighbours is nearer than this share of a pixel.
const SHARE_OF_PIXEL: f64 = 0.25;
/// Decimals kept of a projected corner: a tenth of a millimetre.
const DECIMALS: f64 = 1e9;
/// Degrees that a corner may lie past a pole by: grids of points are half a pixel larger than the globe.
const MOST_PAST_POLE: f64 = 1.0;

/// A geometry and the box around it: west, south, east, north, degrees; west lies past east over the antimeridian.
#[derive(Debug, Clone)]
pub(super) struct Footprint {
    pub(super) geometry: Value,
    pub(super) bbox: [f64; 4],
}

/// A corner on Earth, degrees.
type Position = [f64; 2];

/// Draws the outline of `width` by `height` pixels; the reason why it cannot be drawn otherwise.
pub(super) fn footprint(
    size: (f64, f64),
    affine: &Affine,
    projection: &Proj,
) -> Result<Footprint, String> {
    let ring = if projection.is_latlong() {
        geographic(size, affine, projection)?
    } else {
        projected(size, affine, projection)?
    };
    let ring = round_pole(&ring).unwrap_or_else(|| counter_clockwise(ring));
    cut(&ring)
}

/// Corners in the order upper left, lower left, lower right, upper right, in pixels.
fn corners((width, height): (f64, f64)) -> [(f64, f64); 4] {
    [(0.0, 0.0), (0.0, height), (width, height), (width, 0.0)]
}

/// The outline with each edge in `parts`, without the closing point.
fn outline(size: (f64, f64), parts: u32) -> Vec<(f64, f64)> {
    let corners = corners(size);
    let next = corners.iter().cycle().skip(1);
    corners
        .iter()
        .zip(next)
        .flat_map(|(from, to)| {
            (0..parts).map(move |part| {
                let share = f64::from(part) / f64::from(parts);
                (
                    (to.0 - from.0).mul_add(share, from.0),
                    (to.1 - from.1).mul_add(share, from.1),
                )
            })
        })
        .collect()
}

fn geographic(
    size: (f64, f64),
    affine: &Affine,
    projection: &Proj,
) -> Result<Vec<Position>, String> {
    let at = |(column, row)| affine.at(column, row);
    let lons = corners(size).map(|corner| at(corner).0);
    let span = lons.iter().copied().fold(f64::MIN, f64::max)
        - lons.iter().copied().fold(f64::MAX, f64::min);
    if !span.is_finite() || span > 360.0 + 1e-6 {
        return Err(format!("it spans {span} degrees of longitude"));
    }
    let straight = {
        let [_, b, _, d, ..] = affine.values;
        b == 0.0 && d == 0.0
    };
    if straight && span >= 360.0 - 1e-6 {
        return Ok(whole_turn(at((0.0, 0.0)).1, at(size).1));
    }
    // Longer edges would be read as going the short way round the globe.
    let parts = (1..=4)
        .find(|parts| span / f64::from(*parts) <= MOST_DEGREES + 1e-6)
        .unwrap_or(4);
    let points = outline(size, parts);
    let way = ToWgs84::new(projection)?;
    let mut ring = Vec::new();
    for point in points {
        let (lon, lat) = at(point);
        // A datum's shift is less than a turn: longitudes past 180 stay on the side they are on.
        let turned = 360.0 * ((lon + 180.0) / 360.0).floor();
        let turned = if lon.abs() <= 180.0 { 0.0 } else { turned };
        let [x, y] = way.at((lon - turned, lat))?;
        ring.push([x + turned, y]);
    }
    Ok(ring)
}

/// The outline of a raster that goes round the globe, wherever it begins: that of the map between two parallels.
fn whole_turn(one: f64, other: f64) -> Vec<Position> {
    let (south, north) = (one.min(other).max(-90.0), one.max(other).min(90.0));
    let lons = [-180.0, -90.0, 0.0, 90.0, 180.0];
    let foot = lons.iter().map(|lon| [*lon, south]);
    let top = lons.iter().rev().map(|lon| [*lon, north]);
    foot.chain(top).collect()
}

fn projected(
    size: (f64, f64),
    affine: &Affine,
    projection: &Proj,
) -> Result<Vec<Position>, String> {
    let way = ToWgs84::new(projection)?;
    let mut ring = Vec::new();
    for (column, row) in outline(size, PARTS) {
        let [lon, lat] = way.at(affine.at(column, row))?;
        let round = |value: f64| (value * DECIMALS).round() / DECIMALS;
        ring.push([round(lon), round(lat)]);
    }
    let (across, down) = affine.pixel();
    let metres = across.min(down) * projection.to_meter();
    // A degree of latitude is some 111 km; near the poles one of longitude is less, which only keeps more points.
    let tolerance = (metres / 111_000.0 * SHARE_OF_PIXEL).max(1e-9);
    Ok(thinned(&ring, tolerance))
}

/// The way from a file's coordinates to degrees of WGS 84.
struct ToWgs84<'p> {
    from: &'p Proj,
    to: Proj,
    /// Whether coordinates are degrees of WGS 84 as they stand.
    same: bool,
}

impl<'p> ToWgs84<'p> {
    fn new(from: &'p Proj) -> Result<Self, String> {
        let to = Proj::from_proj_string("+proj=longlat +datum=WGS84 +no_defs")
            .map_err(|error| error.to_string())?;
        let mut point = (0.5, 0.5, 0.0);
        let same = from.is_latlong()
            && transform(from, &to, &mut point).is_ok()
            && (point.0 - 0.5_f64).abs() < 1e-15
            && (point.1 - 0.5_f64).abs() < 1e-15;
        Ok(Self { from, to, same })
    }

    fn at(&self, (x, y): (f64, f64)) -> Result<Position, String> {
        let outside = |why: &dyn std::fmt::Display| {
            format!("the corner at {x}, {y} has no place on Earth: {why}")
        };
        let (lon, lat) = if self.same {
            (x, y)
        } else {
            let mut point = if self.from.is_latlong() {
                (x.to_radians(), y.to_radians(), 0.0)
            } else {
                (x, y, 0.0)
            };
            transform(self.from, &self.to, &mut point).map_err(|error| outside(&error))?;
            (point.0.to_degrees(), point.1.to_degrees())
        };
        if !lon.is_finite() || !lat.is_finite() || lat.abs() > 90.0 + MOST_PAST_POLE {
            return Err(outside(&"it lies outside of the projection"));
        }
        Ok([lon, lat.clamp(-90.0, 90.0)])
    }
}

/// Leaves out points that nobody misses; corners and the outermost points of each side stay.
fn thinned(ring: &[Position], tolerance: f64) -> Vec<Position> {
    let parts = usize::try_from(PARTS).unwrap_or(1);
    let extreme = |axis: usize, sign: f64| -> Option<usize> {
        let value = |at: &Position| sign * at.get(axis).copied().unwrap_or_default();
        (0..ring.len()).max_by(|a, b| {
            let (a, b) = (ring.get(*a).map(value), ring.get(*b).map(value));
            a.unwrap_or_default().total_cmp(&b.unwrap_or_default())
        })
    };
    let outermost: Vec<usize> = [(0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)]
        .iter()
        .filter_map(|(axis, sign)| extreme(*axis, *sign))
        .collect();
    let mut kept: Vec<Position> = Vec::new();
    let mut since: Vec<Position> = Vec::new();
    for (index, point) in ring.iter().enumerate() {
        let fixed = index % parts == 0 || outermost.contains(&index);
        let next = ring.get((index + 1) % ring.len()).unwrap_or(point);
        let needed = fixed
            || kept.last().is_none_or(|last| {
                since
                    .iter()
                    .chain([point])
                    .any(|between| off_line(*between, *last, *next) > tolerance)
            });
        if needed {
            kept.push(*point);
            since.clear();
        } else {
            since.push(*point);
        }
    }
    kept
}

/// Degrees between a point and the line through two others; far where one of them is past the antimeridian.
fn off_line(point: Position, from: Position, to: Position) -> f64 {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let (px, py) = (point[0] - from[0], point[1] - from[1]);
    if dx.abs() > 180.0 || px.abs() > 180.0 {
        return f64::INFINITY;
    }
    let length = dx.hypot(dy);
    if length == 0.0 {
        return px.hypot(py);
    }
    (dx * py - dy * px).abs() / length
}

/// Opens a ring round a pole at the antimeridian and leads it along the map's edge over the pole; none if it is no such
/// ring.
fn round_pole(ring: &[Position]) -> Option<Vec<Position>> {
    let jumps = |(from, to): (&Position, &Position)| (to[0] - from[0]).abs() > 180.0;
    let next = ring.iter().cycle().skip(1);
    let mut crossings = ring
        .iter()
        .zip(next)
        .enumerate()
        .filter(|(_, edge)| jumps(*edge));
    let (at, (from, to)) = crossings.next()?;
    let north = ring.iter().all(|at| at[1] > 0.0);
    if crossings.next().is_some() || !north && !ring.iter().all(|at| at[1] < 0.0) {
        return None;
    }
    let (edge, pole) = (
        180.0_f64.copysign(from[0]),
        if north { 90.0 } else { -90.0 },
    );
    let span = (edge - from[0]).abs() + (edge + to[0]).abs();
    let share = if span > 0.0 {
        (edge - from[0]).abs() / span
    } else {
        0.0
    };
    let seam = (to[1] - from[1]).mul_add(share, from[1]);
    let mut open = vec![[-edge, seam]];
    open.extend(ring.iter().cycle().skip(at + 1).take(ring.len()));
    open.push([edge, seam]);
    // East along the top of the map, west along its foot: the pole is on the left hand.
    if (edge > 0.0) != north {
        open.reverse();
    }
    let (start, end) = (open.first()?[0], open.last()?[0]);
    open.extend([[end, pole], [start, pole]]);
    open.dedup();
    Some(open)
}

/// Puts a ring in the order of RFC 7946.
fn counter_clockwise(mut ring: Vec<Position>) -> Vec<Position> {
    let mut area = 0.0;
    let mut before: Option<Position> = None;
    let mut shift = 0.0;
    let mut unrolled = Vec::new();
    for at in &ring {
        if let Some(before) = before {
            let step = at[0] - before[0];
            if step.abs() > 180.0 && step.abs() < 360.0 {
                shift -= 360.0_f64.copysign(step);
            }
        }
        before = Some(*at);
        unrolled.push([at[0] + shift, at[1]]);
    }
    let next = unrolled.iter().cycle().skip(1);
    for (from, to) in unrolled.iter().zip(next) {
        area += from[0] * to[1] - to[0] * from[1];
    }
    if area < 0.0 {
        ring.reverse();
    }
    ring
}

fn cut(ring: &[Position]) -> Result<Footprint, String> {
    let closed: Vec<Position> = ring.iter().chain(ring.first()).copied().collect();
    let polygon = serde_json::json!({"type": "Polygon", "coordinates": [closed]});
    let text: Box<RawValue> = to_raw_value(&polygon).map_err(|error| error.to_string())?;
    let found = searchable(&text).map_err(|error| swath_core::chain(&error))?;
    let geometry: Value =
        serde_json::from_str(found.geometry.get()).map_err(|error| error.to_string())?;
    let bbox = bbox(&geometry).ok_or("its outline has no corners")?;
    Ok(Footprint { geometry, bbox })
}

/// The box of RFC 7946, section 5.2: parts on both sides of the antimeridian make one that crosses it.
fn bbox(geometry: &Value) -> Option<[f64; 4]> {
    let boxes: Vec<[f64; 4]> = match geometry.get("coordinates")? {
        Value::Array(parts) if geometry.get("type")? == "MultiPolygon" => {
            parts.iter().filter_map(box_of).collect()
        }
        part => box_of(part).into_iter().collect(),
    };
    let fold = |index: usize, pick: fn(f64, f64) -> f64| {
        boxes
            .iter()
            .filter_map(|one| one.get(index).copied())
            .reduce(pick)
    };
    let (south, north) = (fold(1, f64::min)?, fold(3, f64::max)?);
    let (west, east) = (fold(0, f64::min)?, fold(2, f64::max)?);
    let whole = |one: &[f64; 4]| one[0] <= -180.0 && one[2] >= 180.0;
    if west > -180.0 || east < 180.0 || boxes.iter().any(whole) {
        return Some([west, south, east, north]);
    }
    // What hangs on the eastern edge of the map begins the box, what hangs on the western one ends it.
    let begins = boxes.iter().filter(|one| one[2] >= 180.0);
    let ends = boxes.iter().filter(|one| one[0] <= -180.0);
    let west = begins.map(|one| one[0]).reduce(f64::min)?;
    let east = ends.map(|one| one[2]).reduce(f64::max)?;
    if west <= east {
        return Some([-180.0, south, 180.0, north]);
    }
    Some([west, south, east, north])
}

fn box_of(polygon: &Value) -> Option<[f64; 4]> {
    let mut found: Option<[f64; 4]> = None;
    for position in polygon
        .as_array()?
        .iter()
        .filter_map(|ring| ring.as_array())
        .flatten()
    {
        let (x, y) = (position.get(0)?.as_f64()?, position.get(1)?.as_f64()?);
        let [west, south, east, north] = found.unwrap_or([x, y, x, y]);
        found = Some([west.min(x), south.min(y), east.max(x), north.max(y)]);
    }
    found
}
