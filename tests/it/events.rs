//! Sample events: each is what its function is sent, and comes to what its name says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::queue::channel;
use swath_cloud::store::{self, Store};
use swath_core::grid::{GridOptions, GridSpec};
use swath_core::message::{Body, Delivered, FilesWritten, Message};
use swath_core::{TableName, digest_hex};
use swath_lambda::{
    Batch, Change, Deadline, Incoming, Invocation, Refused, Shell, SqsBatchResponse, SqsEvent,
};

use crate::house::tree::root;

/// What each function is sent.
const KINDS: [(&str, &[&str]); 9] = [
    ("plan", &["PlanAreas", "S3"]),
    ("search", &["SearchArea"]),
    ("download", &["DownloadAsset"]),
    ("list", &["ListSource", "S3"]),
    ("ingest", &["IngestChunk", "S3", "STAC"]),
    (
        "write",
        &["WriteItems", "WriteRows", "StageItems", "MergeFiles"],
    ),
    ("commit", &["FilesWritten", "RemoveItems", "ReplaceFiles"]),
    ("repair", &["RepairAssets"]),
    ("maintain", &["MaintainLake"]),
];

/// Returns the events of a function by file name.
fn events(function: &str) -> BTreeMap<String, SqsEvent> {
    let folder = root().join("events").join(function);
    let entries = std::fs::read_dir(&folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let event = serde_json::from_str(&text);
            let event = event.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                event,
            )
        })
        .collect()
}

fn event(function: &str, name: &str) -> SqsEvent {
    let mut events = events(function);
    events
        .remove(name)
        .unwrap_or_else(|| panic!("events/{function} has no {name}"))
}

fn lake(folder: &Path) -> Store {
    store::open(folder.to_str().unwrap()).unwrap()
}

fn batch(function: &'static str, event: SqsEvent, lake: &Store) -> Batch {
    let invocation = Invocation {
        request_id: String::new(),
        received: SystemClock.now(),
        deadline: Deadline::none(),
    };
    let shell = Arc::new(Shell::new(function, lake.clone()));
    Batch::new(event, shell, invocation)
}

fn handed_back(answer: &SqsBatchResponse) -> usize {
    answer.batch_item_failures.len()
}

fn quarantined(folder: &Path) -> usize {
    let quarantine = folder.join("quarantine");
    let Ok(functions) = std::fs::read_dir(quarantine) else {
        return 0;
    };
    let dates = functions.flat_map(|function| std::fs::read_dir(function.unwrap().path()).unwrap());
    dates
        .map(|date| std::fs::read_dir(date.unwrap().path()).unwrap().count())
        .sum()
}

/// Puts the bodies of an event's messages where senders put those that are too large for a queue.
async fn keep_bodies(event: &SqsEvent, lake: &Store) {
    for text in event
        .records
        .iter()
        .filter_map(|record| record.body.as_deref())
    {
        let kind = text
            .split_once(r#""kind":""#)
            .and_then(|(_, rest)| rest.split_once('"'));
        let body = text
            .split_once(r#""body":"#)
            .and_then(|(_, rest)| rest.strip_suffix('}'));
        if let (Some((kind, _)), Some(body)) = (kind, body) {
            let digest = digest_hex(&[kind.as_bytes(), body.as_bytes()], 16);
            let path = format!("messages/{digest}.json");
            lake.put(&path, body.to_owned().into()).await.unwrap();
        }
    }
}

/// Takes what the function takes, without doing it.
fn take(kinds: &[&str], incoming: Incoming) -> Result<(), Refused> {
    let kind = match incoming {
        Incoming::Objects(objects) => {
            assert!(objects.iter().all(|object| object.change != Change::Other));
            "S3"
        }
        Incoming::Document(_) => "STAC",
        other => other.message()?.body.kind(),
    };
    if kinds.contains(&kind) {
        Ok(())
    } else {
        Err(Refused::kind(kind))
    }
}

#[tokio::test]
async fn every_event_is_what_its_function_is_sent() {
    for (function, kinds) in KINDS {
        let all = events(function);
        for (name, event) in &all {
            let folder = tempfile::tempdir().unwrap();
            let lake = lake(folder.path());
            for other in all.values() {
                keep_bodies(other, &lake).await;
            }
            let outcome = name
                .strip_suffix(".json")
                .and_then(|name| name.split_once('.'));
            let (_, outcome) = outcome.unwrap_or_else(|| panic!("{name} says no outcome"));
            let work = |()| std::future::ready(Ok::<(), Refused>(()));
            let read = batch(function, event.clone(), &lake);
            let answer = read.each(|incoming| take(kinds, incoming), work).await;
            let kept = quarantined(folder.path());
            match (outcome, &answer) {
                ("fails-the-batch", answer) => assert!(answer.is_err(), "{function}/{name}"),
                // Some are found out only by the work itself.
                ("quarantines-one", Ok(_)) => assert!(kept <= 1, "{function}/{name}: {kept}"),
                (_, Ok(_)) => assert_eq!(kept, 0, "{function}/{name}"),
                (_, Err(error)) => panic!("{function}/{name}: {error}"),
            }
            if let Ok(answer) = answer {
                assert_eq!(handed_back(&answer), 0, "{function}/{name}");
            }
        }
    }
}

/// Writes `events/write`'s items and rows; returns what `commit` is told.
async fn write(lake: &Store) -> Vec<FilesWritten> {
    let (queue, receiver) = channel(10);
    let options = GridOptions {
        earthcatalog: true,
        ..GridOptions::default()
    };
    let grid = GridSpec::default().open(None, options).unwrap();
    let context =
        swath_write::Context::new(lake.clone(), Arc::new(queue), Arc::new(SystemClock), grid);
    let event = event("write", "items-and-rows.writes-partitions.json");
    let answer = swath_write::handle(batch("write", event, lake), &context).await;
    assert_eq!(handed_back(&answer.unwrap()), 0);
    drop(context);
    let mut told = Vec::new();
    while let Some(message) = receiver.recv().await {
        match message.body {
            Body::FilesWritten(files) => told.push(files),
            other => panic!("{} is sent to commit", other.kind()),
        }
    }
    told
}

/// Takes out of a file's facts what hangs on every byte of it.
fn without_content(mut told: FilesWritten) -> FilesWritten {
    for file in &mut told.files {
        let (folder, _) = file.path.rsplit_once("/part_").unwrap();
        file.path = format!("{folder}/part_0000000000000000.parquet");
        file.size_bytes = 0;
    }
    told
}

#[tokio::test]
async fn commits_event_names_such_files_as_writes_event_makes() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path());
    let told = write(&lake).await;
    let mut event = event("commit", "files-written.commits-a-snapshot.json");
    assert_eq!(event.records.len(), told.len(), "write tells {told:?}");
    for (record, told) in event.records.iter_mut().zip(told) {
        let text = record.body.as_deref().unwrap();
        let Ok(Delivered::Whole(mut message)) = Message::parse(text) else {
            panic!("{text} is no message");
        };
        let named = match &message.body {
            Body::FilesWritten(named) => named.clone(),
            other => panic!("{} is sent to commit", other.kind()),
        };
        assert_eq!(
            named,
            without_content(told.clone()),
            "events/commit names other files"
        );
        message.body = Body::FilesWritten(told);
        record.body = Some(message.to_json().unwrap());
    }
    let config = swath_commit::Config {
        lake: lake.uri.clone(),
        pointer: "lake".parse().unwrap(),
        grid: GridSpec::default(),
        publish_db: false,
        concurrency: std::num::NonZeroUsize::MIN,
        time_needed: std::time::Duration::ZERO,
    };
    let context = swath_commit::Context::from_config(&config, &lake)
        .await
        .unwrap();
    let made = context
        .lake
        .metadata_location(TableName::StacItems)
        .await
        .unwrap();
    let mut locations = vec![made];
    for _delivery in 1..=2 {
        let answer = swath_commit::handle(batch("commit", event.clone(), &lake), &context).await;
        assert_eq!(handed_back(&answer.unwrap()), 0);
        assert_eq!(quarantined(folder.path()), 0);
        locations.push(
            context
                .lake
                .metadata_location(TableName::StacItems)
                .await
                .unwrap(),
        );
    }
    let [made, first, second] = locations.try_into().unwrap();
    assert_ne!(made, first, "nothing was committed");
    assert_eq!(first, second, "the same files were committed twice");
}
