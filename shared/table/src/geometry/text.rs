//! GeoJSON text to geometry and back.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Geometry, GeometryError, GeometryKind};

/// Collections inside collections; RFC 7946 asks for none.
const MAX_NESTING: usize = 16;

#[derive(Deserialize)]
struct RawGeometry<'a> {
    r#type: String,
    #[serde(borrow, default)]
    coordinates: Option<&'a RawValue>,
    #[serde(borrow, default)]
    geometries: Option<Vec<&'a RawValue>>,
}

impl Geometry {
    /// Reads a geometry from GeoJSON text. Heights count only if every position has one; further numbers are left out.
    ///
    /// # Errors
    /// When the text is not a geometry, or a coordinate is no finite double.
    pub fn parse(text: &str) -> Result<Self, GeometryError> {
        let mut geometry = nested(text, 0)?;
        let has_z = geometry.has_z;
        geometry.level(has_z);
        Ok(geometry)
    }

    /// Makes all members agree on whether there are heights, as WKB asks.
    fn level(&mut self, has_z: bool) {
        self.has_z = has_z;
        for member in &mut self.members {
            member.level(has_z);
        }
    }

    /// Writes the geometry as GeoJSON text without white space, members in alphabetical order, numbers in their
    /// shortest form with a fraction.
    pub fn write_text(&self, into: &mut String) {
        let opening = match self.kind {
            GeometryKind::GeometryCollection => r#"{"geometries":"#,
            _ => r#"{"coordinates":"#,
        };
        into.push_str(opening);
        match self.kind {
            GeometryKind::GeometryCollection => {
                list(into, &self.members, |into, member| member.write_text(into));
            }
            GeometryKind::Point => match self.positions.first() {
                Some(point) => self.write_position(into, point),
                None => into.push_str("[]"),
            },
            GeometryKind::LineString | GeometryKind::MultiPoint => {
                self.write_positions(into, &self.positions);
            }
            GeometryKind::Polygon | GeometryKind::MultiLineString => {
                list(into, self.rings(), |into, ring| {
                    self.write_positions(into, ring);
                });
            }
            GeometryKind::MultiPolygon => list(into, self.polygons(), |into, rings| {
                list(into, rings, |into, ring| {
                    self.write_positions(into, ring);
                });
            }),
        }
        into.push_str(r#","type":""#);
        into.push_str(self.kind.as_str());
        into.push_str("\"}");
    }

    fn write_positions(&self, into: &mut String, positions: &[[f64; 3]]) {
        list(into, positions, |into, position| {
            self.write_position(into, position);
        });
    }

    fn write_position(&self, into: &mut String, position: &[f64; 3]) {
        let size = if self.has_z { 3 } else { 2 };
        list(into, position.iter().take(size), |into, number| {
            push_number(into, *number);
        });
    }
}

fn list<T>(
    into: &mut String,
    values: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    into.push('[');
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            into.push(',');
        }
        write(into, value);
    }
    into.push(']');
}

/// Appends a finite number in its shortest form that reads back as the same double, `1.0` rather than `1`.
pub(crate) fn push_number(into: &mut String, number: f64) {
    match serde_json::to_string(&number) {
        Ok(text) => into.push_str(&text),
        Err(_) => into.push_str("null"),
    }
}

fn nested(text: &str, depth: usize) -> Result<Geometry, GeometryError> {
    if depth > MAX_NESTING {
        return Err(GeometryError::TooDeep(MAX_NESTING));
    }
    let raw: RawGeometry<'_> = serde_json::from_str(text).map_err(GeometryError::Malformed)?;
    let Some(kind) = GeometryKind::from_name(&raw.r#type) else {
        return Err(GeometryError::UnknownType(raw.r#type));
    };
    let mut geometry = Geometry::empty(kind);
    if kind == GeometryKind::GeometryCollection {
        let members = raw
            .geometries
            .ok_or(GeometryError::NoCoordinates(kind.as_str()))?;
        for member in members {
            geometry.members.push(nested(member.get(), depth + 1)?);
        }
        let mut full = geometry
            .members
            .iter()
            .filter(|member| !member.is_empty())
            .peekable();
        geometry.has_z = full.peek().is_some() && full.all(|member| member.has_z);
        return Ok(geometry);
    }
    let coordinates = raw
        .coordinates
        .ok_or(GeometryError::NoCoordinates(kind.as_str()))?;
    let mut scan = Scan {
        text: coordinates.get(),
        at: 0,
        geometry: &mut geometry,
        flat: false,
    };
    scan.coordinates(kind)
        .ok_or(GeometryError::Coordinates(kind.as_str()))?;
    let flat = scan.flat;
    geometry.has_z = !flat && !geometry.positions.is_empty();
    Ok(geometry)
}

/// Walks the text of `coordinates`, which is known to be JSON.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    geometry: &'a mut Geometry,
    /// Whether a position without height was seen.
    flat: bool,
}

impl Scan<'_> {
    /// Reads all of the text; `None` when it is not nested as the type asks.
    fn coordinates(&mut self, kind: GeometryKind) -> Option<()> {
        match kind {
            GeometryKind::Point => self.point()?,
            GeometryKind::LineString | GeometryKind::MultiPoint => self.list(Self::position)?,
            GeometryKind::Polygon | GeometryKind::MultiLineString => self.list(Self::ring)?,
            GeometryKind::MultiPolygon => self.list(Self::polygon)?,
            GeometryKind::GeometryCollection => return None,
        }
        self.peek().is_none().then_some(())
    }

    fn point(&mut self) -> Option<()> {
        let begin = self.at;
        self.expect(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        self.at = begin;
        self.position()
    }

    fn ring(&mut self) -> Option<()> {
        self.list(Self::position)?;
        self.geometry.rings.push(self.geometry.positions.len());
        Some(())
    }

    fn polygon(&mut self) -> Option<()> {
        self.list(Self::ring)?;
        self.geometry.polygons.push(self.geometry.rings.len());
        Some(())
    }

    fn position(&mut self) -> Option<()> {
        let mut position = [0.0; 3];
        let mut count = 0;
        self.list(|scan| {
            let number = scan.number()?;
            if let Some(place) = position.get_mut(count) {
                *place = number;
            }
            count += 1;
            Some(())
        })?;
        self.flat |= count == 2;
        self.geometry.positions.push(position);
        (count >= 2).then_some(())
    }

    fn list(&mut self, mut value: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            value(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<f64> {
        self.peek()?;
        let rest = self.text.get(self.at..)?;
        let is_number = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
        let length = rest
            .bytes()
            .position(|b| !is_number(b))
            .unwrap_or(rest.len());
        let number: f64 = rest.get(..length)?.parse().ok()?;
        self.at += length;
        number.is_finite().then_some(number)
    }

    /// Returns the next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }
}
