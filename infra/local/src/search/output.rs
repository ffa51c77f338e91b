//! The result's file, written beside itself and put in place when it is whole.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use swath_core::row::AssetRow;
use swath_table::Effort;

use super::args::ArgumentError;

/// What a result holds and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    ItemLines,
    ItemCollection,
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
    /// The rows make no Parquet file.
    #[error("the rows make no Parquet file")]
    Table(#[source] swath_table::TableError),
}

/// A result being written.
pub(super) struct Output {
    form: Form,
    to: Option<PathBuf>,
    sink: Box<dyn Write + Send>,
    /// Items that were written, by their identity: areas that overlap find them twice.
    written: HashSet<u64>,
    rows: Vec<AssetRow>,
    pub(super) count: u64,
    digest: u128,
}

impl Output {
    /// Opens the result; nothing is seen under its name until [`Self::finish`].
    pub(super) fn open(form: Form, to: Option<PathBuf>) -> Result<Self, OutputError> {
        let sink: Box<dyn Write + Send> = match &to {
            None => Box::new(BufWriter::new(std::io::stdout())),
            Some(to) => {
                let part = part_of(to);
                let file = File::create(&part)
                    .map_err(|source| OutputError::Write { path: part, source })?;
                Box::new(BufWriter::with_capacity(1 << 20, file))
            }
        };
        let mut output = Self {
            form,
            to,
            sink,
            written: HashSet::new(),
            rows: Vec::new(),
            count: 0,
            digest: 0,
        };
        if form == Form::ItemCollection {
            output.write(b"{\"type\":\"FeatureCollection\",\"features\":[")?;
        }
        Ok(output)
    }

    pub(super) fn item(&mut self, item: &RawValue) -> Result<(), OutputError> {
        if self.form.is_of_rows() || !self.written.insert(identity(item)) {
            return Ok(());
        }
        let line = one_line(item.get());
        let before: &[u8] = if self.form == Form::ItemCollection && self.count > 0 {
            b","
        } else {
            b""
        };
        self.write(before)?;
        self.record(line.as_bytes())?;
        self.write(b"\n")
    }

    pub(super) fn row(&mut self, row: AssetRow) -> Result<(), OutputError> {
        match self.form {
            Form::RowLines => {
                let line = serde_json::to_vec(&row).map_err(OutputError::Json)?;
                self.record(&line)?;
                self.write(b"\n")
            }
            Form::RowParquet => {
                let line = serde_json::to_vec(&row).map_err(OutputError::Json)?;
                self.digest = self.digest.wrapping_add(digest_of(&line));
                self.count += 1;
                self.rows.push(row);
                Ok(())
            }
            Form::ItemLines | Form::ItemCollection => Ok(()),
        }
    }

    /// Writes a line of the result and adds it to the digest.
    fn record(&mut self, line: &[u8]) -> Result<(), OutputError> {
        self.digest = self.digest.wrapping_add(digest_of(line));
        self.count += 1;
        self.write(line)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let done = self.sink.write_all(bytes);
        done.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> OutputError {
        let path = self.to.clone().unwrap_or_else(|| PathBuf::from("-"));
        OutputError::Write { path, source }
    }

    /// Ends the file and puts it in place; returns the result's digest, which is the same whatever the order of its lines.
    pub(super) fn finish(mut self) -> Result<String, OutputError> {
        if self.form == Form::ItemCollection {
            self.write(b"]}\n")?;
        }
        if self.form == Form::RowParquet {
            let rows: Vec<&AssetRow> = self.rows.iter().collect();
            let file = swath_table::rows::encode_asset_rows(&rows, Effort::Ingest)
                .map_err(OutputError::Table)?;
            self.write(&file.bytes)?;
        }
        let flushed = self.sink.flush();
        flushed.map_err(|source| self.failed(source))?;
        if let Some(to) = &self.to {
            std::fs::rename(part_of(to), to).map_err(|source| self.failed(source))?;
        }
        Ok(format!("{:032x}", self.digest))
    }
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
    let text = ids.map_or_else(
        |_| item.get().to_owned(),
        |ids| {
            let get = |part: Option<&RawValue>| part.map_or("", RawValue::get).to_owned();
            format!("{} {}", get(ids.collection), get(ids.id))
        },
    );
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Returns JSON on one line; line breaks in JSON stand between its tokens only.
fn one_line(json: &str) -> std::borrow::Cow<'_, str> {
    if json.contains(['\n', '\r']) {
        json.replace(['\n', '\r'], " ").into()
    } else {
        json.into()
    }
}
