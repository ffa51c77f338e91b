//! The ports of this function, wired once.

use std::sync::Arc;

use swath_cloud::queue::{self, Queue, QueueError};
use swath_cloud::store::{self, Store, StoreError};
use swath_core::Job;

use crate::Config;

/// What planning needs of the world.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where searches go.
    pub search_queue: Arc<dyn Queue>,
    /// Where files of areas are uploaded; without it there are no uploads.
    pub inbox: Option<Store>,
    /// The job of uploads that name none.
    pub default_job: Option<Job>,
}

/// Why the ports could not be wired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WiringError {
    /// The inbox cannot be opened.
    #[error("the inbox cannot be opened")]
    Inbox(#[source] StoreError),
    /// The queue of searches cannot be opened.
    #[error("the queue of searches cannot be opened")]
    SearchQueue(#[source] QueueError),
}

impl Context {
    /// Plans what is handed in, with no inbox for uploads.
    pub fn new(search_queue: Arc<dyn Queue>) -> Self {
        Self {
            search_queue,
            inbox: None,
            default_job: None,
        }
    }

    /// Wires the real adapters; large messages go through `lake`.
    ///
    /// # Errors
    /// When an address is none that we know, or a folder cannot be made.
    pub async fn from_config(config: &Config, lake: &Store) -> Result<Self, WiringError> {
        let search_queue = queue::open(&config.search_queue, lake).await;
        let inbox = store::open_existing(&config.inbox).map_err(WiringError::Inbox)?;
        Ok(Self {
            search_queue: search_queue.map_err(WiringError::SearchQueue)?,
            inbox: Some(inbox),
            default_job: config.default_job.clone(),
        })
    }
}
