//! Books of runs that are read by others, later, and after crashes.

use std::sync::Arc;

use swath_core::RunId;
use swath_core::intake::Intake;
use swath_core::message::{Body, Partition, WrittenFile};
use time::macros::datetime;

use super::{
    Chunker, Entry, Ledger, Origin, Part, Plan, Receipt, Spans, mark, read_chunk, read_marks,
};
use crate::queue::{MemoryReceiver, channel};
use crate::store::Store;

fn entry(name: &str) -> Entry {
    Entry::object(format!("s3://b/{name}"), Some(name.to_owned()), None)
}

async fn chunked(
    lake: &Store,
    names: &[&str],
    size: u32,
) -> (Chunker, Vec<super::PlannedChunk>, String) {
    let mut chunker = Chunker::new(lake.clone(), size);
    for name in names {
        chunker.add(&entry(name)).await.unwrap();
    }
    let (chunks, digest) = chunker.finish().await.unwrap();
    (chunker, chunks, digest)
}

async fn names(lake: &Store, folder: &str) -> usize {
    let listed = lake.store.list_with_delimiter(Some(&folder.into())).await;
    listed.unwrap().objects.len()
}

#[tokio::test]
async fn the_same_set_has_the_same_digest_in_any_order() {
    let lake = Store::in_memory();
    let (_, chunks, one) = chunked(&lake, &["a", "b", "c"], 2).await;
    let (_, _, other) = chunked(&lake, &["c", "a", "b"], 2).await;
    let (_, _, more) = chunked(&lake, &["c", "a", "b", "b"], 2).await;
    assert_eq!(one, other);
    assert_ne!(one, more);
    let read = read_chunk(&lake, &chunks[0].at).await.unwrap();
    assert_eq!(read[1].href, "s3://b/b");
    assert_eq!(
        (chunks[0].first.as_str(), chunks[0].last.as_str()),
        ("s3://b/a", "s3://b/b")
    );
}

#[tokio::test]
async fn a_listing_that_is_given_up_leaves_nothing_that_was_not_there() {
    let lake = Store::in_memory();
    let _kept = chunked(&lake, &["a"], 1).await;
    let (given_up, ..) = chunked(&lake, &["a", "b"], 1).await;
    given_up.abandon().await;
    assert_eq!(names(&lake, "runs/chunks").await, 1);
}

#[tokio::test]
async fn marks_are_found_by_the_addresses_they_spread_over() {
    let lake = Store::in_memory();
    let ledger = Ledger::new(lake.clone(), RunId::new("r"));
    let marked = |name: &str| Origin {
        href: format!("s3://b/{name}"),
        etag: Some(name.to_owned()),
        ..Origin::default()
    };
    let mut receipt = Receipt::default();
    let marks = vec![marked("f"), marked("c")];
    ledger.put_receipt(0, &mut receipt, marks).await.unwrap();
    // What was pending is added.
    ledger
        .put_receipt(0, &mut receipt, vec![marked("h")])
        .await
        .unwrap();
    let known = receipt.marks.unwrap();
    assert_eq!(read_marks(&lake, &known.at).await.unwrap().len(), 3);
    let named = super::read_origins(&lake, &known.origins_at()).await;
    assert_eq!(named.unwrap(), ["c", "f", "h"].map(marked));
    let spans = Spans::new(vec![known]);
    let (_, chunks, _) = chunked(&lake, &["a", "b", "d", "e", "i", "j"], 2).await;
    let met: Vec<usize> = chunks.iter().map(|chunk| spans.of(chunk).len()).collect();
    assert_eq!(met, [0, 1, 0]);
    assert!(
        mark("s3://b/a", None).is_none(),
        "without a tag nothing is known"
    );
}

fn file(name: &str) -> WrittenFile {
    WrittenFile {
        path: name.to_owned(),
        partition: Some(Partition {
            cell: "81eabffffffffff".to_owned(),
            year: 2024,
        }),
        rows: 1,
        size_bytes: 1,
    }
}

async fn sent(receiver: MemoryReceiver) -> Vec<Body> {
    let mut bodies = Vec::new();
    while let Some(message) = receiver.recv().await {
        bodies.push(message.body);
    }
    bodies
}

#[tokio::test]
async fn the_last_receipt_of_a_bulk_run_asks_for_one_merge_a_bucket() {
    let lake = Store::in_memory();
    let (_, chunks, digest) = chunked(&lake, &["a", "b"], 1).await;
    let intake = Intake {
        bulk: true,
        ..Intake::default()
    };
    let run_id = intake.run_id(digest.as_bytes());
    let ledger = Ledger::new(lake, run_id.clone());
    let plan = Plan {
        run_id,
        source: "s".to_owned(),
        intake,
        listed: 2,
        taken: 2,
        chunks,
        planned: datetime!(2024-06-01 0:00 UTC),
        cursor: None,
    };
    let (queue, receiver) = channel(10);
    let queue = Arc::new(queue);
    assert!(
        !ledger.settle(queue.as_ref()).await.unwrap(),
        "there is no plan yet"
    );
    ledger.put_plan(&plan).await.unwrap();
    for chunk in 0..2 {
        let mut receipt = Receipt {
            parts: 1,
            ..Receipt::default()
        };
        ledger
            .put_receipt(chunk, &mut receipt, Vec::new())
            .await
            .unwrap();
        assert!(
            !ledger.settle(queue.as_ref()).await.unwrap(),
            "parts are missing"
        );
    }
    for chunk in 0..2 {
        assert!(!ledger.settle(queue.as_ref()).await.unwrap());
        let part = Part {
            // A file that two parts share is one.
            files: vec![file("shared"), file(&chunk.to_string())],
            rejected: 0,
        };
        ledger.put_part(chunk, 0, &part).await.unwrap();
    }
    assert!(ledger.settle(queue.as_ref()).await.unwrap());
    assert!(
        ledger.settle(queue.as_ref()).await.unwrap(),
        "done stays done"
    );
    assert!(ledger.status().await.unwrap().done);
    drop(queue);
    let bodies = sent(receiver).await;
    let [Body::MergeFiles(merge)] = bodies.as_slice() else {
        panic!("{bodies:?}")
    };
    assert_eq!((merge.files.len(), merge.full), (3, None));
}
