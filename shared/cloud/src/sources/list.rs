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
    is_folder: bool,
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
        let file = self.file(address)?;
        let (bucket, key) = match (Address::parse(address)?, file) {
            (Address::Bucket { bucket, key }, _) => (bucket, key),
            (_, Some(folder)) => {
                let (root, store) = open_folder(address, &folder)?;
                return Ok(Listing {
                    address: address.to_owned(),
                    before: format!("{}/", root.display()),
                    is_folder: true,
                    objects: store.list(None),
                });
            }
            _ => {
                return Err(SourceError::Address {
                    text: address.to_owned(),
                });
            }
        };
        // A bucket that a folder stands for: objects are called as in the bucket.
        let folder = self.file(&format!("s3://{bucket}/"))?;
        let store = match &folder {
            Some(folder) => open_folder(address, folder)?.1,
            None => self.bucket(&bucket).await?,
        };
        let prefix = key.trim_matches('/');
        let prefix = (!prefix.is_empty()).then(|| Path::from(prefix));
        Ok(Listing {
            address: address.to_owned(),
            before: format!("s3://{bucket}/"),
            is_folder: folder.is_some(),
            objects: store.list(prefix.as_ref()),
        })
    }

    /// Returns what the addresses of all objects below a prefix or folder begin with.
    ///
    /// # Errors
    /// When the address is none that can be listed.
    pub fn below(&self, address: &str) -> Result<String, SourceError> {
        if let Address::Bucket { bucket, key } = Address::parse(address)? {
            let key = key.trim_matches('/');
            let end = if key.is_empty() { "" } else { "/" };
            return Ok(format!("s3://{bucket}/{key}{end}"));
        }
        let unknown = || SourceError::Address {
            text: address.to_owned(),
        };
        let folder = self.file(address)?.ok_or_else(unknown)?;
        let (root, _) = open_folder(address, &folder)?;
        Ok(format!("{}/", root.display()))
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

fn open_folder(
    address: &str,
    folder: &FilePath,
) -> Result<(PathBuf, Arc<dyn ObjectStore>), SourceError> {
    let failed = |source| SourceError::File {
        path: folder.to_owned(),
        source,
    };
    let root = folder.canonicalize().map_err(failed)?;
    let store = LocalFileSystem::new_with_prefix(&root);
    let store = store.map_err(|source| SourceError::call(address, source))?;
    Ok((root, Arc::new(store)))
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
        let raw = object.location.as_ref();
        let key = if self.is_folder {
            let decoded = percent_encoding::percent_decode_str(raw).decode_utf8();
            decoded.map_or_else(|_| raw.to_owned(), std::borrow::Cow::into_owned)
        } else {
            raw.to_owned()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::clock::SystemClock;
    use crate::fetch::FetchPolicy;
    use crate::sources::Sources;

    #[tokio::test]
    async fn objects_of_a_bucket_that_a_folder_stands_for_are_called_as_in_the_bucket() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("items/2024");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join("a b%.json"), "{}").unwrap();
        std::fs::write(folder.path().join("other.json"), "{}").unwrap();
        let accesses = format!("archive=folder:{}", folder.path().display());
        let clock = Arc::new(SystemClock);
        let sources = Sources::new(accesses.parse().unwrap(), FetchPolicy::default(), clock);
        let sources = sources.unwrap();

        let mut listing = sources.list("s3://archive/items").await.unwrap();
        let listed = listing.next().await.unwrap().unwrap();
        assert_eq!(listed.key, "items/2024/a b%.json");
        assert_eq!(listed.address, "s3://archive/items/2024/a b%.json");
        assert_eq!(listing.next().await.unwrap(), None);
        let read = sources.read(&listed.address, 10).await.unwrap();
        assert_eq!(&read[..], b"{}");
        assert!(sources.list("/tmp").await.is_err(), "no files of our own");
    }
}
