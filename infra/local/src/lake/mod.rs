//! `swath maintain`, `info`, `stats`, `lock`, `snapshots`, `tag` and `rollback`: a lake looked after from the command line.

mod arguments;
mod info;
mod pace;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::store;
use swath_core::TableName;
use swath_lake::pointer::{LockedPointer, S3Pointer, TablePointer};
use swath_lake::{Compaction, Indexed, Lake, LakeError, Now, Pace as _, Place};

pub(crate) use arguments::LakeCommand;

use crate::exit::Exit;
use crate::run::{CommandError, print_json, print_text};
use arguments::{MaintainArgs, RollbackArgs, SnapshotsArgs, Step, TagArgs, Where};
use pace::Patience;

/// Carries out one of the commands that look after a lake.
pub(crate) async fn command(command: LakeCommand) -> Result<Exit, CommandError> {
    match command {
        LakeCommand::Maintain(arguments) => maintain(&arguments).await?,
        LakeCommand::Info(arguments) => return info::info(&arguments).await,
        LakeCommand::Stats(arguments) => info::stats(&arguments).await?,
        LakeCommand::Lock(arguments) => info::lock(&arguments).await?,
        LakeCommand::Snapshots(arguments) => snapshots(&arguments).await?,
        LakeCommand::Tag(arguments) => tag(&arguments).await?,
        LakeCommand::Rollback(arguments) => rollback(&arguments).await?,
    }
    Ok(Exit::Done)
}

/// Opens a lake that is there; nothing is made.
fn open(at: &Where) -> Result<Lake, CommandError> {
    open_at(&at.lake)
}

/// Opens a lake that is there by its folder or `s3://` address; nothing is made.
pub(crate) fn open_at(lake: &str) -> Result<Lake, CommandError> {
    let (place, root) = place_at(lake)?;
    let pointer: Arc<dyn TablePointer> = match root {
        Some(root) => Arc::new(LockedPointer::in_folder(&root, &place, now())),
        None => Arc::new(S3Pointer::new(place.clone())),
    };
    Ok(Lake::existing(place, pointer))
}

/// Returns where a lake lies, and its folder if it is one.
fn place(at: &Where) -> Result<(Place, Option<PathBuf>), CommandError> {
    place_at(&at.lake)
}

fn place_at(lake: &str) -> Result<(Place, Option<PathBuf>), CommandError> {
    let store = store::open(lake).map_err(|error| CommandError::Output(Box::new(error)))?;
    let root = store.local_root.as_deref().map(Path::to_string_lossy);
    let base = root.as_deref().unwrap_or(&store.uri);
    let place = Place::new(Arc::clone(&store.store), store.prefix.clone(), base);
    Ok((place, store.local_root))
}

fn now() -> Now {
    Now::new(|| SystemClock.now())
}

fn failed(at: &Where) -> impl Fn(LakeError) -> CommandError {
    move |source| CommandError::Lake {
        path: PathBuf::from(&at.lake),
        source: Box::new(source),
    }
}

async fn maintain(arguments: &MaintainArgs) -> Result<(), CommandError> {
    let lake = open(&arguments.at)?;
    let mut steps = if arguments.steps.is_empty() {
        vec![
            Step::Compact,
            Step::Manifests,
            Step::Expire,
            Step::Orphans,
            Step::Index,
        ]
    } else {
        arguments.steps.clone()
    };
    let tables: Vec<TableName> = if arguments.table.is_empty() {
        TableName::ALL.to_vec()
    } else {
        arguments
            .table
            .iter()
            .map(|table| (*table).into())
            .collect()
    };
    if arguments.update_hash_index && !arguments.dry_run {
        steps.push(Step::Hashes);
    }
    for step in steps {
        let of_items = matches!(step, Step::Index | Step::Hashes);
        for table in &tables {
            if of_items && *table != TableName::StacItems {
                continue;
            }
            let done = match take(step, *table, &lake, arguments).await {
                // A catalog of others has only the one table.
                Err(LakeError::NoTable { table })
                    if arguments.table.is_empty() && table != TableName::StacItems =>
                {
                    continue;
                }
                done => done.map_err(failed(&arguments.at))?,
            };
            tell(&done, arguments.json);
        }
    }
    Ok(())
}

async fn take(
    step: Step,
    table: TableName,
    lake: &Lake,
    arguments: &MaintainArgs,
) -> Result<Value, LakeError> {
    let pace = Patience::new();
    let dry = arguments.dry_run;
    Ok(match step {
        Step::Compact => {
            let how = Compaction {
                threshold: usize::try_from(arguments.threshold).unwrap_or(usize::MAX),
                target_bytes: arguments.target_mib << 20,
            };
            let done = lake.compact(table, &how, dry, &pace).await?;
            json!({
                "step": "compact", "table": table.to_string(), "dry_run": dry,
                "buckets_scanned": done.buckets_scanned, "buckets_compacted": done.buckets_compacted,
                "files_before": done.files_before, "files_after": done.files_after,
                "files_left": done.files_left,
                "snapshot_id": done.snapshot_id.map(|id| id.to_string()),
            })
        }
        Step::Manifests => {
            let (before, after) = lake.rewrite_manifests(table, dry, &pace).await?;
            json!({
                "step": "manifests", "table": table.to_string(), "dry_run": dry,
                "manifests_before": before, "manifests_after": after,
            })
        }
        Step::Expire => {
            let days = Duration::from_secs(u64::from(arguments.keep_days) * 24 * 60 * 60);
            let last = usize::try_from(arguments.keep_last).unwrap_or(usize::MAX);
            let done = lake.expire(table, (last, days), dry, &pace).await?;
            json!({
                "step": "expire", "table": table.to_string(), "dry_run": dry,
                "snapshots_expired": done.snapshots.len(), "snapshots_kept": done.kept,
            })
        }
        Step::Orphans => {
            let dry = dry || !arguments.delete;
            let grace = Duration::from_secs(u64::from(arguments.grace_hours) * 60 * 60);
            let done = lake.clear_orphans(table, grace, pace.now(), dry).await?;
            json!({
                "step": "orphans", "table": table.to_string(), "dry_run": dry,
                "files_orphaned": done.cleared.len(), "bytes_orphaned": done.bytes,
                "files_young": done.files_young, "files_needed": done.files_needed,
            })
        }
        Step::Index => {
            let done = lake.maintain_index(dry).await?;
            let mut figures = json!({"step": "index", "table": table.to_string(), "dry_run": dry});
            merge(&mut figures, index(&done));
            figures
        }
        Step::Hashes => hashes(lake, dry).await?,
    })
}

async fn hashes(lake: &Lake, dry: bool) -> Result<Value, LakeError> {
    let table = TableName::StacItems.to_string();
    let mut figures = json!({"step": "hashes", "table": table, "dry_run": dry});
    if !dry {
        let done = lake.write_hash_index().await?;
        merge(
            &mut figures,
            json!({"ids": done.ids, "location": done.location}),
        );
    }
    Ok(figures)
}

fn index(indexed: &Indexed) -> Value {
    json!({
        "index_files_covered": indexed.files_covered, "index_files": indexed.files,
        "index_runs": indexed.runs, "index_bytes": indexed.size_bytes,
        "index_runs_cleared": indexed.runs_cleared,
    })
}

fn merge(figures: &mut Value, more: Value) {
    if let (Some(figures), Value::Object(more)) = (figures.as_object_mut(), more) {
        figures.extend(more);
    }
}

/// Prints figures as a JSON object, or as `name value` pairs.
fn tell(figures: &Value, as_json: bool) {
    if as_json {
        print_json(figures);
        return;
    }
    let pairs = figures.as_object().into_iter().flatten();
    let pairs = pairs.filter(|(_, value)| !value.is_null());
    let pairs = pairs.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name} {text}"),
        None => format!("{name} {value}"),
    });
    let pairs: Vec<String> = pairs.collect();
    print_text(&format!("{}\n", pairs.join("  ")));
}

async fn snapshots(arguments: &SnapshotsArgs) -> Result<(), CommandError> {
    let lake = open(&arguments.at)?;
    let found = lake.snapshots(arguments.table.into()).await;
    for snapshot in found.map_err(failed(&arguments.at))? {
        let line = json!({
            "snapshot_id": snapshot.snapshot_id.to_string(), "timestamp_ms": snapshot.timestamp_ms,
            "operation": snapshot.operation, "rows": snapshot.rows, "files": snapshot.files,
            "names": snapshot.names.join(","), "current": snapshot.current,
        });
        tell(&line, arguments.json);
    }
    Ok(())
}

async fn tag(arguments: &TagArgs) -> Result<(), CommandError> {
    let lake = open(&arguments.at)?;
    let (table, name) = (arguments.table.into(), arguments.name.as_str());
    let pace = Patience::new();
    let tagged = lake.tag(table, name, arguments.snapshot, &pace);
    tagged.await.map_err(failed(&arguments.at))
}

async fn rollback(arguments: &RollbackArgs) -> Result<(), CommandError> {
    let lake = open(&arguments.at)?;
    let pace = Patience::new();
    let back = lake.rollback(arguments.table.into(), arguments.snapshot, &pace);
    back.await.map_err(failed(&arguments.at))
}
