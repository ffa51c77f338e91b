//! A source becomes the chunks of a run.

use std::collections::BTreeSet;
use std::io;

use serde::Serialize;
use swath_cloud::http::HttpError;
use swath_cloud::keys::{self, Change, KeysError, Sorted, Sorter};
use swath_cloud::queue::QueueError;
use swath_cloud::runs::{
    Chunker, Entry, Journal, Ledger, LedgerError, Plan, PlannedChunk, Receipt, Spans, known, runs,
};
use swath_cloud::sources::SourceError;
use swath_cloud::stac::StacError;
use swath_core::intake::{IngestChunk, ListSource, Mode};
use swath_core::message::{Body, Message};
use swath_core::{Class, Classify, RunId, redact_url};
use swath_table::input::InputError;
use time::OffsetDateTime;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;
use url::Url;

use crate::Context;
use crate::filter::{Filter, GlobError};
use crate::inventory::InventoryError;
use crate::out::{Out, Seen};
use crate::source::{Reading, Source, is_later};

/// Batches of entries between a source and the chunks.
const BATCHES: usize = 4;
/// Bytes of a list that are sorted in memory; what is more goes to disk.
const SORTED: usize = 64 << 20;
/// Messages that are sent together.
const MESSAGES: usize = 100;

/// What came of listing a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The run.
    pub run_id: RunId,
    /// Its plan: a new one, or that of a run which is gone on with.
    pub plan: Plan,
    /// Whether the run had been planned before.
    pub was_planned: bool,
    /// Chunks that were asked for, those with what was pending among them.
    pub sent: u64,
}

/// What a source holds, counted without a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scanned {
    /// Objects or items that the source names.
    pub listed: u64,
    /// Those that would be taken.
    pub taken: u64,
    /// Their bytes, as far as the source says.
    pub bytes: u64,
}

/// A source that cannot be listed, or chunks that are not all on their way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The source or a part of it cannot be read.
    #[error("{at}: cannot be listed")]
    Source {
        /// What.
        at: String,
        /// Why.
        #[source]
        source: Box<SourceError>,
    },
    /// A file of the source cannot be read to its end.
    #[error("{at}: cannot be read")]
    Read {
        /// The file.
        at: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The source holds no items.
    #[error("{at}: no source of items")]
    Input {
        /// The file.
        at: String,
        /// Why.
        #[source]
        source: Box<InputError>,
    },
    /// A line is no address.
    #[error("{at}: line {line}: {reason}")]
    Line {
        /// The file.
        at: String,
        /// From 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A document of a catalog is none.
    #[error("{at}: no catalog")]
    NotJson {
        /// The document.
        at: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A catalog without an end.
    #[error(
        "{at}: the catalog has more than {catalogs} catalogs below it, or one below {depth} others"
    )]
    Endless {
        /// Where it was given up.
        at: String,
        /// Catalogs read at most.
        catalogs: usize,
        /// Links followed at most.
        depth: u32,
    },
    /// An inventory is not what it should be.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// A glob is none.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// The API's search failed.
    #[error("the API cannot be mirrored")]
    Api(#[source] Box<StacError>),
    /// The API's pages ended before the last of them.
    #[error("{at}: the listing ended early: {reason}")]
    Stopped {
        /// The API.
        at: String,
        /// Why.
        reason: String,
    },
    /// Something that has no address of its own, and so cannot be compared.
    #[error("{at}: holds items themselves; only lists of objects can be compared")]
    NoObjects {
        /// The source.
        at: String,
    },
    /// Two lists cannot be compared.
    #[error("two lists of objects cannot be compared")]
    Compare(#[from] KeysError),
    /// Nothing was listed: that everything is gone is less likely than that the list is wrong.
    #[error("{at}: nothing was listed; say what the list is complete for if that is so")]
    NothingListed {
        /// The source.
        at: String,
    },
    /// Nothing was listed that could replace what the catalog holds.
    #[error("{at}: nothing was listed, and a full run of nothing would empty the catalog")]
    EmptyFull {
        /// The source.
        at: String,
    },
    /// A place for the chunks' lists that functions have no rights to.
    #[error(
        "{prefix}: functions stage a run's lists below {below} alone; `swath ingest` stages them anywhere"
    )]
    Staging {
        /// The place that was asked for.
        prefix: String,
        /// Where their rights begin.
        below: &'static str,
    },
    /// No HTTP client.
    #[error("no HTTP client")]
    Http(#[source] Box<HttpError>),
    /// The run's books fail.
    #[error("the run cannot be planned")]
    Ledger(#[from] LedgerError),
    /// Chunks are not known to be on their way.
    #[error("the run's chunks are not asked for")]
    Send(#[from] QueueError),
    /// A thread ended of itself.
    #[error("a thread ended before its work was done")]
    Ended,
}

impl ListError {
    pub(crate) fn source(at: &str) -> impl Fn(SourceError) -> Self {
        let at = Url::parse(at).map_or_else(|_| at.to_owned(), |url| redact_url(&url));
        move |source| Self::Source {
            at: at.clone(),
            source: Box::new(source),
        }
    }
}

pub(crate) fn read_failed(at: &str) -> impl Fn(io::Error) -> ListError {
    let at = at.to_owned();
    move |source| ListError::Read {
        at: at.clone(),
        source,
    }
}

impl Classify for ListError {
    fn class(&self) -> Class {
        match self {
            Self::Source { source, .. } => source.class(),
            Self::Inventory(error) => error.class(),
            Self::Api(error) => error.class(),
            Self::Http(error) => error.class(),
            Self::Ledger(error) => error.class(),
            Self::Send(error) => error.class(),
            Self::Compare(error) => error.class(),
            Self::Ended => Class::Bug,
            Self::Read { .. }
            | Self::Input { .. }
            | Self::Line { .. }
            | Self::NotJson { .. }
            | Self::Endless { .. }
            | Self::EmptyFull { .. }
            | Self::NoObjects { .. }
            | Self::NothingListed { .. }
            | Self::Staging { .. }
            | Self::Glob(_) => Class::Invalid,
            Self::Stopped { .. } => Class::Transient,
        }
    }
}

/// Lists a source to its end, writes the run's plan, and asks `ingest` for each chunk that is not done.
///
/// The run's id is made of what was listed and of the intake: the same again goes on with the same run, and anything else is a
/// run of its own. Nothing is asked for, and nothing stays, when the source turns out to be broken on its last byte.
///
/// # Errors
/// When the source cannot be listed to its end, or the lake or the queue fails.
pub async fn list(ask: &ListSource, context: &Context) -> Result<Planned, ListError> {
    let cursor = cursor(ask, context).await?;
    let mut chunker = Chunker::new(context.lake.clone(), ask.intake.chunk_size);
    if let Some(prefix) = &ask.staging_prefix {
        chunker = chunker.below(&format!("{}/chunks", prefix.trim_end_matches('/')));
    }
    let listed = match fill(ask, cursor.clone(), context, &mut chunker).await {
        Ok(listed) => listed,
        Err(error) => {
            chunker.abandon().await;
            return Err(error);
        }
    };
    let taken = chunker.taken();
    if taken == 0 && ask.intake.mode == Mode::Full {
        return Err(ListError::EmptyFull {
            at: ask.source.clone(),
        });
    }
    let (chunks, digest) = chunker.finish().await?;
    let run_id = ask.intake.run_id(digest.as_bytes());
    let ledger = Ledger::new(context.lake.clone(), run_id.clone());
    let before = ledger.plan().await?;
    let was_planned = before.is_some();
    let plan = if let Some(plan) = before {
        plan
    } else {
        let plan = Plan {
            run_id: run_id.clone(),
            source: ask.source.clone(),
            intake: ask.intake.clone(),
            listed: listed.listed,
            taken,
            chunks,
            planned: context.clock.now(),
            cursor: listed.cursor.or(cursor),
        };
        ledger.put_plan(&plan).await?;
        plan
    };
    // From here on the plan says what was listed; the next time it is listed anew.
    journal(ask, context).await?.forget().await?;
    let sent = send_chunks(&ledger, &plan, ask, context).await?;
    if plan.chunks.is_empty() && !ledger.is_done().await? {
        ledger.put_done().await?;
    }
    Ok(Planned {
        run_id,
        plan,
        was_planned,
        sent,
    })
}

/// Lists a source to its end, and only counts.
///
/// # Errors
/// As [`list`].
pub async fn scan(ask: &ListSource, context: &Context) -> Result<Scanned, ListError> {
    let Some(old) = &ask.against else {
        let cursor = cursor(ask, context).await?;
        let source = Source::find(&ask.source, &context.sources).await?;
        let out = Out::counting(ask.intake.limit);
        let asked = (&ask.intake, cursor);
        let seen = source.run(asked, (&context.sources, None), out).await?;
        return Ok(Scanned {
            listed: seen.listed,
            taken: seen.taken,
            bytes: seen.bytes,
        });
    };
    let (listed, changes) = changes(ask, old, context).await?;
    let mut scanned = Scanned {
        listed,
        ..Scanned::default()
    };
    for change in changes {
        if let Some(entry) = change_entry(change?) {
            scanned.taken += 1;
            scanned.bytes += entry.size.unwrap_or(0);
        }
    }
    Ok(scanned)
}

/// Lists a source to its end and hands each object or item that is asked for to `take`; returns how many there are in all.
///
/// # Errors
/// As [`list`], or when `take` fails.
pub async fn each(
    ask: &ListSource,
    context: &Context,
    mut take: impl FnMut(Entry) -> Result<(), ListError>,
) -> Result<u64, ListError> {
    let cursor = cursor(ask, context).await?;
    let (mut entries, running) = begin(ask, (cursor, None), context).await?;
    while let Some(batch) = entries.recv().await {
        for entry in batch {
            take(entry)?;
        }
    }
    Ok(running.end().await?.listed)
}

/// A list of objects in the order of their addresses.
#[derive(Debug)]
pub struct SortedList {
    /// Objects that the source names, those left out among them.
    pub listed: u64,
    /// Those that are asked for.
    pub objects: Sorted<keys::Entry>,
    /// What all of their addresses begin with, up to a slash: of a folder or prefix, itself; `None` of an inventory of
    /// nothing.
    pub common: Option<String>,
    /// What is asked for.
    pub filter: Filter,
}

/// Lists a source of objects in the order of their addresses, with bounded memory.
///
/// # Errors
/// As [`list`], and when it holds items themselves.
pub async fn sorted(ask: &ListSource, context: &Context) -> Result<SortedList, ListError> {
    let source = Source::find(&ask.source, &context.sources).await?;
    let filter = Filter::new(&ask.intake, source.usual())?;
    let whole = source.prefix(&context.sources)?;
    let mut sorter = Sorter::new(SORTED);
    let mut ends: Option<(String, String)> = None;
    let put = |entry: Entry| {
        if !entry.is_object() {
            let at = ask.source.clone();
            return Err(ListError::NoObjects { at });
        }
        match &mut ends {
            Some((first, _)) if entry.href < *first => first.clone_from(&entry.href),
            Some((_, last)) if entry.href > *last => last.clone_from(&entry.href),
            Some(_) => {}
            None => ends = Some((entry.href.clone(), entry.href.clone())),
        }
        Ok(sorter.push(keys::Entry {
            key: entry.href,
            last_modified: None,
            etag: entry.etag,
            size: entry.size,
        })?)
    };
    let listed = each(ask, context, put).await?;
    let common = ends.map(|(first, last)| {
        let same = first.bytes().zip(last.bytes());
        let same = same.take_while(|(one, other)| one == other).count();
        let end = first.get(..same).unwrap_or_default().rfind('/');
        first
            .get(..end.map_or(0, |end| end + 1))
            .unwrap_or_default()
            .to_owned()
    });
    Ok(SortedList {
        listed,
        objects: sorter.finish()?,
        common: whole.or(common),
        filter,
    })
}

type Changes = keys::Diff<Sorted<keys::Entry>, Sorted<keys::Entry>>;

/// Compares a source with an earlier list of the same objects.
async fn changes(
    ask: &ListSource,
    old: &str,
    context: &Context,
) -> Result<(u64, Changes), ListError> {
    let before = ListSource {
        source: old.to_owned(),
        ..ask.clone()
    };
    let old = sorted(&before, context).await?.objects;
    let new = sorted(ask, context).await?;
    Ok((new.listed, keys::diff(old, new.objects)))
}

fn change_entry(change: Change) -> Option<Entry> {
    match change {
        Change::New(now) | Change::Changed { new: now, .. } => {
            Some(Entry::object(now.key, now.etag, now.size))
        }
        // Versions leave that came from the object, not later ones that may have come from elsewhere.
        Change::Deleted(old) => Some(Entry::gone(old.key, OffsetDateTime::UNIX_EPOCH)),
        Change::Same(_) => None,
    }
}

/// A listing under way; it ends when this is dropped.
struct Running(JoinSet<Result<Seen, ListError>>);

impl Running {
    async fn end(mut self) -> Result<Seen, ListError> {
        let ended = self.0.join_next().await.ok_or(ListError::Ended)?;
        ended.map_err(|_| ListError::Ended)?
    }
}

async fn begin(
    ask: &ListSource,
    (cursor, mut journal): (Option<String>, Option<Journal<Reading>>),
    context: &Context,
) -> Result<(Receiver<Vec<Entry>>, Running), ListError> {
    let source = Source::find(&ask.source, &context.sources).await?;
    let (sender, receiver) = channel(BATCHES);
    let (intake, sources) = (ask.intake.clone(), context.sources.clone());
    let out = Out::new(sender, intake.limit);
    let run = async move {
        let asked = (&intake, cursor);
        source.run(asked, (&sources, journal.as_mut()), out).await
    };
    let mut running = JoinSet::new();
    running.spawn(run);
    Ok((receiver, Running(running)))
}

/// Opens what an earlier listing of the same, cut short, has noted; one for other settings leaves out other things.
async fn journal(ask: &ListSource, context: &Context) -> Result<Journal<Reading>, ListError> {
    // Settings: writing them cannot fail.
    let intake = serde_json::to_vec(&ask.intake).unwrap_or_default();
    let parts = [ask.source.as_bytes(), &intake];
    Ok(Journal::open(&context.lake, &parts, context.clock.now()).await?)
}

async fn fill(
    ask: &ListSource,
    cursor: Option<String>,
    context: &Context,
    chunker: &mut Chunker,
) -> Result<Seen, ListError> {
    if let Some(old) = &ask.against {
        let (listed, changes) = changes(ask, old, context).await?;
        for change in changes {
            if let Some(entry) = change_entry(change?) {
                chunker.add(&entry).await?;
            }
        }
        return Ok(Seen {
            listed,
            ..Seen::default()
        });
    }
    let journal = journal(ask, context).await?;
    let (mut entries, running) = begin(ask, (cursor, Some(journal)), context).await?;
    while let Some(batch) = entries.recv().await {
        for entry in batch {
            chunker.add(&entry).await?;
        }
    }
    running.end().await
}

/// Returns where an API is to be gone on with: at the latest cursor of a run that is done, of the same source and intake.
async fn cursor(ask: &ListSource, context: &Context) -> Result<Option<String>, ListError> {
    if !ask.source.starts_with("http") {
        return Ok(None);
    }
    let mut latest = None;
    for run_id in runs(&context.lake).await? {
        let ledger = Ledger::new(context.lake.clone(), run_id);
        if let Some(plan) = ledger.plan().await?
            && plan.source == ask.source
            && plan.intake == ask.intake
            && is_later(plan.cursor.as_deref(), latest.as_deref())
            && ledger.is_done().await?
        {
            latest = plan.cursor;
        }
    }
    Ok(latest)
}

/// Asks for the chunks without a receipt, and for what is pending of the others if that is asked for.
async fn send_chunks(
    ledger: &Ledger,
    plan: &Plan,
    ask: &ListSource,
    context: &Context,
) -> Result<u64, ListError> {
    let done = ledger.done_chunks().await?;
    // What replaces everything must hold everything.
    let spans = match plan.intake.mode {
        Mode::Full => Spans::default(),
        Mode::Auto | Mode::Delta => known(&context.lake).await?,
    };
    let mut chunks = Vec::new();
    if ask.retry_pending {
        for (number, receipt) in ledger.receipts(done.iter().copied()).await? {
            chunks.extend(again(ledger, plan, number, &receipt).await?);
        }
        if !chunks.is_empty() {
            ledger.reopen().await?;
        }
    }
    chunks.extend(fresh(plan, &done, &spans));
    let sent = chunks.len() as u64;
    for together in chunks.chunks(MESSAGES) {
        let messages = together.iter().map(|chunk| Message {
            run_id: ledger.run_id().clone(),
            body: Body::IngestChunk(chunk.clone()),
        });
        context.ingest.send(messages.collect()).await?;
    }
    Ok(sent)
}

fn fresh(plan: &Plan, done: &BTreeSet<u32>, spans: &Spans) -> Vec<IngestChunk> {
    let numbered = (0_u32..).zip(&plan.chunks);
    let left = numbered.filter(|(number, _)| !done.contains(number));
    left.map(|(number, chunk)| message(plan, number, chunk, spans.of(chunk)))
        .collect()
}

fn message(plan: &Plan, number: u32, chunk: &PlannedChunk, known: Vec<String>) -> IngestChunk {
    IngestChunk {
        source: plan.source.clone(),
        chunk: number,
        at: chunk.at.clone(),
        objects: chunk.entries,
        known,
        bulk: plan.intake.is_staged(),
        again: false,
        rasters: plan.intake.rasters.clone(),
    }
}

/// Makes a chunk of what is pending of one that is done.
async fn again(
    ledger: &Ledger,
    plan: &Plan,
    number: u32,
    receipt: &Receipt,
) -> Result<Option<IngestChunk>, ListError> {
    if receipt.pending.is_empty() {
        return Ok(None);
    }
    let mut text = Vec::new();
    for pending in &receipt.pending {
        let entry = Entry::object(pending.href.clone(), pending.etag.clone(), None);
        // Texts: writing them cannot fail.
        text.extend(serde_json::to_vec(&entry).unwrap_or_default());
        text.push(b'\n');
    }
    let at = ledger.put_entries(text).await?;
    let objects = u32::try_from(receipt.pending.len()).unwrap_or(u32::MAX);
    let chunk = PlannedChunk {
        at,
        entries: objects,
        first: String::new(),
        last: String::new(),
    };
    Ok(Some(IngestChunk {
        again: true,
        ..message(plan, number, &chunk, Vec::new())
    }))
}
