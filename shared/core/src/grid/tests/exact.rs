//! The H3 cover against brute force. `PROPTEST_CASES` sets the number of cases of each class, 128 and 16 unless set.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use geo::{Coord, Geometry, LineString, Polygon};
use h3o::{CellIndex, LatLng, Resolution};
use proptest::prelude::*;

use super::oracle::{Cell, NEAR, Position, Truth, Verdict, all_cells, cell_at, vector};
use super::shapes::{self, Shape};
use crate::grid::{CellKey, Grid, GridOptions, H3Grid, bbox_geometry};

pub(super) static COARSE: LazyLock<[Vec<Cell>; 3]> =
    LazyLock::new(|| [Resolution::Zero, Resolution::One, Resolution::Two].map(all_cells));

pub(super) fn grid(resolution: u8) -> H3Grid {
    H3Grid::new(resolution.try_into().unwrap(), GridOptions::default()).unwrap()
}

pub(super) fn keys(grid: &mut H3Grid, geometry: &Geometry<f64>) -> Vec<CellKey> {
    let mut keys = vec![CellKey::from("left over")];
    grid.cover(Some(geometry), &mut keys).unwrap();
    assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
    keys
}

pub(super) fn cells(grid: &mut H3Grid, geometry: &Geometry<f64>) -> BTreeSet<CellIndex> {
    keys(grid, geometry)
        .iter()
        .map(|key| key.as_str().parse().unwrap())
        .collect()
}

pub(super) fn wrong<'a>(
    cover: &BTreeSet<CellIndex>,
    truth: &Truth,
    asked: impl Iterator<Item = &'a Cell>,
) -> Vec<String> {
    asked
        .filter_map(|cell| match cell.verdict(truth) {
            Verdict::In if !cover.contains(&cell.index) => Some(format!("{} missed", cell.index)),
            Verdict::Out if cover.contains(&cell.index) => Some(format!("{} extra", cell.index)),
            _ => None,
        })
        .collect()
}

/// Asks all cells of resolutions 0 and 1.
fn equals_brute_force(shape: &Shape) -> Result<(), TestCaseError> {
    for (resolution, all) in (0..2).zip(COARSE.iter()) {
        let cover = cells(&mut grid(resolution), &shape.written);
        let wrong = wrong(&cover, &shape.truth, all.iter());
        prop_assert!(wrong.is_empty(), "r{}: {:?}", resolution, wrong);
    }
    Ok(())
}

/// Asks all cells of the cover and their neighbours; the cells of sampled positions must be in the cover.
fn equals_nearby(shape: &Shape, resolution: u8) -> Result<(), TestCaseError> {
    let cover = cells(&mut grid(resolution), &shape.written);
    let around: BTreeSet<CellIndex> = cover
        .iter()
        .flat_map(|cell| cell.grid_disk::<Vec<_>>(1))
        .collect();
    let around: Vec<Cell> = around.into_iter().map(Cell::new).collect();
    let wrong = wrong(&cover, &shape.truth, around.iter());
    prop_assert!(wrong.is_empty(), "r{}: {:?}", resolution, wrong);
    for position in shape.truth.samples(50, 12) {
        let cell = cell_at(position, resolution.try_into().unwrap());
        prop_assert!(cover.contains(&cell), "{:?} {}", position, cell);
    }
    Ok(())
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn points_have_their_cells(shape in shapes::points()) {
        equals_brute_force(&shape)?;
        equals_nearby(&shape, 9)?;
    }

    #[test]
    fn lines_have_all_cells_they_touch(shape in shapes::line(60.0)) {
        equals_brute_force(&shape)?;
    }

    #[test]
    fn tiny_polygons_have_all_cells_they_touch(shape in shapes::polygon(1e-6, 0.01)) {
        equals_brute_force(&shape)?;
        equals_nearby(&shape, 5)?;
    }

    #[test]
    fn small_polygons_with_holes_have_all_cells_they_touch(shape in shapes::polygon(0.01, 2.0)) {
        equals_brute_force(&shape)?;
        equals_nearby(&shape, 3)?;
    }

    #[test]
    fn large_polygons_with_holes_have_all_cells_they_touch(shape in shapes::polygon(2.0, 60.0)) {
        equals_brute_force(&shape)?;
    }

    #[test]
    fn caps_round_a_pole_have_all_cells_they_touch(shape in shapes::cap()) {
        equals_brute_force(&shape)?;
    }

    #[test]
    fn boxes_up_to_the_whole_world_have_all_cells_they_touch(shape in shapes::boxed()) {
        equals_brute_force(&shape)?;
    }

    #[test]
    fn collections_have_the_cells_of_their_members(shape in shapes::collection()) {
        equals_brute_force(&shape)?;
    }

    #[test]
    fn shapes_of_a_few_fine_cells_have_all_they_touch(
        resolution in 2_u8..=15,
        middle in shapes::somewhere(),
        offsets in prop::collection::vec((-3.0..3.0_f64, -3.0..3.0_f64), 3..5),
    ) {
        let size = Resolution::try_from(resolution).unwrap().edge_length_rads().to_degrees();
        let lat = middle[1].clamp(-89.0, 89.0);
        let stretch = 1.0 / lat.to_radians().cos().max(0.1);
        let mut ring: Vec<Position> = offsets
            .iter()
            .map(|(east, north)| [middle[0] + east * size * stretch, (lat + north * size).clamp(-90.0, 90.0)])
            .collect();
        // Any three positions make a ring without crossings.
        ring.truncate(3);
        ring.push(ring[0]);
        let line = LineString(ring.iter().map(|[x, y]| Coord { x: *x, y: *y }).collect());
        let shape = Shape {
            written: Polygon::new(line, Vec::new()).into(),
            truth: Truth { polygons: vec![vec![ring]], ..Truth::default() },
        };
        equals_nearby(&shape, resolution)?;
    }

    #[test]
    fn a_search_at_a_point_finds_every_polygon_that_has_it(shape in shapes::polygon(0.01, 60.0), resolution in 0_u8..=4) {
        // Large shapes have too many fine cells to be quick.
        let extent = shape.truth.polygons[0][0].iter().map(|p| p[1]).fold((90.0_f64, -90.0_f64), |(s, n), y| (s.min(y), n.max(y)));
        let resolution = if extent.1 - extent.0 < 20.0 { resolution } else { resolution.min(2) };
        let mut grid = grid(resolution);
        let stored = keys(&mut grid, &shape.written);
        for [x, y] in shape.truth.samples(20, 20) {
            let asked = keys(&mut grid, &geo::Point::new(x, y).into());
            prop_assert!(stored.binary_search(&asked[0]).is_ok(), "{} {}", x, y);
        }
    }
}

proptest! {
    // The brute force is slow where edges lie along borders.
    #![proptest_config(config(16))]

    #[test]
    fn a_polygon_along_the_borders_of_cells_misses_nothing(middle in shapes::somewhere(), resolution in 0_u8..=3) {
        // A cell round a pole has no such ring.
        let middle = [middle[0], middle[1].clamp(-60.0, 60.0)];
        let cell = cell_at(middle, resolution.try_into().unwrap());
        let middle = LatLng::from(cell).lng();
        let mut ring: Vec<Position> = cell
            .boundary()
            .iter()
            .map(|corner| [middle + (corner.lng() - middle + 540.0).rem_euclid(360.0) - 180.0, corner.lat()])
            .collect();
        ring.push(ring[0]);
        let line = LineString(ring.iter().map(|[x, y]| Coord { x: *x, y: *y }).collect());
        let shape = Shape {
            written: Polygon::new(line, Vec::new()).into(),
            truth: Truth { polygons: vec![vec![ring]], ..Truth::default() },
        };
        equals_nearby(&shape, resolution)?;
    }
}

#[test]
fn all_cells_of_resolution_two_are_right_for_some_of_each_class() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let classes: [BoxedStrategy<Shape>; 5] = [
        shapes::line(40.0).boxed(),
        shapes::polygon(0.5, 5.0).boxed(),
        shapes::polygon(5.0, 60.0).boxed(),
        shapes::cap().boxed(),
        shapes::boxed().boxed(),
    ];
    let mut grid = grid(2);
    for class in classes {
        for _ in 0..6 {
            let shape = class.new_tree(&mut runner).unwrap().current();
            let cover = cells(&mut grid, &shape.written);
            let wrong = wrong(&cover, &shape.truth, COARSE[2].iter());
            assert!(wrong.is_empty(), "{shape:?} {wrong:?}");
        }
    }
}

/// What the brute force stands on: a cell is the star of its corners.
#[test]
fn the_outline_of_a_cell_is_where_its_points_end() {
    for all in COARSE.iter() {
        let resolution = all[0].index.resolution();
        for cell in all.iter().step_by(all.len() / 60) {
            let corners: Vec<Position> = cell
                .index
                .boundary()
                .iter()
                .map(|c| [c.lng(), c.lat()])
                .collect();
            for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
                for share in [0.03, 0.3, 0.5, 0.8, 0.97] {
                    for beyond in [1e-6, -1e-6, 0.01, -0.01] {
                        let (a, b) = (vector(*from), vector(*to));
                        let normal = [
                            a[1] * b[2] - a[2] * b[1],
                            a[2] * b[0] - a[0] * b[2],
                            a[0] * b[1] - a[1] * b[0],
                        ];
                        let point: Vec<f64> = (0..3)
                            .map(|k| a[k] + share * (b[k] - a[k]) + beyond * normal[k])
                            .collect();
                        let length = point.iter().map(|x| x * x).sum::<f64>().sqrt();
                        let lat = (point[2] / length).asin().to_degrees();
                        let lon = point[1].atan2(point[0]).to_degrees();
                        let here = cell.beyond(vector([lon, lat])) < 0.0;
                        assert_eq!(
                            here,
                            cell_at([lon, lat], resolution) == cell.index,
                            "{lon} {lat}"
                        );
                    }
                }
            }
        }
    }
}

pub(super) fn ring(corners: &[Position]) -> Geometry<f64> {
    let line = corners
        .iter()
        .map(|[x, y]| Coord { x: *x, y: *y })
        .collect();
    Polygon::new(LineString(line), Vec::new()).into()
}

#[test]
fn the_whole_world_is_all_cells() {
    let world = ring(&[
        [-180.0, -90.0],
        [180.0, -90.0],
        [180.0, 90.0],
        [-180.0, 90.0],
    ]);
    for (resolution, count) in [(0, 122), (1, 842), (2, 5882)] {
        let mut grid = grid(resolution);
        assert_eq!(keys(&mut grid, &world).len(), count);
        assert_eq!(
            keys(&mut grid, &bbox_geometry([-180.0, -90.0, 180.0, 90.0])).len(),
            count
        );
    }
}

#[test]
fn a_box_across_the_antimeridian_is_the_same_however_it_is_written() {
    let mut grid = grid(1);
    let expected = keys(&mut grid, &bbox_geometry([170.0, -10.0, -170.0, 10.0]));
    let truth = Truth {
        polygons: vec![vec![vec![
            [170.0, -10.0],
            [190.0, -10.0],
            [190.0, 10.0],
            [170.0, 10.0],
            [170.0, -10.0],
        ]]],
        ..Truth::default()
    };
    let brute = COARSE[1]
        .iter()
        .filter(|cell| cell.verdict(&truth) == Verdict::In);
    assert_eq!(brute.count(), expected.len());
    for corners in [
        [
            [170.0, -10.0],
            [-170.0, -10.0],
            [-170.0, 10.0],
            [170.0, 10.0],
        ],
        [
            [170.0, 10.0],
            [-170.0, 10.0],
            [-170.0, -10.0],
            [170.0, -10.0],
        ],
        [[170.0, -10.0], [190.0, -10.0], [190.0, 10.0], [170.0, 10.0]],
        [
            [-190.0, -10.0],
            [-170.0, -10.0],
            [-170.0, 10.0],
            [-190.0, 10.0],
        ],
    ] {
        assert_eq!(keys(&mut grid, &ring(&corners)), expected, "{corners:?}");
    }
    let halves = geo::MultiPolygon(vec![
        geo::Rect::new((170.0, -10.0), (180.0, 10.0)).to_polygon(),
        geo::Rect::new((-180.0, -10.0), (-170.0, 10.0)).to_polygon(),
    ]);
    assert_eq!(keys(&mut grid, &halves.into()), expected);
}

#[test]
fn a_hole_larger_than_a_cell_leaves_it_out() {
    let square = |half: f64| {
        LineString::from(vec![
            (-half, -half),
            (half, -half),
            (half, half),
            (-half, half),
            (-half, -half),
        ])
    };
    let mut grid = grid(1);
    let whole = cells(&mut grid, &Polygon::new(square(30.0), vec![]).into());
    let holed = cells(
        &mut grid,
        &Polygon::new(square(30.0), vec![square(25.0)]).into(),
    );
    let middle = cell_at([0.0, 0.0], Resolution::One);
    assert!(whole.contains(&middle) && !holed.contains(&middle));
    assert!(holed.is_subset(&whole) && holed.contains(&cell_at([27.0, 0.0], Resolution::One)));
}

#[test]
fn a_geometry_without_a_position_has_the_key_of_none() {
    let mut grid = grid(1);
    let mut out = Vec::new();
    grid.cover(None, &mut out).unwrap();
    assert_eq!(out, [CellKey::none()]);
    for empty in [
        Geometry::Polygon(Polygon::new(LineString(Vec::new()), Vec::new())),
        Geometry::LineString(LineString(Vec::new())),
        Geometry::MultiPolygon(geo::MultiPolygon(Vec::new())),
        Geometry::GeometryCollection(geo::GeometryCollection(vec![
            geo::MultiPoint(Vec::new()).into(),
        ])),
        Geometry::Point(geo::Point::new(f64::NAN, 0.0)),
    ] {
        assert_eq!(keys(&mut grid, &empty), [CellKey::none()], "{empty:?}");
    }
}

#[test]
fn more_cells_than_allowed_become_global() {
    let options = |cap| GridOptions {
        cap: std::num::NonZeroUsize::new(cap),
        ..GridOptions::default()
    };
    let geometry = bbox_geometry([0.0, 0.0, 20.0, 20.0]);
    let count = keys(&mut grid(1), &geometry).len();
    let mut out = Vec::new();
    let resolution = 1.try_into().unwrap();
    let mut enough = H3Grid::new(resolution, options(count)).unwrap();
    enough.cover(Some(&geometry), &mut out).unwrap();
    assert_eq!(out.len(), count);
    let mut short = H3Grid::new(resolution, options(count - 1)).unwrap();
    short.cover(Some(&geometry), &mut out).unwrap();
    assert_eq!(out, [CellKey::global()]);
    short
        .cover(Some(&geo::Point::new(5.0, 5.0).into()), &mut out)
        .unwrap();
    assert!(!out[0].is_reserved());
}

#[test]
fn what_rounding_can_hide_is_less_than_a_centimetre() {
    const { assert!(NEAR * 6.4e6 < 0.01) };
}
