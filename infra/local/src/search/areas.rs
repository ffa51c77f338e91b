//! Where `swath search` gets its areas from.

use bytes::Bytes;
use swath_cloud::store::{self, StoreError};
use swath_core::aoi::{Areas, polygon_of_bbox};

use super::args::SearchArgs;

/// Areas that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The object cannot be fetched.
    #[error("cannot fetch {path}")]
    Store {
        /// The address.
        path: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// It holds no areas.
    #[error("{path} holds no areas")]
    Areas {
        /// The file, or the argument.
        path: String,
        /// Why.
        #[source]
        source: swath_plan::ReadError,
    },
    /// Four numbers that are no box.
    #[error("--bbox is no box: west,south,east,north in degrees, south not above north")]
    Bbox,
    /// Every row was rejected.
    #[error("no usable area: the first row is rejected because {0}")]
    NoArea(String),
}

/// Reads the areas that the arguments name; everywhere when they name none.
pub(super) async fn read(arguments: &SearchArgs) -> Result<Areas, ReadError> {
    let column = arguments.geojson_col.as_deref();
    let of = |path: &str, bytes: Bytes| {
        swath_plan::read(&bytes, column).map_err(|source| ReadError::Areas {
            path: path.to_owned(),
            source,
        })
    };
    let found = if let Some(path) = &arguments.aois {
        let mut all = Areas::default();
        for (path, bytes) in files(path).await? {
            append(&mut all, of(&path, bytes)?);
        }
        all
    } else if let Some(text) = &arguments.intersects {
        match text.strip_prefix('@') {
            Some(path) => of(path, bytes_of(path).await?)?,
            None => of("--intersects", Bytes::copy_from_slice(text.as_bytes()))?,
        }
    } else if arguments.bbox.is_empty() {
        of("everywhere", Bytes::from_static(b"null"))?
    } else {
        let polygon = polygon_of_bbox(&arguments.bbox).ok_or(ReadError::Bbox)?;
        of("--bbox", polygon.into())?
    };
    match found.rejected.first() {
        Some(first) if found.areas.is_empty() => Err(ReadError::NoArea(first.reason.clone())),
        _ => Ok(found),
    }
}

/// Adds a file's rows after those of the files before it; their numbers go on.
fn append(all: &mut Areas, more: Areas) {
    let last = |areas: &Areas| {
        let rows = areas.areas.iter().map(|area| area.row_number);
        rows.chain(areas.rejected.iter().map(|row| row.row_number))
            .max()
    };
    let begin = last(all).map_or(0, |last| last + 1);
    all.areas.extend(more.areas.into_iter().map(|mut area| {
        area.row_number += begin;
        area
    }));
    all.rejected
        .extend(more.rejected.into_iter().map(|mut row| {
            row.row_number += begin;
            row
        }));
}

/// Returns a file's content, or that of every file in a folder, by name.
async fn files(path: &str) -> Result<Vec<(String, Bytes)>, ReadError> {
    if !tokio::fs::metadata(path)
        .await
        .is_ok_and(|found| found.is_dir())
    {
        return Ok(vec![(path.to_owned(), bytes_of(path).await?)]);
    }
    let failed = |source| ReadError::File {
        path: path.to_owned(),
        source,
    };
    let mut names = Vec::new();
    let mut entries = tokio::fs::read_dir(path).await.map_err(failed)?;
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.file_type().await.map_err(failed)?.is_file() {
            names.push(entry.path().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let mut files = Vec::new();
    for name in names {
        let bytes = bytes_of(&name).await?;
        files.push((name, bytes));
    }
    Ok(files)
}

async fn bytes_of(path: &str) -> Result<Bytes, ReadError> {
    if let Some((folder, name)) = path.strip_prefix("s3://").and(path.rsplit_once('/')) {
        let failed = |source| ReadError::Store {
            path: path.to_owned(),
            source,
        };
        return store::open(folder)
            .map_err(failed)?
            .get(name)
            .await
            .map_err(failed);
    }
    let read = if path == "-" {
        let read = || {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map(|_| bytes)
        };
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|error| Err(error.into()))
    } else {
        tokio::fs::read(path).await
    };
    read.map(Bytes::from).map_err(|source| ReadError::File {
        path: path.to_owned(),
        source,
    })
}
