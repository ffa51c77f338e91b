//! The tables of a lake.

use serde::{Deserialize, Serialize};

/// A table of the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableName {
    /// `earthcatalog.stac_items`: one row per item and cell.
    StacItems,
    /// `swath.asset_rows`: one row per (area, item, asset) that a search found.
    AssetRows,
    /// `swath.asset_files`: one row per attempt to bring an asset home.
    AssetFiles,
    /// `swath.area_status`: one row per run and area, how its search ended.
    AreaStatus,
}

impl TableName {
    /// Every table, in the order they are made.
    pub const ALL: [Self; 4] = [
        Self::StacItems,
        Self::AssetRows,
        Self::AssetFiles,
        Self::AreaStatus,
    ];

    /// Returns the Iceberg namespace.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::StacItems => "earthcatalog",
            Self::AssetRows | Self::AssetFiles | Self::AreaStatus => "swath",
        }
    }

    /// Returns the name within the namespace.
    pub fn name(self) -> &'static str {
        match self {
            Self::StacItems => "stac_items",
            Self::AssetRows => "asset_rows",
            Self::AssetFiles => "asset_files",
            Self::AreaStatus => "area_status",
        }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.namespace(), self.name())
    }
}
