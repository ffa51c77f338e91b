//! From a queue's words to items, and back.

use swath_core::RunId;
use swath_core::intake::IngestChunk;
use swath_core::message::Body;
use swath_lambda::{Batch, BatchError, Incoming, Refused, SqsBatchResponse};
use tracing::info;

use crate::{Context, IngestError, ingest};

/// Takes in the chunks that a batch names; returns the messages to hand back.
///
/// # Errors
/// When a message has no id.
pub async fn handle(batch: Batch, context: &Context) -> Result<SqsBatchResponse, BatchError> {
    batch.each(take, |asked| work(asked, context)).await
}

fn take(incoming: Incoming) -> Result<(RunId, IngestChunk), Refused> {
    let message = incoming.message()?;
    match message.body {
        Body::IngestChunk(chunk) => Ok((message.run_id, chunk)),
        other => Err(Refused::kind(other.kind())),
    }
}

async fn work((run_id, chunk): (RunId, IngestChunk), context: &Context) -> Result<(), IngestError> {
    let done = Box::pin(ingest(&run_id, &chunk, context)).await?;
    let receipt = &done.receipt;
    info!(
        run.id = %run_id,
        chunk = chunk.chunk,
        chunk.items = receipt.items,
        chunk.known = receipt.known,
        chunk.rejected = receipt.rejected,
        chunk.gone = receipt.gone.len(),
        chunk.pending = receipt.pending.len(),
        run.complete = done.run_complete,
        "chunk taken in"
    );
    Ok(())
}
