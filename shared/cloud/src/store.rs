//! Stores: one base address, local folder or bucket, under which everything lies.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use swath_core::{Class, Classify};
use url::Url;

use crate::publish::CreateOnly;
use crate::retry::Retryable;

/// A place for objects: a store, and the prefix below which ours lie.
#[derive(Clone, Debug)]
pub struct Store {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// What every path of ours begins with, within `store`.
    pub prefix: Path,
    /// The base as an absolute URI without a slash at its end.
    pub uri: String,
    /// The base as a folder, when it is one.
    pub local_root: Option<PathBuf>,
}

/// A store that cannot be opened, or a call to it that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The address is none that we know.
    #[error("{uri:?} is no place for objects: use a folder, file:///folder or s3://bucket/prefix")]
    Uri {
        /// The address.
        uri: String,
    },
    /// The folder cannot be made or found.
    #[error("the folder {} cannot be opened", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The folder can be read but not written.
    #[error("the folder {} cannot be written to", path.display())]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bucket's client cannot be set up.
    #[error("{uri}: the store cannot be set up")]
    Setup {
        /// The address.
        uri: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// A call failed.
    #[error("{path}: the store's call failed")]
    Call {
        /// The object.
        path: Path,
        /// Why.
        #[source]
        source: object_store::Error,
    },
}

impl Classify for StoreError {
    fn class(&self) -> Class {
        match self {
            Self::Uri { .. } | Self::Setup { .. } => Class::Denied,
            Self::Folder { source, .. } | Self::NotWritable { source, .. } => class_of_io(source),
            Self::Call { source, .. } => class_of(source),
        }
    }
}

impl Retryable for StoreError {}

/// Returns the class of a store's failure; a missing object is [`Class::Invalid`].
pub fn class_of(error: &object_store::Error) -> Class {
    use object_store::Error as E;
    match error {
        E::NotFound { .. } | E::InvalidPath { .. } => Class::Invalid,
        E::AlreadyExists { .. } | E::Precondition { .. } | E::NotModified { .. } => Class::Conflict,
        E::PermissionDenied { .. }
        | E::Unauthenticated { .. }
        | E::UnknownConfigurationKey { .. } => Class::Denied,
        E::NotSupported { .. } | E::NotImplemented { .. } | E::JoinError { .. } => Class::Bug,
        // A folder's own troubles come as unnamed errors with the disk's beneath.
        _ => io_beneath(error).map_or(Class::Transient, class_of_io),
    }
}

fn io_beneath<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref() {
            return Some(io);
        }
        next = cause.source();
    }
    None
}

/// Returns the class of a file system's failure: full or read-only disks fail every message alike.
pub fn class_of_io(error: &std::io::Error) -> Class {
    use std::io::ErrorKind as K;
    match error.kind() {
        K::PermissionDenied
        | K::ReadOnlyFilesystem
        | K::StorageFull
        | K::QuotaExceeded
        | K::NotADirectory
        | K::NotFound
        | K::AlreadyExists => Class::Denied,
        _ => Class::Transient,
    }
}

impl Store {
    /// Returns the full path of what lies at `below` the base; characters that no path may hold are percent-encoded.
    pub fn path(&self, below: &str) -> Path {
        let below = Path::parse(below).unwrap_or_else(|_| Path::from(below));
        if self.prefix.as_ref().is_empty() {
            return below;
        }
        self.prefix.parts().chain(below.parts()).collect()
    }

    /// Returns the absolute URI of what lies at `below` the base.
    pub fn uri_of(&self, below: &str) -> String {
        format!("{}/{}", self.uri, below.trim_matches('/'))
    }

    /// Returns the bucket's name, when the base is in one.
    pub fn bucket(&self) -> Option<&str> {
        self.uri.strip_prefix("s3://")?.split('/').next()
    }

    /// Reads the object at `below` the base.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn get(&self, below: &str) -> Result<Bytes, StoreError> {
        let path = self.path(below);
        let read = async { self.store.get(&path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(bytes),
            Err(source) => Err(StoreError::Call { path, source }),
        }
    }

    /// Writes the object at `below` the base, replacing what lay there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put(&self, below: &str, bytes: Bytes) -> Result<(), StoreError> {
        let path = self.path(below);
        match self.store.put(&path, bytes.into()).await {
            Ok(_) => Ok(()),
            Err(source) => Err(StoreError::Call { path, source }),
        }
    }

    /// Returns a store in memory, at `memory://`.
    #[cfg(any(test, feature = "testing"))]
    pub fn in_memory() -> Self {
        Self {
            store: Arc::new(object_store::memory::InMemory::new()),
            prefix: Path::default(),
            uri: "memory:".to_owned(),
            local_root: None,
        }
    }
}

/// Opens a place for reading and writing; a missing local folder is made.
///
/// # Errors
/// When the address is none that we know, or the folder cannot be made or written to.
pub fn open(uri_or_path: &str) -> Result<Store, StoreError> {
    match place(uri_or_path)? {
        Place::Folder(path) => {
            std::fs::create_dir_all(&path).map_err(|source| StoreError::Folder {
                path: path.clone(),
                source,
            })?;
            probe(&path)?;
            folder(&path)
        }
        Place::Bucket(url) => bucket(&url),
    }
}

/// Opens a place as [`open`] does, where objects are only made, never replaced: uploads in parts end in a refusal where an
/// object lies by then.
///
/// # Errors
/// As [`open`].
pub fn open_for_files(uri_or_path: &str) -> Result<Store, StoreError> {
    match place(uri_or_path)? {
        Place::Folder(_) => open(uri_or_path),
        Place::Bucket(url) => {
            let builder = AmazonS3Builder::from_env();
            bucket_with(builder.with_http_connector(CreateOnly), &url)
        }
    }
}

/// Opens a place that is there already, for reading; nothing is made or written.
///
/// # Errors
/// When the address is none that we know, or there is no such folder.
pub fn open_existing(uri_or_path: &str) -> Result<Store, StoreError> {
    match place(uri_or_path)? {
        Place::Folder(path) => folder(&path),
        Place::Bucket(url) => bucket(&url),
    }
}

enum Place {
    Folder(PathBuf),
    Bucket(Url),
}

fn place(text: &str) -> Result<Place, StoreError> {
    let unknown = || StoreError::Uri {
        uri: text.to_owned(),
    };
    if text.is_empty() {
        return Err(unknown());
    }
    if !text.contains("://") {
        return Ok(Place::Folder(PathBuf::from(text)));
    }
    let url = Url::parse(text).map_err(|_| unknown())?;
    match url.scheme() {
        "file" => url
            .to_file_path()
            .map(Place::Folder)
            .map_err(|()| unknown()),
        "s3" if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(Place::Bucket(url)),
        _ => Err(unknown()),
    }
}

/// Writes and removes a file: the mode bits alone do not say whether the disk takes one.
fn probe(path: &FilePath) -> Result<(), StoreError> {
    match tempfile::Builder::new().prefix(".swath-").tempfile_in(path) {
        Ok(_) => Ok(()),
        Err(source) => Err(StoreError::NotWritable {
            path: path.to_owned(),
            source,
        }),
    }
}

fn folder(path: &FilePath) -> Result<Store, StoreError> {
    let root = path.canonicalize().map_err(|source| StoreError::Folder {
        path: path.to_owned(),
        source,
    })?;
    let uri = Url::from_directory_path(&root).map_err(|()| StoreError::Uri {
        uri: root.display().to_string(),
    })?;
    let uri = uri.as_str().trim_end_matches('/').to_owned();
    let store = LocalFileSystem::new_with_prefix(&root).map_err(|source| StoreError::Setup {
        uri: uri.clone(),
        source,
    })?;
    Ok(Store {
        store: Arc::new(store),
        prefix: Path::default(),
        uri,
        local_root: Some(root),
    })
}

fn bucket(url: &Url) -> Result<Store, StoreError> {
    bucket_with(AmazonS3Builder::from_env(), url)
}

fn bucket_with(builder: AmazonS3Builder, url: &Url) -> Result<Store, StoreError> {
    let uri = url.as_str().trim_end_matches('/').to_owned();
    let prefix =
        Path::from_url_path(url.path()).map_err(|_| StoreError::Uri { uri: uri.clone() })?;
    let mut builder = builder
        .with_bucket_name(url.host_str().unwrap_or_default())
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    if let Some(endpoint) = builder.get_config_value(&AmazonS3ConfigKey::Endpoint) {
        // Emulators and private stores answer at one host for all buckets, often without TLS.
        builder = builder
            .with_virtual_hosted_style_request(false)
            .with_allow_http(endpoint.starts_with("http://"));
    }
    let store = builder.build().map_err(|source| StoreError::Setup {
        uri: uri.clone(),
        source,
    })?;
    Ok(Store {
        store: Arc::new(store),
        prefix,
        uri,
        local_root: None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_missing_folder_is_made_and_what_is_put_there_is_a_file() {
        let base = tempfile::tempdir().unwrap();
        let lake = base.path().join("new/lake with space");
        let store = open(lake.to_str().unwrap()).unwrap();
        store.put("a/b%2Fc.txt", "hello".into()).await.unwrap();
        assert_eq!(std::fs::read(lake.join("a/b%2Fc.txt")).unwrap(), b"hello");
        assert_eq!(store.get("a/b%2Fc.txt").await.unwrap(), "hello");
        let root = lake.canonicalize().unwrap();
        assert_eq!(store.local_root, Some(root.clone()));
        assert_eq!(
            store.uri,
            format!("file://{}", root.display()).replace(' ', "%20")
        );
        assert_eq!(store.uri_of("/a/b"), format!("{}/a/b", store.uri));
        let again = open(&store.uri).unwrap();
        assert_eq!(again.get("a/b%2Fc.txt").await.unwrap(), "hello");
        assert_eq!(
            std::fs::read_dir(&lake).unwrap().count(),
            1,
            "the probe is gone"
        );
    }

    #[test]
    fn reading_makes_no_folder() {
        let base = tempfile::tempdir().unwrap();
        let lake = base.path().join("none");
        let error = open_existing(lake.to_str().unwrap()).unwrap_err();
        assert!(matches!(error, StoreError::Folder { .. }), "{error}");
        assert!(!lake.exists());
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_named_and_stops_the_batch() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [
            file.path(),
            &file.path().join("below"),
            FilePath::new("/proc"),
        ] {
            let error = open(path.to_str().unwrap()).unwrap_err();
            assert!(
                error.to_string().contains(path.to_str().unwrap()),
                "{error}"
            );
            assert_eq!(error.class(), Class::Denied, "{error}");
        }
    }

    #[test]
    fn an_address_of_another_kind_is_refused() {
        for uri in [
            "",
            "gs://bucket/x",
            "s3://",
            "http://host/",
            "file://host/x",
        ] {
            let error = open(uri).unwrap_err();
            assert!(matches!(error, StoreError::Uri { .. }), "{uri}: {error}");
        }
    }

    #[test]
    fn a_bucket_keeps_its_prefix() {
        let url = Url::parse("s3://bucket/some/prefix/").unwrap();
        let store = bucket_with(AmazonS3Builder::new(), &url).unwrap();
        assert_eq!(store.uri, "s3://bucket/some/prefix");
        assert_eq!(store.path("a/b%2Fc").as_ref(), "some/prefix/a/b%2Fc");
        assert_eq!(store.local_root, None);
        let bare = bucket_with(AmazonS3Builder::new(), &Url::parse("s3://bucket").unwrap());
        assert_eq!(bare.unwrap().path("a").as_ref(), "a");
    }

    #[test]
    fn a_path_with_parts_that_lead_elsewhere_stays_below_the_base() {
        let store = Store::in_memory();
        for below in ["../x", "a/../../x", "a//b", "/x", "a/./b"] {
            let path = store.path(below);
            let bad = |part: &str| part.is_empty() || part == "." || part == "..";
            assert!(!path.as_ref().split('/').any(bad), "{below}: {path}");
        }
    }

    #[tokio::test]
    async fn an_endpoint_without_tls_is_asked_by_path_and_on_condition() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let router = axum::Router::new().fallback(
            move |uri: axum::http::Uri, headers: axum::http::HeaderMap| async move {
                let condition = headers.get("if-none-match").cloned();
                log.lock().unwrap().push((uri.path().to_owned(), condition));
                [("etag", "\"x\"")]
            },
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let builder = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_access_key_id("id")
            .with_secret_access_key("secret");
        let store = bucket_with(builder, &Url::parse("s3://bucket/lake").unwrap()).unwrap();
        store.put("a", "1".into()).await.unwrap();
        let create = object_store::PutMode::Create.into();
        let path = store.path("b");
        store
            .store
            .put_opts(&path, "2".into(), create)
            .await
            .unwrap();
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen[0], ("/bucket/lake/a".to_owned(), None));
        assert_eq!(seen[1].0, "/bucket/lake/b");
        assert_eq!(seen[1].1.as_ref().unwrap(), "*");
    }
}
