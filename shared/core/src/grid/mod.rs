//! Grids: which cells a geometry lies in.
//!
//! An item is stored once for each cell that some point of its geometry lies in, edges being straight lines in longitude and
//! latitude. A search looks in the cells of its own geometry, so it finds all items that it meets.

mod cells;
mod h3;
mod key;
mod outline;
mod regions;
mod spec;
mod sphere;
#[cfg(test)]
mod tests;

use geo::Geometry;

use crate::{Class, Classify};

pub use h3::H3Grid;
pub use key::CellKey;
pub use regions::RegionGrid;
pub use spec::{
    GRID_BOUNDARIES, GRID_BOUNDARIES_SHA256, GRID_ID_FIELD, GRID_RESOLUTION, GRID_TYPE,
    GridOptions, GridSpec, Resolution,
};

/// Tells the cells of geometries in lon/lat degrees; one for each thread, since it keeps buffers and cells it has met.
pub trait Grid: std::fmt::Debug + Send {
    /// Returns which grid this is.
    fn spec(&self) -> &GridSpec;

    /// Fills `out` with the keys of all cells in which some point of the geometry lies: sorted, each once, never none at all.
    ///
    /// A null or empty geometry, or one that misses all regions, has the one key `__none__`.
    ///
    /// # Errors
    /// When the geometry lies in more cells than can be handled.
    fn cover(
        &mut self,
        geometry: Option<&Geometry<f64>>,
        out: &mut Vec<CellKey>,
    ) -> Result<(), GridError>;
}

/// The grid without cells: every geometry has the key `__global__`, a null or empty one `__none__`.
#[derive(Clone, Debug, Default)]
pub struct NoGrid {
    outline: outline::Outline,
}

impl Grid for NoGrid {
    fn spec(&self) -> &GridSpec {
        &GridSpec::None
    }

    fn cover(
        &mut self,
        geometry: Option<&Geometry<f64>>,
        out: &mut Vec<CellKey>,
    ) -> Result<(), GridError> {
        out.clear();
        self.outline.read(geometry);
        let empty = self.outline.groups().next().is_none();
        out.push(if empty {
            CellKey::none()
        } else {
            CellKey::global()
        });
        Ok(())
    }
}

/// Returns the geometry of a bbox (west, south, east, north, degrees); west beyond east crosses the antimeridian.
pub fn bbox_geometry([west, south, east, north]: [f64; 4]) -> Geometry<f64> {
    let east = if west > east { east + 360.0 } else { east };
    Geometry::Rect(geo::Rect::new((west, south), (east, north)))
}

/// A grid that cannot be made, or a geometry that it cannot cover.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GridError {
    /// Another kind of grid.
    #[error("unknown grid {0:?}: use h3:<resolution>, geojson:<path> or none")]
    UnknownGrid(String),
    /// Not a resolution of H3.
    #[error("{0:?} is not a resolution of H3: use 0 to 15")]
    Resolution(String),
    /// A table property that the kind of grid needs.
    #[error("the table property {0} is missing")]
    MissingProperty(&'static str),
    /// The file of regions was not handed in.
    #[error("the file of regions {path} was not read")]
    NoBoundaries {
        /// Where it lies.
        path: String,
    },
    /// The file of regions is not a `FeatureCollection`.
    #[error("the file of regions {path} is not a GeoJSON FeatureCollection")]
    Boundaries {
        /// Where it lies.
        path: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The file of regions is not the one that the table's keys were made with.
    #[error(
        "the file of regions {path} has changed: SHA-256 {found}, the table was made with {pinned}"
    )]
    BoundariesChanged {
        /// Where it lies.
        path: String,
        /// The hash in the table.
        pinned: String,
        /// The hash of the file.
        found: String,
    },
    /// A region's name that cannot be a key.
    #[error("feature {index} of {path}: the key {key:?} {reason}")]
    RegionKey {
        /// Where the file lies.
        path: String,
        /// The feature's place in the file, from 0.
        index: usize,
        /// Its name.
        key: String,
        /// Why not.
        reason: &'static str,
    },
    /// The Python package would not find what is stored under this grid.
    #[error("the grid {grid} does not suit an EarthCatalog: {reason}")]
    NotEarthCatalog {
        /// The grid.
        grid: String,
        /// Why not.
        reason: &'static str,
    },
    /// The geometry is too large for the grid.
    #[error("the geometry lies in more than {limit} cells of {grid}")]
    TooManyCells {
        /// The grid.
        grid: String,
        /// The most cells.
        limit: usize,
    },
}

impl Classify for GridError {
    fn class(&self) -> Class {
        match self {
            Self::TooManyCells { .. } => Class::Invalid,
            Self::UnknownGrid(_)
            | Self::Resolution(_)
            | Self::MissingProperty(_)
            | Self::NoBoundaries { .. }
            | Self::Boundaries { .. }
            | Self::BoundariesChanged { .. }
            | Self::RegionKey { .. }
            | Self::NotEarthCatalog { .. } => Class::Denied,
        }
    }
}
