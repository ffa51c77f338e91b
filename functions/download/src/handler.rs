//! From a queue's words to downloads, and back.

use swath_core::RunId;
use swath_core::message::{Body, DownloadAsset};
use swath_lambda::measure::Count;
use swath_lambda::{Batch, BatchError, Incoming, Refused, SqsBatchResponse};
use tracing::{info, warn};

use crate::{Context, DownloadError, Fetched, Outcome, download};

/// Downloads the assets of a batch; returns the messages to hand back.
///
/// # Errors
/// When a message has no id.
pub async fn handle(batch: Batch, context: &Context) -> Result<SqsBatchResponse, BatchError> {
    // After its last delivery a message would leave for the dead letters: then a failure is told as a row instead.
    let last = &Context {
        last_try: true,
        ..context.clone()
    };
    let work = |(asked, receives): (Asked, u32)| {
        let context = if receives >= context.max_receives.get() {
            last
        } else {
            context
        };
        download_and_tell(asked, context)
    };
    batch.each_counted(take, work).await
}

/// A message's run and what it asks.
type Asked = (RunId, Box<DownloadAsset>);

fn take(incoming: Incoming, receives: u32) -> Result<(Asked, u32), Refused> {
    let message = incoming.message()?;
    match message.body {
        Body::DownloadAsset(asked) => Ok(((message.run_id, Box::new(asked)), receives)),
        other => Err(Refused::kind(other.kind())),
    }
}

async fn download_and_tell((run_id, asked): Asked, context: &Context) -> Result<(), DownloadError> {
    let fetched = Box::pin(download(&run_id, &asked, context)).await?;
    let Fetched {
        row,
        outcome,
        bytes_fetched,
        warnings,
    } = fetched;
    for warning in warnings {
        warn!(run.id = %run_id, item.id = row.item_id, asset.key = row.asset_name, warning, "odd");
    }
    let settled = match outcome {
        Outcome::Published | Outcome::Adopted | Outcome::Skipped if row.is_out_file_valid => {
            Count::AssetsGood
        }
        Outcome::Failed => Count::AssetsFailed,
        _ => Count::AssetsRefused,
    };
    settled.add(1);
    Count::BytesFetched.add(bytes_fetched);
    info!(
        run.id = %run_id,
        item.id = row.item_id,
        asset.key = row.asset_name,
        asset.outcome = outcome.as_str(),
        asset.size_bytes = row.out_file_sz,
        asset.error = row.error,
        bytes_fetched,
        "asset settled"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use swath_cloud::clock::{Clock as _, testing::FakeClock};
    use swath_cloud::fetch::FetchPolicy;
    use swath_cloud::queue::channel;
    use swath_cloud::retry::Policy;
    use swath_cloud::store;
    use swath_lambda::{Deadline, Invocation, Shell};

    use super::*;

    /// Handles the sample of one asset, delivered so often, with nobody at its href; returns how many messages went back
    /// and how many rows were told.
    async fn delivered(times: &str) -> (usize, usize) {
        let folder = tempfile::tempdir().unwrap();
        let open = |below: &str| store::open(folder.path().join(below).to_str().unwrap()).unwrap();
        let (rows, told) = channel(4);
        let policy = FetchPolicy {
            allow_http: true,
            allow_private_hosts: true,
            retry: Policy::ONCE,
            ..FetchPolicy::default()
        };
        let (lake, out) = (open("lake"), open("out"));
        let context = Context::open(lake.clone(), out, Arc::new(rows), policy, folder.path());
        let context = Context {
            last_try: false,
            max_receives: NonZeroU32::new(8).unwrap(),
            finder: None,
            ..context.await.unwrap()
        };
        let event = include_str!("../../../events/download/one-asset.publishes-it.json")
            .replace("127.0.0.1:4580", "127.0.0.1:9")
            .replace(
                "\"ApproximateReceiveCount\": \"1\"",
                &format!("\"ApproximateReceiveCount\": \"{times}\""),
            );
        let invocation = Invocation {
            request_id: String::new(),
            received: FakeClock::default().now(),
            deadline: Deadline::none(),
        };
        let shell = Arc::new(Shell::new("download", lake));
        let batch = Batch::new(serde_json::from_str(&event).unwrap(), shell, invocation);
        let answer = handle(batch, &context).await.unwrap();
        drop(context);
        let mut rows = 0;
        while told.recv().await.is_some() {
            rows += 1;
        }
        (answer.batch_item_failures.len(), rows)
    }

    #[tokio::test]
    async fn a_spent_failure_is_a_row_after_the_last_delivery_only() {
        assert_eq!(delivered("1").await, (1, 0));
        assert_eq!(delivered("7").await, (1, 0));
        assert_eq!(delivered("8").await, (0, 1));
    }
}
