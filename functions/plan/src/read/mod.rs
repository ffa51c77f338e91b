//! Files of areas, told apart by their content: GeoJSON, GeoJSON text sequences, lines of JSON, CSV, Parquet.

mod csv;
mod geometry;
mod json;
mod parquet;

use bytes::Bytes;
use serde_json::{Map, Value};
use swath_core::aoi::{AoiError, Areas};
use swath_core::{Class, Classify};

/// Names of columns that hold geometries, in the order they are looked for.
const GEOMETRY_COLUMNS: [&str; 10] = [
    "geojson", "geometry", "geom", "wkt", "wkb", "the_geom", "aoi", "h3", "h3_cell", "cell",
];

/// A file of areas that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is none of the formats that are read.
    #[error("not text, and not Parquet")]
    NotText(#[source] std::str::Utf8Error),
    /// It is JSON of no use.
    #[error("it cannot be read as JSON")]
    Json(#[source] AoiError),
    /// A table without a column of geometries.
    #[error("no column holds geometries: it has {found}; name one with --geojson-col")]
    NoGeometry {
        /// The columns there are.
        found: String,
    },
    /// It is no whole Parquet file.
    #[error("it cannot be read as Parquet")]
    Parquet(#[source] ::parquet::errors::ParquetError),
    /// A batch of its rows is broken.
    #[error("it cannot be read as Parquet")]
    Rows(#[source] arrow_schema::ArrowError),
}

impl Classify for ReadError {
    fn class(&self) -> Class {
        Class::Invalid
    }
}

/// Reads a file of areas; a bad row is rejected with its number, the others go on.
///
/// `column` names the column of a table that holds geometries: `GeoJSON`, WKT, WKB or cells of H3.
///
/// # Errors
/// When the file as a whole cannot be read.
pub fn read(bytes: &Bytes, column: Option<&str>) -> Result<Areas, ReadError> {
    if bytes.starts_with(b"PAR1") {
        return parquet::read(bytes.clone(), column);
    }
    let text = std::str::from_utf8(bytes).map_err(ReadError::NotText)?;
    let text = text.trim_start_matches('\u{feff}');
    let begin = text.trim_start();
    if begin.is_empty() || begin.starts_with(['{', '[', '\u{1e}']) || begin.trim_end() == "null" {
        return json::read(text).map_err(ReadError::Json);
    }
    csv::read(text, column)
}

/// Finds the column that holds geometries: the one named, else the first that bears a usual name.
fn geometry_column(names: &[String], asked: Option<&str>) -> Result<usize, ReadError> {
    let place = |wanted: &str| {
        names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(wanted))
    };
    let found = match asked {
        Some(asked) => names
            .iter()
            .position(|name| name == asked)
            .or_else(|| place(asked)),
        None => GEOMETRY_COLUMNS.iter().find_map(|wanted| place(wanted)),
    };
    found.ok_or_else(|| ReadError::NoGeometry {
        found: names.join(", "),
    })
}

/// Takes a table's row: a geometry in any spelling, and the other columns.
fn take_row(
    areas: &mut Areas,
    number: u64,
    geometry: Result<String, String>,
    columns: Map<String, Value>,
) {
    match geometry {
        Ok(geometry) => areas.take(number, None, &geometry, columns),
        Err(reason) => areas.reject(number, reason),
    }
}

#[cfg(test)]
mod tests;
