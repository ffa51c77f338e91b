//! All objects below a prefix, page by page.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use time::OffsetDateTime;

use super::{Address, SourceError, Sources};

/// One object below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its address: `s3://bucket/key` or a path.
    pub address: String,
    /// What it is called below the prefix's bucket or folder: what globs are held against.
    pub key: String,
    /// Its entity tag, without quotes; of a file, one made of its facts.
    pub etag: Option<String>,
    /// Bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: Option<OffsetDateTime>,
}

/// The objects below a prefix; the order is the store's own.
pub struct Listing {
    address: String,
    /// What comes before a path in an object's address.
    before: String,
    objects: BoxStream<'static, object_store::Result<ObjectMeta>>,
}

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listing({})", self.address)
    }
}

impl Sources {
    /// Lists all objects below a prefix or folder.
    ///
    /// # Errors
    /// When the address is none that can be listed.
    pub async fn list(&self, address: &str) -> Result<Listing, SourceError> {
        if let Some(folder) = self.file(address)? {
            return list_folder(address, &folder);
        }
        let Address::Bucket { bucket, key } = Address::parse(address)? else {
            return Err(SourceError::Address {
                text: address.to_owned(),
            });
        };
        let store = self.bucket(&bucket).await?;
        let prefix = key.trim_matches('/');
        let prefix = (!prefix.is_empty()).then(|| Path::from(prefix));
        Ok(Listing {
            address: address.to_owned(),
            before: format!("s3://{bucket}/"),
            objects: store.list(prefix.as_ref()),
        })
    }

    /// Lists the folders and objects right below a prefix or folder: the last parts of their names.
    ///
    /// # Errors
    /// When the address cannot be listed.
    pub async fn names(&self, address: &str) -> Result<Vec<String>, SourceError> {
        if let Some(folder) = self.file(address)? {
            return names_of_folder(&folder);
        }
        let Address::Bucket { bucket, key } = Address::parse(address)? else {
            return Ok(Vec::new());
        };
        let store = self.bucket(&bucket).await?;
        let prefix = key.trim_matches('/');
        let prefix = (!prefix.is_empty()).then(|| Path::from(prefix));
        let found = store.list_with_delimiter(prefix.as_ref()).await;
        let found = found.map_err(|source| SourceError::call(address, source))?;
        let folders = found.common_prefixes.iter().filter_map(Path::filename);
        let objects = found
            .objects
            .iter()
            .filter_map(|object| object.location.filename());
        Ok(folders.chain(objects).map(str::to_owned).collect())
    }
}

fn list_folder(address: &str, folder: &FilePath) -> Result<Listing, SourceError> {
    let failed = |source| SourceError::File {
        path: folder.to_owned(),
        source,
    };
    let root = folder.canonicalize().map_err(failed)?;
    let store = LocalFileSystem::new_with_prefix(&root);
    let store = store.map_err(|source| SourceError::call(address, source))?;
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    let objects = store.list(None);
    Ok(Listing {
        address: address.to_owned(),
        before: format!("{}/", root.display()),
        objects,
    })
}

fn names_of_folder(folder: &FilePath) -> Result<Vec<String>, SourceError> {
    let failed = |source| SourceError::File {
        path: PathBuf::from(folder),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.push(
            entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    Ok(names)
}

impl Listing {
    /// Returns the next object; `None` after the last one.
    ///
    /// # Errors
    /// When the listing breaks off.
    pub async fn next(&mut self) -> Result<Option<Listed>, SourceError> {
        let Some(object) = self.objects.next().await else {
            return Ok(None);
        };
        let object = object.map_err(|source| SourceError::call(&self.address, source))?;
        // A path of a folder is encoded where a file's name has characters that no path may hold.
        let key = if self.before.starts_with("s3://") {
            object.location.as_ref().to_owned()
        } else {
            let raw = object.location.as_ref();
            let decoded = percent_encoding::percent_decode_str(raw).decode_utf8();
            decoded.map_or_else(|_| raw.to_owned(), std::borrow::Cow::into_owned)
        };
        let seconds = object.last_modified.timestamp_millis();
        let modified = OffsetDateTime::from_unix_timestamp_nanos(i128::from(seconds) * 1_000_000);
        Ok(Some(Listed {
            address: format!("{}{key}", self.before),
            key,
            etag: object.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
            size: object.size,
            modified: modified.ok(),
        }))
    }
}
