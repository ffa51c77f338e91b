//! From a queue's words to plans, and back.

use swath_cloud::progress;
use swath_cloud::retry::Retryable;
use swath_cloud::store::{Store, StoreError};
use swath_core::message::{Body, PlanAreas};
use swath_core::{Class, Classify, RunId};
use swath_lambda::{Batch, BatchError, Change, Incoming, ObjectEvent, Refused, SqsBatchResponse};
use tracing::{info, warn};

use crate::{Context, PlanError, Planned, Upload, UploadError, plan, plan_areas, read_upload};

/// Rejected rows that get a log line each; the rest is counted.
const LOGGED: usize = 100;

/// Plans what a batch asks for; returns the messages to hand back.
///
/// # Errors
/// When a message has no id.
pub async fn handle(batch: Batch, context: &Context) -> Result<SqsBatchResponse, BatchError> {
    let lake = &batch.lake().clone();
    let work = |request| work(request, context, lake);
    batch.each_counted(take, work).await
}

/// How often an upload without a job is handed back: its job may be on its way, as a default that is being deployed.
const NO_JOB_RECEIVES: u32 = 3;

enum Request {
    Plan(RunId, Box<PlanAreas>),
    /// Uploads, and how often the queue has delivered them.
    Objects(Vec<ObjectEvent>, u32),
}

#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error("the areas were not planned")]
    Plan(#[from] PlanError),
    #[error("the upload was not taken")]
    Upload(#[from] UploadError),
    #[error("what was planned cannot be written down")]
    Keep(#[from] StoreError),
    #[error("the upload was not taken: delivery {receives}, {NO_JOB_RECEIVES} are handed back")]
    NoJobYet {
        receives: u32,
        #[source]
        source: UploadError,
    },
}

impl Retryable for WorkError {}

impl Classify for WorkError {
    fn class(&self) -> Class {
        match self {
            Self::Plan(error) => error.class(),
            Self::Upload(error) => error.class(),
            Self::Keep(error) => error.class(),
            Self::NoJobYet { .. } => Class::Transient,
        }
    }
}

fn take(incoming: Incoming, receives: u32) -> Result<Request, Refused> {
    let message = match incoming {
        Incoming::Objects(objects) => return Ok(Request::Objects(objects, receives)),
        other => other.message()?,
    };
    match message.body {
        Body::PlanAreas(areas) => Ok(Request::Plan(message.run_id, Box::new(areas))),
        other => Err(Refused::kind(other.kind())),
    }
}

async fn work(request: Request, context: &Context, lake: &Store) -> Result<(), WorkError> {
    match request {
        Request::Plan(run_id, areas) => {
            let planned = plan(&areas, &run_id, context).await?;
            tell(&run_id, &planned, lake).await
        }
        Request::Objects(objects, receives) => {
            for object in objects {
                one_object(object, receives, context, lake).await?;
            }
            Ok(())
        }
    }
}

async fn one_object(
    object: ObjectEvent,
    receives: u32,
    context: &Context,
    lake: &Store,
) -> Result<(), WorkError> {
    let ObjectEvent {
        change,
        bucket,
        key,
        ..
    } = object;
    if change != Change::Created {
        info!(object.key = key, "nothing was uploaded");
        return Ok(());
    }
    let upload = Upload { bucket, key };
    let read = read_upload(&upload, context).await;
    let read = read.map_err(|source| match source {
        UploadError::NoJob { .. } if receives <= NO_JOB_RECEIVES => {
            WorkError::NoJobYet { receives, source }
        }
        source => source.into(),
    });
    let Some(found) = read? else {
        warn!(
            object.key = upload.key,
            "the upload is gone or is a folder's marker"
        );
        return Ok(());
    };
    let planned = plan_areas(&found.job, found.areas, &found.run_id, context).await?;
    tell(&found.run_id, &planned, lake).await
}

/// Logs what was planned, and writes it down for whoever asks how far the run has come.
async fn tell(
    run_id: &RunId,
    Planned { areas, rejected }: &Planned,
    lake: &Store,
) -> Result<(), WorkError> {
    for row in rejected.iter().take(LOGGED) {
        warn!(run.id = %run_id, row.number = row.row_number, row.reason = row.reason, "row rejected");
    }
    info!(run.id = %run_id, run.areas = areas, run.rejected = rejected.len(), "planned");
    let planned = progress::Planned {
        areas: *areas,
        rejected: rejected.len() as u64,
    };
    Ok(planned.keep(lake, run_id).await?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use swath_cloud::clock::{Clock as _, testing::FakeClock};
    use swath_cloud::queue::{MemoryReceiver, channel};
    use swath_cloud::store::Store;
    use swath_lambda::{Deadline, Invocation, Shell};

    use super::*;

    struct World {
        context: Context,
        lake: Store,
        searches: MemoryReceiver,
    }

    impl World {
        fn new() -> Self {
            let (queue, searches) = channel(10);
            let mut context = Context::new(Arc::new(queue));
            context.inbox = Some(Store::in_memory());
            context.default_job = serde_json::from_str(r#"{"catalog":"https://h/"}"#).unwrap();
            let lake = Store::in_memory();
            Self {
                context,
                lake,
                searches,
            }
        }

        async fn upload(&self, key: &str, text: &'static str) {
            let inbox = self.context.inbox.as_ref().unwrap();
            inbox.put(key, text.into()).await.unwrap();
        }

        async fn handle(&self, event: &str) -> Result<SqsBatchResponse, BatchError> {
            let event = serde_json::from_str(event).unwrap();
            let shell = Arc::new(Shell::new("plan", self.lake.clone()));
            let invocation = Invocation {
                request_id: String::new(),
                received: FakeClock::default().now(),
                deadline: Deadline::none(),
            };
            handle(Batch::new(event, shell, invocation), &self.context).await
        }

        /// Returns how many messages went back, how many were quarantined, and what was sent.
        async fn outcome(self, event: &str) -> (usize, Vec<Value>, Vec<Value>) {
            let answer = self.handle(event).await.unwrap();
            let Self {
                context,
                lake,
                searches,
            } = self;
            drop(context);
            let mut sent = Vec::new();
            while let Some(message) = searches.recv().await {
                sent.push(serde_json::from_str(&message.to_json().unwrap()).unwrap());
            }
            let folder = "quarantine/plan/2024-06-01".into();
            let quarantined = lake.store.list_with_delimiter(Some(&folder));
            let mut kept = Vec::new();
            for object in quarantined.await.unwrap().objects {
                let bytes = lake.get(object.location.as_ref()).await.unwrap();
                kept.push(serde_json::from_slice(&bytes).unwrap());
            }
            (answer.batch_item_failures.len(), kept, sent)
        }
    }

    macro_rules! event {
        ($name:literal) => {
            include_str!(concat!("../../../events/plan/", $name, ".json"))
        };
    }

    #[tokio::test]
    async fn an_upload_is_planned_row_by_row_and_again_as_the_same_run() {
        let areas = r#"{"type":"FeatureCollection","features":[
            {"type":"Feature","id":"a","properties":{"n":1},"geometry":{"type":"Point","coordinates":[1,2]}},
            {"type":"Feature","id":"sick","properties":{},"geometry":null},
            {"type":"Feature","id":"b","properties":{},"geometry":{"type":"Point","coordinates":[3,4]}}]}"#;
        let mut runs = Vec::new();
        for (event, times) in [
            (event!("s3-upload.plans-two-areas"), 1),
            (event!("upload-by-sns.plans-two-areas"), 1),
            (event!("upload-by-eventbridge.plans-two-areas"), 1),
            (event!("upload-twice.plans-one-run"), 2),
        ] {
            let world = World::new();
            world.upload("aois/two areas+ü.geojson", areas).await;
            let (back, kept, sent) = world.outcome(event).await;
            assert_eq!((back, kept.len()), (0, 0));
            let ids: Vec<_> = sent.iter().map(|m| &m["body"]["area"]["row_id"]).collect();
            assert_eq!(ids, ["a", "b"].repeat(times));
            assert_eq!(sent[0]["body"]["job"]["catalog"], "https://h/");
            runs.extend(sent.iter().map(|m| m["run_id"].clone()));
        }
        runs.dedup();
        assert_eq!(runs.len(), 1, "one upload is one run: {runs:?}");
    }

    #[tokio::test]
    async fn an_upload_without_a_job_is_handed_back_three_times_and_then_quarantined() {
        let point = r#"{"type":"Point","coordinates":[1,2]}"#;
        for (receives, expected) in [(1, (1, 0)), (2, (1, 0)), (3, (1, 0)), (4, (0, 1))] {
            let mut world = World::new();
            world.context.default_job = None;
            world.upload("aois/two areas+ü.geojson", point).await;
            let mut event: Value =
                serde_json::from_str(event!("s3-upload.plans-two-areas")).unwrap();
            event["Records"][0]["attributes"]["ApproximateReceiveCount"] =
                json!(receives.to_string());
            let (back, kept, sent) = world.outcome(&event.to_string()).await;
            assert_eq!((back, kept.len()), expected, "delivery {receives}");
            assert!(sent.is_empty());
        }
    }

    #[tokio::test]
    async fn a_message_is_planned_under_its_own_run() {
        let by_reference = World::new();
        let whole: Value = serde_json::from_str(event!("plan-areas.plans-one-area")).unwrap();
        let (_, body) = whole["Records"][0]["body"]
            .as_str()
            .unwrap()
            .split_once("\"body\":")
            .unwrap();
        let body = body.strip_suffix('}').unwrap().to_owned();
        let path = "messages/020df8a7e761a6ca9700d26ebc63f19a.json";
        by_reference.lake.put(path, body.into()).await.unwrap();
        for (world, event, run) in [
            (
                World::new(),
                event!("plan-areas.plans-one-area"),
                "5f1d3a2b4c6e7081",
            ),
            (
                World::new(),
                event!("scheduled.plans-one-area"),
                "9d2c1f0e-6a7b-4c3d-8e5f-0a1b2c3d4e5f",
            ),
            (
                by_reference,
                event!("body-by-reference.plans-one-area"),
                "5f1d3a2b4c6e7081",
            ),
        ] {
            let (back, kept, sent) = world.outcome(event).await;
            assert_eq!((back, kept.len(), sent.len()), (0, 0, 1));
            assert_eq!(sent[0]["run_id"], run);
        }
    }

    #[tokio::test]
    async fn poison_is_quarantined_and_its_neighbour_planned() {
        let event = event!("poison-in-batch.quarantines-one");
        let (back, kept, sent) = World::new().outcome(event).await;
        assert_eq!((back, kept.len(), sent.len()), (0, 1, 1));
        assert_eq!(kept[0]["body"], "not JSON {");
        assert_eq!(kept[0]["class"], "invalid");
    }

    #[tokio::test]
    async fn what_is_none_of_ours_is_quarantined_with_its_reason() {
        for (event, word) in [
            (event!("upload-elsewhere.quarantines-one"), "aois/"),
            (event!("wrong-kind.quarantines-one"), "FilesWritten"),
        ] {
            let (back, kept, sent) = World::new().outcome(event).await;
            assert_eq!((back, kept.len(), sent.len()), (0, 1, 0), "{word}");
            let reason = kept[0]["reason"].as_str().unwrap();
            assert!(reason.contains(word), "{reason}");
        }
    }

    #[tokio::test]
    async fn what_asks_nothing_leaves_the_queue() {
        for event in [
            event!("test-event.is-acknowledged"),
            event!("object-removed.is-ignored"),
            event!("s3-upload.plans-two-areas"),
        ] {
            assert_eq!(World::new().outcome(event).await, (0, vec![], vec![]));
        }
    }

    #[tokio::test]
    async fn a_message_without_an_id_fails_the_batch() {
        let world = World::new();
        let error = world
            .handle(event!("message-without-id.fails-the-batch"))
            .await;
        assert!(matches!(
            error,
            Err(BatchError::Unnamed { position: 1, .. })
        ));
    }

    #[tokio::test]
    async fn a_dead_queue_hands_the_message_back() {
        let mut world = World::new();
        world.context.search_queue = Arc::new(channel(1).0);
        let answer = world
            .handle(event!("plan-areas.plans-one-area"))
            .await
            .unwrap();
        let expected = json!({"batchItemFailures": [
            {"itemIdentifier": "00000000-0000-4000-8000-000000000001"}
        ]});
        assert_eq!(serde_json::to_value(answer).unwrap(), expected);
    }
}
