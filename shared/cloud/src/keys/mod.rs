//! Lists of objects, compared: what is new, what changed, what is gone.
//!
//! A list may be longer than memory and in any order: [`Sorter`] keeps a bounded part of it in memory and the rest in
//! sorted files, [`diff()`] walks two sorted lists side by side.

mod diff;
mod entry;
mod sort;
#[cfg(test)]
mod tests;

pub use diff::{Change, Diff, diff};
pub use entry::Entry;
pub use sort::{Keyed, Sorted, Sorter};

/// A list that cannot be sorted or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// Entries cannot be kept aside on disk, or read back.
    #[error("cannot keep a list of objects aside on disk")]
    Spool(#[source] std::io::Error),
    /// What was kept aside does not read back as it was written.
    #[error("an entry kept aside on disk does not read back")]
    Broken(#[source] serde_json::Error),
}

impl swath_core::Classify for KeysError {
    fn class(&self) -> swath_core::Class {
        match self {
            Self::Spool(source) => crate::store::class_of_io(source),
            Self::Broken(_) => swath_core::Class::Transient,
        }
    }
}
