//! The result's file, written beside itself and put in place when it is whole. What is held does not grow with the result, but
//! for the identities of items when several areas may find the same.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use swath_core::TableName;
use swath_core::row::{AssetRow, Found};
use swath_table::rows::asset_rows_batch;
use swath_table::{Effort, Expected, FileWriter};
use xxhash_rust::xxh3::xxh3_64;

use super::args::ArgumentError;
use super::items::ItemFile;
use super::manifest::Manifest;

/// What a result holds and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    ItemLines,
    ItemCollection,
    ItemParquet,
    RowLines,
    RowParquet,
}

impl Form {
    pub(super) fn of(to: &Path) -> Result<Self, ArgumentError> {
        let name = to
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let rows = name.starts_with("rows");
        match (rows, name.rsplit('.').next().unwrap_or_default()) {
            (true, "ndjson" | "jsonl") => Ok(Self::RowLines),
            (true, "parquet") => Ok(Self::RowParquet),
            (false, "ndjson" | "jsonl") => Ok(Self::ItemLines),
            (false, "geojson" | "json") => Ok(Self::ItemCollection),
            (false, "parquet" | "geoparquet") => Ok(Self::ItemParquet),
            _ => Err(ArgumentError::To(to.to_owned())),
        }
    }

    pub(super) fn is_of_rows(self) -> bool {
        matches!(self, Self::RowLines | Self::RowParquet)
    }
}

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The file took no more.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A row cannot be written as JSON.
    #[error("a row cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// What was found makes no Parquet file.
    #[error("what was found makes no Parquet file")]
    Table(#[source] swath_table::TableError),
}

/// Where the bytes of a result go.
enum Sink {
    Lines(Box<dyn Write + Send>),
    Items(Box<ItemFile>),
    Rows(Box<FileWriter<BufWriter<File>>>),
}

/// A result being written.
pub(super) struct Output {
    form: Form,
    to: Option<PathBuf>,
    sink: Sink,
    /// Items that were written, by their identity, when areas that overlap may find them twice.
    written: Option<HashSet<u64>>,
    /// Rows that wait to be put into columns.
    rows: Vec<AssetRow>,
    /// The row that is being written.
    line: Vec<u8>,
    pub(super) count: u64,
    digest: u128,
}

/// What became of a result.
#[derive(Debug)]
pub(super) struct Finished {
    /// The same whatever the order of the result's lines.
    pub(super) digest: String,
    /// Items that the form cannot hold, by reason.
    pub(super) rejected: BTreeMap<&'static str, u64>,
}

/// Rows that are put into columns at a time.
const ROWS: usize = 4096;

impl Output {
    /// Opens the result; nothing is seen under its name until [`Self::finish`].
    pub(super) fn open(
        form: Form,
        to: Option<PathBuf>,
        manifest: &Manifest,
    ) -> Result<Self, OutputError> {
        let file = |to: &PathBuf| {
            let part = part_of(to);
            let file = File::create(&part);
            let file = file.map_err(|source| OutputError::Write { path: part, source });
            Ok(BufWriter::with_capacity(1 << 17, file?))
        };
        let sink = match &to {
            None => Sink::Lines(Box::new(BufWriter::new(std::io::stdout()))),
            Some(to) if form == Form::RowParquet => {
                let rows = Expected::MANY;
                let writer = FileWriter::new(TableName::AssetRows, file(to)?, Effort::Ingest, rows);
                Sink::Rows(Box::new(writer.map_err(OutputError::Table)?))
            }
            Some(to) if form == Form::ItemParquet => {
                let items = ItemFile::new(file(to)?, manifest.catalog().to_owned());
                Sink::Items(Box::new(items.map_err(OutputError::Table)?))
            }
            Some(to) => Sink::Lines(Box::new(file(to)?)),
        };
        let mut output = Self {
            form,
            to,
            sink,
            written: (manifest.areas() > 1).then(HashSet::new),
            rows: Vec::new(),
            line: Vec::new(),
            count: 0,
            digest: 0,
        };
        if form == Form::ItemCollection {
            output.write(b"{\"type\":\"FeatureCollection\",\"features\":[")?;
        }
        Ok(output)
    }

    /// Adds an item, once.
    pub(super) fn item(&mut self, item: &RawValue) -> Result<(), OutputError> {
        let written = self.written.as_mut();
        if self.form.is_of_rows() || written.is_some_and(|known| !known.insert(identity(item))) {
            return Ok(());
        }
        let line = one_line(item.get());
        if self.form == Form::ItemCollection && self.count > 0 {
            self.write(b",")?;
        }
        self.record(line.as_bytes());
        if let Sink::Items(items) = &mut self.sink {
            return items.add(&line).map_err(OutputError::Table);
        }
        self.write(line.as_bytes())?;
        self.write(b"\n")
    }

    /// Adds a row, with a signed href in the place of its own if there is one; the digest is of the row as it came.
    pub(super) fn row(
        &mut self,
        mut row: AssetRow,
        signed: Option<String>,
    ) -> Result<(), OutputError> {
        if !self.form.is_of_rows() {
            return Ok(());
        }
        let mut line = std::mem::take(&mut self.line);
        write_line(&row, &mut line).map_err(OutputError::Json)?;
        self.record(&line);
        if let Some(href) = signed {
            let found = Found {
                href,
                ..Found::clone(&row.found)
            };
            row.found = found.into();
            write_line(&row, &mut line).map_err(OutputError::Json)?;
        }
        if self.form == Form::RowLines {
            line.push(b'\n');
            self.write(&line)?;
        } else {
            self.rows.push(row);
            if self.rows.len() >= ROWS {
                self.flush_rows()?;
            }
        }
        self.line = line;
        Ok(())
    }

    fn flush_rows(&mut self) -> Result<(), OutputError> {
        let Sink::Rows(writer) = &mut self.sink else {
            return Ok(());
        };
        let rows: Vec<&AssetRow> = self.rows.iter().collect();
        let batch = asset_rows_batch(&rows).map_err(OutputError::Table)?;
        writer.write(&batch).map_err(OutputError::Table)?;
        self.rows.clear();
        Ok(())
    }

    /// Adds a line of the result to the digest.
    fn record(&mut self, line: &[u8]) {
        self.digest = self.digest.wrapping_add(digest_of(line));
        self.count += 1;
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let Sink::Lines(sink) = &mut self.sink else {
            return Ok(());
        };
        let done = sink.write_all(bytes);
        done.map_err(|source| failed(self.to.as_deref(), source))
    }

    /// Ends the file and puts it in place.
    pub(super) fn finish(mut self) -> Result<Finished, OutputError> {
        if self.form == Form::ItemCollection {
            self.write(b"]}\n")?;
        }
        self.flush_rows()?;
        let mut rejected = BTreeMap::new();
        let flushed = match self.sink {
            Sink::Lines(mut sink) => sink.flush(),
            Sink::Items(items) => {
                let (mut file, left_out) = items.finish().map_err(OutputError::Table)?;
                rejected = left_out;
                file.flush()
            }
            Sink::Rows(writer) => {
                let (mut file, _) = writer.finish().map_err(OutputError::Table)?;
                file.flush()
            }
        };
        flushed.map_err(|source| failed(self.to.as_deref(), source))?;
        if let Some(to) = &self.to {
            let renamed = std::fs::rename(part_of(to), to);
            renamed.map_err(|source| failed(Some(to), source))?;
        }
        Ok(Finished {
            digest: format!("{:032x}", self.digest),
            rejected,
        })
    }
}

/// Puts a row's JSON text in the place of another's.
fn write_line(row: &AssetRow, line: &mut Vec<u8>) -> serde_json::Result<()> {
    line.clear();
    row.write_json(line)
}

fn failed(to: Option<&Path>, source: std::io::Error) -> OutputError {
    let path = to.unwrap_or(Path::new("-")).to_owned();
    OutputError::Write { path, source }
}

fn part_of(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// The first half of a line's SHA-256, as a number; a result's digest is the sum of its lines'.
fn digest_of(line: &[u8]) -> u128 {
    let digest = Sha256::digest(line);
    digest
        .iter()
        .take(16)
        .fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

#[derive(serde::Deserialize)]
struct Ids<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    collection: Option<&'a RawValue>,
}

fn identity(item: &RawValue) -> u64 {
    let ids: Result<Ids<'_>, _> = serde_json::from_str(item.get());
    let Ok(Ids { id, collection }) = ids else {
        return xxh3_64(item.get().as_bytes());
    };
    let get = |part: Option<&RawValue>| part.map_or("", RawValue::get).to_owned();
    xxh3_64(format!("{} {}", get(collection), get(id)).as_bytes())
}

/// Returns JSON on one line; line breaks in JSON stand between its tokens only.
fn one_line(json: &str) -> std::borrow::Cow<'_, str> {
    if json.contains(['\n', '\r']) {
        json.replace(['\n', '\r'], " ").into()
    } else {
        json.into()
    }
}
