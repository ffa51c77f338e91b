//! Random geometries: as they are written, and as they are meant.

use geo::{Coord, Geometry, LineString, MultiPoint, Polygon};
use proptest::prelude::*;

use super::oracle::{Position, Truth};

/// A geometry and what it means.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) written: Geometry<f64>,
    pub(super) truth: Truth,
}

/// How longitudes are written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Writing {
    /// Within ±180°, so that edges may jump.
    Wrapped,
    /// Beyond ±180° where need be.
    Straight,
    /// The same, a turn to the west.
    West,
}

fn write(position: Position, writing: Writing) -> Coord<f64> {
    let [x, y] = position;
    let x = match writing {
        Writing::Wrapped if x > 180.0 => x - 360.0,
        Writing::Wrapped if x < -180.0 => x + 360.0,
        Writing::West if x > 0.0 => x - 360.0,
        Writing::Wrapped | Writing::Straight | Writing::West => x,
    };
    Coord { x, y }
}

fn write_line(positions: &[Position], writing: Writing) -> LineString<f64> {
    // A turn to the west moves all positions or none.
    let writing = match writing {
        Writing::West if positions.iter().any(|p| p[0] <= 0.0) => Writing::Straight,
        other => other,
    };
    LineString(positions.iter().map(|p| write(*p, writing)).collect())
}

pub(super) fn writing() -> impl Strategy<Value = Writing> {
    prop_oneof![
        2 => Just(Writing::Wrapped),
        1 => Just(Writing::Straight),
        1 => Just(Writing::West),
    ]
}

/// Anywhere, evenly on the sphere, but at times near the seam or a pole.
pub(super) fn somewhere() -> impl Strategy<Value = Position> {
    prop_oneof![
        4 => (-180.0..180.0, -1.0..1.0_f64).prop_map(|(lon, z)| [lon, z.asin().to_degrees()]),
        1 => (175.0..185.0_f64, -85.0..85.0_f64).prop_map(|(lon, lat)| [lon, lat]),
        1 => (-180.0..180.0, 80.0..90.0_f64).prop_map(|(lon, lat)| [lon, lat]),
        1 => (-180.0..180.0, -90.0..-80.0_f64).prop_map(|(lon, lat)| [lon, lat]),
    ]
}

pub(super) fn points() -> impl Strategy<Value = Shape> {
    (prop::collection::vec(somewhere(), 1..6), writing()).prop_map(|(points, writing)| Shape {
        written: MultiPoint(
            points
                .iter()
                .map(|p| geo::Point(write(*p, writing)))
                .collect(),
        )
        .into(),
        truth: Truth {
            points,
            ..Truth::default()
        },
    })
}

pub(super) fn line(longest: f64) -> impl Strategy<Value = Shape> {
    let step = (-longest..longest, -longest / 2.0..longest / 2.0);
    (somewhere(), prop::collection::vec(step, 1..6), writing()).prop_map(
        |(mut at, steps, writing)| {
            let mut line = vec![at];
            for (east, north) in steps {
                at = [
                    (at[0] + east).clamp(-500.0, 500.0),
                    (at[1] + north).clamp(-90.0, 90.0),
                ];
                line.push(at);
            }
            // Written within ±180° a line must not go round more than once.
            let far = line.iter().any(|p| p[0].abs() > 520.0);
            let writing = if far || line.iter().any(|p| p[0].abs() > 360.0) {
                Writing::Straight
            } else {
                writing
            };
            Shape {
                written: write_line(&line, writing).into(),
                truth: Truth {
                    lines: vec![line],
                    ..Truth::default()
                },
            }
        },
    )
}

fn count(numbers: &[f64]) -> f64 {
    numbers.iter().map(|_| 1.0).sum()
}

/// A ring that sees all of itself from its middle; `size` degrees of latitude, wider in longitude where meridians are close.
fn star(middle: Position, size: f64, spikes: &[f64]) -> Vec<Position> {
    let size = size.min(60.0);
    let lat = middle[1].clamp(-90.0 + size, 90.0 - size);
    let stretch = (1.0 / lat.to_radians().cos().max(0.05)).min(100.0 / size);
    let count = count(spikes);
    let mut ring: Vec<Position> = spikes
        .iter()
        .zip(0_u32..)
        .map(|(radius, k)| {
            let turn = std::f64::consts::TAU * f64::from(k) / count;
            let radius = radius * size;
            [
                middle[0] + stretch * radius * turn.cos(),
                lat + radius * turn.sin(),
            ]
        })
        .collect();
    ring.push(ring[0]);
    ring
}

fn spikes() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.3..1.0_f64, 3..9)
}

fn polygon_of(rings: &[Vec<Position>], writing: Writing) -> Polygon<f64> {
    // All rings of a polygon are written alike.
    let writing = match writing {
        Writing::West if rings.iter().flatten().any(|p| p[0] <= 0.0) => Writing::Straight,
        other => other,
    };
    Polygon::new(
        write_line(&rings[0], writing),
        rings[1..].iter().map(|r| write_line(r, writing)).collect(),
    )
}

fn polygon_shape(rings: Vec<Vec<Position>>, writing: Writing) -> Shape {
    Shape {
        written: polygon_of(&rings, writing).into(),
        truth: Truth {
            polygons: vec![rings],
            ..Truth::default()
        },
    }
}

/// A star of some size, degrees, with a hole like it in half of the cases.
pub(super) fn polygon(least: f64, most: f64) -> impl Strategy<Value = Shape> {
    let size = (least.ln()..most.ln()).prop_map(f64::exp);
    let hole = prop::option::of(0.2..0.95_f64);
    (somewhere(), size, spikes(), hole, any::<bool>(), writing()).prop_map(
        |(middle, size, spikes, hole, reversed, writing)| {
            let mut rings = vec![star(middle, size, &spikes)];
            if let Some(share) = hole {
                // Edges of the same star, drawn nearer to its middle, stay inside of it.
                let spikes: Vec<f64> = spikes.iter().map(|spike| spike * share).collect();
                rings.push(star(middle, size, &spikes));
            }
            if reversed {
                for ring in &mut rings {
                    ring.reverse();
                }
            }
            polygon_shape(rings, writing)
        },
    )
}

/// A ring round a pole, closed along it in truth; a ring nearer to the pole is cut out at times.
pub(super) fn cap() -> impl Strategy<Value = Shape> {
    let lats = prop::collection::vec(20.0..89.9_f64, 3..9);
    let hole = prop::option::of(0.05..0.6_f64);
    (-180.0..180.0_f64, lats, any::<bool>(), any::<bool>(), hole).prop_map(
        |(start, lats, north, eastward, hole)| {
            let pole = if north { 90.0 } else { -90.0 };
            let ring = |share: f64| -> Vec<Position> {
                let step = 360.0 / count(&lats);
                let mut ring: Vec<Position> = lats
                    .iter()
                    .zip(0_u32..)
                    .map(|(lat, k)| {
                        let lat = 90.0 - (90.0 - lat) * share;
                        [start + step * f64::from(k), lat.copysign(pole)]
                    })
                    .collect();
                ring.push([start + 360.0, ring[0][1]]);
                if !eastward {
                    ring.reverse();
                }
                ring
            };
            let rings: Vec<_> = [Some(1.0), hole].into_iter().flatten().map(ring).collect();
            let written = Polygon::new(
                wrap_ring(&rings[0]),
                rings[1..].iter().map(|r| wrap_ring(r)).collect(),
            );
            let closed = |ring: &Vec<Position>| {
                let (first, last) = (ring[0], ring[ring.len() - 1]);
                let mut ring = ring.clone();
                ring.extend([[last[0], pole], [first[0], pole], first]);
                ring
            };
            Shape {
                written: written.into(),
                truth: Truth {
                    polygons: vec![rings.iter().map(closed).collect()],
                    ..Truth::default()
                },
            }
        },
    )
}

fn wrap_ring(ring: &[Position]) -> LineString<f64> {
    LineString(
        ring.iter()
            .map(|[x, y]| Coord {
                x: (x + 180.0).rem_euclid(360.0) - 180.0,
                y: *y,
            })
            .collect(),
    )
}

/// A box of any size, written as a ring with its corners alone if that is plain, else with positions between them.
pub(super) fn boxed() -> impl Strategy<Value = Shape> {
    (
        -180.0..180.0_f64,
        0.0..1.0_f64,
        -90.0..90.0_f64,
        0.0..1.0_f64,
        any::<bool>(),
    )
        .prop_map(|(west, wide, south, high, reversed)| {
            let east = west + wide * (180.0 - west);
            let north = south + high * (90.0 - south);
            let third = (east - west) / 3.0;
            let across = |lat: f64| [0.0, 1.0, 2.0, 3.0].map(|k| [west + k * third, lat]);
            let mut ring = across(south).to_vec();
            ring.extend(across(north).iter().rev());
            ring.push(ring[0]);
            if reversed {
                ring.reverse();
            }
            polygon_shape(vec![ring], Writing::Straight)
        })
}

/// Some of all.
pub(super) fn collection() -> impl Strategy<Value = Shape> {
    let member = prop_oneof![points(), line(20.0), polygon(0.1, 10.0), cap(), boxed(),];
    prop::collection::vec(member, 1..4).prop_map(|members| {
        let mut truth = Truth::default();
        for member in &members {
            truth.points.extend(&member.truth.points);
            truth.lines.extend(member.truth.lines.iter().cloned());
            truth.polygons.extend(member.truth.polygons.iter().cloned());
        }
        let mut written: Vec<_> = members.into_iter().map(|member| member.written).collect();
        written.push(Polygon::new(LineString(Vec::new()), Vec::new()).into());
        Shape {
            written: Geometry::GeometryCollection(geo::GeometryCollection(written)),
            truth,
        }
    })
}
