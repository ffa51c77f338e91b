//! Batches of messages against a lake in a temporary folder.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swath_cloud::clock::testing::FakeClock;
use swath_cloud::store::{self, Store};
use swath_core::grid::GridSpec;
use swath_core::message::{
    Body, FilesWritten, Message, Partition, RemoveItems, RemovedItem, WriteItems, WrittenFile,
};
use swath_core::row::AssetFile;
use swath_core::{Class, Classify as _, Level, RunId, TableName};
use swath_lake::pointer::{Fault, FaultyPointer, SqlitePointer, TablePointer};
use swath_lake::{Lake, Place};
use swath_table::items::{Placed, encode_partition};
use swath_table::layout::data_path;
use swath_table::rows::encode_asset_files;
use swath_table::{Effort, EncodedFile, ItemRow};
use tempfile::TempDir;
use time::macros::datetime;

use crate::{CommitError, Committed, Context, commit};

const CELL: &str = "8106bffffffffff";

struct World {
    _folder: TempDir,
    store: Store,
    pointer: Arc<FaultyPointer>,
    clock: Arc<FakeClock>,
    context: Context,
}

async fn open(store: &Store, pointer: &Arc<FaultyPointer>) -> Lake {
    let root = store
        .local_root
        .as_deref()
        .map(FilePath::to_string_lossy)
        .unwrap();
    let place = Place::new(Arc::clone(&store.store), store.prefix.clone(), &root);
    let pointer: Arc<dyn TablePointer> = Arc::clone(pointer) as _;
    Lake::open(place, pointer, GridSpec::default())
        .await
        .unwrap()
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store::open(folder.path().to_str().unwrap()).unwrap();
        let database = SqlitePointer::new(folder.path().join("earthcatalog.db"));
        let pointer = Arc::new(FaultyPointer::new(Arc::new(database)));
        let clock = Arc::new(FakeClock::default());
        let context = Context {
            lake: Arc::new(open(&store, &pointer).await),
            clock: Arc::<FakeClock>::clone(&clock),
            publish_db: false,
        };
        Self {
            _folder: folder,
            store,
            pointer,
            clock,
            context,
        }
    }

    async fn put(
        &self,
        table: TableName,
        partition: Option<Partition>,
        file: EncodedFile,
    ) -> WrittenFile {
        let path = data_path(table, partition.as_ref(), &file.name);
        let size_bytes = file.bytes.len() as u64;
        self.store.put(&path, file.bytes).await.unwrap();
        WrittenFile {
            path,
            partition,
            rows: file.rows,
            size_bytes,
        }
    }

    async fn items(&self, ids: &[&str]) -> WrittenFile {
        let rows: Vec<_> = ids.iter().map(|id| item(id)).collect();
        let placed: Vec<_> = rows.iter().map(|row| Placed { row, source: "s" }).collect();
        let file = encode_partition(CELL, &placed, Effort::Ingest).unwrap();
        let partition = Partition {
            cell: CELL.to_owned(),
            year: 2024,
        };
        self.put(TableName::StacItems, Some(partition), file).await
    }

    async fn outcome(&self, item_id: &str) -> WrittenFile {
        let file = encode_asset_files(&[&outcome(item_id)], Effort::Ingest).unwrap();
        self.put(TableName::AssetFiles, None, file).await
    }

    async fn rows(&self, table: TableName) -> u64 {
        self.context.lake.counts(table).await.unwrap().rows
    }
}

fn item(id: &str) -> ItemRow {
    let text = format!(
        r#"{{"type":"Feature","stac_version":"1.1.0","id":"{id}","collection":"c",
            "geometry":{{"type":"Point","coordinates":[-44.5,70.5]}},
            "properties":{{"datetime":"2024-01-01T00:00:00Z"}},"links":[],"assets":{{}}}}"#
    );
    ItemRow::parse(&text).unwrap()
}

fn outcome(item_id: &str) -> AssetFile {
    AssetFile {
        run_id: RunId::new("r"),
        catalog: "https://stac.example/".to_owned(),
        collection: None,
        item_id: item_id.to_owned(),
        asset_name: "B04".to_owned(),
        out_file_path: None,
        out_file_sz: None,
        is_out_file_valid: false,
        last_update: datetime!(2024-06-01 12:00 UTC),
        sha256: None,
        etag: None,
        source_href: "https://h.example/B04.tif".to_owned(),
        attempts: 1,
        http_status: Some(404),
        error_class: Some(Class::Invalid),
        error_code: None,
        error: None,
        validation_level: Level::default(),
        validation: None,
        bytes_per_s: None,
    }
}

fn written(table: TableName, files: &[&WrittenFile]) -> Message {
    let files = files.iter().map(|file| (*file).clone()).collect();
    Message {
        run_id: RunId::new("r1"),
        body: Body::FilesWritten(FilesWritten { table, files }),
    }
}

fn items_written(files: &[&WrittenFile]) -> Message {
    written(TableName::StacItems, files)
}

fn added(result: &Result<Committed, CommitError>) -> (u64, u64) {
    let committed = result.as_ref().unwrap();
    (committed.rows_added, committed.rows_known)
}

#[tokio::test]
async fn a_batch_becomes_one_snapshot_per_table_and_each_message_gets_its_share() {
    let world = World::new().await;
    let (ab, bc) = (
        world.items(&["a", "b"]).await,
        world.items(&["b", "c"]).await,
    );
    let outcome = world.outcome("a").await;
    let batch = [
        items_written(&[&ab]),
        written(TableName::AssetFiles, &[&outcome]),
        items_written(&[&ab, &bc]),
        items_written(&[]),
    ];
    let results = commit(&batch, &world.context).await;
    let shares: Vec<_> = results.iter().map(added).collect();
    assert_eq!(shares, [(2, 0), (1, 0), (1, 3), (0, 0)]);
    let snapshot = |at: usize| results[at].as_ref().unwrap().snapshot_id;
    assert_eq!(snapshot(0), snapshot(2));
    for (at, table) in [(0, TableName::StacItems), (1, TableName::AssetFiles)] {
        let counts = world.context.lake.counts(table).await.unwrap();
        assert_eq!(counts.snapshot_id, snapshot(at));
    }
    assert_eq!(world.rows(TableName::StacItems).await, 3);

    let again = commit(&batch, &world.context).await;
    let shares: Vec<_> = again.iter().map(added).collect();
    assert_eq!(shares, [(0, 2), (0, 1), (0, 4), (0, 0)]);
    assert!(
        again
            .iter()
            .all(|result| result.as_ref().unwrap().snapshot_id.is_none())
    );
}

#[tokio::test]
async fn a_message_with_a_missing_file_fails_alone() {
    let world = World::new().await;
    let good = world.items(&["a"]).await;
    let missing = WrittenFile {
        path: "warehouse/none.parquet".to_owned(),
        ..good.clone()
    };
    let cut = world.items(&["b"]).await;
    let bytes = world.store.get(&cut.path).await.unwrap();
    world
        .store
        .put(&cut.path, bytes.slice(..bytes.len() - 1))
        .await
        .unwrap();
    let damaged = world.items(&["c"]).await;
    let bytes = Bytes::from(vec![0; usize::try_from(damaged.size_bytes).unwrap()]);
    world.store.put(&damaged.path, bytes).await.unwrap();
    let write = Message {
        run_id: RunId::new("r1"),
        body: Body::WriteItems(WriteItems {
            source: "s".to_owned(),
            items: Vec::new(),
        }),
    };
    let batch = [
        items_written(&[&good, &missing]),
        items_written(&[&good]),
        items_written(&[&cut]),
        items_written(&[&damaged]),
        write,
    ];
    let results = commit(&batch, &world.context).await;
    assert_eq!(added(&results[1]), (1, 0));
    for at in [0, 2, 3, 4] {
        let error = results[at].as_ref().unwrap_err();
        assert_eq!(error.class(), Class::Invalid, "{error}");
    }
    let text = swath_core::chain(results[0].as_ref().unwrap_err());
    assert!(
        text.contains("warehouse/none.parquet is not there"),
        "{text}"
    );
    assert_eq!(world.rows(TableName::StacItems).await, 1);
}

#[tokio::test]
async fn a_lost_answer_is_not_an_error_and_a_refused_swap_is_tried_again() {
    let world = World::new().await;
    let (a, b) = (world.items(&["a"]).await, world.items(&["b"]).await);
    world.pointer.meet([Fault::LostReply]);
    let results = commit(&[items_written(&[&a])], &world.context).await;
    assert_eq!(added(&results[0]), (1, 0));
    world.pointer.meet([Fault::Before, Fault::BeforeUnknown]);
    let results = commit(&[items_written(&[&b])], &world.context).await;
    assert_eq!(added(&results[0]), (1, 0));
    assert_eq!(results[0].as_ref().unwrap().attempts, 3);
    assert_eq!(world.clock.waits().len(), 3);
    assert_eq!(world.rows(TableName::StacItems).await, 2);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_told_is_uncertain_and_the_next_delivery_finds_the_rows() {
    let world = World::new().await;
    let batch = [items_written(&[&world.items(&["a", "b"]).await])];
    world.pointer.meet([Fault::LostReplyThenDown]);
    let results = commit(&batch, &world.context).await;
    let error = results[0].as_ref().unwrap_err();
    assert_eq!(
        error.class(),
        Class::Uncertain,
        "{}",
        swath_core::chain(error)
    );
    assert!(
        world.clock.waits().iter().sum::<Duration>()
            <= swath_cloud::retry::Policy::CONTENDED.budget
    );
    world.pointer.recover();
    let results = commit(&batch, &world.context).await;
    assert_eq!(added(&results[0]), (0, 2));
    assert_eq!(world.rows(TableName::StacItems).await, 2);
}

fn remove(ids: &[&str], as_of: time::OffsetDateTime) -> Message {
    let items = ids.iter().map(|id| RemovedItem {
        collection: Some("c".to_owned()),
        id: (*id).to_owned(),
        as_of,
    });
    Message {
        run_id: RunId::new("r2"),
        body: Body::RemoveItems(RemoveItems {
            source: "https://stac.example/".to_owned(),
            why: Some("no longer listed".to_owned()),
            items: items.collect(),
        }),
    }
}

#[tokio::test]
async fn items_that_are_gone_leave_in_the_snapshot_of_their_batch_and_once() {
    let world = World::new().await;
    let abc = world.items(&["a", "b", "c"]).await;
    commit(&[items_written(&[&abc])], &world.context).await;
    let d = world.items(&["d"]).await;
    let batch = [
        items_written(&[&d]),
        remove(&["a", "none"], datetime!(2024-06-01 0:00 UTC)),
        remove(&["b"], datetime!(2024-06-01 0:00 UTC)),
    ];
    let results = commit(&batch, &world.context).await;
    let shares: Vec<_> = results
        .iter()
        .map(|result| result.as_ref().unwrap())
        .collect();
    assert_eq!(shares[0].rows_added, 1);
    assert_eq!((shares[1].rows_removed, shares[2].rows_removed), (1, 1));
    assert_eq!(shares[0].snapshot_id, shares[1].snapshot_id);
    assert_eq!(world.rows(TableName::StacItems).await, 2);
    let again = commit(&batch, &world.context).await;
    for result in again {
        let done = result.unwrap();
        assert_eq!((done.snapshot_id, done.rows_removed), (None, 0));
    }
}
