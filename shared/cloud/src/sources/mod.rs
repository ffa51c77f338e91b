//! Documents and objects that others keep: in buckets, in folders, on the web.

mod bucket;
mod error;
mod list;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _};
use tokio::sync::Mutex;
use url::Url;

use crate::clock::Clock;
use crate::fetch::{FetchPolicy, Fetcher, Signers};
use crate::retry::Policy;

pub use bucket::{AccessError, BucketAccess, BucketAccesses};
pub use error::SourceError;
pub use list::{Listed, Listing};

/// Bytes of a file that is brought from the web.
const LARGEST_WEB: usize = 256 << 20;

/// Reads documents and lists objects by their addresses: `s3://bucket/key`, `file:///path`, `https://host/path`.
#[derive(Clone, Debug)]
pub struct Sources {
    accesses: Arc<BucketAccesses>,
    allow_file: bool,
    retry: Policy,
    fetcher: Arc<Fetcher>,
    clock: Arc<dyn Clock>,
    stores: Arc<Mutex<HashMap<String, Arc<dyn ObjectStore>>>>,
}

/// Where an address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An object of a bucket: its key, or a prefix of keys.
    Bucket {
        /// The bucket.
        bucket: String,
        /// The key as S3 has it, not encoded.
        key: String,
    },
    /// A file or folder of this machine.
    File(PathBuf),
    /// Elsewhere on the web.
    Web(Url),
}

impl Address {
    /// Reads an address; what has no scheme is a path of this machine. Keys of `s3://` stand as they are, not encoded.
    ///
    /// # Errors
    /// When it is none that can be read from.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let unknown = || SourceError::Address {
            text: text.to_owned(),
        };
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(unknown());
            }
            return Ok(Self::Bucket {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            });
        }
        if !text.contains("://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let url = Url::parse(text).map_err(|_| unknown())?;
        match url.scheme() {
            "file" => url.to_file_path().map(Self::File).map_err(|()| unknown()),
            "http" | "https" => Ok(Self::Web(url)),
            _ => Err(unknown()),
        }
    }
}

impl Sources {
    /// Reads from buckets as `accesses` says and from the web as `policy` allows; `policy` also says how patiently.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(
        accesses: BucketAccesses,
        policy: FetchPolicy,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SourceError> {
        let (allow_file, retry) = (policy.allow_file, policy.retry);
        let fetcher = Fetcher::new(policy, Signers::default(), Arc::clone(&clock))
            .map_err(|error| SourceError::Client(Box::new(error)))?;
        Ok(Self {
            accesses: Arc::new(accesses),
            allow_file,
            retry,
            fetcher: Arc::new(fetcher),
            clock,
            stores: Arc::default(),
        })
    }

    /// Reads a whole document of at most `limit` bytes, trying again while that helps.
    ///
    /// # Errors
    /// When it is not there, may not be read, is larger, or cannot be had now.
    pub async fn read(&self, address: &str, limit: usize) -> Result<Bytes, SourceError> {
        match self.locate(Address::parse(address)?, address).await? {
            Place::File(path) => self.read_file(path, limit).await,
            Place::Web(url) => {
                let read = self.fetcher.document(&url, limit).await;
                read.map_err(|error| SourceError::Fetch(Box::new(error)))
            }
            Place::Object(store, path) => {
                let call = |_| self.read_object(&store, &path, (address, limit));
                self.retry.run(self.clock.as_ref(), call).await
            }
        }
    }

    async fn read_object(
        &self,
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        (address, limit): (&str, usize),
    ) -> Result<Bytes, SourceError> {
        let failed = |source| SourceError::call(address, source);
        let answer = store.get(path).await.map_err(failed)?;
        let size = answer.meta.size;
        if size > limit as u64 {
            return Err(SourceError::TooLarge {
                address: address.to_owned(),
                size,
                limit,
            });
        }
        answer.bytes().await.map_err(failed)
    }

    async fn read_file(&self, path: PathBuf, limit: usize) -> Result<Bytes, SourceError> {
        let read = move || read_file(path, limit);
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|_| SourceError::Ended)?
    }

    /// Returns the size of an object, bytes.
    ///
    /// # Errors
    /// When it is not there, may not be read, or its size cannot be told.
    pub async fn size(&self, address: &str) -> Result<u64, SourceError> {
        match self.locate(Address::parse(address)?, address).await? {
            Place::File(path) => {
                let facts = tokio::fs::metadata(&path).await;
                let facts = facts.map_err(|source| SourceError::File { path, source })?;
                Ok(facts.len())
            }
            Place::Web(url) => {
                let first = self.fetcher.range(&url, 0..1).await;
                let first = first.map_err(|error| SourceError::Fetch(Box::new(error)))?;
                first.size_bytes.ok_or_else(|| SourceError::NoSize {
                    address: address.to_owned(),
                })
            }
            Place::Object(store, path) => {
                let call = |_| async {
                    let found = store.head(&path).await;
                    found.map_err(|source| SourceError::call(address, source))
                };
                Ok(self.retry.run(self.clock.as_ref(), call).await?.size)
            }
        }
    }

    /// Reads some bytes of an object.
    ///
    /// # Errors
    /// When it is not there, may not be read, or cannot be had now.
    pub async fn range(&self, address: &str, range: Range<u64>) -> Result<Bytes, SourceError> {
        match self.locate(Address::parse(address)?, address).await? {
            Place::File(path) => {
                let read = tokio::task::spawn_blocking(move || read_range(path, &range)).await;
                read.map_err(|_| SourceError::Ended)?
            }
            Place::Web(url) => {
                let part = self.fetcher.range(&url, range).await;
                let part = part.map_err(|error| SourceError::Fetch(Box::new(error)))?;
                Ok(part.bytes)
            }
            Place::Object(store, path) => {
                let call = |_| async {
                    let bytes = store.get_range(&path, range.clone()).await;
                    bytes.map_err(|source| SourceError::call(address, source))
                };
                self.retry.run(self.clock.as_ref(), call).await
            }
        }
    }

    /// Says whether files of this machine may be read.
    pub fn allows_files(&self) -> bool {
        self.allow_file
    }

    /// Returns the file of this machine that an address leads to, if it is one: a path, or a key of a bucket for which a
    /// folder stands.
    ///
    /// # Errors
    /// When the address is none, or files may not be read.
    pub fn file(&self, address: &str) -> Result<Option<PathBuf>, SourceError> {
        match Address::parse(address)? {
            Address::File(_) if !self.allow_file => Err(SourceError::Files {
                address: address.to_owned(),
            }),
            Address::File(path) => Ok(Some(path)),
            Address::Bucket { bucket, key } => {
                let Some(folder) = &self.accesses.of(&bucket).folder else {
                    return Ok(None);
                };
                let leads_out = |part: &str| part == "..";
                if key.split('/').any(leads_out) {
                    return Err(SourceError::Address {
                        text: address.to_owned(),
                    });
                }
                Ok(Some(
                    PathBuf::from(folder).join(key.trim_start_matches('/')),
                ))
            }
            Address::Web(_) => Ok(None),
        }
    }

    /// Brings a file of any size to this machine, where it is not here already; a copy vanishes with what is returned.
    ///
    /// # Errors
    /// When it is not there, may not be read, or cannot be had now.
    pub async fn copy(&self, address: &str) -> Result<LocalFile, SourceError> {
        let kept = |source| SourceError::File {
            path: std::env::temp_dir(),
            source,
        };
        let new = || tempfile::Builder::new().suffix(&ending(address)).tempfile();
        match self.locate(Address::parse(address)?, address).await? {
            Place::File(path) => Ok(LocalFile { path, _copy: None }),
            Place::Web(_) => {
                let bytes = self.read(address, LARGEST_WEB).await?;
                let mut copy = new().map_err(kept)?;
                std::io::Write::write_all(&mut copy, &bytes).map_err(kept)?;
                Ok(LocalFile::of(copy))
            }
            Place::Object(store, path) => {
                let call = |_| async {
                    let failed = |source| SourceError::call(address, source);
                    let mut copy = new().map_err(kept)?;
                    let mut body = store.get(&path).await.map_err(failed)?.into_stream();
                    while let Some(bytes) = body.next().await {
                        let bytes = bytes.map_err(failed)?;
                        std::io::Write::write_all(&mut copy, &bytes).map_err(kept)?;
                    }
                    Ok(LocalFile::of(copy))
                };
                self.retry.run(self.clock.as_ref(), call).await
            }
        }
    }

    async fn locate(&self, at: Address, address: &str) -> Result<Place, SourceError> {
        if let Some(path) = self.file(address)? {
            return Ok(Place::File(path));
        }
        match at {
            Address::Bucket { bucket, key } => {
                let store = self.bucket(&bucket).await?;
                // Keys are taken as they are: `from` would encode what S3 does not.
                let path = Path::parse(&key).unwrap_or_else(|_| Path::from(key.as_str()));
                Ok(Place::Object(store, path))
            }
            Address::Web(url) => Ok(Place::Web(url)),
            Address::File(path) => Ok(Place::File(path)),
        }
    }

    /// Opens a bucket, once.
    async fn bucket(&self, name: &str) -> Result<Arc<dyn ObjectStore>, SourceError> {
        let mut stores = self.stores.lock().await;
        if let Some(store) = stores.get(name) {
            return Ok(Arc::clone(store));
        }
        let access = self.accesses.of(name);
        let failed = |source| SourceError::call(&format!("s3://{name}"), source);
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(name)
            .with_skip_signature(access.unsigned)
            .with_request_payer(access.requester_pays);
        if let Some(file) = &access.credentials {
            builder = with_credentials(builder, file)?;
        }
        if let Some(endpoint) = &access.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        if let Some(endpoint) = &endpoint {
            builder = builder
                .with_virtual_hosted_style_request(false)
                .with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(region) = &access.region {
            builder = builder.with_region(region);
        } else if endpoint.is_none() {
            let options = ClientOptions::default();
            let region = object_store::aws::resolve_bucket_region(name, &options).await;
            builder = builder.with_region(region.map_err(failed)?);
        }
        let store: Arc<dyn ObjectStore> = Arc::new(builder.build().map_err(failed)?);
        stores.insert(name.to_owned(), Arc::clone(&store));
        Ok(store)
    }
}

/// A file of this machine, perhaps a copy that lives as long as this.
#[derive(Debug)]
pub struct LocalFile {
    /// Where it is.
    pub path: PathBuf,
    _copy: Option<tempfile::NamedTempFile>,
}

impl LocalFile {
    fn of(copy: tempfile::NamedTempFile) -> Self {
        Self {
            path: copy.path().to_owned(),
            _copy: Some(copy),
        }
    }
}

/// Returns the last two endings of a name, which say what it holds.
fn ending(address: &str) -> String {
    let name = address.rsplit('/').next().unwrap_or_default();
    name.split_once('.')
        .map_or_else(String::new, |(_, end)| format!(".{end}"))
}

/// Where a document lies, opened.
enum Place {
    File(PathBuf),
    Object(Arc<dyn ObjectStore>, Path),
    Web(Url),
}

/// Reads a file of this machine, of at most `limit` bytes; for threads that may wait.
///
/// # Errors
/// When it is not there, cannot be read, or is larger.
pub fn read_file(path: PathBuf, limit: usize) -> Result<Bytes, SourceError> {
    let read = || -> std::io::Result<Result<Bytes, u64>> {
        let facts = std::fs::metadata(&path)?;
        if facts.len() > limit as u64 {
            return Ok(Err(facts.len()));
        }
        std::fs::read(&path).map(|bytes| Ok(bytes.into()))
    };
    match read() {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(size)) => Err(SourceError::TooLarge {
            address: path.display().to_string(),
            size,
            limit,
        }),
        Err(source) => Err(SourceError::File { path, source }),
    }
}

fn read_range(path: PathBuf, range: &Range<u64>) -> Result<Bytes, SourceError> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(&path)?;
        file.seek(SeekFrom::Start(range.start))?;
        let mut bytes = Vec::new();
        file.take(range.end.saturating_sub(range.start))
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(bytes.into()),
        Err(source) => Err(SourceError::File { path, source }),
    }
}

fn with_credentials(
    mut builder: AmazonS3Builder,
    file: &str,
) -> Result<AmazonS3Builder, SourceError> {
    let failed = |source| SourceError::File {
        path: PathBuf::from(file),
        source,
    };
    let text = std::fs::read_to_string(file).map_err(failed)?;
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim();
        builder = match name.trim() {
            "aws_access_key_id" | "access_key_id" => builder.with_access_key_id(value),
            "aws_secret_access_key" | "secret_access_key" => builder.with_secret_access_key(value),
            "aws_session_token" | "session_token" => builder.with_token(value),
            _ => builder,
        };
    }
    Ok(builder)
}
