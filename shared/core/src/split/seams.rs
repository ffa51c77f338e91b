//! Random shapes at the seams: no point may change sides.

use geo::algorithm::line_measures::{Distance as _, Euclidean};
use geo::algorithm::{Contains as _, Intersects as _};
use geo::{Coord, Geometry, LineString, Point, Polygon};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::searchable;

/// Points this near to an edge may fall on either side of a cut edge.
const NEAR: f64 = 1e-6;

/// A star-shaped ring of whole or fractional degrees round a centre, in longitudes that run on past the seam.
fn star(centre: (f64, f64), radii: &[f64]) -> Polygon {
    let count = u32::try_from(radii.len()).unwrap();
    let ring: Vec<Coord> = (0..)
        .zip(radii)
        .map(|(n, radius)| {
            let angle = std::f64::consts::TAU * f64::from(n) / f64::from(count);
            let y = (centre.1 + radius * angle.sin()).clamp(-90.0, 90.0);
            Coord {
                x: centre.0 + radius * angle.cos(),
                y,
            }
        })
        .collect();
    Polygon::new(LineString(ring), Vec::new())
}

/// Spells a longitude as files do: as it stands, from -180 to 180, or from 0 to 360.
fn spelt(lon: f64, convention: u8) -> f64 {
    match convention {
        0 => lon,
        1 => (lon + 180.0).rem_euclid(360.0) - 180.0,
        _ => lon.rem_euclid(360.0),
    }
}

fn sent(shape: &Polygon, convention: u8) -> Geometry {
    let ring: Vec<[f64; 2]> = shape
        .exterior()
        .coords()
        .map(|at| [spelt(at.x, convention), at.y])
        .collect();
    let text = serde_json::json!({"type": "Polygon", "coordinates": [ring]}).to_string();
    let found = searchable(&RawValue::from_string(text).unwrap()).unwrap();
    serde_json::from_str::<geojson::Geometry>(found.geometry.get())
        .unwrap()
        .try_into()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// 1,000 shapes and 100 points each.
    #[test]
    fn no_point_changes_sides_when_a_shape_is_cut_and_moved(
        seam in prop_oneof![Just(-180.0), Just(180.0), Just(0.0), Just(360.0)],
        off in -12.0..12.0_f64,
        lat in -78.0..78.0_f64,
        radii in vec(0.5..11.0_f64, 3..12),
        convention in 0..3_u8,
        points in vec((-14.0..14.0_f64, -12.0..12.0_f64), 100),
    ) {
        let centre = (seam + off, lat);
        let whole = star(centre, &radii);
        let cut = sent(&whole, convention);
        for (east, north) in points {
            let (x, y) = (centre.0 + east, (centre.1 + north).clamp(-90.0, 90.0));
            if Euclidean.distance(&Point::new(x, y), whole.exterior()) < NEAR {
                continue;
            }
            let inside = whole.contains(&Point::new(x, y));
            let on_map = Point::new(spelt(x, 1), y);
            prop_assert_eq!(inside, cut.intersects(&on_map), "{:?} {:?}", on_map, cut);
        }
    }
}

#[test]
fn a_tile_that_shares_an_edge_or_a_corner_with_a_cut_shape_still_touches_it() {
    let whole = Polygon::new(
        LineString::from(vec![
            (170.3, 0.7),
            (190.1, 0.7),
            (190.1, 9.9),
            (170.3, 9.9),
            (170.3, 0.7),
        ]),
        Vec::new(),
    );
    let cut = sent(&whole, 1);
    for (lon, lat) in [
        (170.3, 5.0),
        (-169.9, 5.0),
        (175.0, 0.7),
        (-175.0, 9.9),
        (170.3, 9.9),
        (180.0, 5.0),
        (-180.0, 5.0),
    ] {
        assert!(cut.intersects(&Point::new(lon, lat)), "{lon} {lat} {cut:?}");
    }
}
