//! From a schedule's or somebody's words to downloads.

use swath_core::RunId;
use swath_core::message::{Body, RepairAssets};
use swath_lambda::{Batch, BatchError, Incoming, Refused, SqsBatchResponse};
use tracing::info;

use crate::{Context, RepairError, repair};

/// Repairs what the messages of a batch choose; returns the messages to hand back.
///
/// # Errors
/// When a message has no id.
pub async fn handle(batch: Batch, context: &Context) -> Result<SqsBatchResponse, BatchError> {
    let work = |(run_id, asked)| repair_and_tell(run_id, asked, context);
    batch.each(take, work).await
}

fn take(incoming: Incoming) -> Result<(RunId, RepairAssets), Refused> {
    let message = incoming.message()?;
    match message.body {
        Body::RepairAssets(asked) => Ok((message.run_id, asked)),
        other => Err(Refused::kind(other.kind())),
    }
}

async fn repair_and_tell(
    run_id: RunId,
    asked: RepairAssets,
    context: &Context,
) -> Result<(), RepairError> {
    let found = repair(&run_id, &asked, context).await?;
    info!(
        run.id = %run_id,
        repair.assets = found.assets,
        repair.matching = found.matching,
        repair.gone = found.gone,
        repair.changed = found.changed,
        repair.unknown_files = found.unknown_files.len(),
        repair.asked_again = found.asked_again,
        "asked again"
    );
    Ok(())
}
