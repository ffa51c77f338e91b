//! `swath search`: what matches, straight into one file, with no lake and no downloads.

mod args;
mod estimate;
mod items;
mod manifest;
mod output;
mod sign;

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::http::{self, Timeouts};
use swath_cloud::queue::{self, MemoryReceiver};
use swath_cloud::stac;
use swath_core::aoi::{Area, Areas, polygon_of_bbox};
use swath_core::message::{Body, SearchArea, WriteRows};
use swath_core::row::{AreaStatus, SearchEnd};
use swath_core::{Job, RunId, chain};
use swath_search::{RejectedItem, Together};
use tokio::task::JoinSet;

use crate::areas::{self, ReadError};
use crate::exit::Exit;
use crate::run::{CommandError, print_json, print_text};

pub use args::{ArgumentError, SearchArgs};
pub use output::OutputError;

use manifest::Manifest;
use output::{Finished, Form, Output};
use sign::{Hrefs, HrefsError};

/// Areas from which on they are asked for together, unless that is said otherwise.
const MANY: usize = 100;

/// Messages that wait before a search does.
const QUEUED: usize = 64;

/// Why a search could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchCommandError {
    /// An argument cannot be understood.
    #[error("cannot use the arguments")]
    Arguments(#[from] ArgumentError),
    /// The areas cannot be read.
    #[error("cannot use the areas")]
    Areas(#[from] ReadError),
    /// The result cannot be written.
    #[error("cannot write the result")]
    Output(#[from] OutputError),
    /// A worker broke down.
    #[error("a search broke down")]
    Worker(#[from] tokio::task::JoinError),
}

impl SearchCommandError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Arguments(_) | Self::Areas(_) => Exit::Input,
            Self::Output(_) => Exit::Output,
            Self::Worker(_) => Exit::Internal,
        }
    }
}

/// Runs `swath search`.
pub(crate) async fn command(arguments: SearchArgs) -> Result<Exit, CommandError> {
    search(arguments).await
}

async fn search(arguments: SearchArgs) -> Result<Exit, CommandError> {
    let job = arguments.job().map_err(SearchCommandError::from)?;
    if let Some(datetime) = &job.datetime {
        swath_core::datetime::expand(datetime).map_err(CommandError::Datetime)?;
    }
    let read = read_areas(&arguments)
        .await
        .map_err(SearchCommandError::from)?;
    for row in &read.rejected {
        note(&format!("row {}: {}", row.row_number, row.reason));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let client =
        http::for_apis(Timeouts::default()).map_err(|error| CommandError::Http(Box::new(error)))?;
    let api = stac::Client::new(client, clock);
    if arguments.matched || arguments.dry_run {
        return Ok(estimate(&api, &job, &read.areas, arguments.matched).await);
    }
    let form = arguments
        .to
        .as_deref()
        .map_or(Ok(Form::ItemLines), Form::of);
    let form = form.map_err(SearchCommandError::from)?;
    let mut manifest = Manifest::begin(&job, &read);
    let asked = Asked {
        run_id: manifest.run_id(),
        job,
        api: api.clone(),
    };
    let opened = Output::open(form, arguments.to.clone(), &manifest);
    let output = opened.map_err(SearchCommandError::from)?;
    let hrefs = hrefs(&arguments)?;
    let how = How {
        searches: arguments.searches,
        coalesce: arguments.coalesce,
    };
    let Found {
        output,
        statuses,
        hrefs,
    } = run(asked.clone(), read.areas, how, (output, hrefs)).await?;
    let written = output.count;
    let finished = output.finish().map_err(SearchCommandError::from)?;
    let is_whole = finished.rejected.is_empty() && hrefs.unsigned.is_empty();
    note_left_out(&finished, &hrefs, &statuses);
    manifest.end(
        statuses,
        written,
        finished.digest,
        api.landing_digest(&asked.job.catalog).await,
    );
    if let Some(path) = &arguments.manifest {
        manifest.write(path).map_err(SearchCommandError::from)?;
    }
    note(&manifest.line());
    Ok(match manifest.exit() {
        Exit::Done if !is_whole => Exit::Partial,
        exit => exit,
    })
}

/// Says what is known to be missing.
fn note_left_out(finished: &Finished, hrefs: &Hrefs, statuses: &[AreaStatus]) {
    statuses.iter().for_each(note_partial);
    for (reason, count) in &finished.rejected {
        note(&format!("{count} items are left out: {reason}"));
    }
    for (host, (count, reason)) in &hrefs.unsigned {
        note(&format!("{count} hrefs of {host} are not signed: {reason}"));
    }
}

/// Sets up what signs hrefs, if they are to be signed.
fn hrefs(arguments: &SearchArgs) -> Result<Hrefs, CommandError> {
    if !arguments.sign_hrefs {
        return Ok(Hrefs::default());
    }
    let key = arguments.pc_key.as_ref().map(|secret| secret.0.clone());
    Hrefs::new(&arguments.sign, key).map_err(|error| match error {
        HrefsError::Argument(error) => SearchCommandError::from(error).into(),
        HrefsError::Http(error) => CommandError::Http(Box::new(error)),
    })
}

/// What came of all searches.
struct Found {
    output: Output,
    statuses: Vec<AreaStatus>,
    hrefs: Hrefs,
}

/// Reads the areas that the arguments name; everywhere when they name none.
async fn read_areas(arguments: &SearchArgs) -> Result<Areas, ReadError> {
    let column = arguments.geojson_col.as_deref();
    let found = if let Some(path) = &arguments.aois {
        areas::read(path, column).await?
    } else if let Some(text) = &arguments.intersects {
        match text.strip_prefix('@') {
            Some(path) => areas::read(path, None).await?,
            None => areas::of_bytes("--intersects", &text.clone().into(), None)?,
        }
    } else if arguments.bbox.is_empty() {
        areas::of_bytes("everywhere", &Bytes::from_static(b"null"), None)?
    } else {
        let polygon = polygon_of_bbox(&arguments.bbox).ok_or(ReadError::Bbox)?;
        areas::of_bytes("--bbox", &polygon.into(), None)?
    };
    areas::checked(found)
}

async fn estimate(api: &stac::Client, job: &Job, areas: &[Area], matched: bool) -> Exit {
    let mut failed = |area: &Area, error: &stac::StacError| {
        note(&format!("area {}: {}", area.row_id, chain(error)));
    };
    let sum = estimate::estimate(api, job, areas, &mut failed).await;
    if matched {
        print_text(&sum.matched().to_string());
    } else {
        print_json(&sum);
    }
    if sum.has_failures() {
        Exit::Partial
    } else {
        Exit::Done
    }
}

/// What all workers share.
#[derive(Clone)]
struct Asked {
    run_id: RunId,
    job: Job,
    api: stac::Client,
}

/// Searches the areas, some at a time, and writes what they find.
async fn run(
    asked: Asked,
    areas: Vec<Area>,
    how: How,
    (output, hrefs): (Output, Hrefs),
) -> Result<Found, SearchCommandError> {
    let (to_write, found) = queue::channel(QUEUED);
    let (to_nobody, nobody) = queue::channel(1);
    drop(nobody);
    let context = Arc::new(swath_search::Context {
        api: asked.api.clone(),
        clock: Arc::new(SystemClock),
        write: Arc::new(to_write),
        download: Arc::new(to_nobody),
    });
    let writer = tokio::spawn(write(found, output, hrefs));
    let coalesce = how.coalesce.unwrap_or(areas.len() > MANY);
    let together = if coalesce {
        Together::new(&asked.run_id, &asked.job, &areas)
    } else {
        None
    };
    let areas = match together {
        Some(together) => {
            // On a worker of the runtime, beside the connections that it waits for.
            let context = Arc::clone(&context);
            tokio::spawn(coalesced(together, areas, context, how.searches)).await?
        }
        None => areas,
    };
    let areas = Arc::new(std::sync::Mutex::new(areas.into_iter()));
    let mut workers = JoinSet::new();
    for _ in 0..how.searches {
        let (asked, areas, context) = (asked.clone(), Arc::clone(&areas), Arc::clone(&context));
        workers.spawn(work(asked, areas, context));
    }
    drop((context, areas));
    while let Some(done) = workers.join_next().await {
        done?;
    }
    let mut found = writer.await??;
    found.statuses.sort_by_key(|status| status.row_number);
    Ok(found)
}

/// How many searches at a time, and whether areas are asked for together.
#[derive(Clone, Copy)]
struct How {
    searches: u16,
    coalesce: Option<bool>,
}

/// Searches what lies together by boxes, some at a time; returns the areas to be searched alone.
async fn coalesced(
    together: Together,
    areas: Vec<Area>,
    context: Arc<swath_search::Context>,
    searches: u16,
) -> Vec<Area> {
    let cells = together.cells();
    note(&format!(
        "{} areas are asked for in {} boxes",
        areas.len() - together.alone().len(),
        cells.len()
    ));
    let search = async |cell| {
        if let Err(error) = together.search(cell, &context).await {
            note(&chain(&error));
        }
    };
    stream::iter(cells)
        .for_each_concurrent(usize::from(searches), search)
        .await;
    together.rejected().iter().for_each(note_rejected);
    if let Err(error) = together.tell(&context).await {
        note(&chain(&error));
    }
    let alone = areas.into_iter().enumerate();
    alone
        .filter(|(place, _)| together.alone().contains(place))
        .map(|(_, area)| area)
        .collect()
}

async fn work(
    asked: Asked,
    areas: Arc<std::sync::Mutex<std::vec::IntoIter<Area>>>,
    context: Arc<swath_search::Context>,
) {
    let next = || {
        areas
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .next()
    };
    while let Some(area) = next() {
        let request = SearchArea {
            job: asked.job.clone(),
            area,
        };
        match swath_search::search(&asked.run_id, &request, &context).await {
            Ok(found) => found.rejected.iter().for_each(note_rejected),
            Err(error) => note(&chain(&error)),
        }
    }
}

async fn write(
    from: MemoryReceiver,
    mut output: Output,
    mut hrefs: Hrefs,
) -> Result<Found, OutputError> {
    let mut statuses = Vec::new();
    while let Some(message) = from.recv().await {
        match message.body {
            Body::WriteItems(body) => body.items.iter().try_for_each(|item| output.item(item))?,
            Body::WriteRows(WriteRows::AssetRows(rows)) => {
                for row in rows {
                    let signed = hrefs.sign(&row.found.href).await;
                    output.row(row, signed)?;
                }
            }
            Body::WriteRows(WriteRows::AreaStatus(ended)) => statuses.extend(ended),
            _ => {}
        }
    }
    Ok(Found {
        output,
        statuses,
        hrefs,
    })
}

/// Says what is known to be missing of an area's items.
fn note_partial(area: &AreaStatus) {
    if area.status != SearchEnd::Partial {
        return;
    }
    let why = area.stopped.clone().unwrap_or_else(|| {
        let matched = area.matched.unwrap_or_default();
        format!(
            "the API says that {matched} items match, and served {}",
            area.items
        )
    });
    note(&format!("area {}: partial: {why}", area.row_id));
}

/// Names a feature that is no item.
fn note_rejected(item: &RejectedItem) {
    let id = item.id.as_deref().unwrap_or("without an id");
    note(&format!("item {id} on page {}: {}", item.page, item.reason));
}

/// Says something on standard error, where it does not mix with a result on standard output.
fn note(text: &str) {
    use std::io::Write as _;
    // A closed terminal is no reason to fail.
    drop(writeln!(std::io::stderr().lock(), "swath: {text}"));
}
