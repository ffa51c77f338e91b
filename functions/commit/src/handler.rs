//! From a queue's words to snapshots, and back.

use swath_core::message::{Body, Message};
use swath_lambda::{Batch, BatchError, Incoming, Refused, SqsBatchResponse};

use crate::{CommitError, Context, commit};

/// Commits what a batch names; returns the messages to hand back.
///
/// # Errors
/// When a message has no id.
pub async fn handle(batch: Batch, context: &Context) -> Result<SqsBatchResponse, BatchError> {
    let work = |messages| commit_all(messages, context);
    batch.whole(take, work).await
}

fn take(incoming: Incoming) -> Result<Message, Refused> {
    let message = incoming.message()?;
    match &message.body {
        Body::FilesWritten(_) | Body::RemoveItems(_) | Body::ReplaceFiles(_) => Ok(message),
        other => Err(Refused::kind(other.kind())),
    }
}

async fn commit_all(messages: Vec<Message>, context: &Context) -> Vec<Result<(), CommitError>> {
    let results = Box::pin(commit(&messages, context)).await;
    results.into_iter().map(|result| result.map(drop)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use swath_cloud::clock::{Clock as _, testing::FakeClock};
    use swath_cloud::store::{self, Store};
    use swath_core::TableName;
    use swath_lambda::{Deadline, Invocation, Shell};

    use super::*;
    use crate::Config;

    async fn handled(event: &str, lake: &Store) -> (usize, usize) {
        let config = Config {
            lake: lake.uri.clone(),
            pointer: swath_lake::pointer::PointerKind::Lake,
            grid: "h3:1".parse().unwrap(),
            publish_db: true,
            concurrency: std::num::NonZeroUsize::MIN,
            time_needed: std::time::Duration::ZERO,
        };
        let context = Context::from_config(&config, lake).await.unwrap();
        for table in TableName::ALL {
            let made = context.lake.metadata_location(table).await.unwrap();
            assert!(made.is_some(), "{table} was not made");
        }
        let invocation = Invocation {
            request_id: String::new(),
            received: FakeClock::default().now(),
            deadline: Deadline::none(),
        };
        let shell = Arc::new(Shell::new("commit", lake.clone()));
        let event = serde_json::from_str(event).unwrap();
        let answer = handle(Batch::new(event, shell, invocation), &context).await;
        let folder = "quarantine/commit/2024-06-01".into();
        let kept = lake.store.list_with_delimiter(Some(&folder)).await.unwrap();
        (
            answer.unwrap().batch_item_failures.len(),
            kept.objects.len(),
        )
    }

    #[tokio::test]
    async fn what_can_never_be_committed_is_quarantined_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let lake = store::open(folder.path().to_str().unwrap()).unwrap();
        let event = include_str!("../../../events/commit/file-gone.quarantines-one.json");
        assert_eq!(handled(event, &lake).await, (0, 1));
        let event = include_str!("../../../events/commit/wrong-kind.quarantines-one.json");
        assert_eq!(handled(event, &lake).await.0, 0);
    }
}
