//! `swath maintain`, `info`, `stats`, `lock`, `snapshots`, `tag` and `rollback`: a lake looked after from the command line.

mod arguments;
mod info;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use swath_cloud::aws;
use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::store;
use swath_lake::pointer::{BucketPointer, LockedPointer, PointerKind, TablePointer};
use swath_lake::{Lake, LakeError, Now, Place};
use swath_maintain::{Patience, Terms};

pub(crate) use arguments::{Held, LakeCommand};

use crate::exit::Exit;
use crate::run::{CommandError, print_json, print_text};
use arguments::{MaintainArgs, RollbackArgs, SnapshotsArgs, TagArgs, Where};

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
    open_at(&at.lake, &at.held.pointer)
}

/// Opens a lake that is there by its folder or `s3://` address; nothing is made.
pub(crate) fn open_at(lake: &str, kind: &PointerKind) -> Result<Lake, CommandError> {
    let (place, root) = place_at(lake)?;
    let pointer: Arc<dyn TablePointer> = match root {
        Some(root) => Arc::new(LockedPointer::in_folder(&root, &place, now())),
        None => Arc::new(BucketPointer::new(place.clone(), now())),
    };
    let pointer = kind.pointer(pointer, aws::glue());
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

/// Nothing ends a command but itself.
const TERMS: Terms<'_> = Terms {
    clock: &SystemClock,
    may_go_on: &|| true,
};

fn failed(at: &Where) -> impl Fn(LakeError) -> CommandError {
    move |source| CommandError::Lake {
        path: PathBuf::from(&at.lake),
        source: Box::new(source),
    }
}

async fn maintain(arguments: &MaintainArgs) -> Result<(), CommandError> {
    let lake = open(&arguments.at)?;
    let asked = arguments.asked();
    let said = |figures: &Value| tell(figures, arguments.json);
    let maintained = swath_maintain::maintain(&lake, &asked, TERMS, said).await;
    maintained.map_err(|error| failed(&arguments.at)(error.source))
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
    let pace = Patience::new(TERMS);
    let tagged = lake.tag(table, name, arguments.snapshot, &pace);
    tagged.await.map_err(failed(&arguments.at))
}

async fn rollback(arguments: &RollbackArgs) -> Result<(), CommandError> {
    let lake = open(&arguments.at)?;
    let pace = Patience::new(TERMS);
    let back = lake.rollback(arguments.table.into(), arguments.snapshot, &pace);
    back.await.map_err(failed(&arguments.at))
}
