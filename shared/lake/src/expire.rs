//! Which snapshots a table keeps: expiry, tags, the way back.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use iceberg::spec::{
    MAIN_BRANCH, SnapshotReference, SnapshotRetention, TableMetadata, TableMetadataBuildResult,
    TableMetadataBuilder,
};
use swath_core::TableName;

use crate::attempts::{Attempts, Step, Work};
use crate::commit::Pace;
use crate::error::LakeError;
use crate::lake::{Base, Lake};
use crate::snapshot::Staged;

/// Which snapshots stay: the newest ones, those younger than an instant, and those that a branch or tag names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    pub(crate) last: usize,
    pub(crate) since_ms: i64,
}

impl Keep {
    /// Returns the ids of the snapshots that need not stay.
    pub(crate) fn outdated(&self, metadata: &TableMetadata) -> Vec<i64> {
        let mut all: Vec<_> = metadata.snapshots().collect();
        all.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.sequence_number()));
        let named: BTreeSet<i64> = refs(metadata).into_iter().map(|named| named.1).collect();
        all.into_iter()
            .skip(self.last.max(1))
            .filter(|snapshot| snapshot.timestamp_ms() < self.since_ms)
            .map(|snapshot| snapshot.snapshot_id())
            .filter(|id| !named.contains(id) && Some(*id) != metadata.current_snapshot_id())
            .collect()
    }
}

/// Returns the names and snapshots of branches and tags.
pub(crate) fn refs(metadata: &TableMetadata) -> Vec<(String, i64)> {
    // Iceberg keeps them to itself but for their JSON.
    let json = serde_json::to_value(metadata).unwrap_or_default();
    let refs = json.get("refs").and_then(|refs| refs.as_object());
    let named = refs.into_iter().flatten();
    named
        .filter_map(|(name, to)| Some((name.clone(), to.get("snapshot-id")?.as_i64()?)))
        .collect()
}

/// What `expire` did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Snapshots that left the metadata; their files stay until they are cleared away as orphans.
    pub snapshots: Vec<i64>,
    /// Snapshots that stay.
    pub kept: usize,
}

/// One snapshot of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its id.
    pub snapshot_id: i64,
    /// When it was made, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// What it did: `append`, `overwrite`, `replace` or `delete`.
    pub operation: String,
    /// Rows in the table then, if the snapshot says so.
    pub rows: Option<u64>,
    /// Data files in the table then, if the snapshot says so.
    pub files: Option<u64>,
    /// Branches and tags that name it.
    pub names: Vec<String>,
    /// Whether the table is in this state now.
    pub current: bool,
}

/// A change of which snapshots there are, or how they are called.
struct Alter<'a, F> {
    lake: &'a Lake,
    table: TableName,
    change: F,
}

#[async_trait]
impl<F> Work for Alter<'_, F>
where
    F: Fn(&Base) -> Result<Option<TableMetadataBuildResult>, LakeError> + Sync,
{
    type Done = ();

    async fn prepare(&self, base: &Base) -> Result<Step<()>, LakeError> {
        let Some(built) = (self.change)(base)? else {
            return Ok(Step::Nothing(()));
        };
        let failed = LakeError::metadata(self.table, "changing the table");
        let staged = Staged::write(self.lake, base, built).await;
        Ok(Step::Offer(Box::new(staged.map_err(failed)?), ()))
    }
}

impl Lake {
    async fn alter<F>(&self, table: TableName, pace: &dyn Pace, change: F) -> Result<(), LakeError>
    where
        F: Fn(&Base) -> Result<Option<TableMetadataBuildResult>, LakeError> + Sync,
    {
        let work = Alter {
            lake: self,
            table,
            change,
        };
        let attempts = Attempts {
            lake: self,
            table,
            work: &work,
            pace,
        };
        attempts.run().await?;
        Ok(())
    }

    /// Takes snapshots out of a table's metadata: all but the `keep_last` newest, those younger than `age`, and those that
    /// a branch or tag names. With `dry` nothing is changed.
    ///
    /// # Errors
    /// As for a commit.
    pub async fn expire(
        &self,
        table: TableName,
        (keep_last, age): (usize, Duration),
        dry: bool,
        pace: &dyn Pace,
    ) -> Result<Expired, LakeError> {
        let since = (pace.now() - age).unix_timestamp_nanos() / 1_000_000;
        let keep = Keep {
            last: keep_last,
            since_ms: i64::try_from(since).unwrap_or(i64::MIN),
        };
        let before = self.base(table).await?;
        let snapshots = keep.outdated(&before.metadata);
        let kept = before.metadata.snapshots().len() - snapshots.len();
        if !dry && !snapshots.is_empty() {
            let change = |base: &Base| {
                // On a newer base more may be outdated: those are for the next time.
                let still = keep.outdated(&base.metadata).into_iter();
                let gone: Vec<i64> = still.filter(|id| snapshots.contains(id)).collect();
                if gone.is_empty() {
                    return Ok(None);
                }
                let built = base.change().remove_snapshots(&gone).build();
                let failed = LakeError::metadata(table, "expiring snapshots");
                built.map(Some).map_err(failed)
            };
            self.alter(table, pace, change).await?;
        }
        Ok(Expired { snapshots, kept })
    }

    /// Names a snapshot, the current one when `snapshot_id` is `None`; it is then not expired.
    ///
    /// # Errors
    /// When there is no such snapshot, and as for a commit.
    pub async fn tag(
        &self,
        table: TableName,
        name: &str,
        snapshot_id: Option<i64>,
        pace: &dyn Pace,
    ) -> Result<(), LakeError> {
        if name.is_empty() || name == MAIN_BRANCH {
            let name = name.to_owned();
            return Err(LakeError::Name { table, name });
        }
        let retention = SnapshotRetention::Tag {
            max_ref_age_ms: None,
        };
        self.point(table, (name, retention), snapshot_id, pace)
            .await
    }

    /// Makes a snapshot the current one again; what came after it stays in the history.
    ///
    /// # Errors
    /// When there is no such snapshot, and as for a commit.
    pub async fn rollback(
        &self,
        table: TableName,
        snapshot_id: i64,
        pace: &dyn Pace,
    ) -> Result<(), LakeError> {
        let retention = SnapshotRetention::branch(None, None, None);
        let main = (MAIN_BRANCH, retention);
        self.point(table, main, Some(snapshot_id), pace).await
    }

    async fn point(
        &self,
        table: TableName,
        (name, retention): (&str, SnapshotRetention),
        snapshot_id: Option<i64>,
        pace: &dyn Pace,
    ) -> Result<(), LakeError> {
        let change = |base: &Base| {
            let id = snapshot_id.or(base.metadata.current_snapshot_id());
            let found = id.filter(|id| base.metadata.snapshot_by_id(*id).is_some());
            let Some(id) = found else {
                let snapshot_id = id.unwrap_or_default();
                return Err(LakeError::NoSnapshot { table, snapshot_id });
            };
            let reference = SnapshotReference::new(id, retention.clone());
            let built = base.change().set_ref(name, reference);
            let built = built.and_then(TableMetadataBuilder::build);
            let failed = LakeError::metadata(table, "naming a snapshot");
            built.map(Some).map_err(failed)
        };
        self.alter(table, pace, change).await
    }

    /// Lists a table's snapshots, the oldest first.
    ///
    /// # Errors
    /// When there is no such table or its metadata cannot be read.
    pub async fn snapshots(&self, table: TableName) -> Result<Vec<SnapshotInfo>, LakeError> {
        let base = self.base(table).await?;
        let refs = refs(&base.metadata);
        let mut all: Vec<_> = base.metadata.snapshots().collect();
        all.sort_by_key(|snapshot| snapshot.sequence_number());
        let infos = all.into_iter().map(|snapshot| {
            let id = snapshot.snapshot_id();
            let summary = &snapshot.summary().additional_properties;
            let figure = |name| {
                summary
                    .get(name)
                    .and_then(|text: &String| text.parse().ok())
            };
            let named = refs.iter().filter(|(_, of)| *of == id);
            SnapshotInfo {
                snapshot_id: id,
                timestamp_ms: snapshot.timestamp_ms(),
                operation: snapshot.summary().operation.as_str().to_owned(),
                rows: figure("total-records"),
                files: figure("total-data-files"),
                names: named.map(|(name, _)| name.clone()).collect(),
                current: base.metadata.current_snapshot_id() == Some(id),
            }
        });
        Ok(infos.collect())
    }
}
