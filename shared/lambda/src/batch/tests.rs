//! The shell's promises, on the answer as the queue reads it.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::{Value, json};
use swath_cloud::store::Store;
use swath_core::message::{Body, BodyAt, FilesWritten, Message};
use swath_core::{Class, RunId, TableName};
use time::macros::datetime;

use super::*;
use crate::deadline::Deadline;
use crate::telemetry::testing::caught;

mod read_only;

use read_only::ReadOnly;

#[derive(Debug, thiserror::Error)]
#[error("it is {0}")]
struct Failed(Class, #[source] std::io::Error);

impl Classify for Failed {
    fn class(&self) -> Class {
        self.0
    }
}

impl swath_cloud::retry::Retryable for Failed {}

fn failed(class: Class) -> Failed {
    Failed(class, std::io::Error::other("the cause"))
}

/// A message whose run id tells the fake work below what to do.
fn message(order: &str) -> Message {
    Message {
        run_id: RunId::new(order),
        body: Body::FilesWritten(FilesWritten {
            table: TableName::StacItems,
            files: Vec::new(),
        }),
    }
}

fn record(id: &str, body: &str) -> SqsMessage {
    let mut record = SqsMessage::default();
    record.message_id = Some(id.to_owned());
    record.body = Some(body.to_owned());
    record
}

/// A record whose id is its order.
fn order(order: &str) -> SqsMessage {
    record(order, &message(order).to_json().unwrap())
}

struct Desk {
    lake: Store,
    shell: Shell,
    deadline: Deadline,
}

impl Desk {
    fn new() -> Self {
        Self::over(Arc::new(InMemory::new()))
    }

    fn over(store: Arc<dyn ObjectStore>) -> Self {
        let lake = Store {
            store,
            prefix: Path::from("base"),
            ..Store::in_memory()
        };
        Self {
            shell: Shell::new("weigh", lake.clone()),
            lake,
            deadline: Deadline::none(),
        }
    }

    fn batch(&self, records: Vec<SqsMessage>) -> Batch {
        let mut event = SqsEvent::default();
        event.records = records;
        let invocation = Invocation {
            request_id: "call".to_owned(),
            received: datetime!(2024-06-01 12:00 UTC),
            deadline: self.deadline,
        };
        Batch::new(event, Arc::new(self.shell.clone()), invocation)
    }

    async fn each(&self, records: Vec<SqsMessage>) -> Value {
        let answer = self.batch(records).each(Incoming::message, obey).await;
        serde_json::to_value(answer.unwrap()).unwrap()
    }

    async fn whole(&self, records: Vec<SqsMessage>) -> Value {
        let answer = self.batch(records).whole(Incoming::message, obey_all).await;
        serde_json::to_value(answer.unwrap()).unwrap()
    }

    async fn kept(&self, id: &str) -> Option<Record> {
        let path = format!("quarantine/weigh/2024-06-01/{id}.json");
        let bytes = self.lake.get(&path).await.ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }
}

/// Does what the run id says.
async fn obey(message: Message) -> Result<(), Failed> {
    match message.run_id.as_str() {
        "panic" => panic!("at the disco"),
        "hang" => std::future::pending().await,
        "slow" => {
            tokio::time::timeout(Duration::from_secs(10), std::future::pending::<()>())
                .await
                .ok();
            Ok(())
        }
        text => match text.split('-').next().unwrap() {
            "transient" => Err(failed(Class::Transient)),
            "conflict" => Err(failed(Class::Conflict)),
            "uncertain" => Err(failed(Class::Uncertain)),
            "invalid" => Err(failed(Class::Invalid)),
            "denied" => Err(failed(Class::Denied)),
            "bug" => Err(failed(Class::Bug)),
            _ => Ok(()),
        },
    }
}

async fn obey_all(messages: Vec<Message>) -> Vec<Result<(), Failed>> {
    let mut answers = Vec::new();
    for message in messages {
        answers.push(obey(message).await);
    }
    answers
}

fn back(ids: &[&str]) -> Value {
    let failures: Vec<_> = ids
        .iter()
        .map(|id| json!({ "itemIdentifier": id }))
        .collect();
    json!({ "batchItemFailures": failures })
}

#[tokio::test]
async fn success_is_an_empty_list_and_never_null() {
    let desk = Desk::new();
    let answer = desk.batch(vec![order("a"), order("b")]);
    let answer = answer.each(Incoming::message, obey).await.unwrap();
    assert_eq!(
        serde_json::to_string(&answer).unwrap(),
        r#"{"batchItemFailures":[]}"#
    );
    assert_eq!(desk.each(Vec::new()).await, back(&[]));
    assert_eq!(desk.whole(Vec::new()).await, back(&[]));
}

#[tokio::test]
async fn three_bad_of_ten_go_back_by_name_in_order() {
    let mut desk = Desk::new();
    desk.shell = desk.shell.concurrency(NonZeroUsize::new(4).unwrap());
    let names = [
        "a",
        "transient-1",
        "b",
        "c",
        "conflict-1",
        "d",
        "e",
        "uncertain-1",
        "f",
        "g",
    ];
    let records = || names.map(order).to_vec();
    let expected = back(&["transient-1", "conflict-1", "uncertain-1"]);
    assert_eq!(desk.each(records()).await, expected);
    assert_eq!(desk.whole(records()).await, expected);
}

#[tokio::test]
async fn poison_leaves_the_queue_and_is_kept_with_its_reason() {
    let desk = Desk::new();
    for whole in [false, true] {
        let mut junk = record(if whole { "junk-2" } else { "junk-1" }, "{");
        junk.attributes
            .insert("ApproximateReceiveCount".into(), "3".into());
        junk.event_source_arn = Some("arn:aws:sqs:eu-west-1:1:q".into());
        let id = junk.message_id.clone().unwrap();
        let records = vec![order("a"), junk, order("invalid-1")];
        let answer = if whole {
            desk.whole(records).await
        } else {
            desk.each(records).await
        };
        assert_eq!(answer, back(&[]));
        let kept = desk.kept(&id).await.unwrap();
        assert_eq!(
            (kept.class, kept.code.as_str()),
            (Class::Invalid, "malformed")
        );
        assert_eq!(kept.body.as_deref(), Some("{"));
        assert_eq!(kept.receive_count, Some(3));
        assert_eq!(kept.queue.as_deref(), Some("arn:aws:sqs:eu-west-1:1:q"));
        assert!(
            kept.reason.contains("no JSON object: EOF"),
            "{}",
            kept.reason
        );
        let kept = desk.kept("invalid-1").await.unwrap();
        assert_eq!(kept.reason, "it is invalid: the cause");
        assert_eq!(kept.code, "work");
        assert!(desk.kept("a").await.is_none());
    }
}

#[test]
fn what_is_logged_and_kept_of_a_failure_holds_no_secrets() {
    let cause = std::io::Error::other("https://h.example/a?sig=canary is gone");
    let failure = Failure::of("work", &Failed(Class::Invalid, cause));
    assert_eq!(
        failure.reason,
        "it is invalid: https://h.example/a?[redacted] is gone"
    );
}

#[tokio::test]
async fn poison_that_cannot_be_kept_goes_back() {
    let desk = Desk::over(Arc::new(ReadOnly(InMemory::new())));
    let (lines, _guard) = caught();
    let records = || vec![record("junk", "{"), order("a"), order("invalid-1")];
    assert_eq!(desk.each(records()).await, back(&["junk", "invalid-1"]));
    assert_eq!(desk.whole(records()).await, back(&["junk", "invalid-1"]));
    let line = &lines.json()[0];
    assert!(
        line["quarantine.error"].as_str().unwrap().contains("put"),
        "{line}"
    );
    assert!(
        line["error.chain"].as_str().unwrap().contains("JSON"),
        "{line}"
    );
}

#[tokio::test]
async fn a_panic_goes_back_and_its_neighbours_are_done() {
    let desk = Desk::new();
    let (lines, _guard) = caught();
    let records = || vec![order("a"), order("panic"), order("b")];
    assert_eq!(desk.each(records()).await, back(&["panic"]));
    assert_eq!(desk.whole(records()).await, back(&["panic"]));
    let metrics: Vec<_> = metrics(&lines.json());
    for metric in metrics {
        assert_eq!(metric["batch.panicked"], 1, "{metric}");
        assert_eq!(metric["batch.ok"], 2, "{metric}");
        assert_eq!(metric["batch.handed_back"], 1, "{metric}");
    }
}

#[tokio::test]
async fn a_panic_outside_the_work_is_caught_too() {
    let desk = Desk::new();
    let take = |incoming: Incoming| match incoming.message()? {
        message if message.run_id.as_str() == "odd" => panic!("in take"),
        message => Ok(message),
    };
    let records = || vec![order("odd"), order("a")];
    let each = desk.batch(records()).each(take, obey).await.unwrap();
    assert_eq!(serde_json::to_value(each).unwrap(), back(&["odd"]));
    let whole = desk.batch(records()).whole(take, obey_all).await.unwrap();
    assert_eq!(serde_json::to_value(whole).unwrap(), back(&["odd"]));
}

#[tokio::test]
async fn denied_hands_back_itself_and_all_that_is_not_started() {
    let desk = Desk::new();
    let started = Mutex::new(Vec::new());
    let work = |message: Message| {
        started.lock().unwrap().push(message.run_id.to_string());
        obey(message)
    };
    let records = vec![order("a"), order("denied-1"), order("b"), order("c")];
    let answer = desk.batch(records).each(Incoming::message, work).await;
    let answer = serde_json::to_value(answer.unwrap()).unwrap();
    assert_eq!(answer, back(&["denied-1", "b", "c"]));
    assert_eq!(*started.lock().unwrap(), ["a", "denied-1"]);
}

#[tokio::test(start_paused = true)]
async fn too_little_time_hands_messages_back_untouched() {
    let mut desk = Desk::new();
    desk.shell = desk.shell.needing(Duration::from_secs(20));
    desk.deadline = Deadline::after(Duration::from_secs(35));
    let (lines, _guard) = caught();
    let records = || {
        vec![
            order("a"),
            order("slow"),
            order("b"),
            order("slow-not"),
            order("c"),
        ]
    };
    assert_eq!(desk.each(records()).await, back(&[]));
    let records = || {
        let mut second = order("slow");
        second.message_id = Some("second".into());
        vec![order("slow"), second, order("b"), order("invalid-1")]
    };
    // 25 s are left: the first leaves 15 s, which is too little for the others.
    assert_eq!(
        desk.each(records()).await,
        back(&["second", "b", "invalid-1"])
    );
    assert_eq!(metrics(&lines.json())[1]["batch.untouched"], 3);
    assert!(
        desk.kept("invalid-1").await.is_none(),
        "an untouched message was settled"
    );
    let all = back(&["slow", "second", "b", "invalid-1"]);
    assert_eq!(desk.whole(records()).await, all);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_hangs_does_not_take_its_neighbours_with_it() {
    let mut desk = Desk::new();
    desk.shell = desk.shell.concurrency(NonZeroUsize::new(3).unwrap());
    desk.deadline = Deadline::after(Duration::from_secs(30));
    let records = || vec![order("a"), order("hang"), order("b")];
    assert_eq!(desk.each(records()).await, back(&["hang"]));
    desk.deadline = Deadline::after(Duration::from_secs(30));
    assert_eq!(desk.whole(records()).await, back(&["a", "hang", "b"]));
}

#[tokio::test]
async fn a_message_without_an_id_fails_the_batch_before_anything_starts() {
    for id in [None, Some(String::new())] {
        let mut nameless = order("b");
        nameless.message_id = id;
        let desk = Desk::new();
        let started = Mutex::new(0);
        let work = |message: Message| {
            *started.lock().unwrap() += 1;
            obey(message)
        };
        let batch = desk.batch(vec![order("a"), nameless.clone()]);
        let error = batch.each(Incoming::message, work).await.unwrap_err();
        assert_eq!(error.to_string(), "message 1 of 2 has no id");
        assert_eq!(*started.lock().unwrap(), 0);
        let batch = desk.batch(vec![order("a"), nameless]);
        assert!(batch.whole(Incoming::message, obey_all).await.is_err());
    }
}

#[tokio::test]
async fn answers_that_cannot_be_matched_to_messages_hand_all_back() {
    let desk = Desk::new();
    let batch = desk.batch(vec![order("a"), order("b")]);
    let forgetful = |_: Vec<Message>| std::future::ready(vec![Ok::<(), Failed>(())]);
    let answer = batch.whole(Incoming::message, forgetful).await.unwrap();
    assert_eq!(serde_json::to_value(answer).unwrap(), back(&["a", "b"]));
}

#[tokio::test]
async fn a_test_event_is_acknowledged_without_work() {
    let desk = Desk::new();
    let event = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#;
    let records = || vec![record("test", event), order("transient-1")];
    assert_eq!(desk.each(records()).await, back(&["transient-1"]));
    assert_eq!(desk.whole(records()).await, back(&["transient-1"]));
}

#[tokio::test]
async fn a_kind_for_another_function_is_quarantined_by_name() {
    let desk = Desk::new();
    let take = |_: Incoming| Err::<Message, _>(Refused::kind("FilesWritten"));
    let answer = desk.batch(vec![order("a")]).each(take, obey).await.unwrap();
    assert_eq!(serde_json::to_value(answer).unwrap(), back(&[]));
    let kept = desk.kept("a").await.unwrap();
    assert_eq!(kept.code, "refused");
    assert!(kept.reason.contains("FilesWritten"));
}

async fn by_reference(desk: &Desk, path: &str, body: Option<&str>) -> SqsMessage {
    if let Some(body) = body {
        let bytes = body.to_owned().into();
        desk.lake.put(path, bytes).await.unwrap();
    }
    let at = BodyAt {
        path: path.to_owned(),
        size_bytes: body.unwrap_or_default().len() as u64,
    };
    record(path, &message("a").to_json_by_reference(&at).unwrap())
}

#[tokio::test]
async fn a_body_by_reference_is_fetched_from_the_lake() {
    let desk = Desk::new();
    let body = message("a").body.to_json().unwrap();
    let seen = Mutex::new(Vec::new());
    let work = |message: Message| {
        seen.lock().unwrap().push(message.to_json().unwrap());
        obey(message)
    };
    let records = vec![by_reference(&desk, "messages/1", Some(&body)).await];
    let answer = desk.batch(records).each(Incoming::message, work).await;
    assert!(answer.unwrap().batch_item_failures.is_empty());
    assert_eq!(*seen.lock().unwrap(), [message("a").to_json().unwrap()]);
}

#[tokio::test]
async fn a_body_that_is_gone_elsewhere_or_wrong_is_quarantined() {
    let desk = Desk::new();
    let body = message("a").body.to_json().unwrap();
    let records = vec![
        by_reference(&desk, "messages/gone", None).await,
        by_reference(&desk, "receipts/secret", Some(&body)).await,
        by_reference(&desk, "messages/../receipts/secret", None).await,
        by_reference(&desk, "messages/wrong", Some("[]")).await,
    ];
    assert_eq!(desk.each(records).await, back(&[]));
    for id in [
        "messages/gone",
        "receipts/secret",
        "messages/../receipts/secret",
        "messages/wrong",
    ] {
        // A slash in an id does not open a folder.
        let id = id.replace('/', "%2F");
        let kept = desk
            .kept(&id)
            .await
            .unwrap_or_else(|| panic!("{id} is not kept"));
        assert_eq!(kept.code, "body", "{id}");
    }
}

fn metrics(lines: &[Value]) -> Vec<Value> {
    let metric = |line: &&Value| line["message"] == "batch";
    lines.iter().filter(metric).cloned().collect()
}

#[tokio::test]
async fn a_batch_logs_one_line_per_failure_and_one_metric_record() {
    let desk = Desk::new();
    let records = || {
        vec![
            order("a"),
            order("transient-1"),
            order("invalid-1"),
            order("panic"),
            record("junk", "no"),
        ]
    };
    for whole in [false, true] {
        let (lines, _guard) = caught();
        if whole {
            desk.whole(records()).await;
        } else {
            desk.each(records()).await;
        }
        let lines = lines.json();
        let failures: Vec<_> = lines
            .iter()
            .filter(|line| line["error.class"].is_string())
            .collect();
        assert_eq!(failures.len(), 4, "{lines:#?}");
        let of = |id: &str| {
            *failures
                .iter()
                .find(|line| line["message.id"] == id)
                .unwrap()
        };
        assert_eq!(
            of("transient-1")["error.chain"],
            "it is transient: the cause"
        );
        assert_eq!(of("transient-1")["error.class"], "transient");
        assert_eq!(of("transient-1")["level"], "WARN");
        assert_eq!(of("transient-1")["function"], "weigh");
        assert_eq!(of("transient-1")["spans"][0]["message.id"], "transient-1");
        assert_eq!(of("invalid-1")["error.class"], "invalid");
        assert!(
            of("panic")["error.chain"]
                .as_str()
                .unwrap()
                .ends_with("at the disco")
        );
        assert_eq!(of("panic")["error.class"], "bug");
        let metrics = metrics(&lines);
        assert_eq!(metrics.len(), 1);
        let metric = &metrics[0];
        for (field, count) in [
            ("batch.received", 5),
            ("batch.ok", 1),
            ("batch.quarantined", 2),
            ("batch.handed_back", 2),
            ("batch.panicked", 1),
            ("batch.untouched", 0),
        ] {
            assert_eq!(metric[field], count, "{field} of {metric}");
        }
        assert!(metric["elapsed_ms"].is_u64());
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_messages_run_at_once_than_the_shell_allows() {
    let mut desk = Desk::new();
    desk.shell = desk.shell.concurrency(NonZeroUsize::new(3).unwrap());
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (running, most) = (&running, &most);
    let work = |_: Message| async move {
        let now = running.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(now, Ordering::SeqCst);
        tokio::task::yield_now().await;
        running.fetch_sub(1, Ordering::SeqCst);
        Ok::<(), Failed>(())
    };
    let records = (0..10).map(|n| order(&n.to_string())).collect();
    let answer = desk.batch(records).each(Incoming::message, work).await;
    assert!(answer.unwrap().batch_item_failures.is_empty());
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn work_is_told_how_often_its_message_was_delivered() {
    let desk = Desk::new();
    let mut third = order("third");
    let count = ("ApproximateReceiveCount".to_owned(), "3".to_owned());
    third.attributes.extend([count]);
    let seen = Mutex::new(Vec::new());
    let take = |incoming: Incoming, receives| {
        seen.lock().unwrap().push(receives);
        incoming.message()
    };
    let answer = desk.batch(vec![third, order("silent")]);
    let answer = answer.each_counted(take, obey).await.unwrap();
    assert!(answer.batch_item_failures.is_empty());
    assert_eq!(*seen.lock().unwrap(), [3, 1]);
}
