//! The ports that writing needs.

use std::sync::{Arc, Mutex};

use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::queue::{self, Queue, QueueError};
use swath_cloud::store::{Store, StoreError};
use swath_core::grid::{Grid, GridError, GridOptions};
use swath_table::{Rules, RulesError};

use crate::Config;

/// Where files go, who is told, and how items are filed.
#[derive(Clone, Debug)]
pub struct Context {
    /// The lake that data files and quarantined items lie in.
    pub lake: Store,
    /// Takes the names of written files.
    pub commit: Arc<dyn Queue>,
    /// Tells how long it took.
    pub clock: Arc<dyn Clock>,
    /// Files items under cells: the grid that the table was made with. It keeps cells it has met, hence the lock.
    pub grid: Arc<Mutex<Box<dyn Grid>>>,
    /// Takes the merges of bulk runs whose last part is written here; without it others look whether a run is complete.
    pub merges: Option<Arc<dyn Queue>>,
    /// What is asked of items; nothing, unless [`Context::with_rules`] said more.
    pub rules: Arc<Rules>,
    /// Whether every file of items is read back before it is put, and its items compared with those that came.
    pub check_roundtrip: bool,
}

/// Why the ports could not be wired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WiringError {
    /// The queue of written files cannot be opened.
    #[error("the queue of written files cannot be opened")]
    CommitQueue(#[source] QueueError),
    /// The queue of merges cannot be opened.
    #[error("the queue of merges cannot be opened")]
    Merges(#[source] QueueError),
    /// The file of the grid's regions cannot be read.
    #[error("the file of the grid's regions cannot be read")]
    Regions(#[source] StoreError),
    /// The grid cannot be made.
    #[error("the grid cannot be made")]
    Grid(#[source] GridError),
    /// Items cannot be held against the rules that were asked for.
    #[error("items cannot be validated as asked")]
    Rules(#[from] RulesError),
}

impl Context {
    /// Wires the real adapters; large messages go through `lake`.
    ///
    /// # Errors
    /// When the queue's address is none that we know, or the grid cannot be made.
    pub async fn from_config(config: &Config, lake: &Store) -> Result<Self, WiringError> {
        let regions = match config.grid.boundaries_path() {
            Some(path) => Some(lake.get(path).await.map_err(WiringError::Regions)?),
            None => None,
        };
        let options = GridOptions {
            earthcatalog: true,
            ..GridOptions::default()
        };
        let grid = config.grid.open(regions.as_deref(), options);
        let grid = grid.map_err(WiringError::Grid)?;
        let commit = queue::open(&config.commit_queue, lake).await;
        let commit = commit.map_err(WiringError::CommitQueue)?;
        let clock = Arc::new(SystemClock);
        let schemas = config.schemas.as_deref();
        let rules = Rules::new(config.validation, &config.repairs.0, schemas)?;
        let mut context = Self::new(lake.clone(), commit, clock, grid).with_rules(rules);
        if let Some(uri) = &config.write_queue {
            let merges = queue::open(uri, lake).await;
            context.merges = Some(merges.map_err(WiringError::Merges)?);
        }
        Ok(context)
    }

    /// Joins the ports.
    pub fn new(
        lake: Store,
        commit: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        grid: Box<dyn Grid>,
    ) -> Self {
        Self {
            lake,
            commit,
            clock,
            grid: Arc::new(Mutex::new(grid)),
            merges: None,
            rules: Arc::default(),
            check_roundtrip: false,
        }
    }

    /// Asks more of items.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = Arc::new(rules);
        self
    }
}
