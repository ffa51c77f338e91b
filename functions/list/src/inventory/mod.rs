//! S3 Inventories: CSV, Parquet and ORC files, with their manifest or alone.

mod arrow;
mod csv;
mod error;
mod manifest;
mod orc;
mod parquet;
mod row;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use swath_cloud::runs::Entry;
use swath_cloud::sources::Sources;

use crate::filter::Filter;
use crate::list::ListError;
use crate::out::Out;
use crate::source::Source;

pub use error::InventoryError;
pub use manifest::{Format, Manifest, ManifestFile, is_dated};
pub use row::{Flow, Row};

/// Bytes that are read at a time.
const BLOCK: usize = 256 << 10;

/// Lists what an inventory names.
pub(crate) async fn run(
    manifest: Manifest,
    filter: Filter,
    sources: &Sources,
    mut out: Out,
) -> Result<Out, ListError> {
    for file in &manifest.files {
        if out.is_full() {
            break;
        }
        let copy = manifest.fetch(file, sources).await?;
        let (filter, layout) = (filter.clone(), manifest.layout(Needs::of(&filter, &out)));
        let name = file.key.clone();
        let read = move || take_all(&name, &copy.path, (layout, &filter), out);
        out = tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| ListError::Ended)??;
    }
    Ok(out)
}

/// Lists what one file of an inventory names.
pub(crate) async fn run_file(
    at: &str,
    filter: Filter,
    sources: &Sources,
    out: Out,
) -> Result<Out, ListError> {
    let copy = sources.copy(at).await.map_err(ListError::source(at))?;
    let name = at.to_owned();
    let layout = Layout {
        format: Format::of_name(at).unwrap_or(Format::Csv),
        columns: None,
        needs: Needs::of(&filter, &out),
    };
    let read = move || take_all(&name, &copy.path, (layout, &filter), out);
    Ok(tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| ListError::Ended)??)
}

/// Says whether a Parquet file is one of an inventory or one of items: the first has keys.
pub(crate) async fn parquet_kind(at: &str, sources: &Sources) -> Result<Source, ListError> {
    let copy = sources.copy(at).await.map_err(ListError::source(at))?;
    let look = move || parquet::has_keys(&copy.path);
    let has_keys = tokio::task::spawn_blocking(look)
        .await
        .map_err(|_| ListError::Ended)?;
    Ok(if has_keys {
        Source::InventoryFile(at.to_owned())
    } else {
        Source::Items(at.to_owned())
    })
}

/// How the files of an inventory are read.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Their format.
    pub format: Format,
    /// Of CSV the names of its columns; told from the file itself when absent.
    pub columns: Option<Vec<String>>,
    /// What of its rows is needed.
    pub needs: Needs,
}

/// What of each row is needed besides its key, its size, and whether it is current. Where a format has columns apart, others
/// are not read; what they are is looked at all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Where the object lies and which version of it: bucket and entity tag.
    pub address: bool,
    /// When it was last written.
    pub time: bool,
}

impl Needs {
    fn of(filter: &Filter, out: &Out) -> Self {
        Self {
            address: !out.only_counts(),
            time: filter.asks_for_time(),
        }
    }
}

/// Hands every row of one file of an inventory to `take`, in the file's order, until it says stop.
///
/// # Errors
/// When the file is none of an inventory, or breaks off.
pub fn read_rows(
    name: &str,
    path: &Path,
    layout: &Layout,
    take: &mut dyn FnMut(&Row<'_>) -> Flow,
) -> Result<(), InventoryError> {
    let failed = InventoryError::read(name);
    let mut file = File::open(path).map_err(&failed)?;
    match layout.format {
        Format::Csv => {
            let mut magic = Vec::new();
            (&mut file)
                .take(2)
                .read_to_end(&mut magic)
                .map_err(&failed)?;
            file.seek(SeekFrom::Start(0)).map_err(&failed)?;
            let columns = (layout.columns.as_deref(), layout.needs);
            if magic == [0x1f, 0x8b] {
                let buffered = BufReader::with_capacity(BLOCK, file);
                csv::read(name, MultiGzDecoder::new(buffered), columns, take)
            } else {
                csv::read(name, file, columns, take)
            }
        }
        Format::Parquet => parquet::read(name, file, layout.needs, take),
        Format::Orc => orc::read(name, file, layout.needs, take),
    }
}

fn take_all(
    name: &str,
    path: &Path,
    (layout, filter): (Layout, &Filter),
    mut out: Out,
) -> Result<Out, InventoryError> {
    let mut listed = 0;
    let mut take = |row: &Row<'_>| {
        listed += 1;
        if !row.is_current() || !filter.fits_key(row.key) {
            return Flow::More;
        }
        if filter.asks_for_time() && !filter.fits_time(row.modified()) {
            return Flow::More;
        }
        let put = if out.only_counts() {
            out.count(row.size)
        } else {
            let etag = row.etag.map(str::to_owned);
            out.put_blocking(Entry::object(row.address(), etag, row.size))
        };
        if put.is_err() || out.is_full() {
            Flow::Enough
        } else {
            Flow::More
        }
    };
    read_rows(name, path, &layout, &mut take)?;
    out.listed += listed;
    Ok(out)
}
