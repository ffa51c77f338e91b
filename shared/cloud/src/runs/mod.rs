//! The books of a run, in the lake: its plan, a receipt for each chunk that is done, what it has taken in.
//!
//! ```text
//! runs/chunks/{digest}.jsonl             a chunk's entries, named by their content
//! runs/{run}/plan.json                   what the run is and its chunks; from then on the run can be gone on with
//! runs/{run}/parts/{chunk}-{part}.json   files of a bulk run's items, staged by `write`
//! runs/{run}/known/{chunk}.bin           marks of the objects that a chunk took in, and of those gone in {chunk}.gone.bin
//! runs/{run}/known/{chunk}.jsonl.gz      the same objects by name, with their items
//! origins/{digest}.json                  an upload that an event told of, with its items; no part of any run
//! runs/{run}/receipts/{chunk}.json       the chunk is done: nothing of it can be lost any more
//! runs/{run}/merges/{digest}.json        the merged files of one partition of a full run
//! runs/{run}/journal/{page}.json         what a crawl that is not at its end has read; the run is named by what is crawled
//! runs/{run}/done.json                   all chunks are done, and so are the merges of a bulk run
//! ```
//!
//! Whoever writes a receipt looks whether it was the last one. Nothing is counted anywhere but by listing receipts, so a
//! receipt that is written twice counts once, and a crash between any two steps leaves the run where it can be gone on with.

mod chunk;
mod journal;
mod known;
mod ledger;
mod origin;
mod settle;
mod status;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use swath_core::RunId;
use swath_core::intake::Intake;
use swath_core::message::WrittenFile;

use crate::store::StoreError;
use swath_core::{Class, Classify};

pub use chunk::{Bad, Chunker, Entry, read_chunk};
pub use journal::Journal;
pub use known::{GONE, Known, Mark, Spans, known, mark, read_marks};
pub use ledger::{Ledger, runs};
pub use origin::{
    ItemName, Origin, Upload, each_upload, find_origins, read_origins, read_upload, write_upload,
};
pub use settle::SettleError;
pub use status::Status;

/// What a run is to do: written once, when all of its source has been listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The run.
    pub run_id: RunId,
    /// The source as it was asked for.
    pub source: String,
    /// What is taken of it.
    pub intake: Intake,
    /// Objects and items that were listed, those left out among them.
    pub listed: u64,
    /// Those that are taken.
    pub taken: u64,
    /// The chunks; a chunk's number is its place.
    pub chunks: Vec<PlannedChunk>,
    /// When it was planned.
    #[serde(with = "time::serde::rfc3339")]
    pub planned: time::OffsetDateTime,
    /// Where to go on the next time, for sources that say so: of an API, the latest `updated` seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One chunk of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChunk {
    /// Where its entries lie, below the lake's base.
    pub at: String,
    /// How many there are.
    pub entries: u32,
    /// The least address among them.
    pub first: String,
    /// The greatest.
    pub last: String,
}

/// What came of one chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Items that went on to be written.
    pub items: u64,
    /// Objects that were known and are as they were: not fetched.
    pub known: u64,
    /// Documents that are no items and were not meant to be: catalogs, collections.
    pub others: u64,
    /// Objects and items that are kept in quarantine.
    pub rejected: u64,
    /// Parts that a bulk run has staged of it.
    pub parts: u32,
    /// Items that were asked to leave the catalog, because their objects are gone.
    #[serde(default)]
    pub removed: u64,
    /// Addresses with nothing there any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
    /// Objects that could not be had, for a reason that may pass, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Pending>,
    /// Where the marks of what was taken in lie, and over which addresses they spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Known>,
}

/// An object that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its address.
    pub href: String,
    /// Its entity tag, where the listing had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The last failure's code.
    pub code: String,
    /// The last failure.
    pub reason: String,
}

/// One part of a chunk that a bulk run has staged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its files, not yet part of any table.
    pub files: Vec<WrittenFile>,
    /// Items that `write` refused.
    pub rejected: u64,
}

/// Books that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The lake's call failed.
    #[error("the run's books cannot be reached")]
    Store(#[from] StoreError),
    /// A page is not what it should be.
    #[error("{path} is no page of a run's books")]
    Page {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// There is no such run.
    #[error("there is no run {run_id}")]
    NoRun {
        /// The run.
        run_id: RunId,
    },
}

impl Classify for LedgerError {
    fn class(&self) -> Class {
        match self {
            // Paths are ours: a page that is gone is no fault of the message.
            Self::Store(error) if error.class() != Class::Invalid => error.class(),
            Self::Store(_) | Self::Page { .. } => Class::Bug,
            Self::NoRun { .. } => Class::Invalid,
        }
    }
}
