//! Rows on their way into the lake while files are fetched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::queue::{self, MemoryReceiver, Queue};
use swath_cloud::store::{self, Store};
use swath_core::chain;
use swath_core::grid::{GridOptions, GridSpec};
use swath_lake::pointer::LockedPointer;
use swath_lake::{Lake, Now, Place};
use tokio::task::JoinHandle;

use crate::run::CommandError;

/// Messages that wait before a sender does.
const QUEUED: usize = 4096;
/// Rows that go into one snapshot at most.
const ROWS: usize = 4096;
/// How long rows gather.
const WINDOW: Duration = Duration::from_secs(10);

/// A lake in a folder, and the way rows take into it.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) lake: Arc<Lake>,
    pub(crate) at: Store,
    /// Takes rows; the last clone dropped ends the writing.
    pub(crate) rows: Arc<dyn Queue>,
    writing: JoinHandle<Written>,
}

/// What came of the rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// Rows added.
    pub(crate) rows_added: u64,
    /// What could not be written or committed.
    pub(crate) failures: Vec<String>,
}

impl Ledger {
    /// Opens a lake, or makes one, and starts to write.
    pub(crate) async fn open(folder: &Path) -> Result<Self, CommandError> {
        let at = store::open(&folder.to_string_lossy());
        let at = at.map_err(|error| CommandError::Output(Box::new(error)))?;
        let lake = open_lake(&at, folder).await?;
        let (rows, from) = queue::channel(QUEUED);
        let (to_commit, commits) = queue::channel(QUEUED);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let options = GridOptions {
            earthcatalog: true,
            ..GridOptions::default()
        };
        let grid = GridSpec::default().open(None, options);
        let grid = grid.map_err(|error| CommandError::Grid(Box::new(error)))?;
        let write =
            swath_write::Context::new(at.clone(), Arc::new(to_commit), Arc::clone(&clock), grid);
        let commit = swath_commit::Context {
            lake: Arc::clone(&lake),
            clock,
            publish_db: false,
        };
        Ok(Self {
            lake,
            at,
            rows: Arc::new(rows),
            writing: tokio::spawn(write_all(from, write, commits, commit)),
        })
    }

    /// Waits until every row is in the lake; all other senders must be gone.
    pub(crate) async fn close(self) -> Written {
        drop(self.rows);
        self.writing.await.unwrap_or_else(|gone| Written {
            failures: vec![gone.to_string()],
            ..Written::default()
        })
    }
}

async fn open_lake(at: &Store, folder: &Path) -> Result<Arc<Lake>, CommandError> {
    let root: PathBuf = at.local_root.clone().unwrap_or_else(|| folder.to_owned());
    let place = Place::new(
        Arc::clone(&at.store),
        at.prefix.clone(),
        &root.to_string_lossy(),
    );
    let now = Now::new(|| SystemClock.now());
    let pointer = Arc::new(LockedPointer::in_folder(&root, &place, now));
    let lake = Lake::open(place, pointer, GridSpec::default()).await;
    lake.map(Arc::new).map_err(|source| CommandError::Lake {
        path: folder.to_owned(),
        source: Box::new(source),
    })
}

async fn write_all(
    from: MemoryReceiver,
    write: swath_write::Context,
    commits: MemoryReceiver,
    commit: swath_commit::Context,
) -> Written {
    let mut written = Written::default();
    loop {
        let batch = from.recv_batch(ROWS, WINDOW).await;
        if batch.is_empty() {
            return written;
        }
        let results = swath_write::write(&batch, &write).await;
        let failed = results.into_iter().filter_map(Result::err);
        written.failures.extend(failed.map(|error| chain(&error)));
        let told = commits.recv_batch(QUEUED, Duration::ZERO);
        let told = tokio::time::timeout(Duration::from_millis(1), told).await;
        for result in swath_commit::commit(&told.unwrap_or_default(), &commit).await {
            match result {
                Ok(committed) => written.rows_added += committed.rows_added,
                Err(error) => written.failures.push(chain(&error)),
            }
        }
    }
}
