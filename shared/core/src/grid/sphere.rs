//! Straight lon/lat edges against cells of the sphere.
//!
//! A cell is bounded by planes through the Earth's centre, so a chord between two unit vectors is clipped by it as a line is by
//! a polygon. An edge that is straight in lon/lat leaves its chord by at most its bow; what the bow leaves open is
//! decided by halving the edge. All lengths are radians.

/// A point or a plane's normal on the unit sphere.
pub(super) type Vector = [f64; 3];

/// What rounding may move a point or a cell's edge by: 0.06 mm on the ground.
pub(super) const SLACK: f64 = 1e-11;

fn dot(a: &Vector, b: &Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: &Vector, b: &Vector) -> Vector {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

fn unit(a: &Vector) -> Vector {
    let length = dot(a, a).sqrt();
    a.map(|part| part / length)
}

/// A position, degrees, with its place on the sphere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    lon: f64,
    lat: f64,
    cos_lat: f64,
    at: Vector,
}

impl Place {
    pub(super) fn new([lon, lat]: [f64; 2]) -> Self {
        let (sin_lat, cos_lat) = lat.to_radians().sin_cos();
        let (sin_lon, cos_lon) = lon.to_radians().sin_cos();
        Self {
            lon,
            lat,
            cos_lat,
            at: [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
        }
    }

    pub(super) fn position(&self) -> [f64; 2] {
        [self.lon, self.lat]
    }
}

/// An edge, straight in longitude and latitude.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    from: Place,
    to: Place,
    /// No part of the edge is longer than this.
    length: f64,
    /// How far a point of the edge may lie from the point of the chord that has the same share of it behind.
    bow: f64,
}

impl Edge {
    /// Joins two places.
    ///
    /// With P(t) the edge, `|P - chord| <= max |P''| / 8`. Of `P''` the part towards the Earth's centre moves a point off a plane
    /// through that centre by no more than `length^3 / 8`; the part along the surface is
    /// `dlon sin(lat) sqrt(4 dlat^2 + dlon^2 cos^2(lat))`.
    pub(super) fn new(from: Place, to: Place) -> Self {
        let east = (to.lon - from.lon).to_radians().abs();
        let north = (to.lat - from.lat).to_radians();
        let widest = if from.lat * to.lat < 0.0 {
            1.0
        } else {
            from.cos_lat.max(to.cos_lat)
        };
        let steepest = from.at[2].abs().max(to.at[2].abs());
        let along = east * widest;
        let length = along.hypot(north);
        let bend = east * steepest * (4.0 * north * north + along * along).sqrt();
        Self {
            from,
            to,
            length,
            bow: (bend + length * length * length) / 8.0,
        }
    }

    pub(super) fn from(&self) -> &Place {
        &self.from
    }

    pub(super) fn to(&self) -> &Place {
        &self.to
    }

    /// Returns into how many parts the edge is cut so that each is about as long as a cell's edge and bows far less.
    pub(super) fn parts(&self, cell_edge: f64) -> f64 {
        let longest = cell_edge.min(0.25);
        (self.length / longest)
            .max((self.bow * 16.0 / longest).sqrt())
            .ceil()
            .max(1.0)
    }

    /// Returns the place with the share `t`, 0 to 1, of the edge behind it.
    pub(super) fn place(&self, t: f64) -> Place {
        Place::new([
            self.from.lon + t * (self.to.lon - self.from.lon),
            self.from.lat + t * (self.to.lat - self.from.lat),
        ])
    }
}

/// How an edge and a convex area lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    /// Some point of the edge lies in the area.
    Surely,
    /// The bow of the edge decides.
    Perhaps,
    /// No point does.
    Never,
}

/// The share of a chord on the inner side of some planes.
#[derive(Clone, Copy, Debug)]
struct Span {
    low: f64,
    high: f64,
}

impl Span {
    const ALL: Self = Self {
        low: 0.0,
        high: 1.0,
    };

    /// Cuts off what lies beyond a plane; the ends' heights over it are given.
    fn cut(&mut self, from: f64, to: f64) {
        if from < 0.0 {
            if to < 0.0 {
                self.low = 2.0;
            } else {
                self.low = self.low.max(from / (from - to));
            }
        } else if to < 0.0 {
            self.high = self.high.min(from / (from - to));
        }
    }

    fn is_empty(self) -> bool {
        self.low > self.high
    }
}

/// A convex area grown and shrunk by the bow of an edge, and what each leaves of the chord.
struct Clip {
    bow: f64,
    grown: Span,
    shrunk: Span,
}

impl Clip {
    fn new(bow: f64) -> Self {
        Self {
            bow: bow + SLACK,
            grown: Span::ALL,
            shrunk: Span::ALL,
        }
    }

    /// Cuts by one plane, moved outwards by `overhang` for the grown area; says whether anything is left.
    fn cut(&mut self, from: f64, to: f64, overhang: f64) -> bool {
        let grow = self.bow + overhang;
        self.grown.cut(from + grow, to + grow);
        self.shrunk.cut(from - self.bow, to - self.bow);
        !self.grown.is_empty()
    }

    fn meeting(&self) -> Meeting {
        if self.grown.is_empty() {
            Meeting::Never
        } else if self.shrunk.is_empty() {
            Meeting::Perhaps
        } else {
            Meeting::Surely
        }
    }
}

/// The outline of a cell: great circles between its corners, seen from its centre as a star.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The plane of each edge, its normal pointing inwards.
    edges: Box<[Vector]>,
    /// The plane through the centre and the corner at which the edge of the same place begins; empty for a convex cell.
    spokes: Box<[Vector]>,
    /// How far the cell may lie beyond a plane of its own: cells bend where they cross an edge of the icosahedron.
    overhang: f64,
}

impl Shape {
    /// Makes the shape of corners in counter-clockwise order, lon/lat degrees.
    pub(super) fn new(centre: [f64; 2], corners: &[[f64; 2]]) -> Self {
        let centre = Place::new(centre).at;
        let corners: Vec<Vector> = corners.iter().map(|c| Place::new(*c).at).collect();
        let next = corners.iter().cycle().skip(1);
        let edges: Box<[Vector]> = corners
            .iter()
            .zip(next)
            .map(|(from, to)| unit(&cross(from, to)))
            .collect();
        let overhang = edges
            .iter()
            .flat_map(|plane| corners.iter().map(|corner| -dot(plane, corner)))
            .fold(0.0, f64::max);
        if overhang < SLACK {
            return Self {
                edges,
                spokes: Box::default(),
                overhang: 0.0,
            };
        }
        Self {
            spokes: corners
                .iter()
                .map(|corner| unit(&cross(&centre, corner)))
                .collect(),
            // Between two corners the cell's edge may lie a little further out than either.
            overhang: overhang * 1.3,
            edges,
        }
    }

    /// Says whether the whole edge surely lies inside the cell and clear of its outline.
    pub(super) fn holds(&self, edge: &Edge) -> bool {
        let need = edge.bow + SLACK;
        self.edges
            .iter()
            .all(|plane| dot(plane, &edge.from.at) > need && dot(plane, &edge.to.at) > need)
    }

    /// Says whether a place lies inside the cell and clear of its outline; may say no for a cell that is not convex.
    pub(super) fn surely_contains(&self, place: &Place) -> bool {
        self.edges.iter().all(|plane| dot(plane, &place.at) > SLACK)
    }

    /// Says whether a place lies in the closed cell, give or take the slack.
    pub(super) fn contains(&self, place: &Place) -> bool {
        let at = &place.at;
        if self.spokes.is_empty() {
            return self.edges.iter().all(|plane| dot(plane, at) > -SLACK);
        }
        self.triangles().any(|[edge, left, right]| {
            dot(edge, at) > -SLACK && dot(left, at) > -SLACK && dot(right, at) < SLACK
        })
    }

    /// Says whether some point of the edge lies in the closed cell, give or take the slack.
    pub(super) fn meets(&self, edge: &Edge) -> bool {
        match self.meeting(edge) {
            Meeting::Surely => true,
            Meeting::Never => false,
            Meeting::Perhaps if edge.bow < SLACK => true,
            Meeting::Perhaps => {
                let middle = edge.place(0.5);
                self.meets(&Edge::new(edge.from, middle)) || self.meets(&Edge::new(middle, edge.to))
            }
        }
    }

    fn meeting(&self, edge: &Edge) -> Meeting {
        let (from, to) = (&edge.from.at, &edge.to.at);
        let mut clip = Clip::new(edge.bow);
        for plane in &self.edges {
            if !clip.cut(dot(plane, from), dot(plane, to), self.overhang) {
                return Meeting::Never;
            }
        }
        match clip.meeting() {
            Meeting::Perhaps if !self.spokes.is_empty() => self.meeting_of_star(edge),
            decided => decided,
        }
    }

    /// Takes the cell for the triangles between its centre and its edges, each of them convex.
    fn meeting_of_star(&self, edge: &Edge) -> Meeting {
        let (from, to) = (&edge.from.at, &edge.to.at);
        let mut found = Meeting::Never;
        for [outer, left, right] in self.triangles() {
            let mut clip = Clip::new(edge.bow);
            let left_over = clip.cut(dot(outer, from), dot(outer, to), 0.0)
                && clip.cut(dot(left, from), dot(left, to), 0.0)
                && clip.cut(-dot(right, from), -dot(right, to), 0.0);
            match clip.meeting() {
                Meeting::Surely if left_over => return Meeting::Surely,
                Meeting::Perhaps if left_over => found = Meeting::Perhaps,
                _ => {}
            }
        }
        found
    }

    /// Returns, for each triangle, the plane of its edge and the two spokes; the second spoke's normal points outwards.
    fn triangles(&self) -> impl Iterator<Item = [&Vector; 3]> {
        let right = self.spokes.iter().cycle().skip(1);
        self.edges
            .iter()
            .zip(&self.spokes)
            .zip(right)
            .map(|((edge, left), right)| [edge, left, right])
    }
}
