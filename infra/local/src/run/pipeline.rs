//! The chain: queues between the functions, workers at them, and the end that closes one queue after the other.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::queue::{self, MemoryReceiver, Queue};
use swath_cloud::stac;
use swath_cloud::store::{self, Store};
use swath_core::aoi::Areas;
use swath_core::grid::GridSpec;
use swath_core::{Classify, Job, RunId, TableName, datetime};
use swath_lake::pointer::LockedPointer;
use swath_lake::{Lake, Now, Place};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::RunRequest;
use super::error::CommandError;
use super::event::{Event, Progress};
use super::stages;
use super::summary::{Summary, Tally};
use crate::cli::How;

/// Messages that wait before a sender does.
const QUEUED: usize = 1024;

/// What all stages of a run share.
pub(super) struct Shared {
    pub(super) run_id: RunId,
    pub(super) stop: CancellationToken,
    pub(super) clock: Arc<dyn Clock>,
    progress: Arc<dyn Progress>,
    tally: Mutex<Tally>,
}

impl Shared {
    /// Counts an event and passes it on.
    pub(super) fn tell(&self, event: &Event) {
        self.tally().count(event);
        self.progress.tell(event);
    }

    /// Ends the run early for a failure that all further work would meet alike; it is told once.
    pub(super) fn give_up(&self, stage: &'static str, error: &impl Classify) {
        if !self.stop.is_cancelled() {
            self.stop.cancel();
            self.tell(&Event::Failed {
                stage,
                class: error.class(),
                error: swath_core::chain(error),
            });
        }
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs plan, search, download, write and commit until nothing is left to do, or until Ctrl-C.
///
/// What an earlier run with the same areas, job and folder did is not done again.
///
/// # Errors
/// When the run cannot begin, or its answer makes the request itself wrong (no usable area, an asset key that no item
/// has, a catalog that cannot be used by any area).
pub async fn run(
    request: RunRequest,
    progress: Arc<dyn Progress>,
) -> Result<Summary, CommandError> {
    if let Some(datetime) = &request.job.datetime {
        datetime::expand(datetime).map_err(CommandError::Datetime)?;
    }
    let shared = Arc::new(Shared {
        run_id: run_id(&request),
        stop: CancellationToken::new(),
        clock: Arc::new(SystemClock),
        progress,
        tally: Mutex::default(),
    });
    let (lake_at, assets_at) = (open(&request.out)?, open(&request.out.join("assets"))?);
    let api = stages::api(&request.job, &shared).await?;
    let lake = open_lake(&request.out, &lake_at).await?;
    let watch = tokio::spawn(watch_for_interrupt(shared.stop.clone()));
    let places = Places {
        lake_at,
        assets_at,
        lake: Arc::clone(&lake),
    };
    let RunRequest {
        areas,
        job,
        out,
        how,
    } = request;
    let done = chain((job, areas), how, &shared, (api, places)).await;
    watch.abort();
    done?;
    finish(&shared, &lake, &out).await
}

/// Where the run writes.
pub(super) struct Places {
    pub(super) lake_at: Store,
    pub(super) assets_at: Store,
    pub(super) lake: Arc<Lake>,
}

fn open(path: &Path) -> Result<Store, CommandError> {
    store::open(&path.to_string_lossy()).map_err(|error| CommandError::Output(Box::new(error)))
}

/// Opens the lake in the output folder, its pointer in the database that `EarthCatalog` looks for.
async fn open_lake(out: &Path, at: &Store) -> Result<Arc<Lake>, CommandError> {
    let folder = at.local_root.clone().unwrap_or_else(|| out.to_owned());
    let place = Place::new(
        Arc::clone(&at.store),
        at.prefix.clone(),
        &folder.to_string_lossy(),
    );
    let now = Now::new(|| SystemClock.now());
    let pointer = Arc::new(LockedPointer::in_folder(&folder, &place, now));
    let lake = Lake::open(place, pointer, GridSpec::default()).await;
    lake.map(Arc::new).map_err(CommandError::lake(out))
}

/// The same areas and the same job make the same run.
fn run_id(request: &RunRequest) -> RunId {
    let job = serde_json::to_vec(&request.job).unwrap_or_default();
    RunId::derive(&[request.areas.digest_hex().as_bytes(), &job])
}

async fn watch_for_interrupt(stop: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.cancel();
    }
}

/// Starts a stage's workers at each queue; every stage drops its way to the next when its own queue is closed, so the
/// chain ends from the front to the back.
async fn chain(
    (job, areas): (Job, Areas),
    how: How,
    shared: &Arc<Shared>,
    (api, places): (stac::Client, Places),
) -> Result<(), CommandError> {
    let (to_search, searches) = queue::channel(QUEUED);
    let (to_download, downloads) = queue::channel(QUEUED);
    let (to_write, writes) = queue::channel(QUEUED);
    let (to_commit, commits) = queue::channel(QUEUED);
    let to_write: Arc<dyn Queue> = Arc::new(to_write);
    let (download, clock) = (Arc::new(to_download), Arc::clone(&shared.clock));
    let search = Arc::new(swath_search::Context {
        api,
        clock,
        write: Arc::clone(&to_write),
        download,
    });
    let download = stages::download_context(&places, to_write, &job).await?;
    let write = Arc::new(stages::write_context(&places, Arc::new(to_commit), shared)?);
    let commit = Arc::new(stages::commit_context(&places, shared));

    let mut workers = JoinSet::new();
    spawn(&mut workers, how.searches, &searches, |from| {
        stages::search(from, Arc::clone(&search), Arc::clone(shared))
    });
    spawn(&mut workers, how.concurrency, &downloads, |from| {
        stages::download(from, Arc::clone(&download), Arc::clone(shared))
    });
    spawn(&mut workers, 1, &writes, |from| {
        stages::write(from, Arc::clone(&write), Arc::clone(shared))
    });
    spawn(&mut workers, 1, &commits, |from| {
        stages::commit(from, Arc::clone(&commit), Arc::clone(shared))
    });
    drop((
        searches, downloads, writes, commits, search, download, write, commit,
    ));

    let planned = stages::plan(&job, areas, Arc::new(to_search), shared).await;
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            shared.tell(&stages::worker_failed(&error));
        }
    }
    planned
}

fn spawn<F>(
    workers: &mut JoinSet<()>,
    count: u16,
    queue: &MemoryReceiver,
    work: impl Fn(MemoryReceiver) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    for _ in 0..count {
        workers.spawn(work(queue.clone()));
    }
}

/// Adds what the catalog holds now, and turns a run that could not succeed into its error.
async fn finish(shared: &Arc<Shared>, lake: &Lake, out: &Path) -> Result<Summary, CommandError> {
    if let Some(error) = shared.tally().fatal() {
        return Err(error);
    }
    let failed = CommandError::lake(out);
    let counts = lake.counts(TableName::StacItems).await.map_err(&failed)?;
    let distinct = lake.distinct_items().await.map_err(&failed)?;
    let mut tally = shared.tally();
    let summary = &mut tally.summary;
    summary.rows = counts.rows;
    summary.files = counts.files;
    summary.partitions = counts.partitions;
    summary.snapshot = counts.snapshot_id.map(|id| id.to_string());
    summary.metadata = Some(counts.metadata_location);
    summary.catalog_items = distinct;
    summary.interrupted = shared.stop.is_cancelled() && !summary.output_failed;
    Ok(summary.clone())
}
