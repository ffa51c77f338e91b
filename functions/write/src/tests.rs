//! Batches into a lake in memory whose store fails on demand.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::TryStreamExt as _;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use swath_cloud::clock::testing::FakeClock;
use swath_cloud::queue::{MemoryReceiver, channel};
use swath_cloud::store::Store;
use swath_core::grid::{CellKey, Grid, GridError, GridOptions, GridSpec};
use swath_core::message::{Body, FilesWritten, Message, Partition, WriteItems, WriteRows};
use swath_core::row::{AssetFile, AssetRow, Found, Sought};
use swath_core::{Class, Classify as _, Level, RunId, TableName};
use swath_table::items::read_items;

use crate::{Context, WriteError, Written, write};

mod faulty;

use faulty::{Fault, Faulty};

struct World {
    context: Context,
    told: MemoryReceiver,
}

/// A grid that no geometry fits into.
#[derive(Debug)]
struct Full(GridSpec);

impl Grid for Full {
    fn spec(&self) -> &GridSpec {
        &self.0
    }

    fn cover(
        &mut self,
        geometry: Option<&geo::Geometry>,
        out: &mut Vec<CellKey>,
    ) -> Result<(), GridError> {
        if geometry.is_some() {
            return Err(GridError::TooManyCells {
                grid: "full".into(),
                limit: 0,
            });
        }
        out.push(CellKey::none());
        Ok(())
    }
}

fn world(fault: Option<Fault>) -> World {
    let (commit, told) = channel(100);
    let store = Faulty {
        inner: InMemory::new(),
        fault,
    };
    let lake = Store {
        store: Arc::new(store),
        ..Store::in_memory()
    };
    let grid = GridSpec::default()
        .open(None, GridOptions::default())
        .unwrap();
    let context = Context::new(lake, Arc::new(commit), Arc::new(FakeClock::default()), grid);
    World { context, told }
}

impl World {
    async fn told(&self) -> Vec<FilesWritten> {
        // An empty queue waits for its first message.
        let waited = tokio::time::timeout(
            Duration::from_millis(20),
            self.told.recv_batch(100, Duration::ZERO),
        );
        let messages = waited.await.unwrap_or_default();
        let bodies = messages.into_iter().map(|message| match message.body {
            Body::FilesWritten(told) => told,
            other => panic!("{other:?}"),
        });
        bodies.collect()
    }

    async fn paths(&self) -> BTreeSet<String> {
        let all: Vec<_> = self
            .context
            .lake
            .store
            .list(None)
            .try_collect()
            .await
            .unwrap();
        all.into_iter()
            .map(|meta| meta.location.to_string())
            .collect()
    }

    async fn items(&self, told: &FilesWritten) -> Vec<Value> {
        let mut items = Vec::new();
        for file in &told.files {
            let bytes: Bytes = self.context.lake.get(&file.path).await.unwrap();
            assert_eq!(bytes.len() as u64, file.size_bytes);
            let texts = read_items(bytes).unwrap();
            assert_eq!(texts.len() as u64, file.rows);
            items.extend(
                texts
                    .iter()
                    .map(|text| serde_json::from_str::<Value>(text).unwrap()),
            );
        }
        items
    }
}

fn message(body: Body) -> Message {
    Message {
        run_id: RunId::new("run"),
        body,
    }
}

fn raw(item: &Value) -> Box<RawValue> {
    RawValue::from_string(item.to_string()).unwrap()
}

fn items(items: &[Value]) -> Message {
    let source = "https://stac.example/".to_owned();
    let items = items.iter().map(raw).collect();
    message(Body::WriteItems(WriteItems { source, items }))
}

fn item(id: &str, year: u16, geometry: &Value) -> Value {
    json!({
        "type": "Feature", "stac_version": "1.0.0", "id": id, "collection": "c", "geometry": geometry, "links": [],
        "assets": {}, "properties": {"datetime": format!("{year}-06-01T00:00:00Z"), "updated": "2024-01-01T00:00:00Z"},
    })
}

fn point(x: f64, y: f64) -> Value {
    json!({"type": "Point", "coordinates": [x, y]})
}

fn updated(mut item: Value, updated: &str) -> Value {
    item["properties"]["updated"] = json!(updated);
    item
}

fn ok(result: &Result<Written, WriteError>) -> &Written {
    result.as_ref().unwrap()
}

fn asset_file(item_id: &str) -> AssetFile {
    AssetFile {
        run_id: RunId::new("run"),
        catalog: "https://stac.example/".into(),
        collection: Some("c".into()),
        item_id: item_id.into(),
        asset_name: "B04".into(),
        out_file_path: None,
        out_file_sz: None,
        is_out_file_valid: false,
        last_update: time::OffsetDateTime::UNIX_EPOCH,
        sha256: None,
        etag: None,
        source_href: "https://files.example/".into(),
        attempts: 1,
        http_status: None,
        error_class: None,
        error_code: None,
        error: None,
        validation_level: Level::Window,
        validation: None,
        bytes_per_s: None,
    }
}

fn asset_row(item_id: &str) -> AssetRow {
    AssetRow {
        sought: Sought {
            run_id: RunId::new("run"),
            row_id: "area".into(),
            row_number: 0,
            area: serde_json::Map::new(),
        }
        .into(),
        found: Found {
            catalog: "https://stac.example/".into(),
            collection: Some("c".into()),
            item_id: item_id.into(),
            date: None,
            item_bbox: None,
            item_properties: "{}".into(),
            asset_name: "B04".into(),
            href: "https://files.example/B04.tif".into(),
            asset_type: None,
            asset_roles: vec!["data".into()],
            file_size: None,
            file_checksum: None,
            datetime: None,
            start_datetime: None,
            end_datetime: None,
            alternate_hrefs: Vec::new(),
        }
        .into(),
    }
}

#[tokio::test]
async fn items_of_all_messages_share_one_file_per_cell_and_year() {
    let world = world(None);
    let batch = [
        items(&[
            item("a", 2023, &point(10.5, 50.5)),
            item("b", 2024, &point(10.5, 50.5)),
        ]),
        items(&[
            item("d", 2024, &point(10.75, 50.25)),
            item("e", 2024, &Value::Null),
        ]),
    ];
    let results = write(&batch, &world.context).await;
    assert_eq!([ok(&results[0]).items, ok(&results[1]).items], [2, 2]);
    let told = world.told().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].table, TableName::StacItems);
    let places: Vec<_> = told[0]
        .files
        .iter()
        .map(|f| (f.partition.clone().unwrap(), f.rows))
        .collect();
    let partition = |cell: &str, year| Partition {
        cell: cell.into(),
        year,
    };
    assert_eq!(
        places,
        [
            (partition("811fbffffffffff", 2023), 1),
            (partition("811fbffffffffff", 2024), 2),
            (partition("__none__", 2024), 1)
        ]
    );
    assert!(
        told[0].files[0]
            .path
            .starts_with("warehouse/grid_partition=811fbffffffffff/year=2023/part_")
    );
    let mut written = world.items(&told[0]).await;
    written.sort_by_key(|item| item["id"].to_string());
    let asked = [
        item("a", 2023, &point(10.5, 50.5)),
        item("b", 2024, &point(10.5, 50.5)),
        item("d", 2024, &point(10.75, 50.25)),
        item("e", 2024, &Value::Null),
    ];
    assert_eq!(written, asked);
}

#[tokio::test]
async fn an_item_in_many_cells_is_in_each_of_them() {
    let world = world(None);
    let wide = json!({"type": "Polygon", "coordinates": [[[0.5, 40.5], [30.5, 40.5], [30.5, 60.5], [0.5, 60.5], [0.5, 40.5]]]});
    let results = write(&[items(&[item("a", 2024, &wide)])], &world.context).await;
    assert_eq!(ok(&results[0]).items, 1);
    let told = world.told().await;
    let cells: BTreeSet<_> = told[0]
        .files
        .iter()
        .map(|f| f.partition.clone().unwrap().cell)
        .collect();
    assert!(cells.len() > 5, "{cells:?}");
    assert_eq!(cells.len(), told[0].files.len());
    assert_eq!(
        world.items(&told[0]).await,
        vec![item("a", 2024, &wide); cells.len()]
    );
}

#[tokio::test]
async fn an_item_that_two_messages_bring_is_written_once_and_both_are_done() {
    let world = world(None);
    let one = item("a", 2024, &point(1.5, 1.5));
    let mut elsewhere = one.clone();
    elsewhere["collection"] = json!("another");
    let batch = [
        items(std::slice::from_ref(&one)),
        items(&[one.clone(), one, elsewhere]),
    ];
    let results = write(&batch, &world.context).await;
    assert_eq!((ok(&results[0]).items, ok(&results[0]).duplicates), (1, 0));
    assert_eq!((ok(&results[1]).items, ok(&results[1]).duplicates), (1, 2));
    assert_eq!(world.items(&world.told().await[0]).await.len(), 2);
}

#[tokio::test]
async fn of_two_versions_the_newest_is_written_whatever_the_order() {
    let one = item("a", 2024, &point(1.5, 1.5));
    let old = items(&[updated(one.clone(), "2024-01-01T00:00:00Z")]);
    let new = items(&[updated(one.clone(), "2024-01-01T00:00:00.001Z")]);
    for (batch, winner) in [([old.clone(), new.clone()], 1), ([new, old], 0)] {
        let world = world(None);
        let results = write(&batch, &world.context).await;
        assert_eq!(
            (ok(&results[winner]).items, ok(&results[winner]).superseded),
            (1, 0)
        );
        assert_eq!(
            (
                ok(&results[1 - winner]).items,
                ok(&results[1 - winner]).superseded
            ),
            (0, 1)
        );
        let written = world.items(&world.told().await[0]).await;
        assert_eq!(written, [updated(one.clone(), "2024-01-01T00:00:00.001Z")]);
    }
}

#[tokio::test]
async fn one_bad_item_in_five_hundred_is_kept_in_quarantine_and_the_others_are_written() {
    let world = world(None);
    let mut all: Vec<_> = (0..500)
        .map(|n| item(&format!("i{n}"), 2024, &point(1.5, 1.5)))
        .collect();
    all[250]["id"] = Value::Null;
    let results = write(&[items(&all)], &world.context).await;
    let written = ok(&results[0]);
    assert_eq!((written.items, written.rejected.len()), (499, 1));
    let rejected = &written.rejected[0];
    assert_eq!(
        (rejected.collection.as_deref(), rejected.item_id.as_deref()),
        (Some("c"), None)
    );
    assert!(rejected.reason.contains("no id"), "{}", rejected.reason);
    let kept = world.context.lake.get(&rejected.path).await.unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept["item"], all[250]);
    assert_eq!(kept["source"], "https://stac.example/");
    assert!(rejected.path.starts_with("quarantine/items/"));
    assert_eq!(world.told().await[0].files[0].rows, 499);
}

#[tokio::test]
async fn an_item_that_the_grid_cannot_file_is_kept_in_quarantine() {
    let mut world = world(None);
    world.context.grid = Arc::new(Mutex::new(Box::new(Full(GridSpec::default()))));
    let item = item("a", 2024, &point(1.5, 1.5));
    let results = write(
        &[
            items(std::slice::from_ref(&item)),
            items(std::slice::from_ref(&item)),
        ],
        &world.context,
    )
    .await;
    let rejected: Vec<_> = results
        .iter()
        .flat_map(|result| &ok(result).rejected)
        .collect();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].item_id.as_deref(), Some("a"));
    assert!(
        rejected[0].reason.contains("more than 0 cells of full"),
        "{}",
        rejected[0].reason
    );
    assert_eq!(
        results.iter().map(|result| ok(result).items).sum::<usize>(),
        0
    );
    let kept = world.context.lake.get(&rejected[0].path).await.unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&kept).unwrap()["item"],
        item
    );
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn an_item_that_can_neither_be_written_nor_kept_goes_back_to_the_queue() {
    let world = world(Some(Fault::Down("quarantine/")));
    let good = item("a", 2024, &point(1.5, 1.5));
    let results = write(
        &[items(&[json!({"type": "Feature"})]), items(&[good])],
        &world.context,
    )
    .await;
    assert_eq!(results[0].as_ref().unwrap_err().class(), Class::Transient);
    assert_eq!(ok(&results[1]).items, 1);
}

#[tokio::test]
async fn a_file_that_fails_takes_only_its_own_messages_with_it() {
    let world = world(Some(Fault::Down("year=2023")));
    let batch = [
        items(&[item("a", 2024, &point(1.5, 1.5))]),
        items(&[
            item("b", 2024, &point(1.5, 1.5)),
            item("c", 2023, &point(1.5, 1.5)),
        ]),
        message(Body::WriteRows(WriteRows::AssetRows(vec![asset_row("a")]))),
    ];
    let results = write(&batch, &world.context).await;
    assert_eq!(ok(&results[0]).items, 1);
    assert_eq!(results[1].as_ref().unwrap_err().class(), Class::Transient);
    assert_eq!(ok(&results[2]).rows, 1);
    let told = world.told().await;
    assert_eq!(
        told.iter().map(|t| t.table).collect::<Vec<_>>(),
        [TableName::StacItems, TableName::AssetRows]
    );
    assert_eq!(world.items(&told[0]).await.len(), 2);
}

#[tokio::test]
async fn a_store_that_is_down_hands_every_message_back_and_tells_nobody() {
    for (fault, class) in [
        (Fault::Down("warehouse/"), Class::Transient),
        (Fault::Refused("warehouse/"), Class::Denied),
    ] {
        let world = world(Some(fault));
        let batch: Vec<_> = (0..3)
            .map(|n| items(&[item(&format!("i{n}"), 2024, &Value::Null)]))
            .collect();
        let results = write(&batch, &world.context).await;
        assert!(
            results
                .iter()
                .all(|result| result.as_ref().unwrap_err().class() == class)
        );
        assert!(world.told().await.is_empty());
    }
}

#[tokio::test]
async fn a_file_is_taken_for_written_only_if_it_is_there() {
    let batch = [items(&[item("a", 2024, &Value::Null)])];
    let lost = world(Some(Fault::LostAnswer("warehouse/")));
    assert_eq!(ok(&write(&batch, &lost.context).await[0]).items, 1);
    assert_eq!(lost.told().await.len(), 1);
    let raced = world(Some(Fault::RacedAndLost("warehouse/")));
    assert_eq!(
        write(&batch, &raced.context).await[0]
            .as_ref()
            .unwrap_err()
            .class(),
        Class::Conflict
    );
    assert!(raced.told().await.is_empty());
}

#[tokio::test]
async fn a_batch_that_comes_again_writes_no_other_files_and_tells_again() {
    let mut world = world(None);
    let batch = [
        items(&[item("a", 2024, &point(1.5, 1.5)), json!({"id": 1})]),
        message(Body::WriteRows(WriteRows::AssetFiles(vec![asset_file(
            "a",
        )]))),
    ];
    let (closed, receiver) = channel(1);
    drop(receiver);
    let open = std::mem::replace(&mut world.context.commit, Arc::new(closed));
    let results = write(&batch, &world.context).await;
    assert!(
        results
            .iter()
            .all(|result| matches!(result, Err(WriteError::Tell { files: 1, .. })))
    );
    let paths = world.paths().await;
    assert_eq!(paths.len(), 3);
    world.context.commit = open;
    let again: Vec<_> = batch.iter().rev().cloned().collect();
    let results = write(&again, &world.context).await;
    assert_eq!((ok(&results[0]).rows, ok(&results[1]).items), (1, 1));
    assert_eq!(world.paths().await, paths);
    assert_eq!(world.told().await.len(), 2);
}

#[tokio::test]
async fn rows_go_to_their_own_tables_and_the_same_row_once() {
    let world = world(None);
    let batch = [
        message(Body::WriteRows(WriteRows::AssetRows(vec![
            asset_row("a"),
            asset_row("b"),
            asset_row("a"),
        ]))),
        message(Body::WriteRows(WriteRows::AssetFiles(vec![asset_file(
            "a",
        )]))),
        message(Body::WriteRows(WriteRows::AssetFiles(vec![
            asset_file("a"),
            asset_file("b"),
        ]))),
    ];
    let results = write(&batch, &world.context).await;
    assert_eq!((ok(&results[0]).rows, ok(&results[0]).duplicates), (2, 1));
    assert_eq!((ok(&results[2]).rows, ok(&results[2]).duplicates), (1, 1));
    let told = world.told().await;
    let files: Vec<_> = told.iter().flat_map(|t| &t.files).collect();
    assert_eq!(files.iter().map(|f| f.rows).collect::<Vec<_>>(), [2, 2]);
    assert!(files.iter().all(|f| f.partition.is_none()));
    assert!(
        files[0]
            .path
            .starts_with("warehouse/swath/asset_rows/data/part_"),
        "{}",
        files[0].path
    );
    assert!(
        files[1]
            .path
            .starts_with("warehouse/swath/asset_files/data/part_"),
        "{}",
        files[1].path
    );
}

#[tokio::test]
async fn a_message_for_someone_else_is_invalid_and_the_others_are_written() {
    let world = world(None);
    let other = FilesWritten {
        table: TableName::StacItems,
        files: Vec::new(),
    };
    let batch = [
        message(Body::FilesWritten(other)),
        items(&[item("a", 2024, &Value::Null)]),
        items(&[]),
    ];
    let results = write(&batch, &world.context).await;
    assert_eq!(results[0].as_ref().unwrap_err().class(), Class::Invalid);
    assert_eq!(ok(&results[1]).items, 1);
    assert_eq!(ok(&results[2]), &Written::default());
    assert_eq!(world.told().await.len(), 1);
    assert!(write(&[], &world.context).await.is_empty());
}

#[tokio::test]
async fn files_that_are_read_back_say_how_many_items_they_gave_back() {
    let mut world = world(None);
    world.context.check_roundtrip = true;
    let many: Vec<_> = (0..20_u16)
        .map(|n| {
            item(
                &n.to_string(),
                2000 + n % 3,
                &point(f64::from(n) * 9.0, 1.0),
            )
        })
        .collect();
    let results = write(&[items(&many)], &world.context).await;
    assert_eq!((ok(&results[0]).items, ok(&results[0]).checked), (20, 20));
    assert_eq!(world.told().await.len(), 1);
}
