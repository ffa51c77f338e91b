//! Iceberg over object stores: table pointers, commits, what is already known.

mod attempts;
mod cache;
mod commit;
mod compact;
mod decide;
mod durable;
mod error;
mod expire;
mod facts;
mod file;
mod grid;
mod inspect;
mod lake;
mod live;
mod manifests;
mod orphans;
mod place;
pub mod pointer;
mod scan;
mod schema;
mod snapshot;
mod sparse;
mod storage;

#[cfg(test)]
mod tests;

pub use commit::{Batch, Committed, Figures, Pace};
pub use compact::{Compacted, Compaction};
pub use decide::Removed;
pub use error::LakeError;
pub use expire::{Expired, SnapshotInfo};
pub use file::NewFile;
pub use inspect::Counts;
pub use lake::Lake;
pub use orphans::{LEAST_GRACE, Orphans};
pub use place::{OutsideLake, Place};
