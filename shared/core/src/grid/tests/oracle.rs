//! What a cover must be, found another way.
//!
//! A cell is taken as the star of triangles round its centre. `Cell::beyond` says how far a point lies outside of it, and grows by no
//! more than the point moves; so the distance from an edge to a cell is bracketed by halving the edge, with no use of
//! chords or bows. All cells are asked, in no order. A cell that no edge meets is inside as a whole or not at all.
//! That `beyond` agrees with `latlng_to_cell` is tested on its own, at random points and along all borders.

use h3o::{CellIndex, LatLng, Resolution};

pub(super) type Position = [f64; 2];
type Vector = [f64; 3];

/// Closer to a border than this (radians; 6 mm on the ground) either answer is right.
pub(super) const NEAR: f64 = 1e-9;

/// What a geometry is, with longitudes that never jump and rings closed.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    pub(super) points: Vec<Position>,
    pub(super) lines: Vec<Vec<Position>>,
    /// For each polygon its outline, then its holes.
    pub(super) polygons: Vec<Vec<Vec<Position>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    In,
    Out,
    Border,
}

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) index: CellIndex,
    centre: Vector,
    position: Position,
    /// The largest distance from the centre, as a chord.
    radius: f64,
    /// One set of planes for each convex part, normals pointing inwards.
    parts: Vec<Vec<Vector>>,
}

pub(super) fn vector([lon, lat]: Position) -> Vector {
    let (lon, lat) = (lon.to_radians(), lat.to_radians());
    [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn plane(a: Vector, b: Vector) -> Vector {
    let normal = [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ];
    let length = dot(normal, normal).sqrt();
    normal.map(|part| part / length)
}

fn chord(a: Vector, b: Vector) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b) * (a - b))
        .sum::<f64>()
        .sqrt()
}

pub(super) fn cell_at([lon, lat]: Position, resolution: Resolution) -> CellIndex {
    LatLng::new(lat, lon).unwrap().to_cell(resolution)
}

pub(super) fn all_cells(resolution: Resolution) -> Vec<Cell> {
    CellIndex::base_cells()
        .flat_map(|base| base.children(resolution))
        .map(Cell::new)
        .collect()
}

impl Cell {
    pub(super) fn new(index: CellIndex) -> Self {
        let middle = LatLng::from(index);
        let position = [middle.lng(), middle.lat()];
        let centre = vector(position);
        let corners: Vec<Vector> = index
            .boundary()
            .iter()
            .map(|corner| vector([corner.lng(), corner.lat()]))
            .collect();
        let pairs = || corners.iter().zip(corners.iter().cycle().skip(1));
        let whole: Vec<Vector> = pairs().map(|(a, b)| plane(*a, *b)).collect();
        let convex = whole
            .iter()
            .all(|edge| corners.iter().all(|corner| dot(*edge, *corner) > -1e-12));
        let parts = if convex {
            vec![whole]
        } else {
            pairs()
                .map(|(a, b)| vec![plane(*a, *b), plane(centre, *a), plane(*b, centre)])
                .collect()
        };
        let radius = corners
            .iter()
            .map(|c| chord(centre, *c))
            .fold(0.0, f64::max);
        Self {
            index,
            centre,
            position,
            radius,
            parts,
        }
    }

    /// Returns how far outside of the cell a point lies at most; negative inside.
    pub(super) fn beyond(&self, point: Vector) -> f64 {
        let mut least = 1.0;
        for planes in &self.parts {
            let mut most = -1.0;
            for plane in planes {
                most = f64::max(most, -dot(*plane, point));
            }
            least = f64::min(least, most);
        }
        least
    }

    fn verdict_of_edge(&self, from: Position, to: Position) -> Verdict {
        let middle = [from[0].midpoint(to[0]), from[1].midpoint(to[1])];
        let widest = if from[1] * to[1] < 0.0 {
            1.0
        } else {
            from[1].abs().min(to[1].abs()).to_radians().cos()
        };
        let half = (to[1] - from[1])
            .to_radians()
            .hypot((to[0] - from[0]).to_radians() * widest)
            / 2.0;
        let point = vector(middle);
        if chord(self.centre, point) > self.radius + half + NEAR {
            return Verdict::Out;
        }
        let beyond = self.beyond(point);
        if beyond < -NEAR {
            Verdict::In
        } else if beyond - half > NEAR {
            Verdict::Out
        } else if half < NEAR / 4.0 {
            Verdict::Border
        } else {
            either(self.verdict_of_edge(from, middle), || {
                self.verdict_of_edge(middle, to)
            })
        }
    }

    pub(super) fn verdict(&self, truth: &Truth) -> Verdict {
        let resolution = self.index.resolution();
        if truth
            .points
            .iter()
            .any(|p| cell_at(*p, resolution) == self.index)
        {
            return Verdict::In;
        }
        let rings = truth.polygons.iter().flatten().chain(&truth.lines);
        let mut found = Verdict::Out;
        for edge in rings.flat_map(|ring| ring.windows(2)) {
            found = either(found, || self.verdict_of_edge(edge[0], edge[1]));
            if found == Verdict::In {
                return found;
            }
        }
        either(found, || {
            if truth
                .polygons
                .iter()
                .any(|rings| inside(rings, self.position))
            {
                Verdict::In
            } else {
                Verdict::Out
            }
        })
    }
}

fn either(first: Verdict, second: impl FnOnce() -> Verdict) -> Verdict {
    if first == Verdict::In {
        return first;
    }
    match (first, second()) {
        (_, Verdict::In) => Verdict::In,
        (Verdict::Out, Verdict::Out) => Verdict::Out,
        _ => Verdict::Border,
    }
}

/// Says whether a position lies in a polygon, by the ray to the east; any whole turns away.
pub(super) fn inside(rings: &[Vec<Position>], position: Position) -> bool {
    rings.split_first().is_some_and(|(outline, holes)| {
        encloses(outline, position) && !holes.iter().any(|hole| encloses(hole, position))
    })
}

fn encloses(ring: &[Position], [lon, lat]: Position) -> bool {
    (-3..=3).any(|turn| {
        let lon = lon + 360.0 * f64::from(turn);
        let mut odd = false;
        for edge in ring.windows(2) {
            let [[x0, y0], [x1, y1]] = [edge[0], edge[1]];
            odd ^= (y0 > lat) != (y1 > lat) && lon < x0 + (lat - y0) / (y1 - y0) * (x1 - x0);
        }
        odd
    })
}

impl Truth {
    /// Returns positions that lie in the geometry: along its edges, and of a lattice over each polygon.
    pub(super) fn samples(&self, on_an_edge: u32, across: u32) -> Vec<Position> {
        let mut found = self.points.clone();
        let share = |k: u32, of: u32| f64::from(k) / f64::from(of);
        for edge in self
            .polygons
            .iter()
            .flatten()
            .chain(&self.lines)
            .flat_map(|r| r.windows(2))
        {
            found.extend((0..=on_an_edge).map(|k| {
                let t = share(k, on_an_edge);
                [
                    edge[0][0] + t * (edge[1][0] - edge[0][0]),
                    edge[0][1] + t * (edge[1][1] - edge[0][1]),
                ]
            }));
        }
        for rings in &self.polygons {
            let bound = |axis: usize, pick: fn(f64, f64) -> f64, start: f64| {
                rings[0].iter().map(|p| p[axis]).fold(start, pick)
            };
            let (west, east) = (bound(0, f64::min, 9e9), bound(0, f64::max, -9e9));
            let (south, north) = (bound(1, f64::min, 9e9), bound(1, f64::max, -9e9));
            for (column, row) in (0..across).flat_map(|c| (0..across).map(move |r| (c, r))) {
                let position = [
                    west + (share(column, across) + 0.5 / f64::from(across)) * (east - west),
                    south + (share(row, across) + 0.5 / f64::from(across)) * (north - south),
                ];
                if inside(rings, position) {
                    found.push(position);
                }
            }
        }
        found
    }
}
