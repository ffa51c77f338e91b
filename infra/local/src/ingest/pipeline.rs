//! The same use cases as on AWS, one after the other: list, ingest, write, commit.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::fetch::FetchPolicy;
use swath_cloud::queue::{MemoryReceiver, Queue, channel};
use swath_cloud::runs::{Ledger, LedgerError, Status, known, runs};
use swath_cloud::sources::{BucketAccesses, SourceError, Sources};
use swath_cloud::store::{self, Store, StoreError};
use swath_core::grid::{GridError, GridOptions, GridSpec};
use swath_core::intake::{IngestChunk, Intake, ListSource};
use swath_core::message::Body;
use swath_core::{Class, Classify, RunId};
use swath_ingest::IngestError;
use swath_lake::pointer::PointerKind;
use swath_list::ListError;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::inline::{Commits, Tally, Writes};
use crate::exit::Exit;
use crate::lake::Held;

/// Bytes of items that are written together.
const MESSAGE: usize = 32 << 20;
/// Chunks that wait for their turn.
const QUEUED: usize = 16;

/// Why nothing could be taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestCommandError {
    /// What `--bucket` says is nothing that can be said of a bucket.
    #[error(transparent)]
    Access(#[from] swath_cloud::sources::AccessError),
    /// The lake cannot be opened.
    #[error("cannot use the lake")]
    Lake(#[source] StoreError),
    /// Its tables cannot be opened.
    #[error("cannot open the lake")]
    Tables(#[source] Box<swath_commit::WiringError>),
    /// Nothing can be read from.
    #[error("sources cannot be opened")]
    Sources(#[source] SourceError),
    /// The grid cannot be made.
    #[error("cannot make the grid")]
    Grid(#[source] GridError),
    /// A source cannot be listed.
    #[error("cannot take in {at}")]
    List {
        /// The source.
        at: String,
        /// Why.
        #[source]
        source: Box<ListError>,
    },
    /// A chunk is not done; what was done stays, and the same command goes on.
    #[error("the run stops")]
    Chunk(#[source] Box<IngestError>),
    /// A worker ended of itself.
    #[error("a worker ended before its work was done")]
    Ended,
    /// The run's merges are not done.
    #[error("the run's chunks are done, but not its merges")]
    Settle(#[source] Box<swath_cloud::runs::SettleError>),
    /// The run's books fail.
    #[error("the run's books cannot be read")]
    Ledger(#[from] LedgerError),
    /// There is no run of the source to go on with.
    #[error("{at}: there is no run of it to go on with")]
    NoRun {
        /// The source.
        at: String,
    },
    /// A thing in quarantine that is not there.
    #[error("nothing is kept at {path}")]
    NotKept {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: StoreError,
    },
}

impl IngestCommandError {
    /// Returns how the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Access(_) => Exit::Usage,
            Self::List { source, .. } => match source.class() {
                Class::Invalid => Exit::Input,
                Class::Bug => Exit::Internal,
                _ if matches!(**source, ListError::Ledger(_) | ListError::Send(_)) => Exit::Output,
                _ => Exit::Catalog,
            },
            Self::NoRun { .. } | Self::NotKept { .. } => Exit::Input,
            Self::Chunk(error) if matches!(**error, IngestError::Forbidden { .. }) => Exit::Catalog,
            Self::Grid(_) | Self::Sources(_) | Self::Ended => Exit::Internal,
            _ => Exit::Output,
        }
    }
}

/// Everything that runs share.
pub(crate) struct World {
    pub(crate) lake: Store,
    pub(super) sources: Sources,
    write: Arc<dyn Queue>,
    pub(super) tally: Arc<Tally>,
    fetches: NonZeroUsize,
}

/// How a lake is opened for writing.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    /// Whether each commit publishes a database for `EarthCatalog`.
    pub(crate) publish_db: bool,
    /// Who holds the pointers to its tables.
    pub(crate) pointer: PointerKind,
    /// Whether files of items are read back before they are put.
    pub(crate) check_roundtrip: bool,
}

impl Opening {
    /// Asks for nothing but to find the tables where their pointers are held.
    pub(crate) fn of(held: &Held) -> Self {
        Self {
            publish_db: false,
            pointer: held.pointer.clone(),
            check_roundtrip: false,
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Report {
    /// How far the run is.
    #[serde(flatten)]
    pub(super) status: Status,
    /// Items that this command handed on.
    pub(super) items_processed: u64,
    /// New rows; an item has one for each of its cells.
    pub(super) rows_written: u64,
    /// New data files in the table.
    pub(super) files_registered: u64,
    /// Items that were read back from their files and are those that came, where that was asked for.
    pub(super) items_checked: u64,
}

/// Takes how buckets are reached, as `--bucket` and `--unsigned` say it.
pub(crate) fn accesses(
    buckets: &[String],
    unsigned: bool,
) -> Result<BucketAccesses, IngestCommandError> {
    let mut accesses = BucketAccesses::default();
    accesses.other.unsigned = unsigned;
    for text in buckets {
        accesses.add(text)?;
    }
    Ok(accesses)
}

/// Opens what is read from.
pub(crate) fn sources(accesses: BucketAccesses) -> Result<Sources, IngestCommandError> {
    // Whoever types the command may read what they name.
    let policy = FetchPolicy {
        allow_http: true,
        allow_file: true,
        allow_private_hosts: true,
        ..FetchPolicy::default()
    };
    Sources::new(accesses, policy, Arc::new(SystemClock)).map_err(IngestCommandError::Sources)
}

impl World {
    /// Opens the lake for writing.
    pub(crate) async fn open(
        lake: &str,
        grid: &GridSpec,
        sources: Sources,
        fetches: u16,
        opening: Opening,
    ) -> Result<Self, IngestCommandError> {
        let lake = store::open(lake).map_err(IngestCommandError::Lake)?;
        let config = swath_commit::Config {
            lake: lake.uri.clone(),
            pointer: opening.pointer,
            grid: grid.clone(),
            publish_db: opening.publish_db,
            concurrency: NonZeroUsize::MIN,
            time_needed: std::time::Duration::ZERO,
        };
        let tally = Arc::new(Tally::default());
        let context = swath_commit::Context::from_config(&config, &lake).await;
        let context = context.map_err(|error| IngestCommandError::Tables(Box::new(error)))?;
        let clock: Arc<dyn Clock> = Arc::clone(&context.clock);
        let commits = Arc::new(Commits {
            context,
            tally: Arc::clone(&tally),
            turn: Mutex::new(()),
        });
        let options = GridOptions {
            earthcatalog: true,
            ..GridOptions::default()
        };
        let regions = match grid.boundaries_path() {
            Some(path) => Some(lake.get(path).await.map_err(IngestCommandError::Lake)?),
            None => None,
        };
        let grid = grid
            .open(regions.as_deref(), options)
            .map_err(IngestCommandError::Grid)?;
        let mut context = swath_write::Context::new(lake.clone(), commits, clock, grid);
        context.check_roundtrip = opening.check_roundtrip;
        let write = Arc::new(Writes {
            context,
            tally: Arc::clone(&tally),
        });
        Ok(Self {
            lake,
            sources,
            write,
            tally,
            fetches: NonZeroUsize::new(usize::from(fetches)).unwrap_or(NonZeroUsize::MIN),
        })
    }

    pub(crate) fn ingest(&self) -> swath_ingest::Context {
        swath_ingest::Context {
            lake: self.lake.clone(),
            sources: self.sources.clone(),
            write: Arc::clone(&self.write),
            message_bytes: MESSAGE,
            fetches: self.fetches,
        }
    }

    /// Lists a source and takes in what is not done of it.
    pub(super) async fn run(&self, ask: &ListSource) -> Result<Report, IngestCommandError> {
        let (queue, chunks) = channel(QUEUED);
        let list = self.list(Arc::new(queue));
        let working = self.work(chunks);
        let listed = |source| IngestCommandError::List {
            at: ask.source.clone(),
            source: Box::new(source),
        };
        let listing = async {
            let planned = Box::pin(swath_list::list(ask, &list)).await;
            // The workers end when nobody sends to them any more.
            drop(list);
            planned
        };
        let (planned, done) = tokio::join!(listing, working);
        // A chunk that failed for good closes the queue under the listing: its own reason is the one to tell.
        done?;
        let planned = planned.map_err(listed)?;
        self.report(planned.run_id).await
    }

    /// Takes in what is not done of a run that was planned before.
    pub(super) async fn go_on(
        &self,
        source: &str,
        intake: &Intake,
    ) -> Result<Report, IngestCommandError> {
        let mut newest = None;
        for run_id in runs(&self.lake).await? {
            let ledger = Ledger::new(self.lake.clone(), run_id);
            if let Some(plan) = ledger.plan().await?
                && plan.source == source
                && plan.intake == *intake
                && newest
                    .as_ref()
                    .is_none_or(|(_, planned)| *planned < plan.planned)
            {
                newest = Some((plan.clone(), plan.planned));
            }
        }
        let Some((plan, _)) = newest else {
            return Err(IngestCommandError::NoRun {
                at: source.to_owned(),
            });
        };
        let ledger = Ledger::new(self.lake.clone(), plan.run_id.clone());
        let done = ledger.done_chunks().await?;
        let context = self.ingest();
        let spans = known(&self.lake).await?;
        for (chunk, planned) in (0_u32..).zip(&plan.chunks) {
            if done.contains(&chunk) {
                continue;
            }
            let asked = IngestChunk {
                source: plan.source.clone(),
                chunk,
                at: planned.at.clone(),
                objects: planned.entries,
                known: spans.of(planned),
                bulk: plan.intake.is_staged(),
                again: false,
                rasters: plan.intake.rasters.clone(),
            };
            let done = Box::pin(swath_ingest::ingest(&plan.run_id, &asked, &context)).await;
            let done = done.map_err(|error| IngestCommandError::Chunk(Box::new(error)))?;
            self.tally.items.fetch_add(done.items, Ordering::Relaxed);
        }
        self.report(plan.run_id).await
    }

    pub(super) fn list(&self, ingest: Arc<dyn Queue>) -> swath_list::Context {
        swath_list::Context {
            lake: self.lake.clone(),
            sources: self.sources.clone(),
            ingest,
            clock: Arc::new(SystemClock),
            intake: Intake::default(),
        }
    }

    /// Takes in chunks until there are no more; one that fails stops all.
    async fn work(&self, chunks: MemoryReceiver) -> Result<(), IngestCommandError> {
        // Two at a time: one is fetched while the other is written.
        let mut workers = JoinSet::new();
        for _ in 0..2 {
            workers.spawn(take_in(chunks.clone(), self.ingest()));
        }
        drop(chunks);
        while let Some(ended) = workers.join_next().await {
            match ended {
                Ok(Ok(items)) => _ = self.tally.items.fetch_add(items, Ordering::Relaxed),
                Ok(Err(error)) => {
                    workers.abort_all();
                    return Err(IngestCommandError::Chunk(Box::new(error)));
                }
                // A panic: the chunk has no receipt, and is done again by the same command.
                Err(_) => {
                    workers.abort_all();
                    return Err(IngestCommandError::Ended);
                }
            }
        }
        Ok(())
    }

    /// Ends a run of which every chunk is done.
    pub(crate) async fn end(&self, ledger: Ledger) -> Result<(), IngestCommandError> {
        let settled = ledger.settle(self.write.as_ref()).await;
        settled.map_err(|error| IngestCommandError::Settle(Box::new(error)))?;
        Ok(())
    }

    async fn report(&self, run_id: RunId) -> Result<Report, IngestCommandError> {
        let ledger = Ledger::new(self.lake.clone(), run_id);
        let settled = ledger.settle(self.write.as_ref()).await;
        settled.map_err(|error| IngestCommandError::Settle(Box::new(error)))?;
        let mut status = ledger.status().await?;
        status.rejected += self.tally.rejected.load(Ordering::Relaxed);
        Ok(Report {
            items_processed: self.tally.items.load(Ordering::Relaxed),
            rows_written: self.tally.rows.load(Ordering::Relaxed),
            files_registered: self.tally.files.load(Ordering::Relaxed),
            items_checked: self.tally.checked.load(Ordering::Relaxed),
            status,
        })
    }
}

async fn take_in(
    chunks: MemoryReceiver,
    context: swath_ingest::Context,
) -> Result<u64, IngestError> {
    let mut items = 0;
    while let Some(message) = chunks.recv().await {
        if let Body::IngestChunk(chunk) = &message.body {
            let done = Box::pin(swath_ingest::ingest(&message.run_id, chunk, &context)).await?;
            items += done.items;
        }
    }
    Ok(items)
}
