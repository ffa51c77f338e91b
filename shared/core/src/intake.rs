//! What a run takes in, and how: the settings of a backfill, and what its functions are asked.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::message::{Partition, WriteItems, WrittenFile};
use crate::{RunId, TableName};

/// Objects of a chunk when a run says nothing else.
pub const CHUNK: u32 = 10_000;

/// Objects of a chunk of a bulk run when it says nothing else.
pub const BULK_CHUNK: u32 = 100_000;

/// Rows of one merged file of a bulk run when it says nothing else.
pub const COMPACT_ROWS: u32 = 100_000;

/// What a run takes of its source, and how. With the content of what is listed it makes the run's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intake {
    /// Globs, one of which a key must fit: `*` is any text, slashes included; all keys when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs, none of which a key may fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Only what was last modified (of items: updated) at this moment or later.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub since: Option<OffsetDateTime>,
    /// Only what was last modified (of items: updated) before this moment.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub until: Option<OffsetDateTime>,
    /// As many objects or items at most, the first ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Objects or items of one chunk.
    pub chunk_size: u32,
    /// What becomes of what the table holds already.
    pub mode: Mode,
    /// Whether files are merged before they are committed.
    pub bulk: bool,
    /// Rows of one merged file at most, but for files that are staged with more; [`COMPACT_ROWS`] when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compact_rows: Option<u32>,
    /// What is said of rasters that the source holds in place of items.
    #[serde(skip_serializing_if = "Rasters::says_nothing")]
    pub rasters: Rasters,
}

/// What is known of rasters besides what their headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rasters {
    /// The collection of their items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Where their names hold the datetime, for instance `*_{YYYY}{MM}{DD}_*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_pattern: Option<String>,
}

impl Rasters {
    /// Says whether nothing is known.
    pub fn says_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            include: Vec::new(),
            exclude: Vec::new(),
            since: None,
            until: None,
            limit: None,
            chunk_size: CHUNK,
            mode: Mode::Auto,
            bulk: false,
            compact_rows: None,
            rasters: Rasters::default(),
        }
    }
}

impl Intake {
    /// Says whether items are staged until all chunks are done: in bulk, and when all is replaced in one snapshot.
    pub fn is_staged(&self) -> bool {
        self.bulk || self.mode == Mode::Full
    }

    /// Returns the id of the run that takes in what has this digest.
    pub fn run_id(&self, listed: &[u8]) -> RunId {
        // Texts and numbers: writing them cannot fail.
        let settings = serde_json::to_vec(self).unwrap_or_default();
        RunId::derive(&[b"ingest", listed, &settings])
    }
}

/// What becomes of what a table holds already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Adds and updates, never removes: as [`Mode::Delta`].
    #[default]
    Auto,
    /// The run's items take the place of all others, in one snapshot.
    Full,
    /// Adds and updates.
    Delta,
}

impl std::str::FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        match text {
            "auto" => Ok(Self::Auto),
            "full" => Ok(Self::Full),
            "delta" => Ok(Self::Delta),
            _ => Err(UnknownMode(text.to_owned())),
        }
    }
}

/// A mode that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mode: use auto, full or delta")]
pub struct UnknownMode(String);

/// Asks `list` for the chunks of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSource {
    /// The source: the address of an inventory's `manifest.json`, a prefix, a file of items or hrefs, a catalog, an API.
    pub source: String,
    /// What is taken of it.
    #[serde(default)]
    pub intake: Intake,
    /// Whether objects that could not be had are tried again, besides what was never tried.
    #[serde(default)]
    pub retry_pending: bool,
    /// An earlier list of the same objects: what is new or changed since is taken, and of what is gone the items leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Where below the lake's base the lists of the run's chunks are staged, which is no part of what the run is;
    /// `runs/chunks` when absent. Functions take none but below `runs/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging_prefix: Option<String>,
}

/// Asks `ingest` for the items of one chunk of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestChunk {
    /// Where the run's objects come from, as it was asked.
    pub source: String,
    /// The chunk's number in the run's plan, from 0.
    pub chunk: u32,
    /// Where the list of its objects lies, below the lake's base.
    pub at: String,
    /// Objects in it.
    pub objects: u32,
    /// Lists of objects that were taken in before, below the lake's base: what they name is not fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// Whether items are staged, to be merged when all chunks are done.
    #[serde(default)]
    pub bulk: bool,
    /// Whether these are objects of a chunk that is done, but for them.
    #[serde(default)]
    pub again: bool,
    /// What is said of rasters among them.
    #[serde(default, skip_serializing_if = "Rasters::says_nothing")]
    pub rasters: Rasters,
}

/// Asks `write` for files of items that are not told to `commit` but noted, to be merged when the run's chunks are done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageItems {
    /// The chunk, from 0.
    pub chunk: u32,
    /// The part of the chunk, from 0.
    pub part: u32,
    /// The items.
    pub items: WriteItems,
}

/// Asks `write` for one or few files in place of many of one partition, none of which is part of a table yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeFiles {
    /// The partition.
    pub partition: Partition,
    /// Its files.
    pub files: Vec<WrittenFile>,
    /// Rows of one merged file at most, but for files that come with more; [`COMPACT_ROWS`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u32>,
    /// Of how many partitions' merged files those of this one wait for the others, to replace the table's together; without
    /// it they are added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<usize>,
}

/// Asks `commit` to make these files all that a table holds; `write` passes it on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplaceFiles {
    /// The table.
    pub table: TableName,
    /// The files.
    pub files: Vec<WrittenFile>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_makes_a_run_of_its_own() {
        let all = Intake::default();
        let some = Intake {
            limit: Some(10),
            ..Intake::default()
        };
        assert_eq!(all.run_id(b"x"), Intake::default().run_id(b"x"));
        assert_ne!(all.run_id(b"x"), some.run_id(b"x"));
        assert_ne!(all.run_id(b"x"), all.run_id(b"y"));
    }

    #[test]
    fn an_intake_is_read_back_and_a_misspelt_setting_is_refused() {
        let intake: Intake =
            serde_json::from_str(r#"{"since":"2024-01-01T00:00:00Z","mode":"full"}"#).unwrap();
        assert_eq!((intake.mode, intake.chunk_size), (Mode::Full, CHUNK));
        let text = serde_json::to_string(&intake).unwrap();
        assert_eq!(serde_json::from_str::<Intake>(&text).unwrap(), intake);
        assert!(serde_json::from_str::<Intake>(r#"{"chunksize":1}"#).is_err());
    }
}
