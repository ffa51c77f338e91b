//! What functions say to one another.
//!
//! On the wire a message is one JSON object, `{"version":1,"run_id":…,"kind":…,"body":{…}}`. One that is too large for a
//! queue lies in the store and is named instead: `{"version":1,"run_id":…,"kind":…,"body_at":{…}}`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::aoi::Area;
use crate::intake::{IngestChunk, ListSource, MergeFiles, ReplaceFiles, StageItems};
use crate::row::{AreaStatus, AssetFile, AssetRow};
use crate::upkeep::MaintainLake;
use crate::{Class, Classify, Job, Level, RunId, Signing, TableName};

/// The version of the message format that this code writes and reads.
pub const VERSION: u32 = 1;

/// One message of one run.
#[derive(Clone, Debug)]
pub struct Message {
    /// The run it belongs to.
    pub run_id: RunId,
    /// What it says.
    pub body: Body,
}

/// What a message says: imperatives ask, participles tell.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Body {
    /// To `plan`.
    PlanAreas(PlanAreas),
    /// To `search`.
    SearchArea(SearchArea),
    /// To `download`.
    DownloadAsset(DownloadAsset),
    /// To `write`.
    WriteItems(WriteItems),
    /// To `write`.
    WriteRows(WriteRows),
    /// To `commit`.
    FilesWritten(FilesWritten),
    /// To `commit`.
    RemoveItems(RemoveItems),
    /// To `list`.
    ListSource(ListSource),
    /// To `ingest`.
    IngestChunk(IngestChunk),
    /// To `write`.
    StageItems(StageItems),
    /// To `write`.
    MergeFiles(MergeFiles),
    /// To `commit`.
    ReplaceFiles(ReplaceFiles),
    /// To `repair`.
    RepairAssets(RepairAssets),
    /// To `maintain`.
    MaintainLake(MaintainLake),
}

/// Asks for one search per area of a file of places.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanAreas {
    /// What is asked of every area.
    pub job: Job,
    /// The areas, as a GeoJSON document.
    pub areas: Box<RawValue>,
}

/// Asks for the items that intersect one area.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SearchArea {
    /// What is asked.
    pub job: Job,
    /// Where.
    pub area: Area,
}

/// Asks for one asset of one item to be fetched, proven whole and published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadAsset {
    /// What is asked.
    pub job: Job,
    /// The item's collection.
    pub collection: Option<String>,
    /// The item's id within its collection.
    pub item_id: String,
    /// The asset's key in the item's `assets`.
    pub asset_name: String,
    /// Where the asset lies, absolute and unsigned.
    pub href: String,
    /// Where else it lies, absolute and unsigned, tried in this order when it cannot be had from `href`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternate_hrefs: Vec<String>,
    /// The asset's media type.
    pub media_type: Option<String>,
    /// `file:size`, bytes.
    pub size_bytes: Option<u64>,
    /// `file:checksum`, a multihash in hex.
    pub checksum: Option<String>,
}

/// Asks for items to be written to `earthcatalog.stac_items`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WriteItems {
    /// Where they came from: a STAC API or a file.
    pub source: String,
    /// The items as they came, byte for byte.
    pub items: Vec<Box<RawValue>>,
}

/// Asks for rows to be written to their table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "table", content = "rows", rename_all = "snake_case")]
pub enum WriteRows {
    /// Rows of `swath.asset_rows`.
    AssetRows(Vec<AssetRow>),
    /// Rows of `swath.asset_files`.
    AssetFiles(Vec<AssetFile>),
    /// Rows of `swath.area_status`.
    AreaStatus(Vec<AreaStatus>),
}

/// Asks for the assets whose file is not as it should be to be downloaded again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairAssets {
    /// Which ones, as a condition on the columns of `swath.asset_files`.
    #[serde(default = "invalid")]
    pub predicate: String,
    /// How far the files that rows say are there are looked at.
    #[serde(default)]
    pub check: Check,
    /// How far each file's wholeness is proven; as far as each row says when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<Level>,
    /// How hrefs are signed before they are fetched.
    #[serde(default)]
    pub sign: Signing,
}

fn invalid() -> String {
    "is_out_file_valid = false".to_owned()
}

/// How far files are looked at that should be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Not at all.
    #[default]
    None,
    /// Whether they are there, and their sizes.
    Sizes,
    /// Their SHA-256 too: every byte is read.
    Contents,
}

/// Tells that data files lie in the lake, not yet part of any snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesWritten {
    /// The table they belong to.
    pub table: TableName,
    /// The files.
    pub files: Vec<WrittenFile>,
}

/// One Parquet file in the lake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Its path below the lake's base, `/`-separated.
    pub path: String,
    /// Its place in the partition spec; absent for tables without one.
    pub partition: Option<Partition>,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub size_bytes: u64,
}

/// A partition of `earthcatalog.stac_items`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition {
    /// The grid cell's key.
    pub cell: String,
    /// The calendar year (UTC) of the rows' `datetime`.
    pub year: i32,
}

/// Asks for items to leave `earthcatalog.stac_items`, every row of them, in whatever cell and year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveItems {
    /// Who says so: the STAC API, listing or file that no longer has them, or the person.
    pub source: String,
    /// Why, for the log.
    pub why: Option<String>,
    /// The items.
    pub items: Vec<RemovedItem>,
}

/// An item that is to leave, as it was at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RemovedItem {
    /// The item's collection.
    pub collection: Option<String>,
    /// The item's id within its collection.
    pub id: String,
    /// When it was known to be gone: a version whose `updated` is later stays, so that the message can come late and
    /// more than once. A version without `updated` leaves.
    #[serde(with = "time::serde::rfc3339")]
    pub as_of: OffsetDateTime,
}

/// Where the body of a message lies that is too large for a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyAt {
    /// Its path below the lake's base.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
}

/// A message as a queue delivers it.
#[derive(Clone, Debug)]
pub enum Delivered {
    /// The message itself.
    Whole(Box<Message>),
    /// A message whose body must be fetched first; [`Pending::with_body`] makes it whole.
    ByReference(Pending),
}

/// A message whose body lies elsewhere.
#[derive(Clone, Debug)]
pub struct Pending {
    run_id: RunId,
    kind: String,
    /// Where the body lies.
    pub body_at: BodyAt,
}

/// Text that is not a message, or a message that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The text is not JSON of the right shape.
    #[error("not a message of swath")]
    Malformed(#[source] serde_json::Error),
    /// Written by another version.
    #[error("message version {found}, this code reads version {VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A kind that this code does not know.
    #[error("unknown message kind {0:?}")]
    UnknownKind(String),
    /// Neither `body` nor `body_at`.
    #[error("message has no body")]
    NoBody,
}

impl Classify for MessageError {
    fn class(&self) -> Class {
        Class::Invalid
    }
}

#[derive(Serialize)]
struct WireOut<'a> {
    version: u32,
    run_id: &'a RunId,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_at: Option<&'a BodyAt>,
}

#[derive(Deserialize)]
struct WireIn<'a> {
    version: u32,
    run_id: RunId,
    kind: String,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    body_at: Option<BodyAt>,
}

impl Body {
    /// Returns the kind's name on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PlanAreas(_) => "PlanAreas",
            Self::SearchArea(_) => "SearchArea",
            Self::DownloadAsset(_) => "DownloadAsset",
            Self::WriteItems(_) => "WriteItems",
            Self::WriteRows(_) => "WriteRows",
            Self::FilesWritten(_) => "FilesWritten",
            Self::RemoveItems(_) => "RemoveItems",
            Self::ListSource(_) => "ListSource",
            Self::IngestChunk(_) => "IngestChunk",
            Self::StageItems(_) => "StageItems",
            Self::MergeFiles(_) => "MergeFiles",
            Self::ReplaceFiles(_) => "ReplaceFiles",
            Self::RepairAssets(_) => "RepairAssets",
            Self::MaintainLake(_) => "MaintainLake",
        }
    }

    fn parse(kind: &str, text: &str) -> Result<Self, MessageError> {
        let body = match kind {
            "PlanAreas" => serde_json::from_str(text).map(Self::PlanAreas),
            "SearchArea" => serde_json::from_str(text).map(Self::SearchArea),
            "DownloadAsset" => serde_json::from_str(text).map(Self::DownloadAsset),
            "WriteItems" => serde_json::from_str(text).map(Self::WriteItems),
            "WriteRows" => serde_json::from_str(text).map(Self::WriteRows),
            "FilesWritten" => serde_json::from_str(text).map(Self::FilesWritten),
            "RemoveItems" => serde_json::from_str(text).map(Self::RemoveItems),
            "ListSource" => serde_json::from_str(text).map(Self::ListSource),
            "IngestChunk" => serde_json::from_str(text).map(Self::IngestChunk),
            "StageItems" => serde_json::from_str(text).map(Self::StageItems),
            "MergeFiles" => serde_json::from_str(text).map(Self::MergeFiles),
            "ReplaceFiles" => serde_json::from_str(text).map(Self::ReplaceFiles),
            "RepairAssets" => serde_json::from_str(text).map(Self::RepairAssets),
            "MaintainLake" => serde_json::from_str(text).map(Self::MaintainLake),
            _ => return Err(MessageError::UnknownKind(kind.to_owned())),
        };
        body.map_err(MessageError::Malformed)
    }

    /// Writes the body alone, as it lies in the store when the message goes by reference.
    ///
    /// # Errors
    /// When a value cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, MessageError> {
        match self {
            Self::PlanAreas(body) => serde_json::to_string(body),
            Self::SearchArea(body) => serde_json::to_string(body),
            Self::DownloadAsset(body) => serde_json::to_string(body),
            Self::WriteItems(body) => serde_json::to_string(body),
            Self::WriteRows(body) => serde_json::to_string(body),
            Self::FilesWritten(body) => serde_json::to_string(body),
            Self::RemoveItems(body) => serde_json::to_string(body),
            Self::ListSource(body) => serde_json::to_string(body),
            Self::IngestChunk(body) => serde_json::to_string(body),
            Self::StageItems(body) => serde_json::to_string(body),
            Self::MergeFiles(body) => serde_json::to_string(body),
            Self::ReplaceFiles(body) => serde_json::to_string(body),
            Self::RepairAssets(body) => serde_json::to_string(body),
            Self::MaintainLake(body) => serde_json::to_string(body),
        }
        .map_err(MessageError::Malformed)
    }
}

impl Message {
    /// Writes the message with its body inside.
    ///
    /// # Errors
    /// When a value cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, MessageError> {
        let body = RawValue::from_string(self.body.to_json()?).map_err(MessageError::Malformed)?;
        self.wire(Some(body.as_ref()), None)
    }

    /// Writes the message with its body elsewhere.
    ///
    /// # Errors
    /// When a value cannot be written as JSON.
    pub fn to_json_by_reference(&self, body_at: &BodyAt) -> Result<String, MessageError> {
        self.wire(None, Some(body_at))
    }

    fn wire(
        &self,
        body: Option<&RawValue>,
        body_at: Option<&BodyAt>,
    ) -> Result<String, MessageError> {
        let (version, run_id, kind) = (VERSION, &self.run_id, self.body.kind());
        serde_json::to_string(&WireOut {
            version,
            run_id,
            kind,
            body,
            body_at,
        })
        .map_err(MessageError::Malformed)
    }

    /// Reads a message from a queue's text.
    ///
    /// # Errors
    /// When the text is not a message of this version.
    pub fn parse(text: &str) -> Result<Delivered, MessageError> {
        let wire: WireIn<'_> = serde_json::from_str(text).map_err(MessageError::Malformed)?;
        if wire.version != VERSION {
            return Err(MessageError::Version {
                found: wire.version,
            });
        }
        let run_id = wire.run_id;
        match (wire.body, wire.body_at) {
            (Some(body), _) => {
                let body = Body::parse(&wire.kind, body.get())?;
                Ok(Delivered::Whole(Box::new(Self { run_id, body })))
            }
            (None, Some(body_at)) => Ok(Delivered::ByReference(Pending {
                run_id,
                kind: wire.kind,
                body_at,
            })),
            (None, None) => Err(MessageError::NoBody),
        }
    }
}

impl Pending {
    /// Makes the message whole with the body that was fetched.
    ///
    /// # Errors
    /// When the text is not a body of the message's kind.
    pub fn with_body(self, text: &str) -> Result<Message, MessageError> {
        let body = Body::parse(&self.kind, text)?;
        Ok(Message {
            run_id: self.run_id,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_written() -> Message {
        Message {
            run_id: RunId::new("r1"),
            body: Body::FilesWritten(FilesWritten {
                table: TableName::StacItems,
                files: vec![WrittenFile {
                    path: "warehouse/x.parquet".into(),
                    partition: Some(Partition {
                        cell: "81eabffffffffff".into(),
                        year: 2024,
                    }),
                    rows: 3,
                    size_bytes: 10,
                }],
            }),
        }
    }

    #[test]
    fn a_message_is_read_back_as_it_was_written() {
        let text = files_written().to_json().unwrap();
        let Delivered::Whole(read) = Message::parse(&text).unwrap() else {
            panic!("by reference")
        };
        assert_eq!(read.to_json().unwrap(), text);
        assert_eq!(read.run_id, RunId::new("r1"));
    }

    #[test]
    fn a_body_by_reference_makes_the_same_message() {
        let message = files_written();
        let at = BodyAt {
            path: "messages/1".into(),
            size_bytes: 7,
        };
        let text = message.to_json_by_reference(&at).unwrap();
        let Delivered::ByReference(pending) = Message::parse(&text).unwrap() else {
            panic!("whole")
        };
        assert_eq!(pending.body_at, at);
        let whole = pending.with_body(&message.body.to_json().unwrap()).unwrap();
        assert_eq!(whole.to_json().unwrap(), message.to_json().unwrap());
    }

    #[test]
    fn items_keep_their_own_spelling() {
        let body = r#"{"source":"s","items":[{"b":1.0,  "a":12345678901234567890.10}]}"#;
        let text = format!(r#"{{"version":1,"run_id":"r","kind":"WriteItems","body":{body}}}"#);
        let Delivered::Whole(read) = Message::parse(&text).unwrap() else {
            panic!("by reference")
        };
        assert!(
            read.to_json()
                .unwrap()
                .contains(r#"{"b":1.0,  "a":12345678901234567890.10}"#)
        );
    }

    proptest::proptest! {
        #[test]
        fn a_figure_is_read_back_to_the_last_bit(figure: f64) {
            proptest::prop_assume!(figure.is_finite());
            let text = serde_json::to_string(&figure).unwrap();
            let read: f64 = serde_json::from_str(&text).unwrap();
            proptest::prop_assert_eq!(read.to_bits(), figure.to_bits(), "{}", text);
        }
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let text = r#"{"version":2,"run_id":"r","kind":"WriteItems","body":{}}"#;
        assert!(matches!(
            Message::parse(text),
            Err(MessageError::Version { found: 2 })
        ));
    }
}
