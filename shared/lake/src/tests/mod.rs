//! Whole lakes in temporary folders.

mod commit;
mod compact;
mod crash;
mod faults;
mod hashes;
mod index;
mod keep;
mod machine;
mod mortal;
mod open;
mod protocol;
mod publish;
mod remove;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use iceberg::spec::ManifestStatus;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use serde_json::json;
use swath_core::grid::GridSpec;
use swath_core::message::{Partition, WrittenFile};
use swath_core::row::AssetFile;
use swath_core::{Level, RunId, TableName};
use swath_table::items::{Placed, encode_partition, read_items};
use swath_table::layout::data_path;
use swath_table::rows::encode_asset_files;
use swath_table::{Effort, EncodedFile, ItemRow};
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::pointer::{Fault, FaultyPointer, SqlitePointer, TablePointer};
use crate::{Committed, Lake, LakeError, NewFile, Pace, Place};

const ITEMS: TableName = TableName::StacItems;
const CELL: &str = "8106bffffffffff";
const OTHER_CELL: &str = "8107bffffffffff";

/// A lake on disk with its pointer in SQLite.
struct World {
    folder: TempDir,
    place: Place,
    pointer: Arc<FaultyPointer>,
}

/// Tries again at once, a number of times.
#[derive(Debug)]
struct Tries(u32, AtomicU32);

impl Tries {
    fn new(tries: u32) -> Self {
        Self(tries, AtomicU32::new(0))
    }
}

#[async_trait]
impl Pace for Tries {
    fn now(&self) -> OffsetDateTime {
        datetime!(2024-06-01 12:00 UTC)
    }

    async fn again(&self, attempts: u32) -> bool {
        self.1.store(attempts, Ordering::SeqCst);
        tokio::task::yield_now().await;
        attempts < self.0
    }
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let store = LocalFileSystem::new_with_prefix(&root).unwrap();
        let place = Place::new(Arc::new(store), Path::default(), root.to_str().unwrap());
        let pointer = SqlitePointer::new(root.join("earthcatalog.db"));
        Self {
            folder,
            place,
            pointer: Arc::new(FaultyPointer::new(Arc::new(pointer))),
        }
    }

    async fn lake(&self) -> Lake {
        let pointer: Arc<dyn TablePointer> = Arc::clone(&self.pointer) as _;
        Lake::open(self.place.clone(), pointer, GridSpec::default())
            .await
            .unwrap()
    }

    async fn put(
        &self,
        table: TableName,
        partition: Option<Partition>,
        file: EncodedFile,
    ) -> WrittenFile {
        let path = data_path(table, partition.as_ref(), &file.name);
        let size_bytes = file.bytes.len() as u64;
        let at = self.place.path(&path).unwrap();
        self.place
            .store
            .put(&at, PutPayload::from(file.bytes))
            .await
            .unwrap();
        WrittenFile {
            path,
            partition,
            rows: file.rows,
            size_bytes,
        }
    }

    /// Writes items of 2024 as a file of one cell.
    async fn write(&self, cell: &str, items: &[ItemRow]) -> WrittenFile {
        let placed: Vec<_> = items
            .iter()
            .map(|row| Placed { row, source: "s" })
            .collect();
        let file = encode_partition(cell, &placed, Effort::Ingest).unwrap();
        let partition = Partition {
            cell: cell.to_owned(),
            year: items[0].year(),
        };
        self.put(ITEMS, Some(partition), file).await
    }

    async fn write_outcomes(&self, outcomes: &[AssetFile]) -> WrittenFile {
        let rows: Vec<_> = outcomes.iter().collect();
        let file = encode_asset_files(&rows, Effort::Ingest).unwrap();
        self.put(TableName::AssetFiles, None, file).await
    }
}

fn item(id: &str, updated: Option<&str>) -> ItemRow {
    item_of("2024-01-01T00:00:00Z", id, updated)
}

fn item_of(datetime: &str, id: &str, updated: Option<&str>) -> ItemRow {
    let text = json!({
        "type": "Feature", "stac_version": "1.1.0", "id": id, "collection": "c",
        "geometry": {"type": "Point", "coordinates": [-44.5, 70.5]},
        "properties": {"datetime": datetime, "updated": updated}, "links": [], "assets": {},
    });
    ItemRow::parse(&text.to_string()).unwrap()
}

fn outcome(item_id: &str, second: i64) -> AssetFile {
    AssetFile {
        run_id: RunId::new("r"),
        catalog: "https://stac.example/".to_owned(),
        collection: Some("c".to_owned()),
        item_id: item_id.to_owned(),
        asset_name: "B04".to_owned(),
        out_file_path: None,
        out_file_sz: None,
        is_out_file_valid: false,
        last_update: datetime!(2024-06-01 12:00 UTC) + Duration::from_secs(second.unsigned_abs()),
        sha256: None,
        etag: None,
        source_href: "https://h.example/B04.tif".to_owned(),
        attempts: 1,
        http_status: Some(404),
        error_class: None,
        error_code: None,
        error: None,
        validation_level: Level::default(),
        validation: None,
        bytes_per_s: None,
    }
}

async fn inspect(lake: &Lake, table: TableName, files: &[&WrittenFile]) -> Vec<NewFile> {
    let mut found = Vec::new();
    for file in files {
        found.push(lake.inspect(table, file).await.unwrap());
    }
    found
}

async fn try_commit(
    lake: &Lake,
    files: &[&WrittenFile],
    tries: u32,
) -> Result<Committed, LakeError> {
    let files = inspect(lake, ITEMS, files).await;
    let runs = [RunId::new("r1")];
    lake.commit(ITEMS, &files, &runs, &Tries::new(tries)).await
}

async fn commit(lake: &Lake, files: &[&WrittenFile]) -> Committed {
    try_commit(lake, files, 1).await.unwrap()
}

/// Reads the ids and `updated` of all rows, sorted, from the files that the current snapshot lists.
async fn rows(lake: &Lake) -> Vec<(String, Option<String>)> {
    let mut rows = Vec::new();
    for location in live_files(lake, ITEMS).await {
        let path = lake.place().path_of(&location).unwrap();
        let bytes = lake
            .place()
            .store
            .get(&path)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        for text in read_items(bytes).unwrap() {
            let item: serde_json::Value = serde_json::from_str(&text).unwrap();
            let updated = item["properties"]["updated"].as_str().map(str::to_owned);
            rows.push((item["id"].as_str().unwrap().to_owned(), updated));
        }
    }
    rows.sort();
    rows
}

async fn ids(lake: &Lake) -> Vec<String> {
    rows(lake).await.into_iter().map(|(id, _)| id).collect()
}

async fn live_files(lake: &Lake, table: TableName) -> Vec<String> {
    let base = lake.base(table).await.unwrap();
    let mut files = Vec::new();
    for manifest in base.manifests(lake).await.unwrap() {
        let manifest = manifest.load_manifest(&lake.io).await.unwrap();
        let alive = manifest
            .entries()
            .iter()
            .filter(|e| e.status() != ManifestStatus::Deleted);
        files.extend(alive.map(|e| e.file_path().to_owned()));
    }
    files
}

/// Checks what must hold of every table after everything: history is a line, no file twice, none missing, figures right.
async fn check(lake: &Lake, table: TableName) {
    let base = lake.base(table).await.unwrap();
    let metadata = &base.metadata;
    let mut parent = None;
    let mut sequence = 0;
    for entry in metadata.history() {
        let snapshot = metadata.snapshot_by_id(entry.snapshot_id).unwrap();
        // What came before the first may have been expired.
        assert!(parent.is_none() || snapshot.parent_snapshot_id() == parent);
        assert!(snapshot.sequence_number() > sequence);
        (parent, sequence) = (Some(snapshot.snapshot_id()), snapshot.sequence_number());
    }
    assert_eq!(parent, metadata.current_snapshot_id());
    let files = live_files(lake, table).await;
    let unique: BTreeSet<_> = files.iter().collect();
    assert_eq!(unique.len(), files.len(), "a file twice");
    let mut found = 0;
    for location in &files {
        found += lake.keys(table, location).await.unwrap().len() as u64;
    }
    let counts = lake.counts(table).await.unwrap();
    assert_eq!((counts.files, counts.rows), (files.len() as u64, found));
    if let Some(snapshot) = metadata.current_snapshot() {
        let total = |name| &snapshot.summary().additional_properties[name];
        assert_eq!(*total("total-records"), found.to_string());
        assert_eq!(*total("total-data-files"), files.len().to_string());
    }
}
