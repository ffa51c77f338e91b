//! From a queue's words to items, and back.

use serde_json::value::RawValue;
use swath_cloud::runs::Entry;
use swath_core::intake::IngestChunk;
use swath_core::message::Body;
use swath_core::{RunId, digest_hex};
use swath_lambda::{Batch, BatchError, Change, Incoming, ObjectEvent, Refused, SqsBatchResponse};
use tracing::info;

use crate::ingest::{keep_collections, keep_rejected};
use crate::quarantine::Record;
use crate::upload::{Told, hand_on, heed};
use crate::{Context, IngestError, document, ingest};

/// Takes in the chunks that a batch names, the objects that its events tell of, and the items that lie in it themselves;
/// returns the messages to hand back.
///
/// # Errors
/// When a message has no id.
pub async fn handle(batch: Batch, context: &Context) -> Result<SqsBatchResponse, BatchError> {
    batch.each(take, |asked| work(asked, context)).await
}

enum Asked {
    Chunk(RunId, Box<IngestChunk>),
    Objects(Vec<ObjectEvent>),
    Document(Box<RawValue>),
}

fn take(incoming: Incoming) -> Result<Asked, Refused> {
    let message = match incoming {
        Incoming::Objects(objects) => return Ok(Asked::Objects(objects)),
        Incoming::Document(document) => return Ok(Asked::Document(document)),
        other => other.message()?,
    };
    match message.body {
        Body::IngestChunk(chunk) => Ok(Asked::Chunk(message.run_id, Box::new(chunk))),
        other => Err(Refused::kind(other.kind())),
    }
}

async fn work(asked: Asked, context: &Context) -> Result<(), IngestError> {
    match asked {
        Asked::Chunk(run_id, chunk) => take_chunk(&run_id, &chunk, context).await,
        Asked::Objects(events) => {
            for told in events.into_iter().filter_map(told) {
                let heeded = Box::pin(heed(&told, context)).await?;
                info!(object.key = told.key, ?heeded, "event heeded");
            }
            Ok(())
        }
        Asked::Document(text) => take_document(&text, context).await,
    }
}

/// Takes what an event says, if it is of an object's content.
fn told(event: ObjectEvent) -> Option<Told> {
    let is_deleted = match event.change {
        Change::Created => false,
        Change::Removed => true,
        _ => return None,
    };
    Some(Told {
        is_deleted,
        bucket: event.bucket,
        key: event.key,
        size_bytes: event.size_bytes,
        etag: event.etag,
        place: event.sequencer.map(|place| place.to_string()),
    })
}

async fn take_chunk(
    run_id: &RunId,
    chunk: &IngestChunk,
    context: &Context,
) -> Result<(), IngestError> {
    let done = Box::pin(ingest(run_id, chunk, context)).await?;
    let receipt = &done.receipt;
    info!(
        run.id = %run_id,
        chunk = chunk.chunk,
        chunk.items = receipt.items,
        chunk.known = receipt.known,
        chunk.rejected = receipt.rejected,
        chunk.gone = receipt.gone.len(),
        chunk.removed = receipt.removed,
        chunk.pending = receipt.pending.len(),
        run.complete = done.run_complete,
        "chunk taken in"
    );
    Ok(())
}

/// Takes items that came in the message itself; `write` says what is wrong with those that are none.
async fn take_document(text: &RawValue, context: &Context) -> Result<(), IngestError> {
    let place = format!("message:{}", digest_hex(&[text.get().as_bytes()], 16));
    match document::read(text.get().as_bytes()) {
        Ok(document::Document::Items(items)) => {
            hand_on(&place, items, context).await?;
        }
        Ok(document::Document::Collections(collections)) => {
            for failure in keep_collections(context, collections).await? {
                let entry = Entry::object(place.clone(), None, None);
                let run_id = RunId::derive(&[b"upload", place.as_bytes()]);
                let record = Record::new(&run_id, "message", entry, failure);
                keep_rejected(context, record).await?;
            }
        }
        // Only documents of the kinds above come here.
        Ok(document::Document::Other) | Err(_) => {}
    }
    Ok(())
}
