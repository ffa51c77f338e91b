use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use swath_cloud::clock::testing::FakeClock;
use swath_cloud::store::{self, Store};
use swath_core::grid::GridSpec;
use swath_core::message::{Partition, WrittenFile};
use swath_core::upkeep::{MaintainLake, MaintainStep};
use swath_core::{Class, Classify as _, TableName};
use swath_lake::pointer::{self, PointerKind};
use swath_lake::{Lake, Now};
use swath_table::items::{Placed, encode_partition};
use swath_table::layout::data_path;
use swath_table::{Effort, ItemRow};

use std::sync::Arc;

use crate::{Patience, Terms, maintain};

const CELL: &str = "8106bffffffffff";

fn terms(clock: &FakeClock) -> Terms<'_> {
    Terms {
        clock,
        may_go_on: &|| true,
    }
}

/// A lake of six small files in one cell.
async fn lake(store: &Store, clock: &FakeClock) -> Lake {
    let base = (store.uri.as_str(), store.local_root.as_deref());
    let now = Now::new(|| time::OffsetDateTime::UNIX_EPOCH);
    let (place, pointer) =
        pointer::of_lake(Arc::clone(&store.store), store.prefix.clone(), base, now);
    let lake = Lake::open(place, pointer, GridSpec::default())
        .await
        .unwrap();
    for number in 0..6 {
        let text = json!({
            "type": "Feature", "stac_version": "1.1.0", "id": format!("i{number}"), "collection": "c",
            "geometry": {"type": "Point", "coordinates": [-44.5, 70.5]},
            "properties": {"datetime": "2024-01-01T00:00:00Z"}, "links": [], "assets": {},
        });
        let row = ItemRow::parse(&text.to_string()).unwrap();
        let placed = [Placed {
            row: &row,
            source: "s",
        }];
        let file = encode_partition(CELL, &placed, Effort::Ingest).unwrap();
        let partition = Partition {
            cell: CELL.to_owned(),
            year: 2024,
        };
        let table = TableName::StacItems;
        let told = WrittenFile {
            path: data_path(table, Some(&partition), &file.name),
            partition: Some(partition),
            rows: file.rows,
            size_bytes: file.bytes.len() as u64,
        };
        store.put(&told.path, file.bytes).await.unwrap();
        let new = lake.inspect(table, &told).await.unwrap();
        let patience = Patience::new(terms(clock));
        let committed = lake.commit(table, &[new], &[], &patience).await;
        committed.unwrap();
    }
    lake
}

async fn told(lake: &Lake, asked: &MaintainLake, clock: &FakeClock) -> Vec<Value> {
    let told = Mutex::new(Vec::new());
    let tell = |figures: &Value| told.lock().unwrap().push(figures.clone());
    maintain(lake, asked, terms(clock), tell).await.unwrap();
    told.into_inner().unwrap()
}

#[tokio::test]
async fn all_steps_are_done_for_all_tables_and_again_there_is_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let store = store::open(folder.path().to_str().unwrap()).unwrap();
    let clock = FakeClock::default();
    let lake = lake(&store, &clock).await;

    let dry = MaintainLake {
        steps: vec![MaintainStep::Compact],
        tables: vec![TableName::StacItems],
        dry_run: true,
        ..MaintainLake::default()
    };
    let would = told(&lake, &dry, &clock).await;
    assert_eq!(would.len(), 1);
    assert_eq!(
        (&would[0]["files_before"], &would[0]["dry_run"]),
        (&json!(6), &json!(true))
    );
    let counts = lake.counts(TableName::StacItems).await.unwrap();
    assert_eq!((counts.files, counts.rows), (6, 6));

    let done = told(&lake, &MaintainLake::default(), &clock).await;
    // Four steps for each of four tables, and the index of items.
    assert_eq!(done.len(), 17);
    assert_eq!(done[0]["step"], "compact");
    assert_eq!(
        (&done[0]["files_before"], &done[0]["files_after"]),
        (&json!(6), &json!(1))
    );
    assert_eq!(done[16]["step"], "index");
    let counts = lake.counts(TableName::StacItems).await.unwrap();
    assert_eq!((counts.files, counts.rows), (1, 6));

    let again = told(&lake, &MaintainLake::default(), &clock).await;
    assert_eq!(again[0]["files_before"], 0);
    assert_eq!(lake.counts(TableName::StacItems).await.unwrap(), counts);
}

#[tokio::test]
async fn a_table_that_is_named_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = store::open(folder.path().to_str().unwrap()).unwrap();
    let clock = FakeClock::default();
    let context = crate::Context::from_store(&store, &PointerKind::Lake, false);
    let asked = MaintainLake {
        tables: vec![TableName::AreaStatus],
        ..MaintainLake::default()
    };
    let error = maintain(&context.lake, &asked, terms(&clock), |_| {})
        .await
        .unwrap_err();
    assert_eq!(
        (error.step, error.table),
        (MaintainStep::Compact, TableName::AreaStatus)
    );
}

/// What is cut off loses nothing: each call goes on where the one before it ended, until a message's work is done.
#[tokio::test]
async fn a_message_whose_time_is_over_is_handed_back_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = store::open(folder.path().to_str().unwrap()).unwrap();
    let clock = FakeClock::default();
    let lake = lake(&store, &clock).await;
    let asked = MaintainLake {
        tables: vec![TableName::StacItems],
        ..MaintainLake::default()
    };
    let mut ended = Vec::new();
    // Time for so many parts.
    for parts in 0..6 {
        let asks = AtomicU32::new(0);
        let may_go_on = move || asks.fetch_add(1, Ordering::SeqCst) < parts;
        let terms = Terms {
            clock: &clock,
            may_go_on: &may_go_on,
        };
        let done = maintain(&lake, &asked, terms, |_| {}).await;
        ended.push(done.map_err(|error| (error.step, error.class())));
    }
    let handed_back = |step| Err((step, Class::Transient));
    let (first, last) = ended.split_at(5);
    assert_eq!(first, crate::USUAL.map(handed_back));
    assert_eq!(last, [Ok(())]);
    let counts = lake.counts(TableName::StacItems).await.unwrap();
    assert_eq!((counts.files, counts.rows), (1, 6));
}
