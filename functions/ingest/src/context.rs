//! The ports of this function, wired once.

use std::num::NonZeroUsize;
use std::sync::Arc;

use swath_cloud::clock::SystemClock;
use swath_cloud::fetch::FetchPolicy;
use swath_cloud::queue::{self, Queue, QueueError};
use swath_cloud::sources::{SourceError, Sources};
use swath_cloud::store::Store;

use crate::Config;

/// Bytes of items in one message: a batch of them must fit into the memory of `write`.
const MESSAGE: usize = 1 << 20;

/// What taking in needs of the world.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where runs keep their books, and rejected objects lie.
    pub lake: Store,
    /// Where objects are read from.
    pub sources: Sources,
    /// Where items go.
    pub write: Arc<dyn Queue>,
    /// Bytes of items in one message, more or less.
    pub message_bytes: usize,
    /// Objects fetched at once, at most.
    pub fetches: NonZeroUsize,
}

/// Why the ports could not be wired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WiringError {
    /// The queue of writes cannot be opened.
    #[error("the queue of writes cannot be opened")]
    WriteQueue(#[source] QueueError),
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
        let write = queue::open(&config.write_queue, lake).await;
        let policy = FetchPolicy {
            allow_http: config.allow_http,
            allow_private_hosts: config.allow_private_hosts,
            ..FetchPolicy::default()
        };
        let sources = Sources::new(config.buckets.clone(), policy, Arc::new(SystemClock));
        Ok(Self {
            lake: lake.clone(),
            sources: sources.map_err(WiringError::Sources)?,
            write: write.map_err(WiringError::WriteQueue)?,
            message_bytes: MESSAGE,
            fetches: config.fetches,
        })
    }
}
