//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use swath_core::Level;
use url::Url;

use crate::aws::AwsCommand;
use crate::census::CensusArgs;
use crate::collections::CollectionsArgs;
use crate::decode::DecodeArgs;
use crate::diff::DiffArgs;
use crate::download::DownloadArgs;
use crate::encode::command::EncodeArgs;
use crate::exit;
use crate::ingest::{IngestArgs, QuarantineCommand, RunsArgs};
use crate::itemize::ItemizeArgs;
use crate::lake::LakeCommand;
use crate::repair::RepairArgs;
use crate::search::SearchArgs;

/// Search, fetch, prove and catalog satellite images, on this machine as on AWS.
#[derive(Debug, Parser)]
#[command(name = "swath", version, after_help = exit::HELP, max_term_width = 110)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Search areas, download assets, and commit all of it to a catalog: the whole chain in one process.
    #[command(after_help = exit::HELP)]
    Run(RunArgs),
    /// Search areas, and write what matches straight to one file: items or rows of assets.
    #[command(after_help = exit::HELP)]
    Search(Box<SearchArgs>),
    /// Take in an archive of items: an S3 Inventory, a folder or prefix, files of items, a catalog, an API.
    #[command(after_help = exit::HELP)]
    Ingest(Box<IngestArgs>),
    /// Say how far the runs of `ingest` are, by their receipts.
    #[command(after_help = exit::HELP)]
    Runs(RunsArgs),
    /// What was rejected: list it, explain it, take it in again.
    #[command(subcommand, after_help = exit::HELP)]
    Quarantine(QuarantineCommand),
    /// Show the STAC Collections that a lake keeps, and their versions. Exit code 5: none, or not that one.
    #[command(after_help = exit::HELP)]
    Collections(CollectionsArgs),
    /// Download the assets that rows name, each proven whole.
    #[command(after_help = exit::HELP)]
    Download(Box<DownloadArgs>),
    /// Download again what is not as it should be, by a condition on the table of files.
    #[command(after_help = exit::HELP)]
    Repair(Box<RepairArgs>),
    /// Run the whole chain against a small STAC API that is served here; needs no network.
    #[command(after_help = exit::HELP)]
    Demo(DemoArgs),
    /// Serve a folder of STAC items as a STAC API on loopback, for trying things out.
    #[command(after_help = exit::HELP)]
    ServeItems(ServeItemsArgs),
    /// Put items into GeoParquet: one file, or a folder of partitions.
    #[command(after_help = exit::HELP)]
    Encode(EncodeArgs),
    /// Take items out of GeoParquet again, as they went in.
    #[command(after_help = exit::HELP)]
    Decode(DecodeArgs),
    /// Make items of rasters, from their headers alone: one GeoTIFF, one item.
    #[command(after_help = exit::HELP)]
    Itemize(Box<ItemizeArgs>),
    /// Say what is new, changed and deleted between two lists of objects: one JSON object a line. Exit code 5: nothing.
    #[command(after_help = exit::HELP)]
    Diff(DiffArgs),
    /// Compare a list of objects with the catalog: what is missing, stale, extra; with `--heal` make it good. Exit code 7:
    /// something differs.
    #[command(after_help = exit::HELP)]
    Census(Box<CensusArgs>),
    /// Say whether files are whole.
    #[command(after_help = exit::HELP)]
    Validate(ValidateArgs),
    /// What looks after a lake.
    #[command(flatten)]
    Lake(LakeCommand),
    /// What talks to a deployment.
    #[command(flatten)]
    Aws(AwsCommand),
}

/// The arguments of `swath run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Areas of interest, one search each: GeoJSON, GeoJSON text sequence, NDJSON, CSV, Parquet; a file, a folder, an s3://
    /// address, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) aois: String,
    /// The column of a CSV or Parquet file that holds the geometry: GeoJSON, WKT, WKB or H3 cells.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) geojson_col: Option<String>,
    /// The STAC API's landing page.
    #[arg(long, value_name = "URL")]
    pub(crate) catalog: Url,
    /// Collections to search, separated by commas; all of them when left out.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) collections: Vec<String>,
    /// An instant or interval: `2024`, `2024-06`, `2024-06-01/2024-08-31`, `2024-06-01T00:00:00Z/..`.
    #[arg(long, value_name = "RANGE")]
    pub(crate) datetime: Option<String>,
    /// Assets to download, separated by commas: keys, patterns (`B0*`), `role:data`, `type:image/tiff*`; all of them when left
    /// out.
    #[arg(long, value_name = "K1,K2", value_delimiter = ',')]
    pub(crate) assets: Vec<String>,
    /// Where everything goes: `assets/`, `earthcatalog.db` and `warehouse/` are made in it.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// How far each file's wholeness is proven: none, size, structure, window or full.
    #[arg(long, value_name = "LEVEL", default_value = "window")]
    pub(crate) validate: Level,
    /// Items per page.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// Items per area at most.
    #[arg(long, value_name = "N")]
    pub(crate) max_items: Option<u64>,
    /// Find and catalog items, download nothing.
    #[arg(long)]
    pub(crate) no_download: bool,
    /// What is common to the commands that run the chain.
    #[command(flatten)]
    pub(crate) how: How,
}

/// How a chain runs.
#[derive(Clone, Copy, Debug, Args)]
pub struct How {
    /// Searches at a time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub searches: u16,
    /// Downloads at a time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// One JSON object a line on standard output instead of bars and a table.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `swath demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where everything goes; the same folder again shows that nothing is done twice.
    #[arg(long, value_name = "DIR", default_value = "swath-demo")]
    pub(crate) out: PathBuf,
    /// What is common to the commands that run the chain.
    #[command(flatten)]
    pub(crate) how: How,
}

/// The arguments of `swath serve-items`.
#[derive(Debug, Args)]
pub(crate) struct ServeItemsArgs {
    /// Folders or files of STAC items (`.json`, searched in depth); without one, the demo's own scenes are served.
    #[arg(value_name = "PATH")]
    pub(crate) items: Vec<PathBuf>,
    /// A folder of files to point asset hrefs at, one file after the other, for items whose assets are elsewhere.
    #[arg(long, value_name = "DIR")]
    pub(crate) rasters: Option<PathBuf>,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) port: u16,
}

/// The arguments of `swath validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Files to look at.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// How far wholeness is proven: none, size, structure, window or full.
    #[arg(long, value_name = "LEVEL", default_value = "window")]
    pub(crate) level: Level,
    /// One JSON object a line: `file`, `verdict`, `level`, `code`, `reason`.
    #[arg(long)]
    pub(crate) json: bool,
}
