//! `swath ingest`, `swath runs`: archives of items into the catalog, and how far that is.

mod arguments;
mod inline;
mod pipeline;
mod quarantine;

use serde_json::json;
use swath_cloud::queue::channel;
use swath_cloud::runs::{Ledger, Status, runs};
use swath_cloud::store;
use swath_core::intake::ListSource;

pub(crate) use arguments::{IngestArgs, QuarantineCommand, RunsArgs};
pub use pipeline::IngestCommandError;
use pipeline::Report;
pub(crate) use pipeline::{Opening, World, accesses, sources};
pub(crate) use quarantine::{command as quarantine, records as kept};

use crate::exit::Exit;
use crate::lake::open_at;
use crate::run::{CommandError, print_json, print_text};

/// Runs `swath ingest`.
pub(crate) async fn command(arguments: IngestArgs) -> Result<Exit, CommandError> {
    tokio::select! {
        done = ingest(&arguments) => done,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

async fn ingest(arguments: &IngestArgs) -> Result<Exit, CommandError> {
    let failed = |error| CommandError::Ingest(Box::new(error));
    let exit = Box::pin(take_in(arguments)).await.map_err(failed)?;
    if let Some(out) = arguments
        .out
        .as_deref()
        .filter(|_| arguments.update_hash_index)
    {
        let lake = open_at(out, &arguments.held.pointer)?;
        let written = lake.write_hash_index().await;
        written.map_err(|source| CommandError::Lake {
            path: out.into(),
            source: Box::new(source),
        })?;
    }
    Ok(exit)
}

async fn take_in(arguments: &IngestArgs) -> Result<Exit, IngestCommandError> {
    let sources = sources(accesses(&arguments.bucket, arguments.unsigned)?)?;
    let asks: Vec<ListSource> = arguments
        .sources
        .iter()
        .map(|source| ListSource {
            source: source.clone(),
            intake: arguments.intake(),
            retry_pending: arguments.retry_pending,
            against: arguments.against.clone(),
            staging_prefix: arguments.staging_prefix.clone(),
        })
        .collect();
    let Some(out) = arguments.out.as_deref().filter(|_| !arguments.dry_run) else {
        return scan(&asks, sources, arguments.json).await;
    };
    let opening = Opening {
        publish_db: arguments.publish_db,
        check_roundtrip: arguments.check_roundtrip,
        ..Opening::of(&arguments.held)
    };
    let (grid, fetches) = (&arguments.grid, arguments.concurrency);
    let world = World::open(out, grid, sources, fetches, opening).await?;
    let mut exit = Exit::Empty;
    for ask in &asks {
        let report = if arguments.skip_inventory {
            world.go_on(&ask.source, &ask.intake).await?
        } else if arguments.skip_ingest {
            plan(&world, ask).await?
        } else {
            world.run(ask).await?
        };
        tell(&report, arguments.json);
        exit = match (exit, exit_of(&report)) {
            (_, Exit::Partial) | (Exit::Partial, _) => Exit::Partial,
            (Exit::Done, _) | (_, Exit::Done) => Exit::Done,
            (_, other) => other,
        };
    }
    Ok(exit)
}

async fn scan(
    asks: &[ListSource],
    sources: swath_cloud::sources::Sources,
    as_json: bool,
) -> Result<Exit, IngestCommandError> {
    let (queue, _nobody) = channel(1);
    let context = swath_list::Context {
        // Nothing is written: there is no lake.
        lake: store::open_existing(".").map_err(IngestCommandError::Lake)?,
        sources,
        ingest: std::sync::Arc::new(queue),
        clock: std::sync::Arc::new(swath_cloud::clock::SystemClock),
        intake: swath_core::intake::Intake::default(),
    };
    let mut taken = 0;
    for ask in asks {
        let scanned = Box::pin(swath_list::scan(ask, &context)).await;
        let scanned = scanned.map_err(|source| IngestCommandError::List {
            at: ask.source.clone(),
            source: Box::new(source),
        })?;
        taken += scanned.taken;
        if as_json {
            print_json(&scanned);
        } else {
            let (listed, taken, bytes) = (scanned.listed, scanned.taken, scanned.bytes);
            print_text(&format!(
                "{}: {listed} listed, {taken} to be taken, {bytes} bytes\n",
                ask.source
            ));
        }
    }
    Ok(if taken == 0 { Exit::Empty } else { Exit::Done })
}

/// Lists and plans only: the chunks wait for `--skip-inventory`, or for the same command without `--skip-ingest`.
async fn plan(world: &World, ask: &ListSource) -> Result<Report, IngestCommandError> {
    let (queue, chunks) = channel(1);
    let list = world.list(std::sync::Arc::new(queue));
    let listing = async {
        let planned = Box::pin(swath_list::list(ask, &list)).await;
        drop(list);
        planned
    };
    let forget = async { while chunks.recv().await.is_some() {} };
    let (planned, ()) = tokio::join!(listing, forget);
    let planned = planned.map_err(|source| IngestCommandError::List {
        at: ask.source.clone(),
        source: Box::new(source),
    })?;
    let ledger = Ledger::new(world.lake.clone(), planned.run_id);
    Ok(Report {
        status: ledger.status().await?,
        ..Report::default()
    })
}

fn exit_of(report: &Report) -> Exit {
    let status = &report.status;
    if status.rejected + status.pending > 0 {
        Exit::Partial
    } else if status.taken == 0 {
        Exit::Empty
    } else {
        Exit::Done
    }
}

fn tell(report: &Report, as_json: bool) {
    if as_json {
        print_json(report);
        return;
    }
    let mut text = lines(&report.status);
    for (name, figure) in [
        ("rows written", report.rows_written),
        ("files registered", report.files_registered),
    ] {
        text.push_str(&line(name, figure));
    }
    if report.items_checked > 0 {
        text.push_str(&line("items read back equal", report.items_checked));
    }
    if report.status.rejected > 0 {
        text.push_str("what was rejected is kept: swath quarantine list\n");
    }
    if report.status.pending > 0 {
        text.push_str("what could not be had is tried again by: swath ingest --retry-pending\n");
    }
    print_text(&text);
}

fn line(name: &str, figure: u64) -> String {
    format!("{name:<22} {figure:>12}\n")
}

fn lines(status: &Status) -> String {
    let mut text = format!("run {} of {}\n", status.run_id, status.source);
    for (name, figure) in [
        ("listed", status.listed),
        ("to be taken in", status.taken),
        ("chunks", status.chunks),
        ("chunks done", status.chunks_done),
        ("items", status.items),
        ("known, as they were", status.known),
        ("no items", status.others),
        ("gone", status.gone),
        ("asked to leave", status.removed),
        ("rejected", status.rejected),
        ("pending", status.pending),
    ] {
        text.push_str(&line(name, figure));
    }
    text
}

/// Runs `swath runs`.
pub(crate) async fn runs_command(arguments: RunsArgs) -> Result<Exit, CommandError> {
    let told = tell_runs(&arguments).await;
    told.map_err(|error| CommandError::Ingest(Box::new(error)))
}

async fn tell_runs(arguments: &RunsArgs) -> Result<Exit, IngestCommandError> {
    let lake = store::open_existing(&arguments.lake).map_err(IngestCommandError::Lake)?;
    let mut exit = Exit::Empty;
    for run_id in runs(&lake).await? {
        let ledger = Ledger::new(lake.clone(), run_id);
        // A listing that was cut short has left no plan: the same command lists again.
        if ledger.plan().await?.is_none() {
            continue;
        }
        let status = ledger.status().await?;
        exit = Exit::Done;
        if arguments.json {
            print_json(&json!(status));
        } else {
            print_text(&lines(&status));
        }
    }
    Ok(exit)
}
