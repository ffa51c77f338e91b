//! One chunk: fetched, handed on, noted; the run's last one also sees to the merges.

use std::collections::HashSet;

use serde_json::value::RawValue;
use swath_cloud::collections;
use swath_cloud::queue::QueueError;
use swath_cloud::runs::{
    Entry, GONE, ItemName, Ledger, LedgerError, Mark, Origin, Pending, Receipt, SettleError, mark,
    read_chunk, read_marks,
};
use swath_cloud::store::StoreError;
use swath_core::intake::{IngestChunk, StageItems};
use swath_core::message::{Body, Message, WriteItems};
use swath_core::{Class, Classify, RunId, redact_text};

use crate::Context;
use crate::document::{Document, name_of, of_inline};
use crate::fetch::{Failure, Fetched, Fetching};
use crate::gone;
use crate::quarantine::Record;
use crate::raster;

/// Forbidden objects, if they are the most, after which all the others are thought to be so too.
const FORBIDDEN: u64 = 25;

/// What came of one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// Its receipt.
    pub receipt: Receipt,
    /// Items that were handed on now: none when it had been done before.
    pub items: u64,
    /// Whether it was the run's last one.
    pub run_complete: bool,
}

/// A chunk that is not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The run's books fail.
    #[error("chunk {chunk} of run {run_id} cannot be kept")]
    Ledger {
        /// The run.
        run_id: RunId,
        /// The chunk.
        chunk: u32,
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// Nothing of the source may be read.
    #[error(
        "{forbidden} of {tried} objects of {from} are forbidden, the last one {href}: {reason}"
    )]
    Forbidden {
        /// The source.
        from: String,
        /// Objects that are forbidden.
        forbidden: u64,
        /// Objects that were asked for.
        tried: u64,
        /// One of them.
        href: String,
        /// What was said.
        reason: String,
    },
    /// Items are not known to be on their way.
    #[error("items are not handed on")]
    Send(#[source] QueueError),
    /// Whether the run is complete is not known.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// A rejected object or a collection cannot be kept.
    #[error("{what} cannot be kept")]
    Keep {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// What is known of an upload cannot be read or noted.
    #[error("{href}: what is known of it cannot be read or noted")]
    Upload {
        /// The object.
        href: String,
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// An object that was told of cannot be had now.
    #[error("{href} cannot be had: {reason}")]
    Fetch {
        /// The object.
        href: String,
        /// Whether waiting helps.
        class: Class,
        /// Why.
        reason: String,
    },
}

impl Classify for IngestError {
    fn class(&self) -> Class {
        match self {
            Self::Ledger { source, .. } | Self::Upload { source, .. } => source.class(),
            Self::Forbidden { .. } => Class::Denied,
            Self::Send(error) => error.class(),
            Self::Settle(error) => error.class(),
            Self::Keep { source, .. } => match source.class() {
                // Paths are ours.
                Class::Invalid => Class::Bug,
                class => class,
            },
            Self::Fetch { class, .. } => *class,
        }
    }
}

/// Takes in one chunk of a run: fetches what is not known, hands the items on, keeps what can never become one, and writes
/// the receipt. The chunk that completes a bulk run asks for its merges.
///
/// To do a chunk again does no harm: one that has its receipt is only asked whether its run is complete.
///
/// # Errors
/// When the lake or the queue fails, or everything is forbidden; the chunk has no receipt then, and is done again.
pub async fn ingest(
    run_id: &RunId,
    chunk: &IngestChunk,
    context: &Context,
) -> Result<Ingested, IngestError> {
    let ledger = Ledger::new(context.lake.clone(), run_id.clone());
    let failed = failed(run_id, chunk.chunk);
    let before = ledger.receipt(chunk.chunk).await.map_err(&failed)?;
    let (receipt, items) = match before {
        Some(done) if !chunk.again => (done, 0),
        // What was pending of a chunk is added to its receipt.
        before => {
            let before = before.unwrap_or_default();
            let had = before.items;
            let receipt = work(run_id, chunk, before, context).await?;
            let items = receipt.items - had;
            (receipt, items)
        }
    };
    let run_complete = ledger.settle(context.write.as_ref()).await?;
    Ok(Ingested {
        receipt,
        items,
        run_complete,
    })
}

/// Does a chunk and writes its receipt.
async fn work(
    run_id: &RunId,
    chunk: &IngestChunk,
    mut receipt: Receipt,
    context: &Context,
) -> Result<Receipt, IngestError> {
    let failed = failed(run_id, chunk.chunk);
    receipt.pending.clear();
    let entries = read_chunk(&context.lake, &chunk.at).await;
    let mut work = Work {
        run_id,
        chunk,
        context,
        receipt,
        origins: Vec::new(),
        items: Vec::new(),
        bytes: 0,
        tried: 0,
        forbidden: 0,
    };
    let is_gone = |entry: &Entry| entry.gone.is_some();
    let (gone, entries) = entries
        .map_err(&failed)?
        .into_iter()
        .partition::<Vec<_>, _>(is_gone);
    work.remove(gone).await?;
    let entries = work.unknown(entries).await.map_err(&failed)?;
    work.fetch(entries).await?;
    let Work {
        mut receipt,
        origins,
        ..
    } = work;
    let ledger = Ledger::new(context.lake.clone(), run_id.clone());
    let put = ledger.put_receipt(chunk.chunk, &mut receipt, origins).await;
    put.map_err(&failed)?;
    Ok(receipt)
}

fn failed(run_id: &RunId, chunk: u32) -> impl Fn(LedgerError) -> IngestError {
    move |source| IngestError::Ledger {
        run_id: run_id.clone(),
        chunk,
        source,
    }
}

pub(crate) async fn send(
    context: &Context,
    run_id: &RunId,
    bodies: Vec<Body>,
) -> Result<(), IngestError> {
    if bodies.is_empty() {
        return Ok(());
    }
    let message = |body| Message {
        run_id: run_id.clone(),
        body,
    };
    let messages = bodies.into_iter().map(message).collect();
    context
        .write
        .send(messages)
        .await
        .map_err(IngestError::Send)
}

/// One chunk under way.
struct Work<'a> {
    run_id: &'a RunId,
    chunk: &'a IngestChunk,
    context: &'a Context,
    receipt: Receipt,
    /// What was taken in, and what is gone.
    origins: Vec<Origin>,
    /// Items of the next message.
    items: Vec<Box<RawValue>>,
    bytes: usize,
    tried: u64,
    forbidden: u64,
}

impl Work<'_> {
    /// Leaves out what was taken in before and is as it was then.
    async fn unknown(&mut self, entries: Vec<Entry>) -> Result<Vec<Entry>, LedgerError> {
        if self.chunk.known.is_empty() {
            return Ok(entries);
        }
        let mark_of = |entry: &Entry| mark(&entry.href, entry.etag.as_deref());
        let asked: HashSet<Mark> = entries.iter().filter_map(mark_of).collect();
        let mut known = HashSet::new();
        for at in &self.chunk.known {
            let marks = read_marks(&self.context.lake, at).await?;
            let marks = marks.into_iter().filter(|mark| asked.contains(mark));
            // In the order of the runs: what was gone may have come back.
            if at.ends_with(GONE) {
                marks.for_each(|mark| _ = known.remove(&mark));
            } else {
                known.extend(marks);
            }
        }
        let count = entries.len();
        let is_new = |entry: &Entry| mark_of(entry).is_none_or(|mark| !known.contains(&mark));
        let entries: Vec<Entry> = entries.into_iter().filter(is_new).collect();
        self.receipt.known += (count - entries.len()) as u64;
        Ok(entries)
    }

    /// Asks for the items of objects that are gone to leave the catalog.
    async fn remove(&mut self, entries: Vec<Entry>) -> Result<(), IngestError> {
        if entries.is_empty() {
            return Ok(());
        }
        let found = gone::find(&self.context.lake, &self.chunk.known, entries).await;
        let found = found.map_err(failed(self.run_id, self.chunk.chunk))?;
        self.receipt.removed += found.items.len() as u64;
        self.origins.extend(found.origins);
        let bodies = gone::bodies(&self.chunk.source, "its object is gone", &found.items);
        send(self.context, self.run_id, bodies).await
    }

    async fn fetch(&mut self, entries: Vec<Entry>) -> Result<(), IngestError> {
        let sources = self.context.sources.clone();
        // Sources that are no folder or prefix have no common beginning: their rasters are named by themselves.
        let base = sources.below(&self.chunk.source).unwrap_or_default();
        let from = (sources, raster::Context::new(base, &self.chunk.rasters));
        let mut fetching = Fetching::new(from, entries, self.context.fetches);
        while let Some((entry, fetched)) = fetching.next().await {
            self.tried += 1;
            match fetched {
                Fetched::Document(document) => {
                    let items = self.take(&entry.href, document).await?;
                    self.origins.push(Origin {
                        href: entry.href,
                        etag: entry.etag,
                        items,
                        ..Origin::default()
                    });
                }
                // What came by itself has no object that could be gone.
                Fetched::Inline(item) => {
                    self.take(&entry.href, of_inline(item)).await?;
                }
                Fetched::Gone => self.receipt.gone.push(entry.href),
                Fetched::Failed(failure) => self.fail(entry, failure).await?,
            }
        }
        self.send_items().await
    }

    /// Takes a document; returns the names of its items.
    async fn take(&mut self, href: &str, document: Document) -> Result<Vec<ItemName>, IngestError> {
        let items = match document {
            Document::Items(items) => items,
            Document::Collections(collections) => {
                self.receipt.others += collections.len() as u64;
                for failure in keep_collections(self.context, collections).await? {
                    self.receipt.others -= 1;
                    let entry = Entry::object(href.to_owned(), None, None);
                    self.reject(entry, failure).await?;
                }
                return Ok(Vec::new());
            }
            Document::Other => {
                self.receipt.others += 1;
                return Ok(Vec::new());
            }
        };
        let names = items.iter().filter_map(|item| name_of(item)).collect();
        for item in items {
            self.receipt.items += 1;
            self.bytes += item.get().len();
            self.items.push(item);
            if self.bytes >= self.context.message_bytes {
                self.send_items().await?;
            }
        }
        Ok(names)
    }

    async fn send_items(&mut self) -> Result<(), IngestError> {
        if self.items.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let items = WriteItems {
            source: self.chunk.source.clone(),
            items: std::mem::take(&mut self.items),
        };
        let body = if self.chunk.bulk {
            let part = self.receipt.parts;
            self.receipt.parts += 1;
            Body::StageItems(StageItems {
                chunk: self.chunk.chunk,
                part,
                items,
            })
        } else {
            Body::WriteItems(items)
        };
        send(self.context, self.run_id, vec![body]).await
    }

    async fn fail(&mut self, entry: Entry, failure: Failure) -> Result<(), IngestError> {
        if failure.class == Class::Denied {
            self.forbidden += 1;
            if self.forbidden >= FORBIDDEN && self.forbidden * 2 > self.tried {
                return Err(IngestError::Forbidden {
                    from: self.chunk.source.clone(),
                    forbidden: self.forbidden,
                    tried: self.tried,
                    href: entry.href,
                    reason: failure.reason,
                });
            }
        }
        if failure.class != Class::Invalid {
            self.receipt.pending.push(Pending {
                href: entry.href,
                etag: entry.etag,
                code: failure.code,
                reason: failure.reason,
            });
            return Ok(());
        }
        self.reject(entry, failure).await
    }

    async fn reject(&mut self, entry: Entry, failure: Failure) -> Result<(), IngestError> {
        self.receipt.rejected += 1;
        let record = Record::new(self.run_id, &self.chunk.source, entry, failure);
        keep_rejected(self.context, record).await
    }
}

/// Keeps collections; returns why those that are none cannot be kept.
pub(crate) async fn keep_collections(
    context: &Context,
    collections: Vec<Box<RawValue>>,
) -> Result<Vec<Failure>, IngestError> {
    let mut none = Vec::new();
    for collection in collections {
        let kept = collections::keep(&context.lake, &collection).await;
        let id = kept.map_err(|source| IngestError::Keep {
            what: "a collection",
            source,
        })?;
        match id {
            Some(id) => tracing::info!(collection.id = id, "collection kept"),
            None => none.push(Failure {
                class: Class::Invalid,
                code: "no_id".to_owned(),
                reason: "a collection without an id".to_owned(),
                bytes: Some(collection.get().to_owned().into()),
            }),
        }
    }
    Ok(none)
}

/// Keeps an object that can never become an item.
pub(crate) async fn keep_rejected(context: &Context, record: Record) -> Result<(), IngestError> {
    tracing::warn!(
        href = %redact_text(&record.href),
        code = record.code,
        reason = record.reason,
        "object rejected"
    );
    let kept = record.keep(&context.lake).await;
    kept.map_err(|source| IngestError::Keep {
        what: "a rejected object",
        source,
    })
}
