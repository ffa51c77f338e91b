//! `swath download`: rows in, files out.

mod args;
mod csv;
mod fetch;
mod items;
mod ledger;
mod plan;
mod rows;

use std::path::{Path, PathBuf};

use swath_cloud::store;
use swath_core::RunId;
use url::Url;

pub use args::{DownloadArgs, FetchArgs, OnCollision, Secret, SignArg, SignArgError};
pub use plan::PlanError;
pub use rows::RowsError;

use crate::exit::Exit;
use crate::run::{CommandError, print_json, print_text};
use fetch::Tally;

pub(crate) use fetch::{AssetLine, Fetching, contexts};
pub(crate) use ledger::Ledger;
pub(crate) use plan::Planned;

/// Runs `swath download`.
pub(crate) async fn command(arguments: DownloadArgs) -> Result<Exit, CommandError> {
    let rows = rows::read(&arguments.rows)?;
    let planned = plan::plan(rows, &arguments, &origin(&arguments.rows)?);
    let planned = planned.map_err(|source| CommandError::Names(Box::new(source)))?;
    let estimate = plan::estimate(&planned);
    if arguments.dry_run || estimate.dollars.is_some() {
        tell_estimate(&estimate, arguments.json);
    }
    if arguments.dry_run {
        return Ok(Exit::Done);
    }
    let (run_id, json) = (run_id(&planned), arguments.json);
    let out = store::open_for_files(&arguments.out_dir);
    let out = out.map_err(|error| CommandError::Output(Box::new(error)))?;
    let lake = arguments.lake.clone().or_else(|| out.local_root.clone());
    // Next to a bucket of files the rows stay on this machine.
    let ledger = Ledger::open(&lake.unwrap_or_else(|| PathBuf::from("."))).await?;
    let contexts = contexts(&ledger, &out, &arguments.fetch).await?;
    let fetching = Fetching {
        run_id,
        contexts,
        concurrency: arguments.fetch.concurrency,
        fail_fast: arguments.fail_fast,
        json,
        keep: arguments.write_items.is_some(),
    };
    let asked = fetching.keep.then(|| planned.clone());
    let mut tally = fetching.run(planned).await;
    tally.take(ledger.close().await);
    if let (Some(to), Some(asked)) = (&arguments.write_items, asked) {
        let settled = std::mem::take(&mut tally.settled);
        tally.take_items(items::write(to, &arguments.items, &asked, &settled).await?);
    }
    tell(&tally, json);
    Ok(tally.exit())
}

/// Names where rows came from that name no catalog.
pub(crate) fn origin(rows: &Path) -> Result<Url, CommandError> {
    let path = if rows == Path::new("-") {
        PathBuf::from("/dev/stdin")
    } else {
        std::path::absolute(rows).map_err(|source| CommandError::File {
            path: rows.to_owned(),
            source,
        })?
    };
    Url::from_file_path(&path).map_err(|()| CommandError::Address(url::ParseError::EmptyHost))
}

/// The same assets make the same run.
fn run_id(planned: &[Planned]) -> RunId {
    let parts: Vec<&[u8]> = planned.iter().map(|one| one.key.as_bytes()).collect();
    RunId::derive(&parts)
}

/// Shows what a plan would ask for.
pub(crate) fn show_estimate(planned: &[Planned], json: bool) {
    tell_estimate(&plan::estimate(planned), json);
}

fn tell_estimate(estimate: &plan::Estimate, json: bool) {
    if json {
        print_json(estimate);
        return;
    }
    let unknown = match estimate.unknown_sizes {
        0 => String::new(),
        n => format!(" and {n} files of unknown size"),
    };
    let bytes = indicatif::HumanBytes(estimate.bytes);
    let dollars = estimate
        .dollars
        .map(|dollars| format!(", about ${dollars:.2} for transfer and requests, which you pay"))
        .unwrap_or_default();
    print_text(&format!(
        "{} requests, {bytes}{unknown}{dollars}\n",
        estimate.requests
    ));
}

/// Shows what came of it.
pub(crate) fn tell(tally: &Tally, json: bool) {
    if json {
        print_json(tally);
    } else {
        print_text(&tally.table());
    }
}
