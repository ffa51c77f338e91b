//! Rows of the tables about assets.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::{Class, Level, RunId};

/// One asset of one item found for one area: a row of `swath.asset_rows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssetRow {
    /// The run that found it.
    pub run_id: RunId,
    /// The area's id.
    pub row_id: String,
    /// The area's place in its file, from 0.
    pub row_number: u64,
    /// The area's own columns.
    pub area: Map<String, Value>,
    /// The STAC API that was searched.
    pub catalog: String,
    /// The item's collection.
    pub collection: Option<String>,
    /// The item's id.
    pub item_id: String,
    /// The item's `datetime`, else its `start_datetime`, as it came.
    pub date: Option<String>,
    /// The item's bbox as GeoJSON Polygon text.
    pub item_bbox: Option<String>,
    /// The item's properties as JSON text.
    pub item_properties: String,
    /// The asset's key.
    pub asset_name: String,
    /// The asset's address as served, made absolute, unsigned.
    pub href: String,
    /// The asset's media type.
    pub asset_type: Option<String>,
    /// The asset's roles.
    pub asset_roles: Vec<String>,
    /// `file:size`, bytes.
    pub file_size: Option<u64>,
    /// `file:checksum`, a multihash in hex.
    pub file_checksum: Option<String>,
    /// The item's instant.
    #[serde(with = "time::serde::rfc3339::option")]
    pub datetime: Option<OffsetDateTime>,
    /// The begin of the item's interval.
    #[serde(with = "time::serde::rfc3339::option")]
    pub start_datetime: Option<OffsetDateTime>,
    /// The end of the item's interval.
    #[serde(with = "time::serde::rfc3339::option")]
    pub end_datetime: Option<OffsetDateTime>,
    /// Where else the asset lies, made absolute: what anyone can fetch first.
    #[serde(default)]
    pub alternate_hrefs: Vec<String>,
}

/// How the search of one area ended, the last time: a row of `swath.area_status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AreaStatus {
    /// The run that searched.
    pub run_id: RunId,
    /// The area's id.
    pub row_id: String,
    /// The area's place in its file, from 0.
    pub row_number: u64,
    /// The STAC API that was searched.
    pub catalog: String,
    /// In one word.
    pub status: SearchEnd,
    /// Pages read; of areas that were asked for together, those of every box that the area lies in.
    pub pages: u64,
    /// Requests made, tries and redirects included; of areas that were asked for together, a box's are its first area's.
    pub requests: u64,
    /// Items that the search matches, by the API's own count; many APIs give none.
    pub matched: Option<u64>,
    /// Features on all pages, those served twice included.
    pub returned: u64,
    /// Items found.
    pub items: u64,
    /// Asset rows made of them.
    pub assets: u64,
    /// Features that are not items.
    pub rejected: u64,
    /// How often the search was made lighter because the API choked on it.
    pub lightened: u64,
    /// Milliseconds from its begin to its end.
    pub elapsed_ms: u64,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339")]
    pub finished: OffsetDateTime,
    /// Why pages were left unread, when some were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// What the failure asks of whoever holds the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<Class>,
    /// The failure in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a search ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchEnd {
    /// Everything that matches was found, or as much as was asked for.
    Ok,
    /// Nothing matches.
    Empty,
    /// Items are known to be missing.
    Partial,
    /// It failed; what was found before stands.
    Error,
}

impl SearchEnd {
    /// Returns the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Empty => "empty",
            Self::Partial => "partial",
            Self::Error => "error",
        }
    }
}

/// The outcome of bringing one asset home: a row of `swath.asset_files`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssetFile {
    /// The run that asked for it.
    pub run_id: RunId,
    /// The STAC API that the item came from.
    pub catalog: String,
    /// The item's collection.
    pub collection: Option<String>,
    /// The item's id.
    pub item_id: String,
    /// The asset's key.
    pub asset_name: String,
    /// Where the file lies; absent when none was published.
    pub out_file_path: Option<String>,
    /// The file's size in bytes; absent when none was published.
    pub out_file_sz: Option<u64>,
    /// Whether a whole file lies at `out_file_path`.
    pub is_out_file_valid: bool,
    /// When this outcome came about.
    #[serde(with = "time::serde::rfc3339")]
    pub last_update: OffsetDateTime,
    /// SHA-256 of the bytes, lower-case hex; present when a body was read to its end.
    pub sha256: Option<String>,
    /// The server's entity tag.
    pub etag: Option<String>,
    /// Where the bytes came from, without query and credentials.
    pub source_href: String,
    /// Requests made for it, the last one included.
    pub attempts: u32,
    /// The last answer's HTTP status.
    pub http_status: Option<u16>,
    /// What the failure asks of whoever holds the work.
    pub error_class: Option<Class>,
    /// The failure's stable code.
    pub error_code: Option<String>,
    /// The failure in words.
    pub error: Option<String>,
    /// How far the file's wholeness was to be proven.
    pub validation_level: Level,
    /// The verdict's code: `good`, or why not.
    pub validation: Option<String>,
    /// Mean rate of the successful transfer, bytes per second.
    pub bytes_per_s: Option<f64>,
}
