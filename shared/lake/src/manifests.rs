//! Manifests written anew, sorted by partition.

use async_trait::async_trait;
use swath_core::TableName;

use crate::attempts::{Attempts, Step, Work};
use crate::commit::Pace;
use crate::error::LakeError;
use crate::lake::{Base, Lake};
use crate::snapshot::{Change, stage};

struct Rewrite<'a> {
    lake: &'a Lake,
    table: TableName,
    pace: &'a dyn Pace,
}

#[async_trait]
impl Work for Rewrite<'_> {
    /// How many manifests there were.
    type Done = usize;

    async fn prepare(&self, base: &Base) -> Result<Step<usize>, LakeError> {
        let manifests = base.manifests(self.lake).await?;
        let before = manifests.len();
        if before < 2 {
            return Ok(Step::Nothing(before));
        }
        let change = Change {
            same_rows: true,
            merge_all: true,
            ..Change::default()
        };
        let staged = stage(self.lake, base, manifests, &change, self.pace.now()).await;
        let staged = staged.map_err(LakeError::metadata(self.table, "writing a snapshot"))?;
        Ok(Step::Offer(Box::new(staged), before))
    }
}

impl Lake {
    /// Merges a table's manifests into as few as hold all files, sorted by partition, in one snapshot with the same
    /// files; returns how many there were and are.
    ///
    /// # Errors
    /// As for a commit.
    pub async fn rewrite_manifests(
        &self,
        table: TableName,
        dry: bool,
        pace: &dyn Pace,
    ) -> Result<(usize, usize), LakeError> {
        if dry {
            let now = self.base(table).await?.manifests(self).await?.len();
            return Ok((now, now));
        }
        let work = Rewrite {
            lake: self,
            table,
            pace,
        };
        let attempts = Attempts {
            lake: self,
            table,
            work: &work,
            pace,
        };
        let before = attempts.run().await?.done;
        let after = self.base(table).await?.manifests(self).await?.len();
        Ok((before, after))
    }
}
