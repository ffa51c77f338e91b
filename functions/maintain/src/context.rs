//! The ports that maintenance needs.

use std::sync::Arc;

use swath_cloud::aws;
use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::store::Store;
use swath_lake::pointer::{self, PointerKind};
use swath_lake::{Lake, Now};

/// The lake, and the time.
#[derive(Clone, Debug)]
pub struct Context {
    /// The lake that is looked after.
    pub lake: Arc<Lake>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Whether a database for `EarthCatalog` is published at the end.
    pub publish_db: bool,
}

impl Context {
    /// Wires the real adapters.
    pub fn from_store(store: &Store, kind: &PointerKind, publish_db: bool) -> Self {
        let base = (store.uri.as_str(), store.local_root.as_deref());
        let now = Now::new(|| SystemClock.now());
        let (place, pointer) =
            pointer::of_lake(Arc::clone(&store.store), store.prefix.clone(), base, now);
        let pointer = kind.pointer(pointer, aws::glue());
        Self {
            lake: Arc::new(Lake::existing(place, pointer)),
            clock: Arc::new(SystemClock),
            publish_db,
        }
    }
}
