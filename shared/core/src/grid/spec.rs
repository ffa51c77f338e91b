//! Which grid a table has: as text, as JSON, as table properties.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use h3o::CellIndex;
use serde::{Deserialize, Serialize};

use super::regions::{RegionGrid, sha256_hex};
use super::{Grid, GridError, H3Grid, NoGrid};

/// The table property that names the kind of grid: `h3`, `geojson` or `none`.
pub const GRID_TYPE: &str = "earthcatalog.grid.type";
/// The table property with the H3 resolution.
pub const GRID_RESOLUTION: &str = "earthcatalog.grid.resolution";
/// The table property with the path of the regions' file.
pub const GRID_BOUNDARIES: &str = "earthcatalog.grid.boundaries_path";
/// The table property with the feature property that names a region.
pub const GRID_ID_FIELD: &str = "earthcatalog.grid.id_field";
/// The table property with the SHA-256 of the regions' file, hex.
pub const GRID_BOUNDARIES_SHA256: &str = "swath.grid.boundaries_sha256";

const ID_FIELD: &str = "id";

/// A resolution of H3: 0 (122 cells) to 15 (half a metre); 1 unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Resolution(h3o::Resolution);

impl Default for Resolution {
    fn default() -> Self {
        Self(h3o::Resolution::One)
    }
}

impl TryFrom<u8> for Resolution {
    type Error = GridError;

    fn try_from(number: u8) -> Result<Self, GridError> {
        h3o::Resolution::try_from(number)
            .map(Self)
            .map_err(|_| GridError::Resolution(number.to_string()))
    }
}

impl From<Resolution> for u8 {
    fn from(resolution: Resolution) -> Self {
        Self::from(resolution.0)
    }
}

impl From<Resolution> for h3o::Resolution {
    fn from(resolution: Resolution) -> Self {
        resolution.0
    }
}

impl FromStr for Resolution {
    type Err = GridError;

    fn from_str(text: &str) -> Result<Self, GridError> {
        h3o::Resolution::from_str(text)
            .map(Self)
            .map_err(|_| GridError::Resolution(text.to_owned()))
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        u8::from(self.0).fmt(f)
    }
}

/// The grid that partitions a table; as text `h3:1`, `geojson:<path>`, `geojson:<path>#<id field>` or `none`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum GridSpec {
    /// Cells of H3.
    H3 {
        /// The resolution of all cells.
        #[serde(default)]
        resolution: Resolution,
    },
    /// Regions of a GeoJSON file.
    GeoJson {
        /// Where the file lies: a path or URI.
        path: String,
        /// The property of a feature that names its region.
        #[serde(default = "default_id_field")]
        id_field: String,
        /// The SHA-256 of the file, hex; keys mean nothing under another file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    /// No cells: one partition for all geometries.
    None,
}

fn default_id_field() -> String {
    ID_FIELD.to_owned()
}

/// How a grid is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GridOptions {
    /// More cells than this for one geometry become the one key `__global__`.
    pub cap: Option<NonZeroUsize>,
    /// The Python package `earthcatalog` reads and maintains the same table.
    pub earthcatalog: bool,
}

impl GridOptions {
    /// Refuses what an EarthCatalog could not read back.
    pub(super) fn check(self, spec: &GridSpec) -> Result<(), GridError> {
        let refuse = |reason| {
            Err(GridError::NotEarthCatalog {
                grid: spec.to_string(),
                reason,
            })
        };
        if !self.earthcatalog {
            return Ok(());
        }
        if self.cap.is_some() {
            return refuse("it does not look for the key __global__, so cells cannot be capped");
        }
        match spec {
            GridSpec::H3 { resolution } if u8::from(*resolution) == 0 => {
                refuse("it takes resolution 0 for 1")
            }
            GridSpec::None => refuse("it knows only the grids h3 and geojson"),
            GridSpec::H3 { .. } | GridSpec::GeoJson { .. } => Ok(()),
        }
    }
}

impl Default for GridSpec {
    fn default() -> Self {
        Self::H3 {
            resolution: Resolution::default(),
        }
    }
}

impl GridSpec {
    /// Returns the file that [`GridSpec::open`] needs the bytes of.
    pub fn boundaries_path(&self) -> Option<&str> {
        match self {
            Self::GeoJson { path, .. } => Some(path),
            Self::H3 { .. } | Self::None => None,
        }
    }

    /// Returns the same grid bound to the content of its file, if it has one.
    #[must_use]
    pub fn pinned(mut self, boundaries: &[u8]) -> Self {
        if let Self::GeoJson { sha256, .. } = &mut self {
            *sha256 = Some(sha256_hex(boundaries));
        }
        self
    }

    /// Makes the grid; `boundaries` are the bytes of the regions' file where there is one.
    ///
    /// # Errors
    /// When the file is missing, unreadable or not the pinned one, or when an EarthCatalog could not use the grid.
    pub fn open(
        &self,
        boundaries: Option<&[u8]>,
        options: GridOptions,
    ) -> Result<Box<dyn Grid>, GridError> {
        options.check(self)?;
        Ok(match self {
            Self::H3 { resolution } => Box::new(H3Grid::new(*resolution, options)?),
            Self::None => Box::new(NoGrid::default()),
            Self::GeoJson { path, .. } => {
                let bytes =
                    boundaries.ok_or_else(|| GridError::NoBoundaries { path: path.clone() })?;
                Box::new(RegionGrid::new(self.clone(), bytes, options)?)
            }
        })
    }

    /// Returns the table properties that say which grid this is.
    pub fn to_properties(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::H3 { resolution } => vec![
                (GRID_TYPE, "h3".to_owned()),
                (GRID_RESOLUTION, resolution.to_string()),
            ],
            Self::GeoJson {
                path,
                id_field,
                sha256,
            } => {
                let mut properties = vec![
                    (GRID_TYPE, "geojson".to_owned()),
                    (GRID_BOUNDARIES, path.clone()),
                    (GRID_ID_FIELD, id_field.clone()),
                ];
                properties.extend(
                    sha256
                        .iter()
                        .map(|hash| (GRID_BOUNDARIES_SHA256, hash.clone())),
                );
                properties
            }
            // EarthCatalog refuses this loudly; without the property it would look for H3 cells and find nothing.
            Self::None => vec![(GRID_TYPE, "none".to_owned())],
        }
    }

    /// Reads the grid from table properties, `get` by name; `None` when they say nothing: see [`GridSpec::infer`].
    ///
    /// # Errors
    /// When the kind of grid is unknown, the resolution is none of H3's, or a path is missing.
    pub fn from_properties<'a>(
        get: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Option<Self>, GridError> {
        let Some(kind) = get(GRID_TYPE) else {
            return Ok(None);
        };
        match kind {
            "h3" => Ok(Some(Self::H3 {
                resolution: get(GRID_RESOLUTION)
                    .map_or(Ok(Resolution::default()), Resolution::from_str)?,
            })),
            "geojson" => Ok(Some(Self::GeoJson {
                path: get(GRID_BOUNDARIES)
                    .filter(|path| !path.is_empty())
                    .ok_or(GridError::MissingProperty(GRID_BOUNDARIES))?
                    .to_owned(),
                id_field: get(GRID_ID_FIELD).unwrap_or(ID_FIELD).to_owned(),
                sha256: get(GRID_BOUNDARIES_SHA256).map(str::to_owned),
            })),
            "none" => Ok(Some(Self::None)),
            other => Err(GridError::UnknownGrid(other.to_owned())),
        }
    }

    /// Tells the grid by the keys of a table that has lost its properties: H3 if all but reserved keys are cells of one
    /// resolution; `None` if they are not, or if there are none.
    pub fn infer<'a>(keys: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut found = None;
        for key in keys {
            if matches!(key, "__none__" | "__global__") {
                continue;
            }
            let resolution = CellIndex::from_str(key).ok()?.resolution();
            if *found.get_or_insert(resolution) != resolution {
                return None;
            }
        }
        found.map(|resolution| Self::H3 {
            resolution: Resolution(resolution),
        })
    }
}

impl FromStr for GridSpec {
    type Err = GridError;

    fn from_str(text: &str) -> Result<Self, GridError> {
        let unknown = || GridError::UnknownGrid(text.to_owned());
        match text.split_once(':') {
            None if text == "h3" => Ok(Self::default()),
            None if text == "none" => Ok(Self::None),
            Some(("h3", resolution)) => Ok(Self::H3 {
                resolution: resolution.parse()?,
            }),
            Some(("geojson", rest)) => {
                let (path, id_field) = rest.rsplit_once('#').unwrap_or((rest, ID_FIELD));
                if path.is_empty() || id_field.is_empty() {
                    return Err(unknown());
                }
                Ok(Self::GeoJson {
                    path: path.to_owned(),
                    id_field: id_field.to_owned(),
                    sha256: None,
                })
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for GridSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::H3 { resolution } => write!(f, "h3:{resolution}"),
            Self::GeoJson { path, id_field, .. } if id_field == ID_FIELD && !path.contains('#') => {
                write!(f, "geojson:{path}")
            }
            Self::GeoJson { path, id_field, .. } => write!(f, "geojson:{path}#{id_field}"),
            Self::None => f.write_str("none"),
        }
    }
}
