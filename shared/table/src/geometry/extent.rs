//! The box round a geometry, never smaller than the geometry.

use super::{Geometry, GeometryKind};

impl Geometry {
    /// Returns west, south, east, north with west <= east, or `None` when there is no position.
    ///
    /// A shape that crosses the antimeridian (an edge of more than 180 degrees, or longitudes beyond 180) gets the
    /// whole width, one that goes round a pole also that pole: a box that is too large finds too much, one that is too
    /// small loses items.
    pub fn extent(&self) -> Option<[f64; 4]> {
        let mut all: Option<[f64; 4]> = None;
        self.add_extent(&mut all);
        all
    }

    fn add_extent(&self, all: &mut Option<[f64; 4]>) {
        for member in &self.members {
            member.add_extent(all);
        }
        match self.kind {
            GeometryKind::LineString => add_path(&self.positions, false, all),
            GeometryKind::MultiLineString => {
                self.rings().for_each(|line| add_path(line, false, all));
            }
            GeometryKind::Polygon | GeometryKind::MultiPolygon => {
                self.rings().for_each(|ring| add_path(ring, true, all));
            }
            _ => self
                .positions
                .chunks(1)
                .for_each(|point| add_path(point, false, all)),
        }
    }
}

fn add_path(path: &[[f64; 3]], is_ring: bool, all: &mut Option<[f64; 4]>) {
    let (mut crosses, mut turn, mut latitudes) = (false, 0.0, 0.0);
    for [x, y, _] in path {
        let [west, south, east, north] = all.unwrap_or([*x, *y, *x, *y]);
        *all = Some([west.min(*x), south.min(*y), east.max(*x), north.max(*y)]);
        crosses |= x.abs() > 180.0;
        latitudes += y;
    }
    for pair in path.windows(2) {
        let [[x0, ..], [x1, ..]] = pair else { continue };
        let step = x1 - x0;
        crosses |= step.abs() > 180.0;
        turn += step - 360.0 * (step / 360.0).round();
    }
    if let (true, Some([west, south, east, north])) = (crosses, *all) {
        *all = Some([west.min(-180.0), south, east.max(180.0), north]);
    }
    // Longitudes that do not come back to where they began went round a pole.
    if let (true, true, Some([west, south, east, north])) = (is_ring, turn.abs() > 180.0, *all) {
        let [south, north] = if latitudes < 0.0 {
            [-90.0, north]
        } else {
            [south, 90.0]
        };
        *all = Some([west.min(-180.0), south, east.max(180.0), north]);
    }
}
