//! Areas and items are read by one rule: what is sent to an API holds the points that the grid finds inside.

use geo::algorithm::line_measures::{Distance as _, Euclidean};
use geo::{Geometry, Intersects as _, LineString, Point, Polygon};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::grid::outline::Outline;
use crate::split::searchable;

/// Points this near to an edge may fall on either side of a cut edge.
const NEAR: f64 = 1e-5;

type Ring = Vec<[f64; 2]>;

/// Spells a longitude as files do: from -180 to 180.
fn wrapped(lon: f64) -> f64 {
    (lon + 180.0).rem_euclid(360.0) - 180.0
}

fn closed(mut ring: Ring, reversed: bool) -> Ring {
    ring.extend(ring.first().copied());
    if reversed {
        ring.reverse();
    }
    ring
}

/// Boxes of any width, in either winding.
fn boxes() -> impl Strategy<Value = Vec<Ring>> {
    let numbers = (
        -180.0..180.0_f64,
        0.1..360.0_f64,
        -85.0..70.0_f64,
        0.1..20.0_f64,
    );
    (numbers, any::<bool>()).prop_map(|((west, width, south, height), reversed)| {
        let (east, north) = (wrapped(west + width), (south + height).min(90.0));
        let ring = vec![[west, south], [east, south], [east, north], [west, north]];
        vec![closed(ring, reversed)]
    })
}

/// Star-shaped rings about the antimeridian, some with a hole.
fn stars() -> impl Strategy<Value = Vec<Ring>> {
    let numbers = (170.0..190.0_f64, -70.0..70.0_f64, vec(2.0..12.0_f64, 4..12));
    (numbers, any::<bool>(), any::<bool>()).prop_map(|((lon, lat, radii), hole, reversed)| {
        let ring = |scale: f64| -> Ring {
            let count = u32::try_from(radii.len()).unwrap();
            let angle = |n: u32| std::f64::consts::TAU * f64::from(n) / f64::from(count);
            let at = |(n, radius): (u32, &f64)| {
                let (north, east) = angle(n).sin_cos();
                [
                    wrapped(lon + scale * radius * east),
                    lat + scale * radius * north,
                ]
            };
            (0..).zip(&radii).map(at).collect()
        };
        let outer = closed(ring(1.0), reversed);
        let hole = hole.then(|| closed(ring(0.4), !reversed));
        std::iter::once(outer).chain(hole).collect()
    })
}

/// Rings round a pole.
fn caps() -> impl Strategy<Value = Vec<Ring>> {
    let numbers = (vec(40.0..85.0_f64, 4..12), -180.0..180.0_f64);
    (numbers, any::<bool>(), any::<bool>()).prop_map(|((lats, begin), south, reversed)| {
        let count = u32::try_from(lats.len()).unwrap();
        let at = |(n, lat): (u32, &f64)| {
            let lon = wrapped(begin + 360.0 * f64::from(n) / f64::from(count));
            [lon, if south { -lat } else { *lat }]
        };
        vec![closed((0..).zip(&lats).map(at).collect(), reversed)]
    })
}

fn near_an_edge(shape: &Geometry, at: Point) -> bool {
    let polygons = match shape {
        Geometry::Polygon(polygon) => vec![polygon.clone()],
        Geometry::MultiPolygon(polygons) => polygons.0.clone(),
        other => panic!("{other:?}"),
    };
    let near = |line: &LineString| Euclidean.distance(&at, line) < NEAR;
    let rings =
        |polygon: &Polygon| near(polygon.exterior()) || polygon.interiors().iter().any(near);
    polygons.iter().any(rings)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// 1,000 shapes and 100 points each.
    #[test]
    fn what_is_sent_holds_the_points_that_the_grid_finds_inside(
        rings in prop_oneof![boxes(), stars(), caps()],
        points in vec((-1.0..1.0_f64, -1.0..1.0_f64), 100),
    ) {
        let text = serde_json::json!({"type": "Polygon", "coordinates": rings}).to_string();
        let given: geojson::Geometry = text.parse().unwrap();
        let given = Geometry::<f64>::try_from(given).unwrap();
        let mut outline = Outline::default();
        outline.read(Some(&given));
        let group: Vec<_> = outline.groups().flatten().cloned().collect();
        let sent = searchable(&RawValue::from_string(text).unwrap()).unwrap();
        let sent: geojson::Geometry = serde_json::from_str(sent.geometry.get()).unwrap();
        let sent = Geometry::<f64>::try_from(sent).unwrap();
        let first = rings[0][0];
        for (n, (east, north)) in (0..).zip(points) {
            // Half of the points near the shape's begin, half anywhere.
            let at = if n % 2 == 0 {
                [wrapped(first[0] + 15.0 * east), (first[1] + 15.0 * north).clamp(-90.0, 90.0)]
            } else {
                [180.0 * east, 90.0 * north]
            };
            let point = Point::new(at[0], at[1]);
            if near_an_edge(&sent, point) {
                continue;
            }
            prop_assert_eq!(
                outline.contains(&group, at), sent.intersects(&point), "{:?} {:?}", point, sent
            );
        }
    }
}
