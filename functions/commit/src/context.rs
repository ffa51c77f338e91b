//! The ports that committing needs.

use std::sync::Arc;

use swath_cloud::aws;
use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::store::{Store, StoreError};
use swath_lake::pointer::{self, PointerError, PointerKind, S3Pointer, TablePointer};
use swath_lake::{Lake, LakeError, Now, Place};

use crate::Config;

/// The lake whose tables grow, and the time.
#[derive(Clone, Debug)]
pub struct Context {
    /// The lake that the files lie in.
    pub lake: Arc<Lake>,
    /// Tells the time and waits between attempts.
    pub clock: Arc<dyn Clock>,
    /// Whether a database for `EarthCatalog` is published after each batch.
    pub publish_db: bool,
}

/// Why the ports could not be wired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WiringError {
    /// The bucket cannot hold the pointers to the tables.
    #[error("the bucket cannot hold the pointers to the tables")]
    Pointer(#[source] PointerError),
    /// The file of the grid's regions cannot be read.
    #[error("the file of the grid's regions cannot be read")]
    Regions(#[source] StoreError),
    /// The lake cannot be opened.
    #[error("the lake cannot be opened")]
    Lake(#[source] LakeError),
}

impl Context {
    /// Wires the real adapters and makes the tables that are not there yet.
    ///
    /// # Errors
    /// When the lake has another grid, its store ignores conditions, or it cannot be opened.
    pub async fn from_config(config: &Config, lake: &Store) -> Result<Self, WiringError> {
        let mut grid = config.grid.clone();
        if let Some(path) = config.grid.boundaries_path() {
            let regions = lake.get(path).await.map_err(WiringError::Regions)?;
            grid = grid.pinned(&regions);
        }
        let (place, pointer) = place_and_pointer(lake, &config.pointer).await?;
        let lake = Lake::open(place, pointer, grid).await;
        Ok(Self {
            lake: Arc::new(lake.map_err(WiringError::Lake)?),
            clock: Arc::new(SystemClock),
            publish_db: config.publish_db,
        })
    }
}

/// A folder's pointers lie in its SQLite file, a bucket's in objects that are put on condition, unless Glue holds them.
async fn place_and_pointer(
    lake: &Store,
    kind: &PointerKind,
) -> Result<(Place, Arc<dyn TablePointer>), WiringError> {
    let base = (lake.uri.as_str(), lake.local_root.as_deref());
    let now = Now::new(|| SystemClock.now());
    let (place, pointer) =
        pointer::of_lake(Arc::clone(&lake.store), lake.prefix.clone(), base, now);
    if lake.local_root.is_none() && *kind == PointerKind::Lake {
        let probed = S3Pointer::new(place.clone()).probe().await;
        probed.map_err(WiringError::Pointer)?;
    }
    let pointer = kind.pointer(pointer, aws::glue());
    Ok((place, pointer))
}
