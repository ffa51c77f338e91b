//! Uploads, deletions and what comes late of them.

use std::num::NonZeroUsize;
use std::sync::Arc;

use swath_cloud::clock::{Clock as _, testing::FakeClock};
use swath_cloud::fetch::FetchPolicy;
use swath_cloud::queue::{MemoryReceiver, channel};
use swath_cloud::sources::{BucketAccesses, Sources};
use swath_cloud::store::Store;
use swath_core::message::Body;
use swath_lambda::{Batch, Deadline, Invocation, Shell};
use tempfile::TempDir;

use crate::{Context, Heeded, Told, handle, heed};

const CREATED: bool = false;
const DELETED: bool = true;

struct World {
    inbox: TempDir,
    context: Context,
    sent: MemoryReceiver,
}

fn item(id: &str, updated: u32) -> String {
    format!(
        r#"{{"type":"Feature","id":"{id}","collection":"c","geometry":null,
        "properties":{{"updated":"2024-01-{updated:02}T00:00:00Z"}}}}"#
    )
}

impl World {
    fn new() -> Self {
        let inbox = tempfile::tempdir().unwrap();
        let mut accesses = BucketAccesses::default();
        let folder = format!("inbox=folder:{}", inbox.path().display());
        accesses.add(&folder).unwrap();
        let clock = Arc::new(FakeClock::default());
        let sources = Sources::new(accesses, FetchPolicy::default(), clock).unwrap();
        let (queue, sent) = channel(100);
        let context = Context {
            lake: Store::in_memory(),
            sources,
            write: Arc::new(queue),
            message_bytes: 1 << 20,
            fetches: NonZeroUsize::MIN,
        };
        Self {
            inbox,
            context,
            sent,
        }
    }

    fn put(&self, text: &str) {
        std::fs::write(self.inbox.path().join("a b.json"), text).unwrap();
    }

    async fn heed(&self, is_deleted: bool, place: &str) -> Heeded {
        let event = Told {
            is_deleted,
            bucket: "inbox".to_owned(),
            key: "a b.json".to_owned(),
            size_bytes: None,
            etag: Some("e".to_owned()),
            place: Some(place.to_owned()),
        };
        heed(&event, &self.context).await.unwrap()
    }

    /// Ends; returns how many items were sent, and which were asked to leave.
    async fn said(self) -> (usize, Vec<String>) {
        let Self { context, sent, .. } = self;
        drop(context);
        let (mut items, mut left) = (0, Vec::new());
        while let Some(message) = sent.recv().await {
            match message.body {
                Body::WriteItems(write) => items += write.items.len(),
                Body::RemoveItems(remove) => {
                    let said = remove.items.into_iter();
                    left.extend(said.map(|item| format!("{} {}", item.id, item.as_of.day())));
                }
                other => panic!("{}", other.kind()),
            }
        }
        (items, left)
    }
}

#[tokio::test]
async fn what_is_deleted_takes_its_items_with_it_as_they_were() {
    let world = World::new();
    world.put(&item("x", 3));
    assert_eq!(world.heed(CREATED, "10").await, Heeded::Taken);
    assert_eq!(
        world.heed(CREATED, "10").await,
        Heeded::Nothing,
        "the same event again"
    );
    // Places are compared as if the shorter had zeros at its end: this one is the later.
    assert_eq!(world.heed(DELETED, "2").await, Heeded::Removed);
    assert_eq!(world.said().await, (1, vec!["x 3".to_owned()]));
}

#[tokio::test]
async fn regression_37_an_event_that_comes_late_is_not_heeded() {
    let world = World::new();
    world.put(&item("x", 1));
    assert_eq!(world.heed(DELETED, "20").await, Heeded::Removed);
    assert_eq!(world.heed(CREATED, "10").await, Heeded::Nothing);
    assert_eq!(world.heed(CREATED, "30").await, Heeded::Taken);
    assert_eq!(world.heed(DELETED, "25").await, Heeded::Nothing);
    assert_eq!(world.said().await, (1, Vec::new()));
}

#[tokio::test]
async fn items_that_an_upload_holds_no_more_leave() {
    let world = World::new();
    let both = format!(
        r#"{{"type":"FeatureCollection","features":[{},{}]}}"#,
        item("x", 1),
        item("y", 1)
    );
    world.put(&both);
    assert_eq!(world.heed(CREATED, "10").await, Heeded::Taken);
    world.put(&item("x", 2));
    assert_eq!(world.heed(CREATED, "11").await, Heeded::Taken);
    assert_eq!(world.said().await, (3, vec!["y 1".to_owned()]));
}

#[tokio::test]
async fn what_is_no_item_is_kept_with_its_reason_and_what_is_gone_waits_for_its_event() {
    let world = World::new();
    assert_eq!(world.heed(CREATED, "10").await, Heeded::Gone);
    world.put("{");
    assert_eq!(world.heed(CREATED, "11").await, Heeded::Rejected);
    let collection = r#"{"type":"Collection","id":"a/b","license":"CC-BY-4.0"}"#;
    world.put(collection);
    assert_eq!(world.heed(CREATED, "12").await, Heeded::Taken);
    let lake = world.context.lake.clone();
    assert_eq!(world.said().await, (0, Vec::new()));
    let listed = |folder: &str| {
        let (lake, folder) = (lake.clone(), lake.path(folder));
        async move { lake.store.list_with_delimiter(Some(&folder)).await.unwrap() }
    };
    assert_eq!(listed("quarantine/objects").await.objects.len(), 1);
    let kept = listed("collections").await;
    assert_eq!((kept.objects.len(), kept.common_prefixes.len()), (1, 1));
    let path = kept.objects[0].location.to_string();
    assert_eq!(lake.get(&path).await.unwrap(), collection.as_bytes());
}

/// Handles an event of `events/ingest` whose uploads all hold an item; returns how many messages went back.
async fn handled(event: &str, world: &World) -> usize {
    let folder = world.inbox.path().join("items");
    std::fs::create_dir_all(&folder).unwrap();
    for number in 0..10 {
        let text = item(&number.to_string(), 1);
        std::fs::write(folder.join(format!("scene {number}+ü.json")), text).unwrap();
    }
    let invocation = Invocation {
        request_id: String::new(),
        received: FakeClock::default().now(),
        deadline: Deadline::none(),
    };
    let shell = Arc::new(Shell::new("ingest", world.context.lake.clone()));
    let event = event.replace("swath-inbox", "inbox");
    let batch = Batch::new(serde_json::from_str(&event).unwrap(), shell, invocation);
    let answer = handle(batch, &world.context).await.unwrap();
    answer.batch_item_failures.len()
}

#[tokio::test]
async fn an_upload_is_sent_once_whatever_tells_of_it() {
    for (event, items) in [
        (
            include_str!("../../../../events/ingest/ten-uploads.send-their-items.json"),
            10,
        ),
        (
            include_str!("../../../../events/ingest/upload-by-sns.sends-its-item.json"),
            1,
        ),
        (
            include_str!("../../../../events/ingest/upload-by-eventbridge.sends-its-item.json"),
            1,
        ),
        (
            include_str!("../../../../events/ingest/upload-twice.sends-its-item-once.json"),
            1,
        ),
    ] {
        let world = World::new();
        assert_eq!(handled(event, &world).await, 0);
        assert_eq!(world.said().await, (items, vec![]));
    }
}
