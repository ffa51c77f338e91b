//! Which items came from which object: what is asked when an object is gone, and when catalog and archive are compared.

use std::borrow::Cow;
use std::io::{BufRead as _, BufReader, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use serde::{Deserialize, Serialize};
use swath_core::digest_hex;

use super::{LedgerError, Mark, mark};
use crate::store::{Store, StoreError};

/// Where the origins of uploads lie that no run took in, below the lake's base.
const FOLDER: &str = "origins";
/// Bytes of a file of origins that are unpacked at a time.
const BLOCK: usize = 64 << 10;
/// Uploads that are read at the same time.
const READS: usize = 32;

/// An item as its object names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ItemName {
    /// Its collection.
    #[serde(default, rename = "c", skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Its id.
    #[serde(rename = "i")]
    pub id: String,
    /// Its `updated`, as it stands there.
    #[serde(default, rename = "u", skip_serializing_if = "Option::is_none")]
    pub updated: Option<String>,
}

/// An object that was taken in, or is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// Its address.
    #[serde(rename = "h")]
    pub href: String,
    /// Its entity tag.
    #[serde(default, rename = "e", skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The items in it; of one that is gone, those that were.
    #[serde(default, rename = "i", skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemName>,
    /// Whether it is gone.
    #[serde(default, rename = "d", skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// Of an upload, the place of the last event that was heeded among those of its key.
    #[serde(default, rename = "q", skip_serializing_if = "Option::is_none")]
    pub sequencer: Option<String>,
}

impl Origin {
    /// Returns the mark by which the object is known.
    pub fn mark(&self) -> Option<Mark> {
        mark(&self.href, self.etag.as_deref())
    }
}

/// Writes origins as a file has them: sorted lines, compressed.
pub(super) fn write_origins(origins: &mut Vec<Origin>) -> std::io::Result<Bytes> {
    origins.sort_unstable();
    origins.dedup();
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    for origin in origins {
        serde_json::to_writer(&mut out, origin)?;
        out.write_all(b"\n")?;
    }
    Ok(out.finish()?.into())
}

/// Reads a file of origins; none where a run of an earlier version wrote no such file.
///
/// # Errors
/// When the lake fails, or the file is not what was written.
pub async fn read_origins(lake: &Store, at: &str) -> Result<Vec<Origin>, LedgerError> {
    find_origins(lake, at, |_| true).await
}

/// The address of an origin alone.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "h")]
    href: Cow<'a, str>,
}

/// Reads those of a file of origins whose addresses are wanted.
///
/// # Errors
/// As [`read_origins`].
pub async fn find_origins(
    lake: &Store,
    at: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Origin>, LedgerError> {
    let bytes = match lake.get(at).await {
        Ok(bytes) => bytes,
        Err(StoreError::Call {
            source: object_store::Error::NotFound { .. },
            ..
        }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let page = |source| LedgerError::Page {
        path: at.to_owned(),
        source,
    };
    let mut lines = BufReader::with_capacity(BLOCK, MultiGzDecoder::new(bytes.as_ref()));
    let (mut origins, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line);
        if read.map_err(|error| page(serde_json::Error::io(error)))? == 0 {
            return Ok(origins);
        }
        let head: Head<'_> = serde_json::from_slice(&line).map_err(page)?;
        if is_wanted(&head.href) {
            origins.push(serde_json::from_slice(&line).map_err(page)?);
        }
    }
}

fn upload_at(href: &str) -> String {
    format!("{FOLDER}/{}.json", digest_hex(&[href.as_bytes()], 16))
}

/// What is known of an upload, and which version of its record says so.
#[derive(Clone, Debug, Default)]
pub struct Upload {
    /// What is known.
    pub origin: Option<Origin>,
    version: Option<object_store::UpdateVersion>,
}

/// Reads what is known of an upload.
///
/// # Errors
/// When the lake fails.
pub async fn read_upload(lake: &Store, href: &str) -> Result<Upload, LedgerError> {
    let at = upload_at(href);
    let path = lake.path(&at);
    let failed = |source| {
        LedgerError::Store(StoreError::Call {
            path: path.clone(),
            source,
        })
    };
    let found = match lake.store.get(&path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(Upload::default()),
        Err(source) => return Err(failed(source)),
    };
    let version = object_store::UpdateVersion {
        e_tag: found.meta.e_tag.clone(),
        version: found.meta.version.clone(),
    };
    let bytes = found.bytes().await.map_err(failed)?;
    let origin = serde_json::from_slice(&bytes);
    Ok(Upload {
        origin: Some(origin.map_err(|source| LedgerError::Page { path: at, source })?),
        version: Some(version),
    })
}

/// Writes what is known of an upload now; says no when someone else wrote since it was read.
///
/// # Errors
/// When the lake fails.
pub async fn write_upload(lake: &Store, before: Upload, now: &Origin) -> Result<bool, LedgerError> {
    use object_store::{Error, PutMode};
    let at = upload_at(&now.href);
    let path = lake.path(&at);
    let text = serde_json::to_vec(now).map_err(|source| LedgerError::Page { path: at, source })?;
    let mode = before.version.map_or(PutMode::Create, PutMode::Update);
    let put = |mode: PutMode| {
        let text = Bytes::from(text.clone());
        let path = path.clone();
        async move { lake.store.put_opts(&path, text.into(), mode.into()).await }
    };
    let done = match put(mode).await {
        // Folders know no versions: whoever uses one works alone.
        Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
            put(PutMode::Overwrite).await
        }
        done => done,
    };
    match done {
        Ok(_) => Ok(true),
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. }) => {
            Ok(false)
        }
        Err(source) => Err(StoreError::Call { path, source }.into()),
    }
}

/// Hands every upload's origin to `take`.
///
/// # Errors
/// When the lake fails, or `take` does.
pub async fn each_upload<E: From<LedgerError>>(
    lake: &Store,
    mut take: impl FnMut(Origin) -> Result<(), E>,
) -> Result<(), E> {
    let folder = lake.path(FOLDER);
    let failed = |source| {
        LedgerError::Store(StoreError::Call {
            path: folder.clone(),
            source,
        })
    };
    let listed = lake.store.list(Some(&folder)).map_err(failed);
    let mut reads = listed
        .map_ok(|object| async move {
            let path = object.location;
            let read = async { lake.store.get(&path).await?.bytes().await }.await;
            let bytes = match read {
                Ok(bytes) => bytes,
                Err(source) => return Err(StoreError::Call { path, source }.into()),
            };
            serde_json::from_slice::<Origin>(&bytes).map_err(|source| LedgerError::Page {
                path: path.to_string(),
                source,
            })
        })
        .try_buffer_unordered(READS);
    while let Some(origin) = reads.try_next().await? {
        take(origin)?;
    }
    Ok(())
}
