//! Objects that an event told of: uploads become items, what is deleted takes its items with it.
//!
//! Events come in any order and more than once. What is known of each object is kept beside the place of the last event that
//! was heeded, and written only if nobody wrote meanwhile: whoever comes second looks again.

use serde_json::value::RawValue;
use swath_cloud::runs::{
    Entry, ItemName, LedgerError, Origin, PlannedChunk, known, read_upload, write_upload,
};
use swath_core::intake::Rasters;
use swath_core::message::{Body, WriteItems};
use swath_core::{Class, RunId};
use time::OffsetDateTime;

use crate::Context;
use crate::document::{Document, name_of};
use crate::fetch::{Fetched, fetch};
use crate::gone;
use crate::ingest::{IngestError, keep_collections, keep_rejected, send};
use crate::quarantine::Record;
use crate::raster;

/// What an event says of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether it is deleted; else it was written.
    pub is_deleted: bool,
    /// The object's bucket.
    pub bucket: String,
    /// Its key, decoded.
    pub key: String,
    /// Its size, bytes.
    pub size_bytes: Option<u64>,
    /// Its entity tag, without quotes.
    pub etag: Option<String>,
    /// The event's place among those of its key, spelt so that texts are ordered as places are.
    pub place: Option<String>,
}

/// What came of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heeded {
    /// The object's items are on their way.
    Taken,
    /// Its items are asked to leave.
    Removed,
    /// It is kept in quarantine.
    Rejected,
    /// A later event of the object was heeded before, or it is the marker of a folder.
    Nothing,
    /// There is nothing at the key any more; the event that says so is to come, or was there.
    Gone,
}

/// Heeds an event of an object of the inbox.
///
/// # Errors
/// When the object cannot be had now, or the lake or the queue fails: the event is to come again.
pub async fn heed(event: &Told, context: &Context) -> Result<Heeded, IngestError> {
    let href = format!("s3://{}/{}", event.bucket, event.key);
    if event.key.ends_with('/') {
        return Ok(Heeded::Nothing);
    }
    let failed = |source: LedgerError| IngestError::Upload {
        href: href.clone(),
        source,
    };
    loop {
        let upload = read_upload(&context.lake, &href).await.map_err(failed)?;
        let before = upload.origin.clone();
        if before.as_ref().is_some_and(|before| is_late(event, before)) {
            return Ok(Heeded::Nothing);
        }
        let (mut now, heeded) = if event.is_deleted {
            let now = gone_now(&href, before.as_ref(), context).await;
            (now.map_err(failed)?, Heeded::Removed)
        } else {
            let (heeded, items) = take(&href, event, context).await?;
            if heeded == Heeded::Gone {
                return Ok(heeded);
            }
            let now = Origin {
                href: href.clone(),
                etag: event.etag.clone(),
                items,
                ..Origin::default()
            };
            (now, heeded)
        };
        now.sequencer.clone_from(&event.place);
        let left = left(before.as_ref(), &now);
        remove(&href, &left, context).await?;
        let taken = now.items.clone();
        if write_upload(&context.lake, upload, &now)
            .await
            .map_err(failed)?
        {
            return Ok(heeded);
        }
        // Someone heeded another event of the object meanwhile: if it was a later one that says that the object is gone, what
        // was taken now must go too.
        let other = read_upload(&context.lake, &href)
            .await
            .map_err(failed)?
            .origin;
        if other.is_some_and(|other| other.gone && is_late(event, &other)) {
            remove(&href, &taken, context).await?;
        }
    }
}

/// Says whether an event of the object was heeded that is this one or a later one.
fn is_late(event: &Told, before: &Origin) -> bool {
    let (Some(this), Some(last)) = (&event.place, &before.sequencer) else {
        return false;
    };
    this <= last
}

/// Returns the items that an object no longer holds.
fn left(before: Option<&Origin>, now: &Origin) -> Vec<ItemName> {
    if now.gone {
        return now.items.clone();
    }
    let is_kept = |item: &ItemName| {
        let mut items = now.items.iter();
        items.any(|other| other.id == item.id && other.collection == item.collection)
    };
    let items = before.into_iter().flat_map(|before| before.items.iter());
    items.filter(|item| !is_kept(item)).cloned().collect()
}

/// Returns what is known of an object that is gone: of its upload, or of the runs that took it in.
async fn gone_now(
    href: &str,
    before: Option<&Origin>,
    context: &Context,
) -> Result<Origin, LedgerError> {
    let origin = Origin {
        href: href.to_owned(),
        gone: true,
        ..Origin::default()
    };
    if let Some(before) = before {
        let (etag, items) = (before.etag.clone(), before.items.clone());
        return Ok(Origin {
            etag,
            items,
            ..origin
        });
    }
    let place = PlannedChunk {
        at: String::new(),
        entries: 1,
        first: href.to_owned(),
        last: href.to_owned(),
    };
    let books = known(&context.lake).await?.of(&place);
    let entry = Entry::gone(href.to_owned(), OffsetDateTime::UNIX_EPOCH);
    let found = gone::find(&context.lake, &books, vec![entry]).await?;
    let mut items: Vec<ItemName> = found
        .origins
        .into_iter()
        .flat_map(|origin| origin.items)
        .collect();
    items.sort_unstable();
    items.dedup();
    Ok(Origin { items, ..origin })
}

async fn remove(href: &str, items: &[ItemName], context: &Context) -> Result<(), IngestError> {
    // As of what they were: a later version that another upload brought stays.
    let items = items
        .iter()
        .map(|item| gone::removed(item, OffsetDateTime::UNIX_EPOCH));
    let items: Vec<_> = items.collect();
    let bodies = gone::bodies(href, "its object was deleted or holds it no more", &items);
    send(context, &run_of(href), bodies).await
}

/// Uploads are part of no run; the name is for logs.
fn run_of(href: &str) -> RunId {
    RunId::derive(&[b"upload", href.as_bytes()])
}

/// Fetches an upload and hands its items on; returns their names.
async fn take(
    href: &str,
    event: &Told,
    context: &Context,
) -> Result<(Heeded, Vec<ItemName>), IngestError> {
    let base = format!("s3://{}/rasters/", event.bucket);
    let rasters = raster::Context::new(base, &Rasters::default());
    let failure = match fetch(&context.sources, href, &rasters).await {
        Fetched::Gone => return Ok((Heeded::Gone, Vec::new())),
        Fetched::Failed(failure) => failure,
        Fetched::Inline(item) => return hand_on(href, vec![item], context).await,
        Fetched::Document(Document::Items(items)) => return hand_on(href, items, context).await,
        Fetched::Document(Document::Other) => return Ok((Heeded::Taken, Vec::new())),
        Fetched::Document(Document::Collections(collections)) => {
            match keep_collections(context, collections).await?.pop() {
                Some(failure) => failure,
                None => return Ok((Heeded::Taken, Vec::new())),
            }
        }
    };
    if failure.class != Class::Invalid {
        return Err(IngestError::Fetch {
            href: href.to_owned(),
            class: failure.class,
            reason: failure.reason,
        });
    }
    let entry = Entry::object(href.to_owned(), event.etag.clone(), event.size_bytes);
    let record = Record::new(
        &run_of(href),
        &format!("s3://{}", event.bucket),
        entry,
        failure,
    );
    keep_rejected(context, record).await?;
    Ok((Heeded::Rejected, Vec::new()))
}

/// Hands items on, in messages of the usual size.
pub(crate) async fn hand_on(
    href: &str,
    items: Vec<Box<RawValue>>,
    context: &Context,
) -> Result<(Heeded, Vec<ItemName>), IngestError> {
    let names = items.iter().filter_map(|item| name_of(item)).collect();
    let mut bodies = Vec::new();
    let (mut together, mut bytes) = (Vec::new(), 0);
    let body = |items| {
        Body::WriteItems(WriteItems {
            source: href.to_owned(),
            items,
        })
    };
    for item in items {
        bytes += item.get().len();
        together.push(item);
        if bytes >= context.message_bytes {
            bodies.push(body(std::mem::take(&mut together)));
            bytes = 0;
        }
    }
    if !together.is_empty() {
        bodies.push(body(together));
    }
    send(context, &run_of(href), bodies).await?;
    Ok((Heeded::Taken, names))
}

#[cfg(test)]
mod tests;
