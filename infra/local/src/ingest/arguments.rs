//! The words of `swath ingest`, `swath runs` and `swath quarantine`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use swath_core::grid::GridSpec;
use swath_core::intake::{BULK_CHUNK, CHUNK, COMPACT_ROWS, Intake, Mode, Rasters};
use swath_raster::geotiff::NamePattern;
use time::OffsetDateTime;

use crate::lake::Held;

/// Globs of GeoTIFF files.
const RASTERS: [&str; 6] = ["*.tif", "*.tiff", "*.gtiff", "*.TIF", "*.TIFF", "*.GTIFF"];

/// The arguments of `swath ingest`.
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Where items come from, each a run of its own: a folder or `s3://` prefix; an S3 Inventory (`manifest.json`, the folder
    /// of its dated folders, or one `.csv`, `.csv.gz`, `.parquet` or `.orc` of it); NDJSON, an ItemCollection, `-` for standard
    /// input; a `.txt` of addresses; a static catalog; a STAC API.
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<String>,
    /// The lake: a folder, or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR|URI", required_unless_present = "dry_run")]
    pub(crate) out: Option<String>,
    /// The grid that items are filed under, the one that the lake was made with.
    #[arg(long, value_name = "GRID", default_value = "h3:1")]
    pub(crate) grid: GridSpec,
    /// Only keys that fit this glob, in which `*` is any text, slashes included; may be given again. When left out:
    /// `*.stac.json` of inventories, `*.json` and `*.geojson` of folders and prefixes, everything of other sources.
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Take in GeoTIFF files rather than items: items are made of their headers, by a few small ranges of each, as by `swath
    /// itemize`. Short for `--include` of `*.tif`, `*.tiff`, `*.gtiff` and the same in capitals.
    #[arg(long, conflicts_with = "include")]
    pub(crate) from_rasters: bool,
    /// The collection of items made of rasters.
    #[arg(long, value_name = "ID", requires = "from_rasters")]
    pub(crate) raster_collection: Option<String>,
    /// Where names of rasters hold the datetime, as for `swath itemize`; goes before the files' tags.
    #[arg(long, value_name = "PATTERN", requires = "from_rasters", value_parser = pattern)]
    pub(crate) name_pattern: Option<String>,
    /// No keys that fit this glob; may be given again.
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Only what was modified (of items: updated) at this moment or later: `2024-06-01` or `2024-06-01T00:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<OffsetDateTime>,
    /// Only what was modified (of items: updated) before this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<OffsetDateTime>,
    /// An earlier list of the same objects: what is new or changed since is taken, and the items of what is gone leave the
    /// catalog.
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["skip_inventory", "limit"])]
    pub(crate) against: Option<String>,
    /// As many objects or items at most; a run of its own.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// `auto` and `delta` add and update, `full` replaces all that the catalog holds, in one snapshot.
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub(crate) mode: Mode,
    /// For archives: items are staged, merged when all are there, and then committed as few large files.
    #[arg(long)]
    pub(crate) bulk: bool,
    /// Objects of one chunk, the unit of work that a crash repeats; 10,000, with `--bulk` 100,000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) chunk_size: Option<u32>,
    /// Rows of one merged file of `--bulk` at most, but for files that are staged with more; 100,000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) compact_rows: Option<u32>,
    /// Where below the lake the lists of a run's chunks are staged, as `PREFIX/chunks/`; `runs/chunks/` when left out.
    #[arg(long, value_name = "PREFIX", value_parser = prefix, conflicts_with_all = ["dry_run", "skip_inventory"])]
    pub(crate) staging_prefix: Option<String>,
    /// Try again what could not be had the last time, besides what was never tried.
    #[arg(long)]
    pub(crate) retry_pending: bool,
    /// Go on with the newest run of the source as it was listed then.
    #[arg(long, conflicts_with = "skip_ingest")]
    pub(crate) skip_inventory: bool,
    /// List and plan only.
    #[arg(long)]
    pub(crate) skip_ingest: bool,
    /// Count what would be taken; nothing is written.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Reads every file of items back before it goes into the lake, and compares its items with those that came: members in any
    /// order, all values as they were spelled. A difference stops the run. Of `--bulk`, the files that are merged later.
    #[arg(long, conflicts_with_all = ["dry_run", "skip_ingest"])]
    pub(crate) check_roundtrip: bool,
    /// Write EarthCatalog's index of ids anew when all is taken in, as `swath maintain --update-hash-index` does.
    #[arg(long, conflicts_with_all = ["dry_run", "skip_ingest"])]
    pub(crate) update_hash_index: bool,
    /// Write `earthcatalog.db` beside a lake in a bucket after each commit, for EarthCatalog to open; the one of a folder is
    /// the catalog itself.
    #[arg(long, conflicts_with_all = ["dry_run", "skip_ingest"])]
    pub(crate) publish_db: bool,
    #[command(flatten)]
    pub(crate) held: Held,
    /// How a bucket is reached: `NAME=unsigned`, `NAME=requester-pays`, `NAME=region:REGION`, `NAME=endpoint:URL`,
    /// `NAME=credentials:FILE` (lines `access_key_id=…`, `secret_access_key=…`), `NAME=folder:DIR` (a copy or mount of it),
    /// several words separated by commas; may be given again.
    #[arg(long, value_name = "NAME=HOW")]
    pub(crate) bucket: Vec<String>,
    /// Requests to buckets that `--bucket` does not name are not signed: they are public.
    #[arg(long)]
    pub(crate) unsigned: bool,
    /// Objects fetched at once, at most.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) concurrency: u16,
    /// One JSON object a run on standard output instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

impl IngestArgs {
    /// Returns what is taken, and how.
    pub(super) fn intake(&self) -> Intake {
        let usual = if self.bulk { BULK_CHUNK } else { CHUNK };
        let rasters = RASTERS.map(str::to_owned).to_vec();
        Intake {
            include: if self.from_rasters {
                rasters
            } else {
                self.include.clone()
            },
            exclude: self.exclude.clone(),
            since: self.since,
            until: self.until,
            limit: self.limit,
            chunk_size: self.chunk_size.unwrap_or(usual),
            mode: self.mode,
            bulk: self.bulk,
            compact_rows: self.compact_rows.filter(|rows| *rows != COMPACT_ROWS),
            rasters: Rasters {
                collection: self.raster_collection.clone(),
                name_pattern: self.name_pattern.clone(),
            },
        }
    }
}

/// Takes a pattern for names as it stands, once it is known to be one.
fn pattern(text: &str) -> Result<String, swath_raster::geotiff::PatternError> {
    text.parse::<NamePattern>().map(|_| text.to_owned())
}

/// Takes a folder below the lake that is none of its own.
fn prefix(text: &str) -> Result<String, String> {
    let parts = || text.trim_end_matches('/').split('/');
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':']);
    if !parts().all(is_plain) {
        return Err("no folder below the lake: use names separated by slashes".to_owned());
    }
    let own = [
        "collections",
        "messages",
        "origins",
        "quarantine",
        "swath_index",
        "warehouse",
    ];
    match parts().next().filter(|first| own.contains(first)) {
        Some(first) => Err(format!("{first} is where the lake keeps other things")),
        None => Ok(text.to_owned()),
    }
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let whole = format!("{text}T00:00:00Z");
    let is_day = text.len() == "2024-06-01".len();
    let text = if is_day { &whole } else { text };
    swath_core::stac::parse_datetime(text)
        .ok_or_else(|| "no date or time: use 2024-06-01 or 2024-06-01T00:00:00Z".to_owned())
}

/// The arguments of `swath runs`.
#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// The lake: a folder, or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR|URI")]
    pub(crate) lake: String,
    /// One JSON object a run.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is done with what is in quarantine.
#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Name what is kept: path, code and reason.
    List(QuarantineArgs),
    /// Show all that is known of one thing.
    Explain(ExplainArgs),
    /// Take in again the objects and items that are kept; those that are well now leave the quarantine.
    Replay(QuarantineArgs),
}

/// Which lake.
#[derive(Debug, Args)]
pub(crate) struct QuarantineArgs {
    /// The lake: a folder, or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR|URI")]
    pub(crate) lake: String,
    /// Only what has this code, such as `truncated` or `not_json`.
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// The grid that items are filed under, the one that the lake was made with.
    #[arg(long, value_name = "GRID", default_value = "h3:1")]
    pub(crate) grid: GridSpec,
    #[command(flatten)]
    pub(crate) held: Held,
    /// How a bucket is reached, as for `swath ingest`.
    #[arg(long, value_name = "NAME=HOW")]
    pub(crate) bucket: Vec<String>,
    /// Requests to buckets that `--bucket` does not name are not signed.
    #[arg(long)]
    pub(crate) unsigned: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which thing.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Its path, as `swath quarantine list` says it.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Show it to the letter: without this, queries and credentials of addresses and the values of headers such as
    /// `Authorization` are left out.
    #[arg(long)]
    pub(crate) raw: bool,
    /// The lake: a folder, or `s3://bucket/prefix`.
    #[arg(long, value_name = "DIR|URI")]
    pub(crate) lake: String,
}
