//! `swath quarantine`: what was rejected, why, and again.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use serde_json::{Value, json};
use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::runs::{Chunker, Entry, Ledger, Plan};
use swath_cloud::store::{self, Store, StoreError};
use swath_core::intake::{IngestChunk, Intake, Rasters};
use swath_core::{RunId, redact_text, redact_value};

use super::arguments::{ExplainArgs, QuarantineArgs, QuarantineCommand};
use super::pipeline::{IngestCommandError, Opening, World, accesses, sources};
use crate::exit::Exit;
use crate::run::{CommandError, print_json, print_text};

/// Where things are kept, below the lake's base.
const FOLDER: &str = "quarantine";

/// One thing that is kept.
#[derive(Clone, Debug)]
struct Kept {
    path: String,
    code: String,
    reason: String,
    record: Value,
}

/// Carries out one of the commands.
pub(crate) async fn command(command: QuarantineCommand) -> Result<Exit, CommandError> {
    let done = match command {
        QuarantineCommand::List(arguments) => list(&arguments).await,
        QuarantineCommand::Explain(arguments) => explain(&arguments).await,
        QuarantineCommand::Replay(arguments) => replay(&arguments).await,
    };
    done.map_err(|error| CommandError::Ingest(Box::new(error)))
}

async fn all(lake: &Store, code: Option<&str>) -> Result<Vec<Kept>, IngestCommandError> {
    let folder = lake.path(FOLDER);
    let listed = lake
        .store
        .list(Some(&folder))
        .map(|object| object.map(|object| object.location));
    let paths: Vec<_> = listed.try_collect().await.map_err(|source| {
        IngestCommandError::Lake(StoreError::Call {
            path: folder.clone(),
            source,
        })
    })?;
    let mut kept = Vec::new();
    for path in paths {
        let below: Vec<_> = path
            .prefix_match(&lake.prefix)
            .into_iter()
            .flatten()
            .collect();
        let below = below
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<_>>()
            .join("/");
        let record = record(lake, &below).await?;
        let text = |name| text(&record, name).map(str::to_owned);
        // Items that `write` refused have a reason only.
        let found = text("code").unwrap_or_else(|| "no_item".to_owned());
        if code.is_none_or(|code| code == found) {
            kept.push(Kept {
                path: below,
                code: found,
                reason: text("reason").unwrap_or_default(),
                record,
            });
        }
    }
    kept.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(kept)
}

/// Returns the records of all that is kept.
pub(crate) async fn records(lake: &Store) -> Result<Vec<Value>, IngestCommandError> {
    let kept = all(lake, None).await?;
    Ok(kept.into_iter().map(|kept| kept.record).collect())
}

async fn record(lake: &Store, path: &str) -> Result<Value, IngestCommandError> {
    let bytes = lake
        .get(path)
        .await
        .map_err(|source| IngestCommandError::NotKept {
            path: path.to_owned(),
            source,
        })?;
    Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn list(arguments: &QuarantineArgs) -> Result<Exit, IngestCommandError> {
    let lake = store::open_existing(&arguments.lake).map_err(IngestCommandError::Lake)?;
    let kept = all(&lake, arguments.code.as_deref()).await?;
    for kept in &kept {
        // What is kept may be old: its reason is shown without secrets all the same.
        let reason = redact_text(&kept.reason);
        let (path, code) = (&kept.path, &kept.code);
        if arguments.json {
            print_json(&json!({"path": path, "code": code, "reason": reason}));
        } else {
            let what = ["href", "id", "message_id"]
                .iter()
                .find_map(|name| text(&kept.record, name));
            let what = redact_text(what.unwrap_or("?"));
            print_text(&format!("{path}  {code}  {what}  {reason}\n"));
        }
    }
    Ok(if kept.is_empty() {
        Exit::Empty
    } else {
        Exit::Done
    })
}

async fn explain(arguments: &ExplainArgs) -> Result<Exit, IngestCommandError> {
    let lake = store::open_existing(&arguments.lake).map_err(IngestCommandError::Lake)?;
    let path = arguments.path.to_string_lossy();
    let record = record(&lake, &path).await?;
    let record = if arguments.raw { record } else { shown(record) };
    print_text(&format!("{record:#}\n"));
    Ok(Exit::Done)
}

/// Leaves secrets out of a record, and all that it holds in hex, which may have some.
fn shown(mut record: Value) -> Value {
    if let Some(Value::String(hex)) = record.get_mut("body_hex") {
        *hex = format!("{} bytes, see --raw", hex.len() / 2);
    }
    redact_value(record)
}

/// Makes an entry of what is kept; messages of functions are for `swath dlq`.
fn entry(kept: &Kept) -> Option<Entry> {
    let record = &kept.record;
    if let Some(href) = record["href"].as_str().filter(|href| !href.contains('#')) {
        return Some(Entry::object(href.to_owned(), None, None));
    }
    let item = record.get("item").filter(|item| item.is_object())?;
    let item = serde_json::value::to_raw_value(item).ok()?;
    Some(Entry {
        item: Some(item),
        ..Entry::object(kept.path.clone(), None, None)
    })
}

async fn replay(arguments: &QuarantineArgs) -> Result<Exit, IngestCommandError> {
    let accesses = accesses(&arguments.bucket, arguments.unsigned)?;
    let sources = sources(accesses)?;
    let opening = Opening::of(&arguments.held);
    let world = World::open(&arguments.lake, &arguments.grid, sources, 64, opening).await?;
    let kept = all(&world.lake, arguments.code.as_deref()).await?;
    let before: BTreeMap<&str, &Kept> =
        kept.iter().map(|kept| (kept.path.as_str(), kept)).collect();
    let mut chunker = Chunker::new(world.lake.clone(), swath_core::intake::CHUNK);
    for entry in kept.iter().filter_map(entry) {
        chunker.add(&entry).await?;
    }
    let taken = chunker.taken();
    let (chunks, digest) = chunker.finish().await?;
    let now = SystemClock.now();
    // Every replay is a run of its own.
    let moment = now.unix_timestamp_nanos().to_be_bytes();
    let plan = Plan {
        run_id: RunId::derive(&[b"replay", digest.as_bytes(), &moment]),
        source: FOLDER.to_owned(),
        intake: Intake::default(),
        listed: before.len() as u64,
        taken,
        chunks,
        planned: now,
        cursor: None,
    };
    let ledger = Ledger::new(world.lake.clone(), plan.run_id.clone());
    ledger.put_plan(&plan).await?;
    let context = Arc::new(world.ingest());
    for (chunk, planned) in (0_u32..).zip(&plan.chunks) {
        let asked = IngestChunk {
            source: plan.source.clone(),
            chunk,
            at: planned.at.clone(),
            objects: planned.entries,
            known: Vec::new(),
            bulk: false,
            again: false,
            rasters: Rasters::default(),
        };
        let done = Box::pin(swath_ingest::ingest(&plan.run_id, &asked, &context)).await;
        done.map_err(|error| IngestCommandError::Chunk(Box::new(error)))?;
    }
    let well = release(&world, &ledger, &before).await?;
    let left = taken - well;
    print_text(&format!(
        "{taken} tried again, {well} are well now, {left} stay in quarantine\n"
    ));
    Ok(match (taken, left) {
        (0, _) => Exit::Empty,
        (_, 0) => Exit::Done,
        _ => Exit::Partial,
    })
}

/// Takes out of quarantine what is well now: what the replay has neither rejected nor failed to get. Returns how much.
async fn release(
    world: &World,
    ledger: &Ledger,
    before: &BTreeMap<&str, &Kept>,
) -> Result<u64, IngestCommandError> {
    let mut pending = std::collections::BTreeSet::new();
    for (_, receipt) in ledger.receipts(ledger.done_chunks().await?).await? {
        pending.extend(receipt.pending.into_iter().map(|pending| pending.href));
    }
    let mut well = 0;
    for (path, kept) in before {
        if entry(kept).is_none() {
            continue;
        }
        let now = record(&world.lake, path).await?;
        let href = text(&now, "href").unwrap_or(path);
        let is_met_again = text(&now, "run_id") == Some(ledger.run_id().as_str());
        // An item that was refused by itself is refused again: it is kept under the name of its own bytes and source.
        if is_met_again
            || pending.contains(href)
            || text(&kept.record, "href").is_none() && refused_again(world, kept).await?
        {
            continue;
        }
        let at = world.lake.path(path);
        let gone = world.lake.store.delete(&at).await;
        gone.map_err(|source| IngestCommandError::Lake(StoreError::Call { path: at, source }))?;
        well += 1;
    }
    Ok(well)
}

fn text<'a>(record: &'a Value, name: &str) -> Option<&'a str> {
    record.get(name)?.as_str()
}

/// Says whether the replay has refused the same item, which it keeps under another source.
async fn refused_again(world: &World, kept: &Kept) -> Result<bool, IngestCommandError> {
    let others = all(&world.lake, None).await?;
    Ok(others.iter().any(|other| {
        other.path != kept.path
            && text(&other.record, "source") == Some(FOLDER)
            && other.record.get("item") == kept.record.get("item")
    }))
}
