//! `swath search`: what matches, straight into one file, with no lake and no downloads.

mod areas;
mod args;
mod estimate;
mod manifest;
mod output;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::http::{self, Timeouts};
use swath_cloud::queue::{self, MemoryReceiver};
use swath_cloud::stac;
use swath_core::aoi::Area;
use swath_core::message::{Body, SearchArea, WriteRows};
use swath_core::{Class, Job, RunId, chain};
use swath_search::{AreaFound, SearchError, Together};
use tokio::task::JoinSet;

use crate::exit::Exit;
use crate::run::{CommandError, print_json, print_text};

pub use areas::ReadError;
pub use args::{ArgumentError, SearchArgs};
pub use output::OutputError;

use manifest::{AreaStatus, Manifest};
use output::{Form, Output};

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
    let read = areas::read(&arguments)
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
    let output = Output::open(form, arguments.to.clone()).map_err(SearchCommandError::from)?;
    let how = How {
        searches: arguments.searches,
        coalesce: arguments.coalesce,
    };
    let (output, statuses) = run(asked.clone(), read.areas, how, output).await?;
    let written = output.count;
    let digest = output.finish().map_err(SearchCommandError::from)?;
    manifest.end(
        statuses,
        written,
        digest,
        api.landing_digest(&asked.job.catalog).await,
    );
    if let Some(path) = &arguments.manifest {
        manifest.write(path).map_err(SearchCommandError::from)?;
    }
    note(&manifest.line());
    Ok(manifest.exit())
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
    output: Output,
) -> Result<(Output, Vec<AreaStatus>), SearchCommandError> {
    let (to_write, found) = queue::channel(QUEUED);
    let (to_nobody, nobody) = queue::channel(1);
    drop(nobody);
    let context = Arc::new(swath_search::Context {
        api: asked.api.clone(),
        clock: Arc::new(SystemClock),
        write: Arc::new(to_write),
        download: Arc::new(to_nobody),
    });
    let writer = tokio::spawn(write(found, output));
    let coalesce = how.coalesce.unwrap_or(areas.len() > MANY);
    let together = if coalesce {
        Together::new(&asked.job, &areas)
    } else {
        None
    };
    let (mut statuses, areas) = match together {
        Some(together) => coalesced(together, &asked, areas, &context).await,
        None => (Vec::new(), areas),
    };
    let areas = Arc::new(std::sync::Mutex::new(areas.into_iter()));
    let mut workers = JoinSet::new();
    for _ in 0..how.searches {
        let (asked, areas, context) = (asked.clone(), Arc::clone(&areas), Arc::clone(&context));
        workers.spawn(work(asked, areas, context));
    }
    drop((context, areas));
    while let Some(done) = workers.join_next().await {
        statuses.extend(done?);
    }
    statuses.sort_by_key(|status| status.row_number);
    Ok((writer.await??, statuses))
}

/// How many searches at a time, and whether areas are asked for together.
#[derive(Clone, Copy)]
struct How {
    searches: u16,
    coalesce: Option<bool>,
}

/// Searches what lies together by boxes; returns how each of those areas ended, and the areas to be searched alone.
async fn coalesced(
    mut together: Together,
    asked: &Asked,
    areas: Vec<Area>,
    context: &swath_search::Context,
) -> (Vec<AreaStatus>, Vec<Area>) {
    let mut found = vec![AreaFound::default(); areas.len()];
    let mut failures: BTreeMap<usize, (Class, String)> = BTreeMap::new();
    let cells = together.cells();
    note(&format!(
        "{} areas are asked for in {} boxes",
        areas.len() - together.alone().len(),
        cells.len()
    ));
    for cell in &cells {
        let searched = together
            .search(&asked.run_id, cell, context, &mut found)
            .await;
        if let Err(error) = searched {
            note(&chain(&error));
            let failure = (swath_core::Classify::class(&error), chain(&error));
            failures.extend(cell.members.iter().map(|place| (*place, failure.clone())));
        }
    }
    let (mut statuses, mut alone) = (Vec::new(), Vec::new());
    for (place, (area, found)) in areas.into_iter().zip(&found).enumerate() {
        if together.alone().contains(&place) {
            alone.push(area);
        } else {
            statuses.push(AreaStatus::of(
                area.row_id,
                area.row_number,
                found,
                failures.remove(&place),
            ));
        }
    }
    (statuses, alone)
}

async fn work(
    asked: Asked,
    areas: Arc<std::sync::Mutex<std::vec::IntoIter<Area>>>,
    context: Arc<swath_search::Context>,
) -> Vec<AreaStatus> {
    let next = || {
        areas
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .next()
    };
    let mut statuses = Vec::new();
    while let Some(area) = next() {
        let (row_id, row_number) = (area.row_id.clone(), area.row_number);
        let request = SearchArea {
            job: asked.job.clone(),
            area,
        };
        let status = match swath_search::search(&asked.run_id, &request, &context).await {
            Ok(found) => AreaStatus::of(row_id, row_number, &found, None),
            Err(error) => {
                note(&chain(&error));
                let (found, class) = (found_before(&error), swath_core::Classify::class(&error));
                AreaStatus::of(row_id, row_number, &found, Some((class, chain(&error))))
            }
        };
        statuses.push(status);
    }
    statuses
}

fn found_before(error: &SearchError) -> AreaFound {
    match error {
        SearchError::Api { found, .. } | SearchError::Send { found, .. } => (**found).clone(),
        _ => AreaFound::default(),
    }
}

async fn write(from: MemoryReceiver, mut output: Output) -> Result<Output, OutputError> {
    while let Some(message) = from.recv().await {
        match message.body {
            Body::WriteItems(body) => body.items.iter().try_for_each(|item| output.item(item))?,
            Body::WriteRows(WriteRows::AssetRows(rows)) => {
                rows.into_iter().try_for_each(|row| output.row(row))?;
            }
            _ => {}
        }
    }
    Ok(output)
}

/// Says something on standard error, where it does not mix with a result on standard output.
fn note(text: &str) {
    use std::io::Write as _;
    // A closed terminal is no reason to fail.
    drop(writeln!(std::io::stderr().lock(), "swath: {text}"));
}

/// A failure in a manifest.
#[derive(Clone, Debug, Serialize)]
struct Failure {
    class: Class,
    error: String,
}
