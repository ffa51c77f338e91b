//! The chain against an upstream of our own: scenes, rasters and faults are made here and served on loopback.

mod raster;
mod scene;
mod verdict;

use std::sync::Arc;

use raster::Rasters;
use swath_core::{AssetChoice, Job};

use crate::areas;
use crate::cli::{DemoArgs, How};
use crate::exit::Exit;
use crate::run::{self, CommandError, RunRequest};
use crate::stac_server::{self, Index, Served};

/// Serves the demo's scenes and rasters.
pub(crate) async fn serve(port: u16) -> std::io::Result<Served> {
    serve_rasters(port, &Arc::new(Rasters::of(&scene::scenes()))).await
}

async fn serve_rasters(port: u16, rasters: &Arc<Rasters>) -> std::io::Result<Served> {
    stac_server::serve(port, |base| {
        let mut index = Index::default();
        for scene in scene::scenes() {
            if let Err(error) = index.add(scene.item(base)) {
                tracing::error!(%error, "a scene of the demo is not an item");
            }
        }
        (index, rasters.routes())
    })
    .await
}

/// Runs the chain against the demo's own upstream and compares what came out with what was served.
///
/// A first run serves on a free port and notes it, so that a second run asks the same address and finds its work done.
pub(crate) async fn demo(arguments: DemoArgs) -> Result<Exit, CommandError> {
    let rasters = Arc::new(Rasters::of(&scene::scenes()));
    let served = start(&arguments, &rasters)
        .await
        .map_err(CommandError::Serve)?;
    let job = Job {
        collections: vec![scene::COLLECTION.to_owned()],
        datetime: Some("2024-06-01/2024-08-31".to_owned()),
        assets: AssetChoice::keys(scene::BANDS),
        ..Job::new(served.url().parse().map_err(CommandError::Address)?)
    };
    let request = RunRequest {
        areas: areas::of_bytes("the demo's places", &scene::places().into(), None)
            .map_err(CommandError::areas)?,
        job,
        out: arguments.out.clone(),
        how: arguments.how,
    };
    let summary = run::run_and_tell(request).await?;
    if summary.output_failed || summary.interrupted {
        return Ok(run::exit_of(&summary));
    }
    let verdict = verdict::compare(&arguments.out, &rasters)
        .await
        .map_err(CommandError::Verdict)?;
    report(arguments.how, &arguments.out, &summary, &verdict);
    Ok(
        if verdict.holds() && summary.failed + summary.failures == 0 {
            Exit::Done
        } else {
            Exit::Internal
        },
    )
}

async fn start(arguments: &DemoArgs, rasters: &Arc<Rasters>) -> std::io::Result<Served> {
    let noted = arguments.out.join(".demo-port");
    let port = tokio::fs::read_to_string(&noted)
        .await
        .ok()
        .and_then(|text| text.trim().parse::<u16>().ok());
    let served = match port {
        Some(port) => match serve_rasters(port, rasters).await {
            Ok(served) => served,
            // Someone else holds the port of the earlier run; its work is then done again under a new address.
            Err(_) => serve_rasters(0, rasters).await?,
        },
        None => serve_rasters(0, rasters).await?,
    };
    tokio::fs::create_dir_all(&arguments.out).await?;
    tokio::fs::write(&noted, served.port().to_string()).await?;
    Ok(served)
}

fn report(how: How, out: &std::path::Path, summary: &run::Summary, verdict: &verdict::Verdict) {
    if how.json {
        run::print_json(&verdict);
        return;
    }
    run::print_text(&verdict.words());
    if let Some(metadata) = &summary.metadata {
        let folder = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
        run::print_text(&next_lines(metadata, &folder.join("earthcatalog.db")));
    }
}

/// Returns what someone would type next.
fn next_lines(metadata: &str, database: &std::path::Path) -> String {
    format!(
        "
Next, in DuckDB:
  INSTALL iceberg; LOAD iceberg;
  SELECT id, datetime, grid_partition FROM iceberg_scan('{metadata}');
or in Python:
  from pyiceberg.catalog.sql import SqlCatalog
  SqlCatalog('earthcatalog', uri='sqlite:///{}').load_table('earthcatalog.stac_items').scan().to_arrow()
",
        database.display()
    )
}
