//! What the workers do at each queue: call the function's use case, tell what came of it.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use swath_cloud::fetch::{FetchPolicy, is_public};
use swath_cloud::http::{self, Timeouts};
use swath_cloud::queue::{MemoryReceiver, Queue};
use swath_cloud::stac;
use swath_core::aoi::Areas;
use swath_core::grid::{GridOptions, GridSpec};
use swath_core::message::{Body, DownloadAsset, Message, SearchArea};
use swath_core::{Class, Classify, Job, chain};
use swath_download::Fetched;
use url::{Host, Url};

use super::error::CommandError;
use super::event::Event;
use super::pipeline::{Places, Shared};

/// Bytes of messages that are written together, more or less.
const WRITE_BYTES: usize = 64 << 20;
/// Messages taken from the queue of writes at once.
const WRITE_MESSAGES: usize = 512;
/// How long a batch of writes gathers.
const WRITE_WINDOW: Duration = Duration::from_secs(20);
/// Messages that go into one snapshot.
const COMMIT_MESSAGES: usize = 256;
/// How long a batch of commits gathers.
const COMMIT_WINDOW: Duration = Duration::from_millis(500);

/// Sends one search per area.
pub(super) async fn plan(
    job: &Job,
    areas: Areas,
    to: Arc<dyn Queue>,
    shared: &Shared,
) -> Result<(), CommandError> {
    let context = swath_plan::Context::new(to);
    let planned = match swath_plan::plan_areas(job, areas, &shared.run_id, &context).await {
        Err(swath_plan::PlanError::Send { .. }) if shared.stop.is_cancelled() => return Ok(()),
        planned => planned.map_err(|error| CommandError::Plan(Box::new(error)))?,
    };
    shared.tell(&Event::Planned {
        run_id: shared.run_id.to_string(),
        areas: planned.areas,
        rejected: planned.rejected.len() as u64,
    });
    for area in &planned.rejected {
        shared.tell(&Event::AreaRejected {
            row_number: area.row_number,
            reason: area.reason.clone(),
        });
    }
    match planned.rejected.first() {
        Some(first) if planned.areas == 0 => Err(CommandError::NoArea {
            rejected: planned.rejected.len() as u64,
            reason: first.reason.clone(),
        }),
        _ => Ok(()),
    }
}

/// Makes what searches need, and asks the catalog once whether it is one.
pub(super) async fn api(job: &Job, shared: &Shared) -> Result<stac::Client, CommandError> {
    let client =
        http::for_apis(Timeouts::default()).map_err(|error| CommandError::Http(Box::new(error)))?;
    let api = stac::Client::new(client, Arc::clone(&shared.clock));
    api.search_url(&job.catalog)
        .await
        .map_err(|error| CommandError::Catalog(Box::new(error)))?;
    Ok(api)
}

/// Searches area by area until the queue is closed.
pub(super) async fn search(
    from: MemoryReceiver,
    context: Arc<swath_search::Context>,
    shared: Arc<Shared>,
) {
    while let Some(message) = next(&from, &shared).await {
        if let Body::SearchArea(area) = &message.body {
            tokio::select! {
                () = shared.stop.cancelled() => return,
                () = search_one(&message, area, &context, &shared) => {}
            }
        }
    }
}

async fn search_one(
    message: &Message,
    area: &SearchArea,
    context: &swath_search::Context,
    shared: &Shared,
) {
    let row_id = area.area.row_id.clone();
    match swath_search::search(&message.run_id, area, context).await {
        Ok(found) => {
            shared.tally().see_area(found.items, &found.missing_assets);
            for item in &found.rejected {
                shared.tell(&Event::ItemRejected {
                    collection: None,
                    item_id: item.id.clone(),
                    reason: item.reason.clone(),
                });
            }
            shared.tell(&Event::AreaSearched {
                row_id,
                status: found.status().as_str(),
                pages: found.pages,
                requests: found.requests,
                matched: found.matched,
                returned: found.returned,
                items: found.items,
                assets: found.assets,
                elapsed_ms: u64::try_from(found.elapsed.as_millis()).unwrap_or(u64::MAX),
                short: found.is_short(),
            });
        }
        Err(error) => {
            shared.tell(&Event::AreaFailed {
                row_id,
                class: error.class(),
                error: chain(&error),
            });
            shared.tally().see_failed_search(error);
        }
    }
}

/// Makes what downloads need. Hosts of one's own network are fetched from only if the catalog is there too.
pub(super) async fn download_context(
    places: &Places,
    to_write: Arc<dyn Queue>,
    job: &Job,
) -> Result<Arc<swath_download::Context>, CommandError> {
    let at_home = is_at_home(&job.catalog);
    let policy = FetchPolicy {
        allow_http: at_home,
        allow_private_hosts: at_home,
        ..FetchPolicy::default()
    };
    let (lake, out) = (places.lake_at.clone(), places.assets_at.clone());
    let context =
        swath_download::Context::open(lake, out, to_write, policy, &std::env::temp_dir()).await;
    Ok(Arc::new(
        context.map_err(|error| CommandError::Staging(Box::new(error)))?,
    ))
}

fn is_at_home(catalog: &Url) -> bool {
    match catalog.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => !is_public(address.into()),
        Some(Host::Ipv6(address)) => !is_public(address.into()),
        None => false,
    }
}

/// Downloads asset by asset until the queue is closed; what many areas want is asked for once.
pub(super) async fn download(
    from: MemoryReceiver,
    context: Arc<swath_download::Context>,
    shared: Arc<Shared>,
) {
    while let Some(message) = next(&from, &shared).await {
        let Body::DownloadAsset(asset) = &message.body else {
            continue;
        };
        if !is_new(asset, &shared) {
            continue;
        }
        tokio::select! {
            () = shared.stop.cancelled() => return,
            fetched = swath_download::download(&message.run_id, asset, &context) => match fetched {
                Ok(fetched) => shared.tell(&asset_event(fetched)),
                Err(error) if error.class() == Class::Denied => shared.give_up("download", &error),
                Err(error) => shared.tell(&Event::Asset {
                    item_id: asset.item_id.clone(),
                    asset_name: asset.asset_name.clone(),
                    outcome: "failed",
                    good: false,
                    path: None,
                    code: Some(error.class().to_string()),
                    error: Some(chain(&error)),
                    bytes: 0,
                }),
            }
        }
    }
}

fn is_new(asset: &DownloadAsset, shared: &Shared) -> bool {
    let collection = asset.collection.as_deref().unwrap_or_default();
    let parts = [
        collection.as_bytes(),
        asset.item_id.as_bytes(),
        asset.asset_name.as_bytes(),
    ];
    shared.tally().see_asset(&parts)
}

fn asset_event(fetched: Fetched) -> Event {
    let row = fetched.row;
    Event::Asset {
        item_id: row.item_id,
        asset_name: row.asset_name,
        outcome: fetched.outcome.as_str(),
        good: row.is_out_file_valid,
        path: row.out_file_path,
        code: row.error_code,
        error: row.error,
        bytes: fetched.bytes_fetched,
    }
}

/// Gathers messages and writes them as few files until the queue is closed; an interrupt does not end it, so that what
/// was found is kept.
pub(super) async fn write(
    from: MemoryReceiver,
    context: Arc<swath_write::Context>,
    shared: Arc<Shared>,
) {
    loop {
        let batch = gather(&from, &shared).await;
        if batch.is_empty() {
            return;
        }
        see_items(&batch, &shared);
        for result in swath_write::write(&batch, &context).await {
            match result {
                Ok(written) => {
                    for item in written.rejected {
                        shared.tell(&Event::ItemRejected {
                            collection: item.collection,
                            item_id: item.item_id,
                            reason: item.reason,
                        });
                    }
                }
                Err(error) => fail("write", &error, &shared),
            }
        }
    }
}

/// Takes messages until they are many, or the window has passed.
async fn gather(from: &MemoryReceiver, shared: &Shared) -> Vec<Message> {
    let mut batch = from.recv_batch(WRITE_MESSAGES, WRITE_WINDOW).await;
    let begin = shared.clock.now();
    while !batch.is_empty()
        && bytes_of(&batch) < WRITE_BYTES
        && shared.clock.since(begin) < WRITE_WINDOW
    {
        let more = from.recv_batch(WRITE_MESSAGES, WRITE_WINDOW).await;
        if more.is_empty() {
            break;
        }
        batch.extend(more);
    }
    batch
}

fn bytes_of(batch: &[Message]) -> usize {
    const ROW: usize = 1024;
    batch
        .iter()
        .map(|message| match &message.body {
            Body::WriteItems(write) => write.items.iter().map(|item| item.get().len()).sum(),
            _ => ROW,
        })
        .sum()
}

#[derive(Deserialize)]
struct Head<'a> {
    id: String,
    #[serde(default)]
    collection: Option<String>,
    #[serde(borrow, default)]
    assets: Option<std::collections::BTreeMap<String, &'a RawValue>>,
}

/// Counts each item once, and notes which asset keys there are.
fn see_items(batch: &[Message], shared: &Shared) {
    let mut tally = shared.tally();
    for message in batch {
        let Body::WriteItems(write) = &message.body else {
            continue;
        };
        for item in &write.items {
            if let Ok(head) = serde_json::from_str::<Head<'_>>(item.get()) {
                tally.see_item(head.collection.as_deref(), &head.id);
                tally.see_keys(head.assets.unwrap_or_default().into_keys());
            }
        }
    }
}

/// Commits what was written, one snapshot per batch and table, until the queue is closed.
pub(super) async fn commit(
    from: MemoryReceiver,
    context: Arc<swath_commit::Context>,
    shared: Arc<Shared>,
) {
    loop {
        let batch = from.recv_batch(COMMIT_MESSAGES, COMMIT_WINDOW).await;
        if batch.is_empty() {
            return;
        }
        for result in swath_commit::commit(&batch, &context).await {
            match result {
                Ok(committed) => tell_committed(&committed, &shared),
                Err(error) => fail("commit", &error, &shared),
            }
        }
    }
}

fn tell_committed(committed: &swath_commit::Committed, shared: &Shared) {
    shared.tell(&Event::Committed {
        table: committed.table.to_string(),
        snapshot: committed.snapshot_id.map(|id| id.to_string()),
        rows_added: committed.rows_added,
        rows_known: committed.rows_known,
        rows_replaced: committed.versions_replaced,
        rows_kept_out: committed.versions_kept_out,
    });
}

fn fail(stage: &'static str, error: &impl Classify, shared: &Shared) {
    if error.class() == Class::Denied {
        shared.give_up(stage, error);
    } else {
        let (class, error) = (error.class(), chain(error));
        shared.tell(&Event::Failed {
            stage,
            class,
            error,
        });
    }
}

async fn next(from: &MemoryReceiver, shared: &Shared) -> Option<Message> {
    tokio::select! {
        biased;
        () = shared.stop.cancelled() => None,
        message = from.recv() => message,
    }
}

/// Names a worker that ended by a fault of ours.
pub(super) fn worker_failed(error: &tokio::task::JoinError) -> Event {
    Event::Failed {
        stage: "worker",
        class: Class::Bug,
        error: error.to_string(),
    }
}

/// Makes what writing needs.
pub(super) fn write_context(
    places: &Places,
    to_commit: Arc<dyn Queue>,
    shared: &Shared,
) -> Result<swath_write::Context, CommandError> {
    let options = GridOptions {
        earthcatalog: true,
        ..GridOptions::default()
    };
    let grid = GridSpec::default()
        .open(None, options)
        .map_err(|error| CommandError::Grid(Box::new(error)))?;
    Ok(swath_write::Context::new(
        places.lake_at.clone(),
        to_commit,
        Arc::clone(&shared.clock),
        grid,
    ))
}

/// Makes what committing needs.
pub(super) fn commit_context(places: &Places, shared: &Shared) -> swath_commit::Context {
    swath_commit::Context {
        lake: Arc::clone(&places.lake),
        clock: Arc::clone(&shared.clock),
        publish_db: false,
    }
}
