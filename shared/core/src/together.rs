//! Areas that are asked for together: a few boxes that cover them, and the exact match of items to areas afterwards.

use std::collections::BTreeMap;

use geo::algorithm::{BoundingRect as _, Intersects as _};
use geo::{Coord, Geometry, Rect};
use serde_json::value::RawValue;

use crate::aoi::{Area, polygon_of_bbox};
use crate::split;

/// Degrees by which a box is larger than what it covers, so that what touches its edge is found.
const MARGIN: f64 = 1e-6;

/// Sides of boxes that are tried, degrees.
const SIDES: [f64; 8] = [0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 45.0];

/// The side of a scene, degrees, as most satellites take it. A box is answered with all scenes that touch it, and boxes side by
/// side with many of the same.
const SCENE: f64 = 1.0;

/// A box, and the areas that lie in it, by their place among all.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What is asked for.
    pub area: Area,
    /// Places of the areas that it overlaps, in order.
    pub members: Vec<usize>,
}

/// Boxes that cover areas.
#[derive(Clone, Debug)]
pub struct Cover {
    /// As few as need be.
    pub cells: Vec<Cell>,
    /// Places of the areas that are better asked for alone: everywhere, or of a shape that cannot be sent.
    pub alone: Vec<usize>,
    shapes: Vec<Option<Shape>>,
}

#[derive(Clone, Debug)]
struct Shape {
    geometry: Geometry,
    bounds: Rect,
}

impl Cover {
    /// Covers areas with boxes, at most half as many as there are areas, of the side with which the fewest scenes are served;
    /// `None` when the areas lie too far apart for that.
    pub fn of(areas: &[Area]) -> Option<Self> {
        let shapes: Vec<_> = areas.iter().map(shape_of).collect();
        let alone: Vec<usize> = (0..)
            .zip(&shapes)
            .filter(|(_, shape)| shape.is_none())
            .map(|(place, _)| place)
            .collect();
        let together = areas.len() - alone.len();
        let covers = SIDES.into_iter();
        let covers = covers.filter_map(|side| squares(&shapes, side, together / 2));
        let best = covers.min_by(|one, other| served(one).total_cmp(&served(other)))?;
        let cells = best
            .into_values()
            .filter_map(|(bounds, members)| cell(bounds, members));
        Some(Self {
            cells: cells.collect(),
            alone,
            shapes,
        })
    }

    /// Returns which of a cell's areas an item's geometry intersects, as STAC APIs see it: on the plane of longitude and
    /// latitude, edges included. `None` when the geometry cannot be read; a geometry that is `null` intersects nothing.
    pub fn matching(&self, cell: &Cell, item: &RawValue) -> Option<Vec<usize>> {
        if item.get() == "null" {
            return Some(Vec::new());
        }
        let shape = shape(item)?;
        let meets = |place: &&usize| {
            let area = self.shapes.get(**place).and_then(Option::as_ref);
            area.is_some_and(|area| {
                area.bounds.intersects(&shape.bounds) && area.geometry.intersects(&shape.geometry)
            })
        };
        Some(cell.members.iter().filter(meets).copied().collect())
    }
}

fn shape_of(area: &Area) -> Option<Shape> {
    if area.is_everywhere() {
        return None;
    }
    shape(&split::searchable(&area.geometry).ok()?.geometry)
}

fn shape(text: &RawValue) -> Option<Shape> {
    let parsed: geojson::Geometry = serde_json::from_str(text.get()).ok()?;
    let geometry = Geometry::<f64>::try_from(parsed).ok()?;
    let bounds = geometry.bounding_rect()?;
    Some(Shape { geometry, bounds })
}

type Squares = BTreeMap<(i64, i64), (Rect, Vec<usize>)>;

/// Returns a measure of the scenes that boxes are answered with, were all scenes of one size and equally dense.
fn served(squares: &Squares) -> f64 {
    let boxes = squares.values().map(|(bounds, _)| bounds);
    let reach = boxes.map(|bounds| (bounds.width() + SCENE) * (bounds.height() + SCENE));
    reach.sum()
}

/// Deals areas out to the squares of a grid they lie in, each square no larger than what lies in it; `None` when there are
/// more than `most`.
fn squares(shapes: &[Option<Shape>], side: f64, most: usize) -> Option<Squares> {
    let mut squares = Squares::new();
    for (place, shape) in shapes.iter().enumerate() {
        let Some(shape) = shape else {
            continue;
        };
        let (columns, rows) = (
            steps(shape.bounds.min().x, shape.bounds.max().x, side, 180.0),
            steps(shape.bounds.min().y, shape.bounds.max().y, side, 90.0),
        );
        for column in columns {
            for row in rows.clone() {
                let square = square(column, row, side);
                if !shape.geometry.intersects(&square) {
                    continue;
                }
                let held = clipped(shape.bounds, square);
                let entry = squares
                    .entry((column, row))
                    .or_insert_with(|| (held, Vec::new()));
                entry.0 = united(entry.0, held);
                entry.1.push(place);
                if squares.len() > most {
                    return None;
                }
            }
        }
    }
    Some(squares)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "some thousand steps round the globe at most"
)]
fn steps(from: f64, to: f64, side: f64, edge: f64) -> std::ops::RangeInclusive<i64> {
    // The map's own edge belongs to its last square.
    let last = (edge / side).ceil() as i64 - 1;
    let step = |at: f64| ((at / side).floor() as i64).min(last);
    step(from)..=step(to)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "some thousand steps round the globe at most"
)]
fn square(column: i64, row: i64, side: f64) -> Rect {
    let (x, y) = (column as f64 * side, row as f64 * side);
    Rect::new(
        Coord { x, y },
        Coord {
            x: x + side,
            y: y + side,
        },
    )
}

fn clipped(one: Rect, other: Rect) -> Rect {
    let (a, b) = (one.min(), other.min());
    let (c, d) = (one.max(), other.max());
    Rect::new(
        Coord {
            x: a.x.max(b.x),
            y: a.y.max(b.y),
        },
        Coord {
            x: c.x.min(d.x),
            y: c.y.min(d.y),
        },
    )
}

fn united(one: Rect, other: Rect) -> Rect {
    let (a, b) = (one.min(), other.min());
    let (c, d) = (one.max(), other.max());
    Rect::new(
        Coord {
            x: a.x.min(b.x),
            y: a.y.min(b.y),
        },
        Coord {
            x: c.x.max(d.x),
            y: c.y.max(d.y),
        },
    )
}

fn cell(bounds: Rect, members: Vec<usize>) -> Option<Cell> {
    let (min, max) = (bounds.min(), bounds.max());
    let text = polygon_of_bbox(&[
        (min.x - MARGIN).max(-180.0),
        (min.y - MARGIN).max(-90.0),
        (max.x + MARGIN).min(180.0),
        (max.y + MARGIN).min(90.0),
    ])?;
    let area = Area {
        row_number: 0,
        row_id: format!("cell {:.4},{:.4},{:.4},{:.4}", min.x, min.y, max.x, max.y),
        geometry: RawValue::from_string(text).ok()?,
        columns: serde_json::Map::new(),
    };
    Some(Cell { area, members })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aoi::Areas;

    fn areas(boxes: &[[f64; 4]]) -> Vec<Area> {
        let mut areas = Areas::default();
        for (number, numbers) in (0..).zip(boxes) {
            areas.take(
                number,
                None,
                &polygon_of_bbox(numbers).unwrap(),
                serde_json::Map::new(),
            );
        }
        areas.areas
    }

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn areas_that_lie_together_share_a_box_and_items_are_matched_exactly() {
        let near: Vec<_> = (0..10)
            .map(|n| {
                [
                    f64::from(n) / 100.0,
                    10.0,
                    f64::from(n) / 100.0 + 0.005,
                    10.005,
                ]
            })
            .collect();
        let cover = Cover::of(&areas(&near)).unwrap();
        assert_eq!(cover.cells.len(), 1);
        let cell = &cover.cells[0];
        assert_eq!(cell.members.len(), 10);
        let touching = raw(r#"{"type":"Point","coordinates":[0.025,10.005]}"#);
        assert_eq!(
            cover.matching(cell, &touching).unwrap(),
            [2],
            "an edge belongs to its area"
        );
        let between = raw(r#"{"type":"Point","coordinates":[0.027,10.001]}"#);
        assert!(cover.matching(cell, &between).unwrap().is_empty());
        assert!(cover.matching(cell, &raw("null")).unwrap().is_empty());
        assert!(cover.matching(cell, &raw(r#"{"type":"Circle"}"#)).is_none());
    }

    #[test]
    fn boxes_are_as_large_as_makes_the_fewest_scenes_come_twice() {
        let town = |west: f64, south: f64| {
            (0..100).map(move |n| {
                let (x, y) = (
                    west + f64::from(n % 10) * 0.2,
                    south + f64::from(n / 10) * 0.2,
                );
                [x, y, x + 0.1, y + 0.1]
            })
        };
        let boxes: Vec<_> = town(10.1, 50.1).chain(town(40.1, 10.1)).collect();
        let cover = Cover::of(&areas(&boxes)).unwrap();
        assert_eq!(cover.cells.len(), 2, "one box a town");
        let corners = [[0.1, 0.1], [0.1, 4.8], [4.8, 0.1], [4.8, 4.8]];
        let corners = corners
            .iter()
            .flat_map(|[x, y]| [[*x, *y, x + 0.1, y + 0.1]; 4]);
        let cover = Cover::of(&areas(&corners.collect::<Vec<_>>())).unwrap();
        assert_eq!(cover.cells.len(), 4, "what lies between is nobody's");
    }

    #[test]
    fn areas_far_apart_are_asked_for_alone() {
        let far: Vec<_> = (-4..4)
            .map(|n| [f64::from(n) * 40.0, 0.0, f64::from(n) * 40.0 + 1.0, 1.0])
            .collect();
        let cover = Cover::of(&areas(&far));
        assert!(cover.is_none_or(|cover| cover.cells.len() <= 4));
        let mut two = areas(&[[0.0, 0.0, 1.0, 1.0]; 8]);
        two.extend(Areas::from_geojson("null").unwrap().areas);
        assert_eq!(Cover::of(&two).unwrap().alone, [8]);
    }

    #[test]
    fn an_area_across_the_antimeridian_lies_in_boxes_on_both_sides() {
        let cover = Cover::of(&areas(&[[179.9, 0.0, -179.9, 0.1]; 8])).unwrap();
        assert_eq!(cover.cells.len(), 2);
        assert!(cover.cells.iter().all(|cell| cell.members.len() == 8));
    }
}
