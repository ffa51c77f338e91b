//! Which rasters a source has.

use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use swath_cloud::store::{self, Store, StoreError};
use swath_ingest::raster::is_raster;
use url::Url;

use crate::run::CommandError;

/// Where a raster lies.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(PathBuf),
    Object {
        store: Store,
        path: object_store::path::Path,
        href: String,
        size_bytes: u64,
    },
    Web(Url),
}

/// A raster, and the way to it from the source that has it.
#[derive(Clone, Debug)]
pub(crate) struct Raster {
    pub(crate) place: Place,
    pub(crate) way: String,
}

impl Place {
    /// Its absolute URI; a URL without what is secret in it.
    pub(crate) fn href(&self) -> String {
        match self {
            Self::File(path) => {
                let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                Url::from_file_path(&whole)
                    .map_or_else(|()| whole.display().to_string(), String::from)
            }
            Self::Object { href, .. } => href.clone(),
            Self::Web(url) => swath_core::redact_url(url),
        }
    }
}

/// Finds the rasters of the sources, those of each in the order of their names.
pub(crate) async fn find(sources: &[String]) -> Result<Vec<Raster>, CommandError> {
    let mut found = Vec::new();
    for source in sources {
        if source.starts_with("s3://") {
            found.extend(
                in_bucket(source)
                    .await
                    .map_err(|error| CommandError::Source {
                        text: source.clone(),
                        source: Box::new(error),
                    })?,
            );
        } else if let Some(url) = web(source) {
            let way = url.path().rsplit('/').next().unwrap_or_default();
            let way = percent_decoded(way);
            found.push(Raster {
                place: Place::Web(url),
                way,
            });
        } else {
            found.extend(on_disk(source)?);
        }
    }
    Ok(found)
}

fn web(source: &str) -> Option<Url> {
    let url = Url::parse(source).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

fn percent_decoded(name: &str) -> String {
    object_store::path::Path::from_url_path(name).map_or_else(|_| name.to_owned(), String::from)
}

fn on_disk(source: &str) -> Result<Vec<Raster>, CommandError> {
    let path = Url::parse(source)
        .ok()
        .filter(|url| url.scheme() == "file")
        .and_then(|url| url.to_file_path().ok())
        .unwrap_or_else(|| PathBuf::from(source));
    let mut files = Vec::new();
    let named = path.file_name().map(PathBuf::from).unwrap_or_default();
    let about = std::fs::metadata(&path).map_err(file_error(&path))?;
    if about.is_dir() {
        walk(&path, Path::new(""), &mut files)?;
    } else {
        files.push((path, named));
    }
    files.sort();
    Ok(files
        .into_iter()
        .map(|(path, way)| Raster {
            place: Place::File(path),
            way: way.to_string_lossy().into_owned(),
        })
        .collect())
}

fn walk(folder: &Path, way: &Path, into: &mut Vec<(PathBuf, PathBuf)>) -> Result<(), CommandError> {
    for entry in std::fs::read_dir(folder).map_err(file_error(folder))? {
        let entry = entry.map_err(file_error(folder))?;
        let (path, way) = (entry.path(), way.join(entry.file_name()));
        let kind = entry.file_type().map_err(file_error(&path))?;
        // Links to folders are left alone: they may lead round in circles.
        if kind.is_dir() {
            walk(&path, &way, into)?;
        } else if is_raster(&way.to_string_lossy()) && path.is_file() {
            into.push((path, way));
        }
    }
    Ok(())
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> CommandError {
    move |source| CommandError::File {
        path: path.to_owned(),
        source,
    }
}

async fn in_bucket(source: &str) -> Result<Vec<Raster>, StoreError> {
    let store = store::open_existing(source)?;
    let failed = |source| StoreError::Call {
        path: store.prefix.clone(),
        source,
    };
    let mut found = Vec::new();
    if is_raster(source) {
        let about = store.store.head(&store.prefix).await.map_err(failed)?;
        let name = store.prefix.filename().unwrap_or_default().to_owned();
        found.push((name, store.prefix.clone(), about.size));
    } else {
        let mut listing = store.store.list(Some(&store.prefix));
        while let Some(about) = listing.try_next().await.map_err(failed)? {
            let key = about.location.as_ref();
            let way = key.strip_prefix(store.prefix.as_ref()).unwrap_or(key);
            if is_raster(key) {
                let way = way.trim_start_matches('/').to_owned();
                found.push((way, about.location, about.size));
            }
        }
    }
    found.sort();
    let bucket = source
        .trim_start_matches("s3://")
        .split('/')
        .next()
        .unwrap_or_default();
    let raster = |(way, path, size_bytes): (String, object_store::path::Path, u64)| Raster {
        place: Place::Object {
            store: store.clone(),
            href: format!("s3://{bucket}/{path}"),
            path,
            size_bytes,
        },
        way,
    };
    Ok(found.into_iter().map(raster).collect())
}
