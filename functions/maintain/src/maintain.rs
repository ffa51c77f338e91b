//! The use case: steps over tables, each with figures of what it did.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use swath_cloud::clock::Clock;
use swath_core::upkeep::{MaintainLake, MaintainStep};
use swath_core::{Class, Classify, TableName};
use swath_lake::{Compaction, Indexed, Lake, LakeError, Pace as _};

use crate::Patience;

/// A lake that could not be looked after.
#[derive(Debug, thiserror::Error)]
#[error("{step} of {table} failed")]
pub struct MaintainError {
    /// What was being done.
    pub step: MaintainStep,
    /// Of which table.
    pub table: TableName,
    /// Why.
    #[source]
    pub source: LakeError,
}

impl Classify for MaintainError {
    fn class(&self) -> Class {
        self.source.class()
    }
}

/// What is done when nothing is named, in this order.
pub const USUAL: [MaintainStep; 5] = [
    MaintainStep::Compact,
    MaintainStep::Manifests,
    MaintainStep::Expire,
    MaintainStep::Orphans,
    MaintainStep::Index,
];

/// Returns the steps that are asked for, or all that is usual when none is, and then more.
pub fn steps(asked: &[MaintainStep], more: &[MaintainStep]) -> Vec<MaintainStep> {
    let asked = if asked.is_empty() { &USUAL } else { asked };
    let more = more.iter().filter(|step| !asked.contains(step));
    asked.iter().chain(more).copied().collect()
}

/// The clock by which maintenance goes, and what says how long.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// Tells the time and waits between attempts.
    pub clock: &'a dyn Clock,
    /// Whether another part of the work may be begun: what is begun is then committed.
    pub may_go_on: &'a (dyn Fn() -> bool + Send + Sync),
}

impl fmt::Debug for Terms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms").finish_non_exhaustive()
    }
}

/// Does each step for each table, and tells the figures of each.
///
/// A compaction whose files others replaced first is not a failure: the next one finds what is left.
///
/// # Errors
/// When a step fails, or there is no time left for it; what was done before it stays done.
pub async fn maintain(
    lake: &Lake,
    asked: &MaintainLake,
    terms: Terms<'_>,
    tell: impl Fn(&Value),
) -> Result<(), MaintainError> {
    let tables = if asked.tables.is_empty() {
        &TableName::ALL[..]
    } else {
        &asked.tables
    };
    for step in steps(&asked.steps, &[]) {
        let tables = tables.iter().copied();
        for table in tables.filter(|table| *table == TableName::StacItems || is_of_all(step)) {
            let taken = if (terms.may_go_on)() {
                take(step, table, lake, asked, terms).await
            } else {
                Err(LakeError::Late { table })
            };
            match taken {
                Ok(figures) => tell(&figures),
                Err(LakeError::InputsGone { location, .. }) => tell(&json!({
                    "step": step.to_string(), "table": table.to_string(), "inputs_gone": location,
                })),
                // A catalog of others has only the one table.
                Err(LakeError::NoTable { .. })
                    if asked.tables.is_empty() && table != TableName::StacItems => {}
                Err(source) => {
                    return Err(MaintainError {
                        step,
                        table,
                        source,
                    });
                }
            }
        }
    }
    Ok(())
}

/// Returns whether a step is one of every table, not only of the items.
fn is_of_all(step: MaintainStep) -> bool {
    use MaintainStep as S;
    matches!(step, S::Compact | S::Manifests | S::Expire | S::Orphans)
}

/// Does one step for one table; returns its figures. The names are part of the interface.
async fn take(
    step: MaintainStep,
    table: TableName,
    lake: &Lake,
    asked: &MaintainLake,
    terms: Terms<'_>,
) -> Result<Value, LakeError> {
    let pace = Patience::new(terms);
    let dry = asked.dry_run;
    let mut figures = json!({"step": step.to_string(), "table": table.to_string(), "dry_run": dry});
    let more = match step {
        MaintainStep::Compact => {
            let how = Compaction {
                threshold: usize::try_from(asked.threshold).unwrap_or(usize::MAX),
                target_bytes: asked.target_mib << 20,
                most_bytes: asked.most_mib.map(|mib| mib << 20),
            };
            let done = lake.compact(table, &how, dry, &pace).await?;
            json!({
                "buckets_scanned": done.buckets_scanned, "buckets_compacted": done.buckets_compacted,
                "files_before": done.files_before, "files_after": done.files_after,
                "files_left": done.files_left, "files_waiting": done.files_waiting,
                "snapshot_id": done.snapshot_id.map(|id| id.to_string()),
            })
        }
        MaintainStep::Manifests => {
            let (before, after) = lake.rewrite_manifests(table, dry, &pace).await?;
            json!({"manifests_before": before, "manifests_after": after})
        }
        MaintainStep::Expire => {
            let days = Duration::from_secs(u64::from(asked.keep_days) * 24 * 60 * 60);
            let last = usize::try_from(asked.keep_last).unwrap_or(usize::MAX);
            let done = lake.expire(table, (last, days), dry, &pace).await?;
            json!({"snapshots_expired": done.snapshots.len(), "snapshots_kept": done.kept})
        }
        MaintainStep::Orphans => {
            let dry = dry || !asked.delete;
            let grace = Duration::from_secs(u64::from(asked.grace_hours) * 60 * 60);
            let done = lake.clear_orphans(table, grace, pace.now(), dry).await?;
            json!({
                "dry_run": dry, "files_orphaned": done.cleared.len(), "bytes_orphaned": done.bytes,
                "files_young": done.files_young, "files_needed": done.files_needed,
            })
        }
        MaintainStep::Index => index_figures(&lake.maintain_index(dry).await?),
        MaintainStep::Hashes | MaintainStep::Database if dry => json!({}),
        MaintainStep::Database => {
            let published = lake.publish_database().await?;
            json!({"published": published})
        }
        MaintainStep::Hashes => {
            let done = lake.write_hash_index().await?;
            json!({"ids": done.ids, "location": done.location})
        }
    };
    if let (Some(figures), Value::Object(more)) = (figures.as_object_mut(), more) {
        figures.extend(more);
    }
    Ok(figures)
}

/// Returns the figures of the id index.
pub fn index_figures(indexed: &Indexed) -> Value {
    json!({
        "index_files_covered": indexed.files_covered, "index_files": indexed.files,
        "index_runs": indexed.runs, "index_bytes": indexed.size_bytes,
        "index_runs_cleared": indexed.runs_cleared,
    })
}
