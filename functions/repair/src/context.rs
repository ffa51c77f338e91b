//! The ports that repairing needs.

use std::sync::Arc;

use swath_cloud::aws;
use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::queue::{self, ByHost, Queue, QueueError};
use swath_cloud::store::{self, Store, StoreError};
use swath_lake::{Lake, Now, pointer};

use crate::Config;

/// The rows, the files they tell of, and who brings files.
#[derive(Clone, Debug)]
pub struct Context {
    /// The lake whose rows are read.
    pub lake: Arc<Lake>,
    /// Where the files lie.
    pub out: Store,
    /// Takes the assets to be downloaded.
    pub download: Arc<dyn Queue>,
}

/// Why the ports could not be wired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WiringError {
    /// The place for assets cannot be opened.
    #[error("the place for assets cannot be opened")]
    Out(#[source] StoreError),
    /// The queue of downloads cannot be opened.
    #[error("the queue of downloads cannot be opened")]
    DownloadQueue(#[source] QueueError),
}

impl Context {
    /// Wires the real adapters.
    ///
    /// # Errors
    /// When an address is none that we know.
    pub async fn from_config(config: &Config, lake: &Store) -> Result<Self, WiringError> {
        let download = async {
            let rest = queue::open(&config.download_queue, lake).await?;
            ByHost::open(&config.upstream_queues, rest, lake).await
        };
        let download = download.await.map_err(WiringError::DownloadQueue)?;
        let base = (lake.uri.as_str(), lake.local_root.as_deref());
        let now = Now::new(|| SystemClock.now());
        let (place, pointer) =
            pointer::of_lake(Arc::clone(&lake.store), lake.prefix.clone(), base, now);
        let pointer = config.pointer.pointer(pointer, aws::glue());
        Ok(Self {
            lake: Arc::new(Lake::existing(place, pointer)),
            out: store::open_existing(&config.out).map_err(WiringError::Out)?,
            download: Arc::new(download),
        })
    }
}
