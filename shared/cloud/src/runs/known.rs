//! What was taken in before: 16 bytes per object, in sorted files that say over which addresses they spread.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use swath_core::intake::Mode;

use super::{LedgerError, PlannedChunk};
use crate::store::Store;

/// The first 16 bytes of the SHA-256 of an object's address and entity tag.
pub type Mark = [u8; 16];

/// A file of marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Where it lies, below the lake's base.
    pub at: String,
    /// The least address in it.
    pub first: String,
    /// The greatest.
    pub last: String,
    /// Whether marks of objects that are gone lie beside them, in a file of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_gone: bool,
}

/// The end of a file of marks that no longer hold: their objects are gone.
pub const GONE: &str = ".gone.bin";

impl Known {
    /// Returns where the marks of objects lie that are gone.
    pub(super) fn gone_at(&self) -> String {
        self.with_end(GONE)
    }

    /// Returns where the names of the objects and of their items lie.
    pub fn origins_at(&self) -> String {
        self.with_end(".jsonl.gz")
    }

    fn with_end(&self, end: &str) -> String {
        let stem = self.at.strip_suffix(".bin").unwrap_or(&self.at);
        format!("{stem}{end}")
    }
}

/// Files of marks, to be asked which of them may have an object of a chunk.
#[derive(Clone, Debug, Default)]
pub struct Spans(Vec<Known>);

pub(super) fn digest(parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut first = [0; 16];
    for (to, from) in first.iter_mut().zip(digest) {
        *to = from;
    }
    u128::from_be_bytes(first)
}

/// Names an object as it is now; one without an entity tag cannot be told from its next version.
pub fn mark(href: &str, etag: Option<&str>) -> Option<Mark> {
    let etag = etag?;
    Some(digest(&[href.as_bytes(), etag.as_bytes()]).to_be_bytes())
}

/// Writes marks as a file has them.
pub(super) fn write_marks(mut marks: Vec<Mark>) -> Bytes {
    marks.sort_unstable();
    marks.dedup();
    marks.concat().into()
}

/// Reads a file of marks.
///
/// # Errors
/// When the lake does not have it.
pub async fn read_marks(lake: &Store, at: &str) -> Result<Vec<Mark>, LedgerError> {
    let bytes = lake.get(at).await?;
    let (marks, _) = bytes.as_chunks::<16>();
    Ok(marks.to_vec())
}

impl Spans {
    /// Takes files of marks.
    pub fn new(known: Vec<Known>) -> Self {
        Self(known)
    }

    /// Returns where the marks lie that an object of the chunk may be among.
    pub fn of(&self, chunk: &PlannedChunk) -> Vec<String> {
        let met = self.0.iter();
        let met = met.filter(|known| known.first <= chunk.last && chunk.first <= known.last);
        let both = met.flat_map(|known| {
            let gone = known.has_gone.then(|| known.gone_at());
            [Some(known.at.clone()), gone]
        });
        both.flatten().collect()
    }

    /// Returns all files of marks, those of the run that was planned first at the front.
    pub fn all(&self) -> &[Known] {
        &self.0
    }
}

/// Returns the marks of all that any run took in, in the order of the runs; nothing of what a full run has replaced.
///
/// # Errors
/// When the lake fails.
pub async fn known(lake: &Store) -> Result<Spans, LedgerError> {
    let mut planned = Vec::new();
    for run_id in super::runs(lake).await? {
        let ledger = super::Ledger::new(lake.clone(), run_id);
        if let Some(plan) = ledger.plan().await? {
            planned.push((plan.planned, plan.intake.mode == Mode::Full, ledger));
        }
    }
    planned.sort_by_key(|(planned, ..)| *planned);
    let mut all = Vec::new();
    for (_, is_full, ledger) in planned {
        let done = ledger.known().await?;
        if is_full && done.is_some() {
            all.clear();
        }
        if let Some(known) = done {
            all.extend(known);
            continue;
        }
        let receipts = ledger.receipts(ledger.done_chunks().await?).await?;
        let marks = receipts.into_iter();
        all.extend(marks.filter_map(|(_, receipt)| receipt.marks));
    }
    Ok(Spans(all))
}
