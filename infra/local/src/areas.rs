//! Where commands get their areas from: a file of any format that `plan` reads, a folder of them, an object, standard input.

use std::path::Path;

use bytes::Bytes;
use swath_cloud::store::{self, StoreError};
use swath_core::aoi::Areas;

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
    /// A folder without a file.
    #[error("{path} is a folder without files")]
    Empty {
        /// The folder.
        path: String,
    },
    /// Four numbers that are no box.
    #[error("--bbox is no box: west,south,east,north in degrees, south not above north")]
    Bbox,
    /// Every row was rejected.
    #[error(
        "no usable area: all {rejected} rows are rejected, the first, row {row_number}, because {reason}"
    )]
    NoArea {
        /// Rows rejected.
        rejected: usize,
        /// The first one's place in the file, from 0.
        row_number: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads the areas of a file, of every file of a folder in the order of their names, of an object (`s3://…`) or of standard
/// input (`-`); `column` names the column of a table that holds geometries. Rows of a folder are numbered on from file to
/// file.
///
/// # Errors
/// When something cannot be read.
pub(crate) async fn read(path: &str, column: Option<&str>) -> Result<Areas, ReadError> {
    let mut all = Areas::default();
    for (name, bytes) in files(path).await? {
        append(&mut all, of_bytes(&name, &bytes, column)?);
    }
    Ok(all)
}

/// Reads the areas that bytes hold; `name` is what errors call them.
pub(crate) fn of_bytes(
    name: &str,
    bytes: &Bytes,
    column: Option<&str>,
) -> Result<Areas, ReadError> {
    swath_plan::read(bytes, column).map_err(|source| ReadError::Areas {
        path: name.to_owned(),
        source,
    })
}

/// Returns areas of which at least one can be searched; a file that holds no row at all is handed through.
pub(crate) fn checked(found: Areas) -> Result<Areas, ReadError> {
    match found.rejected.first() {
        Some(first) if found.areas.is_empty() => Err(ReadError::NoArea {
            rejected: found.rejected.len(),
            row_number: first.row_number,
            reason: first.reason.clone(),
        }),
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

/// Returns a file's name and content, or those of every file in a folder, by name.
pub(crate) async fn files(path: &str) -> Result<Vec<(String, Bytes)>, ReadError> {
    let is_folder = tokio::fs::metadata(path)
        .await
        .is_ok_and(|found| found.is_dir());
    if !is_folder {
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
        if !hidden && is_file(&entry.path()).await {
            names.push(entry.path().to_string_lossy().into_owned());
        }
    }
    if names.is_empty() {
        return Err(ReadError::Empty {
            path: path.to_owned(),
        });
    }
    names.sort();
    let mut files = Vec::new();
    for name in names {
        let bytes = bytes_of(&name).await?;
        files.push((name, bytes));
    }
    Ok(files)
}

/// Says whether a path is a file, through links too.
async fn is_file(path: &Path) -> bool {
    let found = tokio::fs::metadata(path).await;
    found.is_ok_and(|found| found.is_file())
}

/// Returns the content of a file, of an object (`s3://…`) or of standard input (`-`).
pub(crate) async fn bytes_of(path: &str) -> Result<Bytes, ReadError> {
    if path.starts_with("s3://") {
        return object(path).await;
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

async fn object(path: &str) -> Result<Bytes, ReadError> {
    let failed = |source| ReadError::Store {
        path: path.to_owned(),
        source,
    };
    let (folder, name) = path.rsplit_once('/').unwrap_or((path, ""));
    let store = store::open(folder).map_err(failed)?;
    store.get(name).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_read_file_by_file_and_its_rows_are_numbered_on() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        write("b.csv", "id,wkt\nsick,POINT(1 95)\nb,POINT(3 4)\n").unwrap();
        write("a.geojson", r#"{"type":"Point","coordinates":[1,2]}"#).unwrap();
        write(".hidden", "no areas").unwrap();
        std::fs::create_dir(folder.path().join("more")).unwrap();
        let found = read(folder.path().to_str().unwrap(), None).await.unwrap();
        let rows: Vec<_> = found.areas.iter().map(|area| area.row_number).collect();
        assert_eq!(rows, [0, 2]);
        assert_eq!(found.areas[1].row_id, "b");
        assert_eq!(found.rejected[0].row_number, 1);
    }

    #[tokio::test]
    async fn what_holds_no_area_is_named_with_its_first_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        assert!(matches!(
            read(&path, None).await,
            Err(ReadError::Empty { .. })
        ));
        std::fs::write(folder.path().join("a.csv"), "wkt\nPOINT(1 95)\n").unwrap();
        let error = checked(read(&path, None).await.unwrap()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("row 0") && error.contains("off the globe"),
            "{error}"
        );
        let error = read("no/such/file", None).await.unwrap_err().to_string();
        assert!(error.contains("no/such/file"), "{error}");
    }
}
