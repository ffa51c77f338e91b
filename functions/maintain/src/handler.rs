//! From a schedule's or somebody's words to what is done.

use swath_core::RunId;
use swath_core::message::Body;
use swath_core::upkeep::{MaintainLake, MaintainStep};
use swath_lambda::{Batch, BatchError, Incoming, Refused, SqsBatchResponse};
use tracing::info;

use crate::{Context, MaintainError, Terms, maintain, steps};

/// Does what the messages of a batch ask for; returns the messages to hand back.
///
/// # Errors
/// When a message has no id.
pub async fn handle(batch: Batch, context: &Context) -> Result<SqsBatchResponse, BatchError> {
    let time_left = batch.time_left();
    let terms = Terms {
        clock: context.clock.as_ref(),
        may_go_on: &time_left,
    };
    let work = |(run_id, asked)| maintain_and_tell(run_id, asked, context, terms);
    batch.each(take, work).await
}

fn take(incoming: Incoming) -> Result<(RunId, MaintainLake), Refused> {
    let message = incoming.message()?;
    match message.body {
        Body::MaintainLake(asked) => Ok((message.run_id, asked)),
        other => Err(Refused::kind(other.kind())),
    }
}

async fn maintain_and_tell(
    run_id: RunId,
    mut asked: MaintainLake,
    context: &Context,
    terms: Terms<'_>,
) -> Result<(), MaintainError> {
    let tell = |figures: &serde_json::Value| info!(run.id = %run_id, %figures, "maintained");
    if context.publish_db {
        asked.steps = steps(&asked.steps, &[MaintainStep::Database]);
    }
    maintain(&context.lake, &asked, terms, tell).await
}
