//! The ports that committing needs.

use std::sync::Arc;

use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::store::{Store, StoreError};
use swath_lake::pointer::{LockedPointer, PointerError, S3Pointer, TablePointer};
use swath_lake::{Lake, LakeError, Now, Place};

use crate::Config;

/// The lake whose tables grow, and the time.
#[derive(Clone, Debug)]
pub struct Context {
    /// The lake that the files lie in.
    pub lake: Arc<Lake>,
    /// Tells the time and waits between attempts.
    pub clock: Arc<dyn Clock>,
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
        let (place, pointer) = place_and_pointer(lake).await?;
        let lake = Lake::open(place, pointer, grid).await;
        Ok(Self {
            lake: Arc::new(lake.map_err(WiringError::Lake)?),
            clock: Arc::new(SystemClock),
        })
    }
}

/// A folder's pointers lie in its SQLite file, a bucket's in objects that are put on condition.
async fn place_and_pointer(lake: &Store) -> Result<(Place, Arc<dyn TablePointer>), WiringError> {
    let place = |base: &str| Place::new(Arc::clone(&lake.store), lake.prefix.clone(), base);
    if let Some(root) = &lake.local_root {
        let place = place(&root.to_string_lossy());
        let now = Now::new(|| SystemClock.now());
        let pointer = LockedPointer::in_folder(root, &place, now);
        return Ok((place, Arc::new(pointer)));
    }
    let place = place(&lake.uri);
    let pointer = S3Pointer::new(place.clone());
    pointer.probe().await.map_err(WiringError::Pointer)?;
    Ok((place, Arc::new(pointer)))
}
