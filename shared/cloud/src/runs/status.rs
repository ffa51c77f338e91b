//! How far a run is, told from its receipts alone.

use serde::Serialize;

use super::{Ledger, LedgerError, Plan};

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The run.
    pub run_id: String,
    /// Its source.
    pub source: String,
    /// Objects and items that were listed.
    pub listed: u64,
    /// Those that are to be taken in.
    pub taken: u64,
    /// Chunks of the plan.
    pub chunks: u64,
    /// Chunks with a receipt.
    pub chunks_done: u64,
    /// Items that went on to be written.
    pub items: u64,
    /// Objects that were known.
    pub known: u64,
    /// Documents that are no items.
    pub others: u64,
    /// What is in quarantine.
    pub rejected: u64,
    /// Addresses with nothing there any more.
    pub gone: u64,
    /// Items that were asked to leave the catalog.
    pub removed: u64,
    /// Objects to be tried again.
    pub pending: u64,
    /// Whether all of it is done, merges included.
    pub done: bool,
}

impl Ledger {
    /// Adds up the run's receipts.
    ///
    /// # Errors
    /// When the run has no plan, or the lake fails.
    pub async fn status(&self) -> Result<Status, LedgerError> {
        let plan = self.plan().await?.ok_or_else(|| LedgerError::NoRun {
            run_id: self.run_id.clone(),
        })?;
        let done = self.done_chunks().await?;
        let mut status = Status {
            run_id: self.run_id.to_string(),
            source: plan.source,
            listed: plan.listed,
            taken: plan.taken,
            chunks: plan.chunks.len() as u64,
            chunks_done: done.len() as u64,
            done: self.is_done().await?,
            ..Status::default()
        };
        for (chunk, receipt) in self.receipts(done).await? {
            status.items += receipt.items;
            status.known += receipt.known;
            status.others += receipt.others;
            status.rejected += receipt.rejected;
            status.gone += receipt.gone.len() as u64;
            status.removed += receipt.removed;
            status.pending += receipt.pending.len() as u64;
            for part in 0..receipt.parts {
                let part = self.part(chunk, part).await?.unwrap_or_default();
                status.rejected += part.rejected;
                status.items = status.items.saturating_sub(part.rejected);
            }
        }
        Ok(status)
    }

    /// Says whether every chunk has its receipt, and everything that receipts speak of is staged.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn is_complete(&self, plan: &Plan) -> Result<bool, LedgerError> {
        let done = self.done_chunks().await?;
        let is_there = |chunk| u32::try_from(chunk).is_ok_and(|chunk| done.contains(&chunk));
        if !(0..plan.chunks.len()).all(is_there) {
            return Ok(false);
        }
        if !plan.intake.is_staged() {
            return Ok(true);
        }
        let staged = self.staged().await?;
        let receipts = self.receipts(done).await?;
        Ok(receipts.iter().all(|(chunk, receipt)| {
            (0..receipt.parts).all(|part| staged.contains(&(*chunk, part)))
        }))
    }
}
