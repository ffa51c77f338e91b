//! Making a file visible once it is proven: whole or not at all, and never in the place of another.
//!
//! On a local store a proven file is renamed into place, which the file system does at once and refuses where a file
//! lies. On an object store a file of up to [`SINGLE_PUT_BYTES`] goes up in one request that the store refuses where an
//! object lies (`If-None-Match: *`). A larger one goes up in parts, which become an object only if none lies there by then.
//! What our own credentials fetched from another bucket is copied by the store itself ([`Copier`]).

mod block;
mod copy;
mod create;
mod spill;
mod staged;
mod staging;
#[cfg(test)]
mod tests;
mod upload;

use std::path::{Path as FilePath, PathBuf};

use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use swath_core::{Class, Classify};
use tempfile::TempPath;

use crate::clock::Clock;
use crate::digest::{Checksum, Digests, Hashing};
use crate::retry::{Policy, Retryable};
use crate::store::{Store, class_of, class_of_io};

pub use copy::{Copier, Source};
pub(crate) use create::CreateOnly;
pub use staged::{Content, Held, StagedFile};
pub use staging::{STALE_AFTER, Staging};
pub use upload::SINGLE_PUT_BYTES;
use upload::Upload;

/// What is known of a proven file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its size.
    pub size_bytes: u64,
    /// Its SHA-256, lower-case hex.
    pub sha256: String,
}

/// A file in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Whether it lay there already, byte for byte.
    pub adopted: bool,
    /// The store's entity tag of it.
    pub etag: Option<String>,
}

/// A file that lies in a place already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Its size.
    pub size_bytes: u64,
    /// The store's entity tag of it.
    pub etag: Option<String>,
}

/// A file that could not be staged or published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The staging folder does not take the file.
    #[error("{}: the file cannot be staged", path.display())]
    Staging {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The place cannot be written.
    #[error("{}: the file cannot be put there", path.display())]
    Place {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A link leads out of the store.
    #[error("{}: leads out of {}", path.display(), root.display())]
    Escapes {
        /// The folder.
        path: PathBuf,
        /// The store's own.
        root: PathBuf,
    },
    /// Another file lies there; it is left as it is.
    #[error("{place}: another file lies there, with other bytes; it was left as it is")]
    Occupied {
        /// The place.
        place: String,
    },
    /// The object store's call failed.
    #[error("{path}: the store's call failed")]
    Store {
        /// The object.
        path: Path,
        /// Why.
        #[source]
        source: object_store::Error,
    },
}

impl PublishError {
    fn staging(path: &FilePath, source: std::io::Error) -> Self {
        Self::Staging {
            path: path.to_owned(),
            source,
        }
    }

    fn place(path: &FilePath, source: std::io::Error) -> Self {
        Self::Place {
            path: path.to_owned(),
            source,
        }
    }
}

impl Classify for PublishError {
    fn class(&self) -> Class {
        match self {
            Self::Staging { source, .. } | Self::Place { source, .. } => class_of_io(source),
            Self::Escapes { .. } => Class::Denied,
            Self::Occupied { .. } => Class::Conflict,
            Self::Store { source, .. } => match class_of(source) {
                // What was there a moment ago is gone, or what was not is: look again.
                Class::Invalid | Class::Conflict => Class::Transient,
                class => class,
            },
        }
    }
}

impl Retryable for PublishError {}

/// Returns what readers open: a path on a local store, else the object's URI.
pub fn address(out: &Store, key: &str) -> String {
    match local_path(out, key) {
        Some(path) => path.display().to_string(),
        None => out.uri_of(key),
    }
}

/// Returns the file's path on a local store.
pub fn local_path(out: &Store, key: &str) -> Option<PathBuf> {
    let root = out.local_root.as_ref()?;
    Some(
        key.split('/')
            .fold(root.clone(), |path, part| path.join(part)),
    )
}

/// Looks what lies at `key`.
///
/// # Errors
/// When the store cannot be asked.
pub async fn present(out: &Store, key: &str) -> Result<Option<Present>, PublishError> {
    let path = out.path(key);
    match out.store.head(&path).await {
        Ok(facts) => Ok(Some(Present {
            size_bytes: facts.size,
            etag: facts.e_tag,
        })),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(PublishError::Store { path, source }),
    }
}

/// Reads what lies at `key`, byte for byte, into `copy` if one is wanted; returns its size and digests.
///
/// # Errors
/// When it is not there or cannot be read, or the copy cannot be kept.
pub async fn read_back(
    out: &Store,
    key: &str,
    promised: Option<Checksum>,
    mut copy: Option<&mut StagedFile>,
) -> Result<(u64, Digests), PublishError> {
    let path = out.path(key);
    let failed = |source| PublishError::Store {
        path: path.clone(),
        source,
    };
    let mut stream = out.store.get(&path).await.map_err(failed)?.into_stream();
    let (mut size_bytes, mut hashing) = (0, Hashing::new(promised));
    while let Some(bytes) = stream.try_next().await.map_err(failed)? {
        size_bytes += bytes.len() as u64;
        hashing.update(&bytes);
        if let Some(copy) = copy.as_deref_mut() {
            copy.write(&bytes).await?;
        }
    }
    Ok((size_bytes, hashing.digests()))
}

/// Puts a proven file at `key`, unless the same bytes lie there already.
///
/// # Errors
/// [`PublishError::Occupied`] when other bytes lie there; otherwise when the store does not take the file.
pub async fn publish(
    out: &Store,
    key: &str,
    staged: StagedFile,
    facts: &Facts,
    clock: &dyn Clock,
) -> Result<Published, PublishError> {
    if let Some(path) = local_path(out, key) {
        let root = out.local_root.clone().unwrap_or_default();
        let place = move |sealed| place(&root, &path, sealed);
        if staged.seal(place).await?? {
            return Ok(Published {
                adopted: false,
                etag: present(out, key).await?.and_then(|present| present.etag),
            });
        }
        return adopt(out, key, facts).await;
    }
    let up = Upload::new((out, key), staged, facts);
    Policy::default().run(clock, |_| up.once()).await
}

/// Takes what lies at `key` for ours when it is, byte for byte.
async fn adopt(out: &Store, key: &str, facts: &Facts) -> Result<Published, PublishError> {
    let occupied = || PublishError::Occupied {
        place: address(out, key),
    };
    let there = present(out, key).await?;
    let there = there.ok_or_else(|| PublishError::Store {
        path: out.path(key),
        source: object_store::Error::NotFound {
            path: key.to_owned(),
            source: "gone again".into(),
        },
    })?;
    if there.size_bytes != facts.size_bytes {
        return Err(occupied());
    }
    let (_, digests) = read_back(out, key, None, None).await?;
    if digests.sha256 != facts.sha256 {
        return Err(occupied());
    }
    Ok(Published {
        adopted: true,
        etag: there.etag,
    })
}

/// Renames a sealed file into place; says no where a file lies.
fn place(root: &FilePath, path: &FilePath, staged: TempPath) -> Result<bool, PublishError> {
    let folder = path.parent().unwrap_or(root);
    let failed = |source| PublishError::place(folder, source);
    let inside = make_folders(root, folder)?;
    if !inside {
        return Err(PublishError::Escapes {
            path: folder.to_owned(),
            root: root.to_owned(),
        });
    }
    match staged.persist_noclobber(path) {
        Ok(()) => {}
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(PublishError::place(path, error.error)),
    }
    // The name is safe only when the folder is on the disk too.
    #[cfg(unix)]
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)?;
    Ok(true)
}

/// Makes the folders between root and file one by one, following no link that leads out of the root.
fn make_folders(root: &FilePath, folder: &FilePath) -> Result<bool, PublishError> {
    let real_root = root
        .canonicalize()
        .map_err(|source| PublishError::place(root, source))?;
    let below = folder.strip_prefix(root).unwrap_or(FilePath::new(""));
    let mut path = root.to_owned();
    for part in below.components() {
        path.push(part);
        let failed = |source| PublishError::place(&path, source);
        match std::fs::create_dir(&path) {
            Ok(()) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        if !path.canonicalize().map_err(failed)?.starts_with(&real_root) {
            return Ok(false);
        }
    }
    Ok(true)
}
