//! Rings and lines in longitude and latitude: the way round the globe, and what lies inside. The one rule for items, areas of
//! interest and the cells of grids.
//!
//! `GeoJSON` means an edge literally, so that none crosses the antimeridian; many writers mean the short way round.
//! The rule, for an edge whose ends differ by more than 180° of longitude:
//!
//! 1. Less than 360°: it crosses the antimeridian, the short way (170 to -170 is 20° long), as H3 and others read it.
//!    So longitudes beyond ±180 are taken as they are (170 to 190 is the same edge).
//! 2. 360°: a seam, both ends are one place (a ring cut at ±180 and left in one piece); but if the ring
//!    then would not close or would have no width, the whole way round (a box of the world).
//! 3. Along a pole the edge has no length. It goes the way that closes the ring, the literal way if that does.
//! 4. A ring of four corners with sides along meridians and parallels may mean the box as written or the box across the
//!    antimeridian. The winding that RFC 7946 asks for tells them apart: counter-clockwise outlines (clockwise holes) are as
//!    written, (-150, -40) to (150, 40) is 300° wide; others cross, (170, -10) to (-170, 10) is 20° wide. The proportions
//!    outweigh the winding where one of the two would be absurd: a box as written that is 8 times more drawn out than the one
//!    across is the one across; a box across that is 256 times more drawn out than the one as written is as written, as
//!    (-179.875, -89.875) to (179.875, 89.875) is in any winding.
//! 5. A ring that does not close by all this goes round a pole: the one of its hemisphere, or if it has positions on both sides
//!    of the equator, the one to the left of an outline (to the right of a hole). It is closed along that pole.
//!
//! Lines follow rules 1 and 2.

/// Longitude and latitude, degrees.
pub(crate) type Position = [f64; 2];

/// Two longitudes this near to 360° apart are the same.
const SAME: f64 = 1e-6;
/// How much more drawn out a box may be as written than across the antimeridian when its winding says that it is as written.
const AS_WRITTEN: f64 = 8.0;
/// How much more drawn out it may be across when its winding says that it crosses.
const ACROSS: f64 = 256.0;

/// Returns a longitude as it is within ±540°, else the same meridian within ±180°.
pub(crate) fn near_longitude(lon: f64) -> f64 {
    if lon.abs() <= 540.0 {
        lon
    } else {
        (lon + 180.0).rem_euclid(360.0) - 180.0
    }
}

/// Returns the least and the greatest longitude; an empty range for no positions.
pub(crate) fn extent(positions: &[Position]) -> (f64, f64) {
    positions
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(west, east), p| {
            (west.min(p[0]), east.max(p[0]))
        })
}

fn edges(positions: &[Position]) -> impl Iterator<Item = (&Position, &Position)> {
    positions.iter().zip(positions.iter().skip(1))
}

/// Says whether an edge is longer than 180° of longitude.
pub(crate) fn has_jump(positions: &[Position]) -> bool {
    edges(positions).any(|(from, to)| (to[0] - from[0]).abs() > 180.0)
}

/// Returns how often a closed ring goes round a position, counter-clockwise positive.
pub(crate) fn turns(ring: &[Position], [lon, lat]: Position) -> i32 {
    let mut turns = 0;
    for (from, to) in edges(ring) {
        let (below, above) = (from[1] <= lat, to[1] <= lat);
        if below != above && lon < from[0] + (to[0] - from[0]) * (lat - from[1]) / (to[1] - from[1])
        {
            turns += if below { 1 } else { -1 };
        }
    }
    turns
}

/// Returns a line with its jumps undone.
pub(crate) fn unroll_line(line: &[Position]) -> Vec<Position> {
    let seamless = walk(line, Reading::SEAM);
    if width(&seamless) > SAME {
        seamless
    } else {
        walk(line, Reading::LITERAL)
    }
}

/// Returns how many degrees east of its beginning a closed ring ends when its edges are read the short way: 0 for most, ±360
/// for one that goes round a pole or the whole way round.
pub(crate) fn way_round(ring: &[Position]) -> f64 {
    drift(&walk(ring, Reading::SEAM))
}

/// Returns a closed ring with its jumps undone, closed along a pole when it goes round one.
pub(crate) fn unroll_ring(ring: &[Position], hole: bool) -> Vec<Position> {
    if is_literal_box(ring, hole) {
        return ring.to_vec();
    }
    let seamless = walk(ring, Reading::SEAM);
    if closes(&seamless) && width(&seamless) > SAME {
        return seamless;
    }
    for reading in [Reading::LITERAL, Reading::SHORT_POLE] {
        let walked = walk(ring, reading);
        if closes(&walked) {
            return walked;
        }
    }
    close_along_pole(seamless, hole)
}

/// How edges are read that may mean more than one thing.
#[derive(Clone, Copy)]
struct Reading {
    /// An edge of 360° does not move.
    seam: bool,
    /// An edge along a pole is as long as written.
    long_pole: bool,
}

impl Reading {
    const SEAM: Self = Self {
        seam: true,
        long_pole: true,
    };
    const LITERAL: Self = Self {
        seam: false,
        long_pole: true,
    };
    const SHORT_POLE: Self = Self {
        seam: true,
        long_pole: false,
    };

    /// Returns how many degrees, a multiple of 360, an edge's end lies from where it is written.
    fn shift(self, from: &Position, to: &Position) -> f64 {
        let step = to[0] - from[0];
        let full = (step.abs() - 360.0).abs() < SAME;
        let at_pole = from[1].abs() >= 90.0 && (from[1] - to[1]).abs() < SAME;
        let literal = step.abs() <= 180.0
            || step.abs() > 360.0 + SAME
            || (at_pole && self.long_pole)
            || (full && !at_pole && !self.seam);
        if literal {
            0.0
        } else {
            -360.0_f64.copysign(step)
        }
    }
}

fn walk(positions: &[Position], reading: Reading) -> Vec<Position> {
    let mut walked = Vec::with_capacity(positions.len() + 3);
    walked.extend(positions.first().copied());
    // Whole turns are added to longitudes as they are written: a ring that stays as it is stays so to the last bit.
    let mut shift = 0.0;
    for (from, to) in edges(positions) {
        shift += reading.shift(from, to);
        walked.push([to[0] + shift, to[1]]);
    }
    walked
}

fn width(positions: &[Position]) -> f64 {
    let (west, east) = extent(positions);
    east - west
}

/// Returns how far east of its beginning a ring ends: some multiple of 360°, but for rounding.
fn drift(ring: &[Position]) -> f64 {
    match (ring.first(), ring.last()) {
        (Some(first), Some(last)) => last[0] - first[0],
        _ => 0.0,
    }
}

fn closes(ring: &[Position]) -> bool {
    drift(ring).abs() < 1.0
}

fn close_along_pole(mut ring: Vec<Position>, hole: bool) -> Vec<Position> {
    let (Some(&first), Some(&last)) = (ring.first(), ring.last()) else {
        return ring;
    };
    let north = if ring.iter().all(|p| p[1] >= 0.0) {
        true
    } else if ring.iter().all(|p| p[1] <= 0.0) {
        false
    } else {
        (drift(&ring) > 0.0) != hole
    };
    let pole = if north { 90.0 } else { -90.0 };
    ring.extend([[last[0], pole], [first[0], pole], first]);
    ring
}

/// Says whether a ring with a jump is a box that is as wide as written, rather than one across the antimeridian.
fn is_literal_box(ring: &[Position], hole: bool) -> bool {
    let &[a, b, c, d, _] = ring else {
        return false;
    };
    let same = |one: f64, other: f64| (one - other).abs() < SAME;
    let along = |p: Position, q: Position| same(p[1], q[1]) && !same(p[0], q[0]);
    let up = |p: Position, q: Position| same(p[0], q[0]) && !same(p[1], q[1]);
    let flat_first = along(a, b) && up(b, c) && along(c, d) && up(d, a);
    let flat_last = up(a, b) && along(b, c) && up(c, d) && along(d, a);
    if !flat_first && !flat_last {
        return false;
    }
    let (wide, height) = ((c[0] - a[0]).abs(), (c[1] - a[1]).abs());
    if wide >= 360.0 - SAME {
        return true;
    }
    let elongation = |width: f64| (width / height).max(height / width);
    let counter_clockwise = ((c[0] - a[0]) * (c[1] - a[1]) > 0.0) == flat_first;
    let as_written = counter_clockwise != hole;
    let bias = if as_written { AS_WRITTEN } else { 1.0 / ACROSS };
    elongation(wide) <= bias * elongation(360.0 - wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(corners: &[Position]) -> Vec<Position> {
        let mut ring = corners.to_vec();
        ring.extend(corners.first());
        ring
    }

    fn box_of(west: f64, south: f64, east: f64, north: f64) -> Vec<Position> {
        closed(&[[west, south], [east, south], [east, north], [west, north]])
    }

    fn reversed(mut ring: Vec<Position>) -> Vec<Position> {
        ring.reverse();
        ring
    }

    fn range(ring: &[Position]) -> (f64, f64) {
        extent(&unroll_ring(ring, false))
    }

    #[test]
    fn a_small_box_across_the_antimeridian_is_small_in_any_winding() {
        for ring in [
            box_of(170.0, -10.0, -170.0, 10.0),
            box_of(179.0, -17.0, -179.0, -16.0),
        ] {
            let width = 2.0 * (180.0 - ring[0][0]);
            for ring in [reversed(ring.clone()), ring] {
                let (west, east) = range(&ring);
                assert!((east - west - width).abs() < 1e-9, "{ring:?}");
            }
        }
    }

    #[test]
    fn a_wide_box_is_wide() {
        for (west, south, east, north) in [
            (-150.0, -40.0, 150.0, 40.0),
            (-170.0, -80.0, 170.0, 80.0),
            (-170.0, 10.0, 60.0, 75.0),
            (-179.875, -10.0, 179.875, 10.0),
            (0.0, -60.0, 357.5, 60.0),
        ] {
            assert_eq!(range(&box_of(west, south, east, north)), (west, east));
        }
    }

    #[test]
    fn a_tall_box_across_the_antimeridian_is_told_by_its_winding() {
        let ring = box_of(179.5, -80.0, -179.5, 80.0);
        assert_eq!(range(&ring), (179.5, 180.5));
        assert_eq!(range(&reversed(ring.clone())), (-179.5, 179.5));
        let hole = |ring: &[Position]| extent(&unroll_ring(ring, true));
        assert_eq!(hole(&ring), (-179.5, 179.5), "holes wind the other way");
        assert_eq!(hole(&reversed(ring)), (179.5, 180.5));
    }

    #[test]
    fn a_box_of_the_world_is_wide_in_any_winding() {
        for (west, south, north) in [
            (-180.0, -90.0, 90.0),
            (-180.0, -60.0, 70.0),
            (-180.0, 3.0, 4.0),
            (-179.875, -89.875, 89.875),
        ] {
            let ring = box_of(west, south, -west, north);
            assert_eq!(range(&ring), (west, -west));
            assert_eq!(range(&reversed(ring)), (west, -west));
        }
    }

    #[test]
    fn a_world_ring_with_positions_between_its_corners_is_wide() {
        let ring = closed(&[
            [-180.0, -60.0],
            [0.0, -60.0],
            [180.0, -60.0],
            [180.0, 60.0],
            [-180.0, 60.0],
            [-180.0, 0.0],
        ]);
        assert_eq!(range(&ring), (-180.0, 180.0));
    }

    #[test]
    fn a_slanted_ring_across_the_antimeridian_is_short() {
        let ring = closed(&[[179.0, -1.0], [-179.5, -1.2], [-179.0, 1.0], [179.3, 0.9]]);
        assert_eq!(range(&ring), (179.0, 181.0));
        assert_eq!(range(&reversed(ring)), (179.0, 181.0));
    }

    #[test]
    fn positions_on_both_sides_of_the_seam_are_one() {
        let ring = closed(&[
            [170.0, -10.0],
            [180.0, -10.0],
            [-180.0, -10.0],
            [-170.0, -10.0],
            [-170.0, 10.0],
            [-180.0, 10.0],
            [180.0, 10.0],
            [170.0, 10.0],
        ]);
        assert_eq!(range(&ring), (170.0, 190.0));
    }

    #[test]
    fn a_ring_round_a_pole_is_closed_along_it() {
        let north = closed(&[[0.0, 70.0], [120.0, 75.0], [-120.0, 70.0]]);
        for ring in [reversed(north.clone()), north] {
            let walked = unroll_ring(&ring, false);
            assert!((width(&walked) - 360.0).abs() < 1e-9);
            assert!(walked.contains(&[walked[0][0], 90.0]), "{walked:?}");
            assert_eq!(walked.first(), walked.last());
        }
        let south = closed(&[[0.0, -70.0], [120.0, -75.0], [-120.0, -70.0]]);
        assert!(unroll_ring(&south, false).iter().any(|p| p[1] <= -90.0));
    }

    #[test]
    fn a_ring_round_the_globe_on_both_sides_of_the_equator_has_its_inside_to_the_left() {
        let eastward = closed(&[[0.0, -5.0], [120.0, 5.0], [-120.0, 5.0]]);
        let pole = |ring: &[Position], hole| unroll_ring(ring, hole).iter().any(|p| p[1] >= 90.0);
        assert!(pole(&eastward, false));
        assert!(!pole(&eastward, true));
        assert!(!pole(&reversed(eastward), false));
    }

    #[test]
    fn an_edge_along_the_pole_goes_the_way_that_closes_the_ring() {
        let wedge = closed(&[[170.0, 80.0], [-170.0, 81.0], [-170.0, 90.0], [170.0, 90.0]]);
        assert_eq!(range(&wedge), (170.0, 190.0));
        let antarctica = closed(&[
            [-180.0, -90.0],
            [180.0, -90.0],
            [180.0, -80.0],
            [60.0, -65.0],
            [-60.0, -70.0],
            [-180.0, -80.0],
        ]);
        assert_eq!(range(&antarctica), (-180.0, 180.0));
    }

    #[test]
    fn a_line_follows_the_same_rules() {
        let across = unroll_line(&[[170.0, 0.0], [180.0, 0.0], [-180.0, 0.0], [-170.0, 5.0]]);
        assert_eq!(extent(&across), (170.0, 190.0));
        let round = unroll_line(&[[-180.0, 10.0], [180.0, 10.0]]);
        assert_eq!(extent(&round), (-180.0, 180.0));
    }

    #[test]
    fn turns_count_the_way_round() {
        let ring = box_of(0.0, 0.0, 10.0, 10.0);
        assert_eq!(turns(&ring, [5.0, 5.0]), 1);
        assert_eq!(turns(&reversed(ring.clone()), [5.0, 5.0]), -1);
        assert_eq!(turns(&ring, [15.0, 5.0]), 0);
        assert_eq!(turns(&ring, [5.0, 15.0]), 0);
    }
}
