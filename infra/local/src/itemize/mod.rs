//! `swath itemize`: STAC items out of the headers of rasters.

mod find;
mod header;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use futures::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::Value;
use swath_core::chain;
use swath_raster::geotiff::{NamePattern, Origin};
use time::OffsetDateTime;

use crate::encode::beside;
use crate::exit::Exit;
use crate::run::CommandError;
use find::{Raster, find};
use header::{Headers, Unreadable};

/// The arguments of `swath itemize`.
#[derive(Debug, Args)]
pub(crate) struct ItemizeArgs {
    /// Files, folders (searched in depth), `s3://bucket/prefix` or URLs of GeoTIFF files (`.tif`, `.tiff`, `.gtiff`).
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,
    /// The file of items, one a line; `-` writes to standard output.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The items' collection.
    #[arg(long, value_name = "ID")]
    collection: Option<String>,
    /// What the items are named by: `stem` is the file's name without its ending, `path` the way to it from SOURCE with
    /// `_` for `/`. Two files of one id are no two items: the second is rejected.
    #[arg(long, value_enum, default_value_t = Naming::Stem)]
    id: Naming,
    /// Where names hold the datetime, for instance `*_{YYYY}{MM}{DD}T{hh}{mm}{ss}_*`; `*` is any text, `?` any letter,
    /// `{DDD}` the day of the year. Goes before the files' tags; UTC.
    #[arg(long, value_name = "PATTERN")]
    name_pattern: Option<NamePattern>,
    /// The datetime of all items, RFC 3339; goes before tags and names.
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "name_pattern")]
    datetime: Option<OffsetDateTime>,
    /// Reads files whole for `file:checksum` (SHA-256); those of URLs are left out.
    #[arg(long)]
    checksum: bool,
    /// Files that are read at a time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// One JSON object on standard error instead of text: `items`, `rejected` (`source`, `code`, `reason`), `ranges`, `bytes`.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Naming {
    Stem,
    Path,
}

fn instant(text: &str) -> Result<OffsetDateTime, String> {
    swath_core::stac::parse_datetime(text)
        .ok_or_else(|| "not a date and time, as in 2024-06-01T12:00:00Z".to_owned())
}

/// A file without an item.
#[derive(Debug, Serialize)]
struct Rejected {
    source: String,
    code: String,
    reason: String,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    items: u64,
    rejected: Vec<Rejected>,
    /// Ranges and bytes that were asked of buckets and hosts.
    ranges: u64,
    bytes: u64,
}

/// Runs `swath itemize`.
pub(crate) async fn command(arguments: ItemizeArgs) -> Result<Exit, CommandError> {
    let rasters = find(&arguments.sources).await?;
    let mut report = Report::default();
    let to = arguments.to.as_path();
    if to == Path::new("-") {
        let mut out = std::io::stdout();
        write_items(rasters, &arguments, &mut out, &mut report).await?;
    } else {
        let partial = beside(to);
        let file = File::create(&partial).map_err(write_error(to))?;
        let mut out = BufWriter::new(file);
        let written = write_items(rasters, &arguments, &mut out, &mut report).await;
        let kept = written.and_then(|()| fs::rename(&partial, to).map_err(write_error(to)));
        if kept.is_err() {
            // The first failure is the one to tell of.
            let _ignored = fs::remove_file(&partial);
        }
        kept?;
    }
    tell(&report, arguments.json);
    Ok(match (report.items, report.rejected.is_empty()) {
        (0, true) => Exit::Empty,
        (_, true) => Exit::Done,
        (_, false) => Exit::Partial,
    })
}

fn tell(report: &Report, json: bool) {
    let mut errors = std::io::stderr().lock();
    let text = if json {
        serde_json::to_string(report).unwrap_or_default()
    } else {
        let rejected = report.rejected.iter();
        let lines =
            rejected.map(|Rejected { code, reason, .. }| format!("rejected ({code}): {reason}\n"));
        let count = format!(
            "{} items, {} files rejected",
            report.items,
            report.rejected.len()
        );
        lines.chain([count]).collect()
    };
    // Standard output may be the items'; a closed terminal is no reason to fail.
    let _ignored = writeln!(errors, "{text}");
}

fn write_error(path: &Path) -> impl Fn(std::io::Error) -> CommandError {
    move |source| CommandError::Write {
        path: path.to_owned(),
        source,
    }
}

/// Writes the items in the order of the files, so that the same files give the same output.
async fn write_items(
    rasters: Vec<Raster>,
    arguments: &ItemizeArgs,
    out: &mut (impl Write + Send),
    report: &mut Report,
) -> Result<(), CommandError> {
    let headers =
        Headers::new(arguments.checksum).map_err(|error| CommandError::Http(Box::new(error)))?;
    let headers = &headers;
    let reading = rasters.into_iter().map(|raster| async move {
        let read = headers.read(&raster.place).await;
        (raster, read)
    });
    let mut reading = stream::iter(reading).buffered(usize::from(arguments.concurrency));
    // Ids are compared by their hashes: 16 bytes each, whatever their length.
    let mut ids: HashSet<u128> = HashSet::new();
    while let Some((raster, read)) = reading.next().await {
        let href = raster.place.href();
        let item = read.and_then(|read| {
            report.ranges += read.ranges;
            report.bytes += read.bytes;
            let item = item(&raster, &href, &read, arguments)?;
            let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
            if ids.insert(xxhash_rust::xxh3::xxh3_128(id.as_bytes())) {
                return Ok(item);
            }
            Err(Unreadable {
                code: "id_taken".to_owned(),
                reason: format!(
                    "{href}: another file has made the item {id:?}; `--id path` tells them apart"
                ),
            })
        });
        match item {
            Ok(item) => {
                report.items += 1;
                writeln!(out, "{item}").map_err(write_error(&arguments.to))?;
            }
            Err(Unreadable { code, reason }) => report.rejected.push(Rejected {
                source: href,
                code,
                reason,
            }),
        }
    }
    out.flush().map_err(write_error(&arguments.to))
}

fn item(
    raster: &Raster,
    href: &str,
    read: &header::Read,
    arguments: &ItemizeArgs,
) -> Result<Value, Unreadable> {
    let name = raster.way.rsplit('/').next().unwrap_or_default();
    let id = match arguments.id {
        Naming::Stem => stem(name).to_owned(),
        Naming::Path => stem(&raster.way).replace('/', "_"),
    };
    let origin = Origin {
        id: &id,
        collection: arguments.collection.as_deref(),
        href,
        name: stem(name),
        checksum: read.checksum.as_deref(),
        pattern: arguments.name_pattern.as_ref(),
        datetime: arguments.datetime,
    };
    read.raster.item(&origin).map_err(|error| Unreadable {
        code: error.code().to_owned(),
        reason: chain(&error),
    })
}

/// A name without its last ending.
fn stem(name: &str) -> &str {
    name.rsplit_once('.')
        .filter(|(stem, ending)| !stem.is_empty() && !ending.contains('/'))
        .map_or(name, |(stem, _)| stem)
}
