//! Puts back what overlaying moved: the overlay works on a grid of whole numbers, so a corner that it merely hands through
//! comes out some 1e-7° beside itself, and a tile that shares an edge with the area would be missed.

use std::collections::HashMap;

use geo::algorithm::{CoordsIter as _, MapCoords as _};
use geo::{Coord, MultiPolygon, Polygon, Rect};

/// Degrees within which a corner is taken for the one that was handed in.
const MOVED: f64 = 2e-6;

/// Returns a cut shape with its corners and cut edges where the original and the map have them.
pub(super) fn restored(cut: &MultiPolygon, original: &Polygon, map: &Rect) -> MultiPolygon {
    let corners = Corners::of(original);
    cut.map_coords(|at| {
        corners.near(at).unwrap_or(Coord {
            x: onto(at.x, [map.min().x, map.max().x]),
            y: onto(at.y, [map.min().y, map.max().y]),
        })
    })
}

fn onto(value: f64, edges: [f64; 2]) -> f64 {
    let edge = edges.into_iter().find(|edge| (edge - value).abs() <= MOVED);
    edge.unwrap_or(value)
}

/// The original's corners, by the square of [`MOVED`] degrees they lie in.
struct Corners(HashMap<(i64, i64), Coord>);

impl Corners {
    fn of(original: &Polygon) -> Self {
        Self(original.coords_iter().map(|at| (square(at), at)).collect())
    }

    fn near(&self, at: Coord) -> Option<Coord> {
        let (column, row) = square(at);
        let around =
            (-1..=1).flat_map(|east| (-1..=1).map(move |north| (column + east, row + north)));
        let found = around.filter_map(|place| self.0.get(&place).copied());
        let distance = |corner: &Coord| (corner.x - at.x).abs().max((corner.y - at.y).abs());
        found
            .filter(|corner| distance(corner) <= MOVED)
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "longitudes of some turns at most, far within the range"
)]
fn square(at: Coord) -> (i64, i64) {
    ((at.x / MOVED).floor() as i64, (at.y / MOVED).floor() as i64)
}
