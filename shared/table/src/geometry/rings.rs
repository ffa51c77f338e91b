//! What a geometry must be beyond being nested as its type asks.

use super::{Geometry, GeometryKind};

/// Positions of the smallest ring: three corners, and the first one again.
const RING: usize = 4;

impl Geometry {
    /// Returns what is wrong with positions or rings, if anything is: RFC 7946, sections 3.1.6 and 4.
    pub(crate) fn flaw(&self) -> Option<&'static str> {
        let beyond = |position: &[f64; 3]| position[0].abs() > 180.0 || position[1].abs() > 90.0;
        if self.positions.iter().any(beyond) {
            return Some("a position beyond 180 degrees of longitude or 90 of latitude");
        }
        let flaw = match self.kind {
            GeometryKind::LineString if self.positions.len() == 1 => Some("a line of one position"),
            GeometryKind::MultiLineString if self.rings().any(|line| line.len() < 2) => {
                Some("a line of less than two positions")
            }
            GeometryKind::Polygon | GeometryKind::MultiPolygon => self.rings().find_map(ring_flaw),
            _ => None,
        };
        flaw.or_else(|| self.members.iter().find_map(Self::flaw))
    }

    /// Ends every ring where it began; returns whether one did not.
    pub(crate) fn close_rings(&mut self) -> bool {
        let mut changed = false;
        for member in &mut self.members {
            changed |= member.close_rings();
        }
        if !matches!(
            self.kind,
            GeometryKind::Polygon | GeometryKind::MultiPolygon
        ) {
            return changed;
        }
        let mut positions = Vec::with_capacity(self.positions.len() + self.rings.len());
        let mut ends = Vec::with_capacity(self.rings.len());
        for ring in self.rings() {
            positions.extend_from_slice(ring);
            if let (Some(first), true) = (ring.first(), ring.first() != ring.last()) {
                positions.push(*first);
                changed = true;
            }
            ends.push(positions.len());
        }
        self.positions = positions;
        self.rings = ends;
        changed
    }
}

fn ring_flaw(ring: &[[f64; 3]]) -> Option<&'static str> {
    if ring.first() != ring.last() {
        return Some("a ring that does not end where it began");
    }
    (ring.len() < RING).then_some("a ring of less than four positions")
}
