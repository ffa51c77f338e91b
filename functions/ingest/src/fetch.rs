//! Many small documents at once: as many as the hosts bear, in the order of the chunk.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::value::RawValue;
use swath_cloud::runs::Entry;
use swath_cloud::sources::{SourceError, Sources, read_file};
use swath_core::chain;
use swath_core::{Class, Classify as _};

use crate::document::{Document, Unusable, read};
use crate::raster::{self, is_raster};

/// Bytes that the document of an item may have.
const LARGEST: usize = 64 << 20;
/// Files of this machine that one thread reads in a row.
const FILES: usize = 64;
/// Times that a document is read again that is no document, or ends too early.
const READINGS: u32 = 3;

/// What became of one entry.
#[derive(Debug)]
pub(crate) enum Fetched {
    Document(Document),
    /// The item that came in its place.
    Inline(Box<RawValue>),
    /// There is nothing at its address any more.
    Gone,
    /// It cannot be read, or is of no use.
    Failed(Failure),
}

/// Why an entry brought no document.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: Class,
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) bytes: Option<Bytes>,
}

/// Entries on their way, answers in their order.
pub(crate) struct Fetching {
    sources: Sources,
    rasters: Arc<raster::Context>,
    entries: std::iter::Peekable<std::vec::IntoIter<Entry>>,
    running: FuturesOrdered<BoxFuture<'static, Vec<(Entry, Fetched)>>>,
    ready: std::vec::IntoIter<(Entry, Fetched)>,
    pace: Pace,
}

/// How many requests are made at once: one more for each round that went well, half as many when hosts say no.
#[derive(Clone, Copy, Debug)]
struct Pace {
    now: f64,
    most: f64,
}

impl Pace {
    fn new(most: NonZeroUsize) -> Self {
        let most = f64::from(u32::try_from(most.get()).unwrap_or(u32::MAX));
        Self {
            now: most.min(16.0),
            most,
        }
    }

    fn went_well(&mut self) {
        self.now = (self.now + 1.0 / self.now).min(self.most);
    }

    fn was_refused(&mut self) {
        self.now = (self.now / 2.0).max(1.0);
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between one and the most"
    )]
    fn at_once(self) -> usize {
        self.now as usize
    }
}

impl Fetching {
    pub(crate) fn new(
        (sources, rasters): (Sources, raster::Context),
        entries: Vec<Entry>,
        most: NonZeroUsize,
    ) -> Self {
        Self {
            sources,
            rasters: Arc::new(rasters),
            entries: entries.into_iter().peekable(),
            running: FuturesOrdered::new(),
            ready: Vec::new().into_iter(),
            pace: Pace::new(most),
        }
    }

    /// Returns the next entry and what became of it.
    pub(crate) async fn next(&mut self) -> Option<(Entry, Fetched)> {
        loop {
            if let Some(next) = self.ready.next() {
                let refused = matches!(&next.1, Fetched::Failed(failure) if failure.class == Class::Transient);
                if refused {
                    self.pace.was_refused();
                } else {
                    self.pace.went_well();
                }
                return Some(next);
            }
            while self.running.len() < self.pace.at_once() {
                let Some(work) = self.begin() else {
                    break;
                };
                self.running.push_back(work);
            }
            self.ready = self.running.next().await?.into_iter();
        }
    }

    /// Begins with the next entries: one, or a row of files of this machine.
    fn begin(&mut self) -> Option<BoxFuture<'static, Vec<(Entry, Fetched)>>> {
        let mut files = Vec::new();
        while let Some(entry) = self.entries.peek() {
            let path = match self.sources.file(&entry.href) {
                Ok(Some(path))
                    if entry.is_object() && files.len() < FILES && !is_raster(&entry.href) =>
                {
                    path
                }
                _ => break,
            };
            files.extend(self.entries.next().map(|entry| (entry, path)));
        }
        if !files.is_empty() {
            let read = tokio::task::spawn_blocking(move || read_files(files));
            return Some(read.map(Result::unwrap_or_default).boxed());
        }
        let mut entry = self.entries.next()?;
        if let Some(bad) = entry.bad.take() {
            let failed = Fetched::Failed(Failure {
                class: Class::Invalid,
                code: bad.code,
                reason: bad.reason,
                bytes: Some(bad.text.into()),
            });
            return Some(std::future::ready(vec![(entry, failed)]).boxed());
        }
        if let Some(item) = entry.item.take() {
            let inline = Fetched::Inline(item);
            return Some(std::future::ready(vec![(entry, inline)]).boxed());
        }
        let (sources, rasters) = (self.sources.clone(), Arc::clone(&self.rasters));
        let fetch = async move {
            let fetched = fetch(&sources, &entry.href, &rasters).await;
            vec![(entry, fetched)]
        };
        Some(fetch.boxed())
    }
}

fn read_files(files: Vec<(Entry, PathBuf)>) -> Vec<(Entry, Fetched)> {
    let read = |(entry, path): (Entry, PathBuf)| {
        let fetched = match read_file(path, LARGEST) {
            Ok(bytes) => understood(&bytes).unwrap_or_else(|unusable| unusable.fetched(bytes)),
            Err(error) => failed(&error),
        };
        (entry, fetched)
    };
    files.into_iter().map(read).collect()
}

/// Fetches one document, again where that may help; of a raster it makes one.
pub(crate) async fn fetch(sources: &Sources, href: &str, rasters: &raster::Context) -> Fetched {
    if is_raster(href) {
        return raster::fetch(sources, href, rasters).await;
    }
    let mut readings = 0;
    loop {
        readings += 1;
        match sources.read(href, LARGEST).await {
            Ok(bytes) => match understood(&bytes) {
                Ok(fetched) => return fetched,
                Err(unusable) if !unusable.may_pass || readings >= READINGS => {
                    return unusable.fetched(bytes);
                }
                Err(unusable) => {
                    tracing::debug!(href, code = unusable.code, readings, "reading again");
                }
            },
            Err(error) => return failed(&error),
        }
    }
}

fn understood(bytes: &Bytes) -> Result<Fetched, Unusable> {
    read(bytes).map(Fetched::Document)
}

impl Unusable {
    fn fetched(self, bytes: Bytes) -> Fetched {
        Fetched::Failed(Failure {
            class: Class::Invalid,
            code: self.code.to_owned(),
            reason: self.reason,
            bytes: Some(bytes),
        })
    }
}

pub(crate) fn failed(error: &SourceError) -> Fetched {
    if error.is_gone() {
        return Fetched::Gone;
    }
    Fetched::Failed(Failure {
        class: error.class(),
        code: error.code().to_owned(),
        reason: chain(error),
        bytes: None,
    })
}
