//! Tries until a change is part of its table, and never makes it part of it twice.

use std::sync::Arc;

use async_trait::async_trait;
use swath_core::{Class, Classify as _, TableName};

use crate::commit::Pace;
use crate::error::LakeError;
use crate::lake::{Base, Lake};
use crate::pointer::{Effect, Swap};
use crate::snapshot::Staged;

/// A change that is prepared anew on each base.
#[async_trait]
pub(crate) trait Work: Sync {
    /// What the change did.
    type Done: Clone + Send + Sync;

    /// Writes the change's files on a base.
    async fn prepare(&self, base: &Base) -> Result<Step<Self::Done>, LakeError>;
}

/// What there is to do on a base.
pub(crate) enum Step<D> {
    /// The table is as it should be.
    Nothing(D),
    /// The table should be led to these files.
    Offer(Box<Staged>, D),
}

/// How a change ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended<D> {
    pub(crate) done: D,
    pub(crate) snapshot_id: Option<i64>,
    pub(crate) attempts: u32,
}

/// A state that was offered to the pointer, and what it does.
struct Offered<D> {
    location: String,
    snapshot_id: Option<i64>,
    outdated: Vec<String>,
    done: D,
}

/// One change on its way into a table.
pub(crate) struct Attempts<'a, W> {
    pub(crate) lake: &'a Lake,
    pub(crate) table: TableName,
    pub(crate) work: &'a W,
    pub(crate) pace: &'a dyn Pace,
}

impl<W: Work> Attempts<'_, W> {
    pub(crate) async fn run(&self) -> Result<Ended<W::Done>, LakeError> {
        let (mut attempts, mut in_doubt) = (0, false);
        let mut offered = Vec::new();
        loop {
            attempts += 1;
            let error = match self.attempt(attempts, &mut offered).await {
                Ok(Some(ended)) => return Ok(ended),
                Ok(None) => LakeError::Conflict {
                    table: self.table,
                    attempts,
                },
                Err(error) => error,
            };
            in_doubt |= error.effect() == Effect::Unknown;
            let class = error.class();
            let may_help = matches!(class, Class::Transient | Class::Conflict | Class::Uncertain)
                && !matches!(error, LakeError::InputsGone { .. });
            tracing::debug!(
                table = %self.table, attempts, error.class = %class,
                error = %swath_core::chain(&error), "commit did not succeed"
            );
            if may_help && self.pace.again(attempts).await {
                continue;
            }
            return self.give_up(attempts, in_doubt, error, &offered).await;
        }
    }

    /// Asks the table a last time whether one of our states is in it.
    async fn give_up(
        &self,
        attempts: u32,
        in_doubt: bool,
        error: LakeError,
        offered: &[Offered<W::Done>],
    ) -> Result<Ended<W::Done>, LakeError> {
        let base = self.lake.base(self.table).await;
        if let Ok(base) = &base
            && let Some(ended) = self.landed(base, attempts, offered).await
        {
            return Ok(ended);
        }
        // A swap whose answer was lost could still be on its way.
        if in_doubt || (base.is_err() && !offered.is_empty()) {
            return Err(LakeError::Unknown {
                table: self.table,
                attempts,
                source: Box::new(error),
            });
        }
        Err(error)
    }

    /// Tries once; `None` when the pointer refused.
    async fn attempt(
        &self,
        attempts: u32,
        offered: &mut Vec<Offered<W::Done>>,
    ) -> Result<Option<Ended<W::Done>>, LakeError> {
        let base = self.lake.base(self.table).await?;
        if let Some(ended) = self.landed(&base, attempts, offered).await {
            return Ok(Some(ended));
        }
        let (staged, done) = match self.work.prepare(&base).await? {
            Step::Offer(staged, done) => (staged, done),
            Step::Nothing(done) => {
                return Ok(Some(Ended {
                    done,
                    snapshot_id: None,
                    attempts,
                }));
            }
        };
        self.lake.make_durable(&staged.written).await;
        let ours = Offered {
            outdated: staged.cleared(),
            location: staged.location,
            snapshot_id: staged.snapshot_id,
            done,
        };
        let ended = ours.ended(attempts);
        let (location, outdated) = (ours.location.clone(), ours.outdated.clone());
        offered.push(ours);
        let pointer = &self.lake.pointer;
        let swap = pointer.swap(self.table, Some(&base.pointed), &location);
        match swap.await.map_err(LakeError::pointer(self.table))? {
            Swap::Lost => Ok(None),
            Swap::Swapped => {
                let cache = &self.lake.cache;
                cache.keep_metadata(self.table, &location, &Arc::new(staged.metadata));
                self.clear(&outdated).await;
                Ok(Some(ended))
            }
        }
    }

    /// Looks for a state of ours in the table. The names of our metadata files and the ids of our snapshots are ours
    /// alone, so finding one is proof.
    async fn landed(
        &self,
        base: &Base,
        attempts: u32,
        offered: &[Offered<W::Done>],
    ) -> Option<Ended<W::Done>> {
        let log = base.metadata.metadata_log();
        let ours = offered.iter().find(|ours| {
            let has = |id| base.metadata.snapshot_by_id(id).is_some();
            base.pointed.location == ours.location
                || log.iter().any(|old| old.metadata_file == ours.location)
                || ours.snapshot_id.is_some_and(has)
        })?;
        self.clear(&ours.outdated).await;
        Some(ours.ended(attempts))
    }

    /// Deletes metadata files that the current one's log no longer names, where the table asks for it. A file that stays
    /// is only waste.
    async fn clear(&self, outdated: &[String]) {
        for location in outdated {
            if let Err(error) = self.lake.io.delete(location).await {
                tracing::debug!(location, %error, "an outdated metadata file stays");
            }
        }
    }
}

impl<D: Clone> Offered<D> {
    fn ended(&self, attempts: u32) -> Ended<D> {
        Ended {
            done: self.done.clone(),
            snapshot_id: self.snapshot_id,
            attempts,
        }
    }
}
