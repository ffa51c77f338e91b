//! What a search needs of the world.

use std::sync::Arc;

use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::fetch::FetchPolicy;
use swath_cloud::http::{HttpError, Timeouts};
use swath_cloud::queue::{self, ByHost, Queue, QueueError};
use swath_cloud::retry::Policy;
use swath_cloud::stac::{self, Manners, Reach};
use swath_cloud::store::Store;

use crate::Config;

/// The ports of a search.
#[derive(Clone, Debug)]
pub struct Context {
    /// Speaks to STAC APIs.
    pub api: stac::Client,
    /// Tells how long it took.
    pub clock: Arc<dyn Clock>,
    /// Takes items and asset rows.
    pub write: Arc<dyn Queue>,
    /// Takes the assets to be downloaded.
    pub download: Arc<dyn Queue>,
}

/// Why the ports could not be wired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WiringError {
    /// No HTTP client.
    #[error("no API can be spoken to")]
    Http(#[source] HttpError),
    /// The queue of items and rows cannot be opened.
    #[error("the queue of items and rows cannot be opened")]
    WriteQueue(#[source] QueueError),
    /// The queue of downloads cannot be opened.
    #[error("the queue of downloads cannot be opened")]
    DownloadQueue(#[source] QueueError),
}

impl Context {
    /// Wires the real adapters; large messages go through `lake`.
    ///
    /// # Errors
    /// When no HTTP client can be built, or an address is none that we know.
    pub async fn from_config(config: &Config, lake: &Store) -> Result<Self, WiringError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let policy = FetchPolicy {
            allow_http: config.allow_http,
            allow_private_hosts: config.allow_private_hosts,
            ..FetchPolicy::default()
        };
        let reach = Reach::within(policy, config.catalog_hosts.clone());
        let http = reach.http(Timeouts::default());
        let http = http.map_err(WiringError::Http)?;
        let write = queue::open(&config.write_queue, lake).await;
        let download = async {
            let rest = queue::open(&config.download_queue, lake).await?;
            ByHost::open(&config.upstream_queues, rest, lake).await
        };
        let download = download.await.map_err(WiringError::DownloadQueue)?;
        Ok(Self {
            api: stac::Client::new(http, Arc::clone(&clock))
                .with_reach(reach)
                .with_policy(Policy::BRIEF)
                .with_manners(Manners::BRIEF),
            clock,
            write: write.map_err(WiringError::WriteQueue)?,
            download: Arc::new(download),
        })
    }
}
