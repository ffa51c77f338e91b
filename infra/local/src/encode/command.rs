//! `swath encode` on the command line.

use std::path::{Path, PathBuf};

use clap::Args;
use swath_core::grid::GridSpec;
use swath_table::{Effort, Repair, Validation};

use super::{EncodeError, EncodeRequest, FileForm, encode};
use crate::exit::Exit;
use crate::run::{CommandError, print_json, print_text};

/// The arguments of `swath encode`.
#[derive(Debug, Args)]
pub(crate) struct EncodeArgs {
    /// Items: NDJSON, JSON items, collections of items, or Parquet files of swath; `-` reads standard input.
    #[arg(value_name = "IN", required = true)]
    inputs: Vec<PathBuf>,
    /// One file, or with `--grid` a folder of partitions, to which files are added.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Partitions by cell and year: `h3:0` to `h3:15`, `geojson:<path>`, `geojson:<path>#<id field>` or `none`.
    #[arg(long, value_name = "GRID")]
    grid: Option<GridSpec>,
    /// What the rows of the one file are: `stac-geoparquet`, which geopandas, rustac, stac-geoparquet and `DuckDB` read, in the
    /// order of the items; or `table`, the catalog's columns, sorted by platform and datetime, as partitions always are.
    #[arg(long, value_name = "FORM", value_enum, conflicts_with = "grid")]
    form: Option<FileForm>,
    /// Reads every file back and compares its items with those that went in.
    #[arg(long)]
    check_roundtrip: bool,
    /// Keeps what is no item in this file, one JSON object a line: `source`, `unit`, `number`, `code`, `reason`, `item`.
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// What is asked of an item: `none` (it can become a row), `core` (what STAC says of every item) or `schema` (`core`,
    /// then the published JSON schemas of its version and extensions). What fails is kept out and named.
    #[arg(long, value_name = "LEVEL", default_value = "none")]
    validate: Validation,
    /// The folder of the JSON schemas: that of `https://host/path` lies there as `host/path`. Nothing is fetched.
    #[arg(long, value_name = "DIR", required_if_eq("validate", "schema"))]
    schemas: Option<PathBuf>,
    /// Mends items before they are looked at: `rings-closed`, `bbox-missing`, `bbox-order`, `datetime-zone`, `datetime-null`,
    /// `lists-missing`, separated by commas. What came is kept in the quarantine file with the code `repaired`.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        requires = "quarantine"
    )]
    repair: Vec<Repair>,
    /// Takes more time for smaller files.
    #[arg(long)]
    compact: bool,
    /// Threads; one for each processor when left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// One JSON object on standard output instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs `swath encode`.
pub(crate) fn command(arguments: EncodeArgs) -> Result<Exit, CommandError> {
    let json = arguments.json;
    let report = encode(&arguments.request()).map_err(CommandError::Encode)?;
    if json {
        print_json(&report);
    } else {
        print_text(&report.text());
    }
    Ok(if !report.rejected.is_empty() {
        Exit::Partial
    } else if report.items == 0 {
        Exit::Empty
    } else {
        Exit::Done
    })
}

impl EncodeArgs {
    fn request(self) -> EncodeRequest {
        let threads = self.threads.map_or_else(
            || std::thread::available_parallelism().map_or(1, usize::from),
            usize::from,
        );
        EncodeRequest {
            inputs: self.inputs,
            source: None,
            out: self.out,
            form: match (&self.grid, self.form) {
                (Some(_), _) => FileForm::Table,
                (None, form) => form.unwrap_or(FileForm::StacGeoparquet),
            },
            grid: self.grid,
            quarantine: self.quarantine,
            check: self.check_roundtrip,
            effort: if self.compact {
                Effort::Compact
            } else {
                Effort::Ingest
            },
            threads,
            validation: self.validate,
            repairs: self.repair,
            schemas: self.schemas,
        }
    }
}

impl EncodeError {
    /// Returns how the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Input(_) | Self::Regions { .. } | Self::Grid(_) | Self::Rules(_) => Exit::Input,
            Self::Spool(_) | Self::Write { .. } => Exit::Output,
            Self::Record { .. } | Self::Table { .. } | Self::Differs { .. } | Self::Thread => {
                Exit::Internal
            }
        }
    }

    /// Takes the failure to write a file.
    pub(crate) fn write(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Write {
            path: path.to_owned(),
            source,
        }
    }
}
