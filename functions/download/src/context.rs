//! The ports that a download needs.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::fetch::{FetchPolicy, Fetcher, Signers};
use swath_cloud::http::HttpError;
use swath_cloud::item::Finder;
use swath_cloud::publish::{Copier, PublishError, STALE_AFTER, Staging};
use swath_cloud::queue::{self, Queue, QueueError};
use swath_cloud::retry::Policy;
use swath_cloud::sign::{Access, AccessError};
use swath_cloud::store::{self, Store, StoreError};
use swath_core::{Class, Classify};

use crate::{Config, Flights};

/// Where assets come from, where they go, and who is told.
#[derive(Clone, Debug)]
pub struct Context {
    /// The lake, below which the receipts lie.
    pub lake: Store,
    /// Where assets are published.
    pub out: Store,
    /// Where files grow until they are published.
    pub staging: Staging,
    /// Fetches by its policy.
    pub fetcher: Fetcher,
    /// Takes the rows.
    pub write: Arc<dyn Queue>,
    /// Tells the time of rows.
    pub clock: Arc<dyn Clock>,
    /// Asks catalogs for hrefs that are absent or have come to an end; nobody does when absent.
    pub finder: Option<Finder>,
    /// Has a bucket's store copy what came from another bucket.
    pub copier: Copier,
    /// Keeps equal requests from fetching twice.
    pub flights: Flights,
    /// Whether assets that were refused for good are fetched again.
    pub retry_refused: bool,
    /// Whether a transient failure becomes a row, since nobody will ask again; otherwise it goes back to the queue.
    pub last_try: bool,
    /// Deliveries of one message, after which its queue gives it up.
    pub max_receives: NonZeroU32,
}

/// Ports that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No HTTP client.
    #[error("nothing can be fetched")]
    Fetcher(#[source] HttpError),
    /// No signer.
    #[error("nothing can be signed")]
    Access(#[source] AccessError),
    /// No staging folder.
    #[error("nothing can be staged")]
    Staging(#[source] PublishError),
}

/// Why the ports of a deployed function could not be wired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WiringError {
    /// The place for assets cannot be opened.
    #[error("the place for assets cannot be opened")]
    Out(#[source] StoreError),
    /// The queue of rows cannot be opened.
    #[error("the queue of rows cannot be opened")]
    WriteQueue(#[source] QueueError),
    /// A port cannot be opened.
    #[error("the download's ports cannot be opened")]
    Ports(#[source] StartError),
}

impl Classify for StartError {
    fn class(&self) -> Class {
        match self {
            Self::Fetcher(error) => error.class(),
            Self::Access(_) => Class::Denied,
            Self::Staging(error) => error.class(),
        }
    }
}

impl Context {
    /// Opens the ports of a process that lives as long as its run, and removes what a crashed one left in the staging
    /// folder: the store's own when `out` is a folder, else one below `scratch`.
    ///
    /// # Errors
    /// When no client can be built, or the staging folder cannot be made or read.
    pub async fn open(
        lake: Store,
        out: Store,
        write: Arc<dyn Queue>,
        policy: FetchPolicy,
        scratch: &Path,
    ) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let signers = Access::default().signers(&clock);
        let signers = signers.map_err(StartError::Access)?;
        let fetcher = Fetcher::new(policy, signers, Arc::clone(&clock));
        let finder = Finder::new(Arc::clone(&clock));
        let staging = Staging::open(&out, scratch).await;
        let staging = staging.map_err(StartError::Staging)?;
        let swept = staging.sweep(clock.now(), STALE_AFTER).await;
        let removed = swept.map_err(StartError::Staging)?;
        if removed > 0 {
            tracing::info!(files = removed, "removed what a crashed run had staged");
        }
        Ok(Self {
            lake,
            out,
            staging,
            fetcher: fetcher.map_err(StartError::Fetcher)?,
            finder: Some(finder.map_err(StartError::Fetcher)?),
            write,
            clock,
            copier: Copier::default(),
            flights: Flights::default(),
            retry_refused: false,
            last_try: true,
            max_receives: NonZeroU32::MIN,
        })
    }

    /// Signs with these secrets instead of none.
    ///
    /// # Errors
    /// When a secret cannot be used.
    pub fn with_access(self, access: &Access) -> Result<Self, StartError> {
        let signers = access.signers(&self.clock).map_err(StartError::Access)?;
        let policy = self.fetcher.policy().clone();
        let fetcher = Fetcher::new(policy, signers, Arc::clone(&self.clock));
        let fetcher = fetcher.map_err(StartError::Fetcher)?;
        Ok(Self { fetcher, ..self })
    }

    /// Fetches by another policy.
    ///
    /// # Errors
    /// When no client can be built.
    pub fn with_policy(self, policy: FetchPolicy) -> Result<Self, StartError> {
        let clock = Arc::clone(&self.clock);
        let fetcher = Fetcher::new(policy, Signers::default(), clock);
        let fetcher = fetcher.map_err(StartError::Fetcher)?;
        Ok(Self { fetcher, ..self })
    }

    /// Wires the real adapters of a deployed function: what fails may be asked for again by its queue.
    ///
    /// # Errors
    /// When an address is none that we know, or a port cannot be opened.
    pub async fn from_config(config: &Config, lake: &Store) -> Result<Self, WiringError> {
        let out = store::open_for_files(&config.out).map_err(WiringError::Out)?;
        let write = queue::open(&config.write_queue, lake).await;
        let write = write.map_err(WiringError::WriteQueue)?;
        let policy = FetchPolicy {
            allow_http: config.allow_http,
            allow_private_hosts: config.allow_private_hosts,
            hosts: config.hosts.clone(),
            max_size_bytes: config.largest_file,
            retry: Policy::BRIEF,
            rests: true,
            ..FetchPolicy::default()
        };
        let ports = Self::open(lake.clone(), out, write, policy, &config.staging).await;
        let ports = ports.and_then(|ports| ports.with_access(&config.access));
        Ok(Self {
            last_try: false,
            max_receives: config.max_receives,
            ..ports.map_err(WiringError::Ports)?
        })
    }
}
