//! What is left when all chunks of a run are done: a bulk run's merges.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};
use swath_core::intake::{MergeFiles, Mode, ReplaceFiles};
use swath_core::message::{Body, Message, Partition, WrittenFile};
use swath_core::{Class, Classify, TableName};

use super::{Ledger, LedgerError, Plan};
use crate::queue::{Queue, QueueError};

/// Pages that are read at the same time.
const READS: usize = 16;
/// Rows that are merged before `commit` is told.
const MERGED_ROWS: u64 = 500_000;

/// A run of which it is not known whether it is complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettleError {
    /// The run's books fail.
    #[error("whether the run is complete cannot be told")]
    Ledger(#[from] LedgerError),
    /// Merges are not known to be on their way.
    #[error("the run's merges are not asked for")]
    Send(#[from] QueueError),
}

impl Classify for SettleError {
    fn class(&self) -> Class {
        match self {
            Self::Ledger(error) => error.class(),
            Self::Send(error) => error.class(),
        }
    }
}

impl Ledger {
    /// Looks whether the run's last receipt is written, and if so asks `write` for the merges of a bulk run. Returns whether
    /// nothing is left to do.
    ///
    /// Two that look at the same moment ask twice, which does no harm: merged files are named by their content.
    ///
    /// # Errors
    /// When the lake or the queue fails; whoever looks next goes on from there.
    pub async fn settle(&self, write: &dyn Queue) -> Result<bool, SettleError> {
        if self.is_done().await? {
            return Ok(true);
        }
        // Chunks may be done before the plan is written, by whoever lists again after a crash.
        let Some(plan) = self.plan().await? else {
            return Ok(false);
        };
        if !self.is_complete(&plan).await? {
            return Ok(false);
        }
        if plan.intake.is_staged() {
            let merges = self.merges(&plan).await?;
            self.send_merges(&plan, merges, write).await?;
        }
        self.put_done().await?;
        Ok(true)
    }

    /// Returns one merge for each partition of which a complete bulk run has staged files.
    async fn merges(&self, plan: &Plan) -> Result<Vec<MergeFiles>, LedgerError> {
        let staged = self.staged().await?;
        let reads: Vec<_> = staged
            .into_iter()
            .map(|(chunk, part)| self.part(chunk, part))
            .collect();
        let mut reads = futures::stream::iter(reads).buffered(READS);
        // Of a file that several parts name there is one.
        let mut partitions: BTreeMap<Partition, BTreeSet<WrittenFile>> = BTreeMap::new();
        while let Some(part) = reads.try_next().await? {
            for file in part.unwrap_or_default().files {
                if let Some(partition) = file.partition.clone() {
                    partitions.entry(partition).or_default().insert(file);
                }
            }
        }
        let full = (plan.intake.mode == Mode::Full).then_some(partitions.len());
        let merges = partitions.into_iter().map(|(partition, files)| MergeFiles {
            partition,
            files: files.into_iter().collect(),
            rows: plan.intake.compact_rows,
            full,
        });
        Ok(merges.collect())
    }

    async fn send_merges(
        &self,
        plan: &Plan,
        merges: Vec<MergeFiles>,
        write: &dyn Queue,
    ) -> Result<(), QueueError> {
        let message = |body| Message {
            run_id: self.run_id.clone(),
            body,
        };
        if merges.is_empty() && plan.intake.mode == Mode::Full {
            let body = Body::ReplaceFiles(ReplaceFiles {
                table: TableName::StacItems,
                files: Vec::new(),
            });
            return write.send(vec![message(body)]).await;
        }
        let (mut together, mut rows) = (Vec::new(), 0);
        for merge in merges {
            rows += merge.files.iter().map(|file| file.rows).sum::<u64>();
            together.push(message(Body::MergeFiles(merge)));
            if rows >= MERGED_ROWS {
                write.send(std::mem::take(&mut together)).await?;
                rows = 0;
            }
        }
        if together.is_empty() {
            return Ok(());
        }
        write.send(together).await
    }
}
