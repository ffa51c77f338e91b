//! `swath run`: the whole chain in one process.

mod error;
mod event;
mod pipeline;
mod stages;
mod summary;

use std::path::PathBuf;
use std::sync::Arc;

use swath_core::aoi::Areas;
use swath_core::{AssetChoice, Job};

use crate::areas;
use crate::cli::{How, RunArgs};
use crate::exit::Exit;

pub use error::CommandError;
pub use event::{Bars, Event, JsonLines, Progress, Silent, print_json, print_text};
pub use pipeline::run;
pub use summary::Summary;

/// What a run is asked to do.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The areas, and the rows that are none.
    pub areas: Areas,
    /// What is asked of every area.
    pub job: Job,
    /// Where everything goes.
    pub out: PathBuf,
    /// How the chain runs.
    pub how: How,
}

/// Runs `swath run`.
pub(crate) async fn command(arguments: RunArgs) -> Result<Exit, CommandError> {
    let request = RunRequest {
        areas: areas::read(&arguments.aois, arguments.geojson_col.as_deref())
            .await
            .map_err(CommandError::areas)?,
        job: Job {
            collections: arguments.collections,
            datetime: arguments.datetime,
            assets: AssetChoice::keys(arguments.assets),
            limit: arguments.limit,
            max_items: arguments.max_items,
            validate: arguments.validate,
            download: !arguments.no_download,
            ..Job::new(arguments.catalog)
        },
        out: arguments.out,
        how: arguments.how,
    };
    let summary = run_and_tell(request).await?;
    Ok(exit_of(&summary))
}

/// Runs the chain, shows how it goes and what came of it.
pub(crate) async fn run_and_tell(request: RunRequest) -> Result<Summary, CommandError> {
    let json = request.how.json;
    let progress: Arc<dyn Progress> = if json {
        Arc::new(JsonLines)
    } else {
        Arc::new(Bars::new())
    };
    let result = run(request, Arc::clone(&progress)).await;
    progress.finish();
    let summary = result?;
    if json {
        print_json(&Ending {
            event: "summary",
            summary: &summary,
        });
    } else {
        print_text(&summary.table());
    }
    Ok(summary)
}

#[derive(serde::Serialize)]
struct Ending<'a> {
    event: &'static str,
    #[serde(flatten)]
    summary: &'a Summary,
}

pub(crate) fn exit_of(summary: &Summary) -> Exit {
    if summary.output_failed {
        Exit::Output
    } else if summary.interrupted {
        Exit::Interrupted
    } else if summary.has_failures() {
        Exit::Partial
    } else if summary.items == 0 {
        Exit::Empty
    } else {
        Exit::Done
    }
}
