//! Iceberg over object stores: table pointers, commits, what is already known.

mod attempts;
mod cache;
mod candidates;
mod commit;
mod compact;
mod decide;
mod durable;
mod error;
mod examine;
mod expire;
mod facts;
mod file;
mod grid;
mod hashes;
mod index;
mod inspect;
mod lake;
mod live;
mod lock;
mod manifests;
mod orphans;
mod place;
pub mod pointer;
mod publish;
mod replace;
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
pub use examine::{Examined, Fault, Part};
pub use expire::{Expired, SnapshotInfo};
pub use file::NewFile;
pub use hashes::HashIndex;
pub use index::Indexed;
pub use inspect::Counts;
pub use lake::Lake;
pub use lock::{Held, Holder, LOCK, Lock, LockError, Now, Taken};
pub use orphans::{LEAST_GRACE, Orphans};
pub use place::{OutsideLake, Place};
