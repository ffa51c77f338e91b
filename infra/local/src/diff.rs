//! `swath diff`: what changed between two lists of objects.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use futures::TryStreamExt as _;
use object_store::ObjectStore as _;
use serde::Serialize;
use swath_cloud::keys::{self, Change, Entry, KeysError, Sorted, Sorter};
use swath_cloud::store::{self, Store, StoreError};

use crate::exit::Exit;
use crate::run::CommandError;

/// The arguments of `swath diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The list as it was: a folder, `s3://bucket/prefix`, or a file of `{"key", "etag", "size", "last_modified"}`, one
    /// object a line, in any order (`etag`, `size` in bytes and `last_modified` may be left out).
    #[arg(value_name = "OLD")]
    old: String,
    /// The list as it is, likewise; keys of folders and prefixes begin below them.
    #[arg(value_name = "NEW")]
    new: String,
    /// Memory for one list, MB; what is more is sorted on disk.
    #[arg(long, value_name = "MB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=16_384))]
    memory: u16,
    /// Counts the changes without naming them.
    #[arg(long)]
    count: bool,
}

/// Lists that cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// A place cannot be listed.
    #[error(transparent)]
    List(#[from] StoreError),
    /// A file of objects cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line names no object.
    #[error("{}, line {line}: not an object with a key", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// A list cannot be sorted.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The output cannot be written.
    #[error("the changes cannot be written")]
    Write(#[source] std::io::Error),
}

impl DiffError {
    /// Returns how the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::List(_) | Self::Read { .. } | Self::Line { .. } => Exit::Input,
            Self::Keys(_) | Self::Write(_) => Exit::Output,
        }
    }
}

/// One line of the output.
#[derive(Serialize)]
struct Line<'a> {
    change: &'static str,
    #[serde(flatten)]
    entry: &'a Entry,
    /// The object as the old list has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<&'a Entry>,
}

/// How many objects changed in which way.
#[derive(Debug, Default, Serialize)]
struct Counts {
    new: u64,
    changed: u64,
    deleted: u64,
    same: u64,
}

/// Runs `swath diff`.
pub(crate) async fn command(arguments: DiffArgs) -> Result<Exit, CommandError> {
    diff(&arguments).await.map_err(CommandError::Diff)
}

async fn diff(arguments: &DiffArgs) -> Result<Exit, DiffError> {
    let limit = usize::from(arguments.memory) << 20;
    let old = list(&arguments.old, limit).await?;
    let new = list(&arguments.new, limit).await?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut counts = Counts::default();
    for change in keys::diff(old, new) {
        let change = change?;
        let (count, line) = match &change {
            Change::Same(_) => (&mut counts.same, None),
            Change::New(entry) => (&mut counts.new, Some(("new", entry, None))),
            Change::Deleted(entry) => (&mut counts.deleted, Some(("deleted", entry, None))),
            Change::Changed { old, new } => {
                (&mut counts.changed, Some(("changed", new, Some(old))))
            }
        };
        *count += 1;
        if let Some((change, entry, old)) = line.filter(|_| !arguments.count) {
            let line = Line { change, entry, old };
            let written = serde_json::to_writer(&mut out, &line).map_err(std::io::Error::from);
            let written = written.and_then(|()| out.write_all(b"\n"));
            written.map_err(DiffError::Write)?;
        }
    }
    if arguments.count {
        let written = serde_json::to_writer(&mut out, &counts).map_err(std::io::Error::from);
        let written = written.and_then(|()| out.write_all(b"\n"));
        written.map_err(DiffError::Write)?;
    }
    out.flush().map_err(DiffError::Write)?;
    let differ = counts.new + counts.changed + counts.deleted > 0;
    Ok(if differ { Exit::Done } else { Exit::Empty })
}

async fn list(source: &str, limit: usize) -> Result<Sorted, DiffError> {
    let mut sorter = Sorter::new(limit);
    if Path::new(source).is_file() {
        read(Path::new(source), &mut sorter)?;
    } else {
        let store = store::open_existing(source)?;
        walk(&store, &mut sorter).await?;
    }
    Ok(sorter.finish()?)
}

fn read(path: &Path, into: &mut Sorter) -> Result<(), DiffError> {
    let failed = |source| DiffError::Read {
        path: path.to_owned(),
        source,
    };
    let mut lines = BufReader::new(File::open(path).map_err(failed)?);
    let (mut text, mut line) = (Vec::new(), 0);
    loop {
        text.clear();
        line += 1;
        if lines.read_until(b'\n', &mut text).map_err(failed)? == 0 {
            return Ok(());
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let entry = serde_json::from_slice(&text).map_err(|source| DiffError::Line {
            path: path.to_owned(),
            line,
            source,
        })?;
        into.push(entry)?;
    }
}

async fn walk(store: &Store, into: &mut Sorter) -> Result<(), DiffError> {
    let failed = |source| StoreError::Call {
        path: store.prefix.clone(),
        source,
    };
    let prefix = Some(&store.prefix).filter(|prefix| !prefix.as_ref().is_empty());
    let mut objects = store.store.list(prefix);
    while let Some(object) = objects.try_next().await.map_err(failed)? {
        let key = object.location.as_ref();
        let key = key.strip_prefix(store.prefix.as_ref()).unwrap_or(key);
        into.push(Entry {
            key: key.trim_start_matches('/').to_owned(),
            // Folders have no entity tags of their own: what stands in for them changes with every copy.
            etag: object.e_tag.filter(|_| store.local_root.is_none()),
            last_modified: moment(object.last_modified.timestamp_micros()),
            size: Some(object.size),
        })?;
    }
    Ok(())
}

fn moment(micros: i64) -> Option<time::OffsetDateTime> {
    time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()
}
