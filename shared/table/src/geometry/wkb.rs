//! Well-known binary as ISO 13249-3 defines it, which `GeoParquet` asks for.

use super::{Geometry, GeometryKind};

/// Levels of collections that are read.
const MAX_NESTING: usize = 16;

const KINDS: [(u32, GeometryKind); 7] = [
    (1, GeometryKind::Point),
    (2, GeometryKind::LineString),
    (3, GeometryKind::Polygon),
    (4, GeometryKind::MultiPoint),
    (5, GeometryKind::MultiLineString),
    (6, GeometryKind::MultiPolygon),
    (7, GeometryKind::GeometryCollection),
];

/// Appends a geometry, little-endian; an empty point has NaN coordinates.
pub fn write(geometry: &Geometry, into: &mut Vec<u8>) {
    let z = geometry.has_z;
    match geometry.kind {
        GeometryKind::Point => {
            header(into, geometry.kind, z);
            let point = geometry.positions.first().copied();
            put_position(into, &point.unwrap_or([f64::NAN; 3]), z);
        }
        GeometryKind::LineString => {
            header(into, geometry.kind, z);
            put_positions(into, &geometry.positions, z);
        }
        GeometryKind::Polygon => {
            let rings: Vec<_> = geometry.rings().collect();
            put_polygon(into, &rings, z);
        }
        GeometryKind::MultiPoint => {
            header(into, geometry.kind, z);
            put_count(into, geometry.positions.len());
            for point in &geometry.positions {
                header(into, GeometryKind::Point, z);
                put_position(into, point, z);
            }
        }
        GeometryKind::MultiLineString => {
            header(into, geometry.kind, z);
            put_count(into, geometry.rings.len());
            for line in geometry.rings() {
                header(into, GeometryKind::LineString, z);
                put_positions(into, line, z);
            }
        }
        GeometryKind::MultiPolygon => {
            header(into, geometry.kind, z);
            put_count(into, geometry.polygons.len());
            for rings in geometry.polygons() {
                put_polygon(into, &rings, z);
            }
        }
        GeometryKind::GeometryCollection => {
            header(into, geometry.kind, z);
            put_count(into, geometry.members.len());
            for member in &geometry.members {
                write(member, into);
            }
        }
    }
}

fn header(into: &mut Vec<u8>, kind: GeometryKind, z: bool) {
    let code = KINDS
        .iter()
        .find(|(_, k)| *k == kind)
        .map_or(0, |(code, _)| *code);
    into.push(1);
    into.extend_from_slice(&(code + if z { 1000 } else { 0 }).to_le_bytes());
}

fn put_count(into: &mut Vec<u8>, count: usize) {
    // Positions come from JSON text of some MiB at most.
    into.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_position(into: &mut Vec<u8>, position: &[f64; 3], z: bool) {
    for number in position.iter().take(if z { 3 } else { 2 }) {
        into.extend_from_slice(&number.to_le_bytes());
    }
}

fn put_positions(into: &mut Vec<u8>, positions: &[[f64; 3]], z: bool) {
    put_count(into, positions.len());
    for position in positions {
        put_position(into, position, z);
    }
}

fn put_polygon(into: &mut Vec<u8>, rings: &[&[[f64; 3]]], z: bool) {
    header(into, GeometryKind::Polygon, z);
    put_count(into, rings.len());
    for ring in rings {
        put_positions(into, ring, z);
    }
}

/// Returns `GeoParquet`'s name of the geometry's type from its first bytes.
pub fn type_name(bytes: &[u8]) -> Option<&'static str> {
    let (kind, has_z, _) = Reader {
        bytes,
        at: 0,
        little: true,
    }
    .header()?;
    Some(kind.with_z(has_z))
}

/// Reads a geometry of either byte order; measures are left out. `None` when the bytes are not one whole geometry.
pub fn read(bytes: &[u8]) -> Option<Geometry> {
    let mut reader = Reader {
        bytes,
        at: 0,
        little: true,
    };
    let geometry = reader.geometry(0)?;
    (reader.at == bytes.len()).then_some(geometry)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    little: bool,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut taken: [u8; N] = self.bytes.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        if !self.little {
            taken.reverse();
        }
        Some(taken)
    }

    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        // Every counted thing takes four bytes or more: a larger count is a lie.
        (count <= (self.bytes.len() - self.at) / 4).then_some(count)
    }

    /// Returns type, whether there are heights, numbers per position.
    fn header(&mut self) -> Option<(GeometryKind, bool, usize)> {
        self.little = match self.bytes.get(self.at)? {
            0 => false,
            1 => true,
            _ => return None,
        };
        self.at += 1;
        let code = u32::from_le_bytes(self.take()?);
        let (_, kind) = KINDS.into_iter().find(|(base, _)| *base == code % 1000)?;
        match code / 1000 {
            0 => Some((kind, false, 2)),
            1 => Some((kind, true, 3)),
            2 => Some((kind, false, 3)),
            3 => Some((kind, true, 4)),
            _ => None,
        }
    }

    fn geometry(&mut self, depth: usize) -> Option<Geometry> {
        let (kind, has_z, size) = self.header()?;
        let mut geometry = Geometry::empty(kind);
        geometry.has_z = has_z;
        match kind {
            GeometryKind::Point => {
                let position = self.position(has_z, size)?;
                if !position.iter().any(|number| number.is_nan()) {
                    geometry.positions.push(position);
                }
            }
            GeometryKind::LineString => self.positions(&mut geometry, size)?,
            GeometryKind::Polygon => self.rings(&mut geometry, size)?,
            _ => {
                if depth > MAX_NESTING {
                    return None;
                }
                for _ in 0..self.count()? {
                    let member = self.geometry(depth + 1)?;
                    geometry.adopt(member)?;
                }
            }
        }
        Some(geometry)
    }

    fn position(&mut self, has_z: bool, size: usize) -> Option<[f64; 3]> {
        let mut position = [0.0; 3];
        for index in 0..size {
            let number = f64::from_le_bytes(self.take()?);
            if index < 2 || (index == 2 && has_z) {
                *position.get_mut(index)? = number;
            }
        }
        Some(position)
    }

    fn positions(&mut self, geometry: &mut Geometry, size: usize) -> Option<()> {
        for _ in 0..self.count()? {
            let position = self.position(geometry.has_z, size)?;
            geometry.positions.push(position);
        }
        Some(())
    }

    fn rings(&mut self, geometry: &mut Geometry, size: usize) -> Option<()> {
        for _ in 0..self.count()? {
            self.positions(geometry, size)?;
            geometry.rings.push(geometry.positions.len());
        }
        Some(())
    }
}

impl Geometry {
    /// Takes in a part of a multi-geometry or a member of a collection; `None` when the type does not belong there.
    fn adopt(&mut self, part: Self) -> Option<()> {
        match (self.kind, part.kind) {
            (GeometryKind::GeometryCollection, _) => self.members.push(part),
            (GeometryKind::MultiPoint, GeometryKind::Point) => {
                self.positions.extend(part.positions);
            }
            (GeometryKind::MultiLineString, GeometryKind::LineString) => {
                self.positions.extend(part.positions);
                self.rings.push(self.positions.len());
            }
            (GeometryKind::MultiPolygon, GeometryKind::Polygon) => {
                let begin = self.positions.len();
                self.positions.extend(part.positions);
                self.rings.extend(part.rings.iter().map(|end| begin + end));
                self.polygons.push(self.rings.len());
            }
            _ => return None,
        }
        Some(())
    }
}
