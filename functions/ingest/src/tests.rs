//! Chunks whose objects are not all there, not all allowed, not all items.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use swath_cloud::clock::{Clock as _, testing::FakeClock};
use swath_cloud::fetch::FetchPolicy;
use swath_cloud::fetch::testing::{Answer, ScriptedServer};
use swath_cloud::queue::{MemoryReceiver, channel};
use swath_cloud::runs::{Chunker, Entry, Ledger, read_chunk};
use swath_cloud::sources::{BucketAccesses, Sources};
use swath_cloud::store::Store;
use swath_core::intake::{IngestChunk, Rasters};
use swath_core::message::Body;
use swath_core::{Class, Classify as _, RunId};
use swath_lambda::{Batch, Deadline, Invocation, Shell};

use crate::{Context, IngestError, handle, ingest};

const ITEM: &str = r#"{"type":"Feature","id":"a",  "geometry":null,"properties":{}}"#;

fn world(lake: &Store) -> (Context, MemoryReceiver) {
    let (queue, receiver) = channel(100);
    let policy = FetchPolicy {
        allow_http: true,
        allow_private_hosts: true,
        ..FetchPolicy::default()
    };
    let clock = Arc::new(FakeClock::default());
    let sources = Sources::new(BucketAccesses::default(), policy, clock).unwrap();
    let context = Context {
        lake: lake.clone(),
        sources,
        write: Arc::new(queue),
        message_bytes: 1 << 20,
        fetches: NonZeroUsize::MIN.saturating_add(7),
    };
    (context, receiver)
}

async fn chunk(lake: &Store, hrefs: impl IntoIterator<Item = String>) -> IngestChunk {
    let mut chunker = Chunker::new(lake.clone(), 10_000);
    for href in hrefs {
        chunker
            .add(&Entry::object(href, Some("t".to_owned()), None))
            .await
            .unwrap();
    }
    let (chunks, _) = chunker.finish().await.unwrap();
    IngestChunk {
        source: "s".to_owned(),
        chunk: 0,
        at: chunks[0].at.clone(),
        objects: chunks[0].entries,
        known: Vec::new(),
        bulk: false,
        again: false,
        rasters: Rasters::default(),
    }
}

async fn server() -> ScriptedServer {
    ScriptedServer::start(|request| {
        let path = request.path.trim_start_matches('/').to_owned();
        match path.split('-').next().unwrap_or_default() {
            "item" => Answer::new(200, ITEM),
            "page" => Answer::new(200, "<html>busy</html>"),
            "cut" => Answer::new(200, &ITEM[..20]),
            "gone" => Answer::new(404, ""),
            "closed" => Answer::new(403, ""),
            _ => Answer::new(503, ""),
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn every_object_ends_where_it_belongs() {
    let (lake, server) = (Store::in_memory(), server().await);
    let (context, receiver) = world(&lake);
    let names = [
        "item-1", "page-1", "item-2", "cut-1", "gone-1", "closed-1", "ill-1",
    ];
    let chunk = chunk(&lake, names.map(|name| server.url(&format!("/{name}")))).await;
    let run = RunId::new("r");
    let done = ingest(&run, &chunk, &context).await.unwrap();
    let receipt = &done.receipt;
    assert_eq!(
        (receipt.items, receipt.rejected, receipt.gone.len()),
        (2, 2, 1)
    );
    let codes: Vec<&str> = receipt
        .pending
        .iter()
        .map(|pending| pending.code.as_str())
        .collect();
    assert_eq!(codes, ["forbidden", "unavailable"]);
    assert_eq!(
        Ledger::new(lake.clone(), run.clone())
            .receipt(0)
            .await
            .unwrap()
            .as_ref(),
        Some(receipt)
    );
    let asked = server.seen().len();
    let again = ingest(&run, &chunk, &context).await.unwrap();
    assert_eq!(
        (again.items, server.seen().len()),
        (0, asked),
        "what has a receipt is not done again"
    );
    drop(context);
    let message = receiver.recv().await.unwrap();
    let Body::WriteItems(items) = message.body else {
        panic!("{message:?}")
    };
    assert_eq!(items.items[0].get(), ITEM);
    assert!(receiver.recv().await.is_none());
}

#[tokio::test]
async fn what_is_all_forbidden_stops_early_and_has_no_receipt() {
    let (lake, server) = (Store::in_memory(), server().await);
    let (context, _receiver) = world(&lake);
    let chunk = chunk(
        &lake,
        (0..500).map(|number| server.url(&format!("/closed-{number}"))),
    )
    .await;
    let run = RunId::new("r");
    let error = ingest(&run, &chunk, &context).await.unwrap_err();
    assert!(matches!(error, IngestError::Forbidden { .. }), "{error}");
    assert_eq!(error.class(), Class::Denied);
    assert!(server.seen().len() < 200, "{}", server.seen().len());
    assert!(Ledger::new(lake, run).receipt(0).await.unwrap().is_none());
}

async fn handled(event: &str, entries: bool) -> (usize, usize, usize) {
    let lake = Store::in_memory();
    let (context, receiver) = world(&lake);
    let mut event = event.to_owned();
    if entries {
        let mut chunker = Chunker::new(lake.clone(), 10);
        for _ in 0..2 {
            let item = serde_json::value::RawValue::from_string(ITEM.to_owned()).unwrap();
            let entry = Entry {
                item: Some(item),
                ..Entry::object("i".to_owned(), None, None)
            };
            chunker.add(&entry).await.unwrap();
        }
        let (chunks, _) = chunker.finish().await.unwrap();
        assert_eq!(read_chunk(&lake, &chunks[0].at).await.unwrap().len(), 2);
        let zeros = "runs/chunks/00000000000000000000000000000000.jsonl";
        assert!(event.contains(zeros));
        event = event.replace(zeros, &chunks[0].at);
    }
    let invocation = Invocation {
        request_id: String::new(),
        received: FakeClock::default().now(),
        deadline: Deadline::none(),
    };
    let shell = Arc::new(Shell::new("ingest", lake.clone()).needing(Duration::ZERO));
    let event = serde_json::from_str(&event).unwrap();
    let answer = handle(Batch::new(event, shell, invocation), &context).await;
    drop(context);
    let mut items = 0;
    while let Some(message) = receiver.recv().await {
        if let Body::WriteItems(write) = message.body {
            items += write.items.len();
        }
    }
    let folder = "quarantine/ingest/2024-06-01".into();
    let kept = lake.store.list_with_delimiter(Some(&folder)).await.unwrap();
    (
        answer.unwrap().batch_item_failures.len(),
        kept.objects.len(),
        items,
    )
}

#[tokio::test]
async fn regression_37_events_come_to_what_their_names_say() {
    let chunk = include_str!("../../../events/ingest/one-chunk.sends-its-items.json");
    assert_eq!(handled(chunk, true).await, (0, 0, 2));
    // The list of its objects is gone: ours to mend, so the message stays.
    assert_eq!(handled(chunk, false).await, (1, 0, 0));
    let inline = include_str!("../../../events/ingest/item-itself.sends-it.json");
    assert_eq!(handled(inline, false).await, (0, 0, 1));
    let test = include_str!("../../../events/ingest/test-event.is-acknowledged.json");
    assert_eq!(handled(test, false).await, (0, 0, 0));
    let wrong = include_str!("../../../events/ingest/wrong-kind.quarantines-one.json");
    assert_eq!(handled(wrong, false).await, (0, 1, 0));
}
