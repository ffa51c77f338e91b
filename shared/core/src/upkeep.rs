//! What a lake needs done from time to time.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::TableName;

/// Asks for a lake to be looked after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaintainLake {
    /// What to do, in this order; when empty, everything but `hashes` and `database`.
    pub steps: Vec<MaintainStep>,
    /// Which tables; all that there are when empty.
    pub tables: Vec<TableName>,
    /// Small files that a partition must have before they are merged.
    pub threshold: u32,
    /// Size that merged files aim at, MiB.
    pub target_mib: u64,
    /// MiB that one message merges at most, of each table; the rest is for the next. All of it when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_mib: Option<u64>,
    /// Snapshots that are kept whatever their age.
    pub keep_last: u32,
    /// Days for which snapshots are kept.
    pub keep_days: u32,
    /// Hours before a file that no snapshot needs is cleared away, 24 at least.
    pub grace_hours: u32,
    /// Whether files that no snapshot needs are deleted; else they are counted.
    pub delete: bool,
    /// Whether nothing is changed, only told.
    pub dry_run: bool,
}

impl Default for MaintainLake {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            tables: Vec::new(),
            threshold: 2,
            target_mib: 32,
            most_mib: None,
            keep_last: 10,
            keep_days: 5,
            grace_hours: 72,
            delete: false,
            dry_run: false,
        }
    }
}

/// One thing that is done to a lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaintainStep {
    /// Merges small files within their partitions.
    Compact,
    /// Merges manifests, sorted by partition.
    Manifests,
    /// Takes old snapshots out of the tables.
    Expire,
    /// Clears away files that no snapshot needs.
    Orphans,
    /// Brings the id index up to date.
    Index,
    /// Writes `EarthCatalog`'s index of ids.
    Hashes,
    /// Writes a database of the catalog beside a lake in a bucket, for `EarthCatalog` to open.
    Database,
}

impl fmt::Display for MaintainStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compact => "compact",
            Self::Manifests => "manifests",
            Self::Expire => "expire",
            Self::Orphans => "orphans",
            Self::Index => "index",
            Self::Hashes => "hashes",
            Self::Database => "database",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_usual_and_what_is_misspelt_is_refused() {
        let read = |text| serde_json::from_str::<MaintainLake>(text);
        assert_eq!(read("{}").unwrap(), MaintainLake::default());
        let some = read(r#"{"steps":["compact","index"],"tables":["stac_items"]}"#).unwrap();
        assert_eq!(some.steps, [MaintainStep::Compact, MaintainStep::Index]);
        assert_eq!(some.tables, [TableName::StacItems]);
        for wrong in [r#"{"step":["compact"]}"#, r#"{"steps":["vacuum"]}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
