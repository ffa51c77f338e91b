//! A store in memory that fails on demand.

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// How the store fails a PUT whose path holds the text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Down(&'static str),
    Refused(&'static str),
    /// The object is there, the answer says it already was.
    LostAnswer(&'static str),
    /// The answer says so, and the object is not there.
    RacedAndLost(&'static str),
}

#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) inner: InMemory,
    pub(super) fault: Option<Fault>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        let hits = |text: &str| at.as_ref().contains(text);
        let path = || at.to_string();
        match self.fault {
            Some(Fault::Down(text)) if hits(text) => Err(object_store::Error::Generic {
                store: "faulty",
                source: "503".into(),
            }),
            Some(Fault::Refused(text)) if hits(text) => {
                Err(object_store::Error::PermissionDenied {
                    path: path(),
                    source: "403".into(),
                })
            }
            Some(Fault::LostAnswer(text)) if hits(text) => {
                self.inner.put_opts(at, bytes, how).await?;
                Err(object_store::Error::AlreadyExists {
                    path: path(),
                    source: "412".into(),
                })
            }
            Some(Fault::RacedAndLost(text)) if hits(text) => {
                Err(object_store::Error::AlreadyExists {
                    path: path(),
                    source: "409".into(),
                })
            }
            _ => self.inner.put_opts(at, bytes, how).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}
