//! Rows of the tables about assets.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::{Class, Level, RunId, Shared};

/// One asset of one item found for one area: a row of `swath.asset_rows`, flat on the wire.
///
/// An asset lies in many areas and an area holds many assets: either half is made, and written as JSON, once for all its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssetRow {
    /// Where it was looked for.
    #[serde(flatten)]
    pub sought: Shared<Sought>,
    /// What was found there.
    #[serde(flatten)]
    pub found: Shared<Found>,
}

/// The area that an asset was found for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sought {
    /// The run that found it.
    pub run_id: RunId,
    /// The area's id.
    pub row_id: String,
    /// The area's place in its file, from 0.
    pub row_number: u64,
    /// The area's own columns.
    pub area: Map<String, Value>,
}

/// An asset that was found, and what its rows say of its item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
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

impl AssetRow {
    /// Returns the size of the row's JSON text, bytes.
    ///
    /// # Errors
    /// When a value cannot be written as JSON.
    pub fn json_bytes(&self) -> Result<usize, serde_json::Error> {
        Ok(self.sought.json()?.len() + self.found.json()?.len() - 1)
    }

    /// Adds the row's JSON text to others, as [`serde_json::to_writer`] writes it.
    ///
    /// # Errors
    /// When a value cannot be written as JSON.
    pub fn write_json(&self, into: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        // Neither half is ever without members.
        let (sought, found) = (self.sought.json()?, self.found.json()?);
        into.extend_from_slice(sought.strip_suffix('}').unwrap_or_default().as_bytes());
        into.push(b',');
        into.extend_from_slice(found.strip_prefix('{').unwrap_or_default().as_bytes());
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_put_together_of_its_halves_is_the_row() {
        let row = json!({
            "run_id": "r", "row_id": "a \"b\"}", "row_number": 7, "area": {"crop": "{rye}", "size": 1.5},
            "catalog": "https://stac.example/", "collection": null, "item_id": "i", "date": "2024-06-01T00:00:00Z",
            "item_bbox": null, "item_properties": "{\"gsd\":1.50}", "asset_name": "red", "href": "s3://b/red.tif",
            "asset_type": null, "asset_roles": ["data"], "file_size": u64::MAX, "file_checksum": null,
            "datetime": "2024-06-01T00:00:00Z", "start_datetime": null, "end_datetime": null, "alternate_hrefs": [],
        });
        let row: AssetRow = serde_json::from_value(row).unwrap();
        let mut text = b"before ".to_vec();
        row.write_json(&mut text).unwrap();
        let whole = serde_json::to_string(&row).unwrap();
        assert_eq!(text, format!("before {whole}").into_bytes());
        assert_eq!(row.json_bytes().unwrap(), whole.len());
        assert_eq!(serde_json::from_str::<AssetRow>(&whole).unwrap(), row);
        let one = row.clone();
        assert_eq!(
            one.found.json().unwrap().as_ptr(),
            row.found.json().unwrap().as_ptr(),
            "written once"
        );
    }
}
