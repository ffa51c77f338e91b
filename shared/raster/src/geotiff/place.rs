//! Where pixels lie in the file's own coordinates.

#![expect(
    clippy::many_single_char_names,
    reason = "the six numbers of a transform have no other names"
)]

use super::keys::Keys;
use crate::tiff::Facts;

/// Takes a pixel to a coordinate: `x = a column + b row + c`, `y = d column + e row + f`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// The numbers `a, b, c, d, e, f`, as `proj:transform` has them.
    pub values: [f64; 6],
}

impl Affine {
    /// Returns the coordinate of a place in pixels, from the upper left corner.
    pub fn at(&self, column: f64, row: f64) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.values;
        (
            column.mul_add(a, row.mul_add(b, c)),
            column.mul_add(d, row.mul_add(e, f)),
        )
    }

    /// Lengths of a pixel's sides.
    pub fn pixel(&self) -> (f64, f64) {
        let [a, b, _, d, e, _] = self.values;
        (a.hypot(d), b.hypot(e))
    }

    fn is_usable(&self) -> bool {
        let [a, b, _, d, e, _] = self.values;
        self.values.iter().all(|value| value.is_finite()) && (a * e - b * d).abs() > 0.0
    }
}

/// Finds the transform as GDAL does; the reason why there is none otherwise.
pub(super) fn affine(facts: &Facts, keys: &Keys) -> Result<Affine, String> {
    let found = match (
        matrix(&facts.matrix),
        scaled(&facts.scale, &facts.tie_points),
    ) {
        (_, Some(affine)) | (Some(affine), None) => affine,
        (None, None) if facts.tie_points.len() >= 12 => {
            return Err(format!(
                "the file is placed by {} control points and no transform",
                facts.tie_points.len() / 6
            ));
        }
        (None, None) => return Err("the file does not say where its pixels lie".to_owned()),
    };
    let found = if keys.is_point() {
        half_a_pixel_back(found)
    } else {
        found
    };
    if found.is_usable() {
        Ok(found)
    } else {
        Err("the file's transform has no inverse".to_owned())
    }
}

fn matrix(values: &[f64]) -> Option<Affine> {
    let [a, b, _, c, d, e, _, f, ..] = *values else {
        return None;
    };
    Some(Affine {
        values: [a, b, c, d, e, f],
    })
}

fn scaled(scale: &[f64], tie_points: &[f64]) -> Option<Affine> {
    let ([across, down, ..], [column, row, _, x, y, _, ..]) = (scale, tie_points) else {
        return None;
    };
    if *across == 0.0 || *down == 0.0 {
        return None;
    }
    // Rows go south, whatever the sign: GDAL reads it so, and writers rely on that.
    let (a, e) = (*across, -down.abs());
    Some(Affine {
        values: [a, 0.0, x - column * a, 0.0, e, y - row * e],
    })
}

/// Coordinates of centres are half a pixel from those of corners.
fn half_a_pixel_back(affine: Affine) -> Affine {
    let [a, b, c, d, e, f] = affine.values;
    Affine {
        values: [a, b, c - f64::midpoint(a, b), d, e, f - f64::midpoint(d, e)],
    }
}
