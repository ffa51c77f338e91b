//! Events, and the inventory that they tell of.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest as _, Md5};
use serde_json::json;
use swath_cloud::clock::{Clock as _, testing::FakeClock};
use swath_cloud::fetch::FetchPolicy;
use swath_cloud::queue::channel;
use swath_cloud::sources::{BucketAccesses, Sources};
use swath_cloud::store::Store;
use swath_core::hex;
use swath_core::intake::Intake;
use swath_core::message::Body;
use swath_lambda::{Batch, Deadline, Invocation, Shell};
use tempfile::TempDir;

use crate::{Context, handle};

macro_rules! event {
    ($name:literal) => {
        include_str!(concat!("../../../events/list/", $name, ".json"))
    };
}

fn md5_of(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// Writes the inventory of two objects, one of them no item, that the events tell of.
fn write_inventory(inbox: &Path) {
    let folder = inbox.join("inventories/archive/daily");
    let (day, data) = (folder.join("2024-06-01T01-00Z"), folder.join("data"));
    std::fs::create_dir_all(&day).unwrap();
    std::fs::create_dir_all(&data).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let rows = "\"archive\",\"a%20b.stac.json\"\n\"archive\",\"c.tif\"\n";
    packed.write_all(rows.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    std::fs::write(data.join("0.csv.gz"), &packed).unwrap();
    let file = json!({"key": "inventories/archive/daily/data/0.csv.gz", "size": packed.len(), "MD5checksum": md5_of(&packed)});
    let manifest = json!({"sourceBucket": "archive", "destinationBucket": "arn:aws:s3:::swath-inbox", "version": "2016-11-30",
        "creationTimestamp": "1717203600000", "fileFormat": "CSV", "fileSchema": "Bucket, Key", "files": [file]});
    let manifest = manifest.to_string();
    std::fs::write(day.join("manifest.checksum"), md5_of(manifest.as_bytes())).unwrap();
    std::fs::write(day.join("manifest.json"), manifest).unwrap();
}

/// Handles an event; returns how many messages went back, how many lie in quarantine, and the runs and objects of the
/// chunks that were asked for.
async fn handled(event: &str) -> (usize, usize, Vec<(String, u32)>) {
    let inbox = TempDir::new().unwrap();
    write_inventory(inbox.path());
    let mut accesses = BucketAccesses::default();
    let access = format!("swath-inbox=folder:{}", inbox.path().display());
    accesses.add(&access).unwrap();
    let clock = Arc::new(FakeClock::default());
    let port: Arc<FakeClock> = Arc::clone(&clock);
    let (queue, chunks) = channel(100);
    let lake = Store::in_memory();
    let context = Context {
        lake: lake.clone(),
        sources: Sources::new(accesses, FetchPolicy::default(), port).unwrap(),
        ingest: Arc::new(queue),
        clock: Arc::<FakeClock>::clone(&clock),
        intake: Intake::default(),
    };
    let invocation = Invocation {
        request_id: String::new(),
        received: clock.now(),
        deadline: Deadline::none(),
    };
    let shell = Arc::new(Shell::new("list", lake.clone()));
    let batch = Batch::new(serde_json::from_str(event).unwrap(), shell, invocation);
    let answer = handle(batch, &context).await.unwrap();
    drop(context);
    let mut asked = Vec::new();
    while let Some(message) = chunks.recv().await {
        let Body::IngestChunk(chunk) = message.body else {
            panic!("{message:?}")
        };
        asked.push((message.run_id.to_string(), chunk.objects));
    }
    let folder = "quarantine/list/2024-06-01".into();
    let kept = lake.store.list_with_delimiter(Some(&folder)).await.unwrap();
    (answer.batch_item_failures.len(), kept.objects.len(), asked)
}

#[tokio::test]
async fn an_inventory_is_listed_whatever_tells_of_it() {
    let mut runs = Vec::new();
    for event in [
        event!("inventory-arrived.plans-a-run"),
        event!("inventory-by-sns.plans-a-run"),
        event!("inventory-by-eventbridge.plans-a-run"),
    ] {
        let (back, kept, asked) = handled(event).await;
        assert_eq!((back, kept), (0, 0));
        let [(run, objects)] = asked.as_slice() else {
            panic!("{asked:?}")
        };
        assert_eq!(*objects, 1, "what is no item is left out");
        runs.push(run.clone());
    }
    runs.dedup();
    assert_eq!(runs.len(), 1, "one list is one run: {runs:?}");
}

#[tokio::test]
async fn what_asks_nothing_leaves_the_queue_and_what_is_none_of_ours_is_kept() {
    for (event, kept) in [
        (event!("manifest-alone.is-ignored"), 0),
        (event!("test-event.is-acknowledged"), 0),
        (event!("wrong-kind.quarantines-one"), 1),
        (event!("staged-elsewhere.quarantines-one"), 1),
    ] {
        assert_eq!(handled(event).await, (0, kept, vec![]));
    }
}
