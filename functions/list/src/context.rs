//! The ports of this function, wired once.

use std::sync::Arc;

use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::fetch::FetchPolicy;
use swath_cloud::queue::{self, Queue, QueueError};
use swath_cloud::sources::{SourceError, Sources};
use swath_cloud::store::Store;
use swath_core::intake::Intake;

use crate::Config;

/// What listing needs of the world.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where runs keep their books.
    pub lake: Store,
    /// Where sources are read from.
    pub sources: Sources,
    /// Where chunks go.
    pub ingest: Arc<dyn Queue>,
    /// Tells when a run was planned.
    pub clock: Arc<dyn Clock>,
    /// What is taken of inventories that arrive by themselves, and how.
    pub intake: Intake,
}

/// Why the ports could not be wired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WiringError {
    /// The queue of chunks cannot be opened.
    #[error("the queue of chunks cannot be opened")]
    IngestQueue(#[source] QueueError),
    /// Nothing can be read from.
    #[error("sources cannot be opened")]
    Sources(#[source] SourceError),
}

impl Context {
    /// Wires the real adapters; large messages go through `lake`.
    ///
    /// # Errors
    /// When the queue's address is none that we know, or no HTTP client can be built.
    pub async fn from_config(config: &Config, lake: &Store) -> Result<Self, WiringError> {
        let ingest = queue::open(&config.ingest_queue, lake).await;
        let policy = FetchPolicy {
            allow_http: config.allow_http,
            allow_private_hosts: config.allow_private_hosts,
            ..FetchPolicy::default()
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let sources = Sources::new(config.buckets.clone(), policy, Arc::clone(&clock));
        Ok(Self {
            lake: lake.clone(),
            sources: sources.map_err(WiringError::Sources)?,
            ingest: ingest.map_err(WiringError::IngestQueue)?,
            clock,
            intake: config.intake.clone(),
        })
    }
}
