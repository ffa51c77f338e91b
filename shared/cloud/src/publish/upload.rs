//! A staged file on its way into an object store.

use object_store::{ObjectStoreExt as _, PutMode, PutOptions, WriteMultipart};
use tokio::sync::Mutex;

use super::{Facts, PublishError, Published, StagedFile, adopt, present};
use crate::store::Store;

/// Files up to this size go up in one conditional request.
pub const SINGLE_PUT_BYTES: u64 = 16 << 20;
/// Bytes of one part of a larger file; 10,000 of them are S3's limit.
const PART_BYTES: usize = 16 << 20;
/// Parts in flight, and so in memory, at once.
const PARTS_AT_ONCE: usize = 3;
const READ_BYTES: usize = 1 << 20;

/// One file on its way up.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    out: &'a Store,
    key: &'a str,
    staged: Mutex<StagedFile>,
    facts: &'a Facts,
}

impl<'a> Upload<'a> {
    pub(super) fn new(
        (out, key): (&'a Store, &'a str),
        staged: StagedFile,
        facts: &'a Facts,
    ) -> Self {
        Self {
            out,
            key,
            staged: Mutex::new(staged),
            facts,
        }
    }

    /// Brings it up, unless an object lies there.
    pub(super) async fn once(&self) -> Result<Published, PublishError> {
        let put = if self.facts.size_bytes <= SINGLE_PUT_BYTES {
            self.whole().await?
        } else if present(self.out, self.key).await?.is_some() {
            None
        } else {
            self.parts().await?
        };
        match put {
            Some(put) => Ok(Published {
                adopted: false,
                etag: put.e_tag,
            }),
            // Perhaps our own: a store that was slow to answer is asked twice by its client.
            None => adopt(self.out, self.key, self.facts).await,
        }
    }

    /// Puts the file in one request; nothing where an object lies.
    async fn whole(&self) -> Result<Option<object_store::PutResult>, PublishError> {
        let length = usize::try_from(self.facts.size_bytes).unwrap_or(usize::MAX);
        let bytes = self.staged.lock().await.copy_of(0, length).await?;
        let path = self.out.path(self.key);
        let create = PutOptions::from(PutMode::Create);
        match self.out.store.put_opts(&path, bytes.into(), create).await {
            Ok(put) => Ok(Some(put)),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(None),
            Err(source) => Err(PublishError::Store { path, source }),
        }
    }

    /// Puts the file in parts; nothing where an object lies by the time they are all there.
    async fn parts(&self) -> Result<Option<object_store::PutResult>, PublishError> {
        let path = self.out.path(self.key);
        let failed = |source| PublishError::Store {
            path: path.clone(),
            source,
        };
        let upload = self.out.store.put_multipart(&path).await.map_err(failed)?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        match self.send(&mut parts).await {
            Ok(()) => match parts.finish().await {
                Ok(put) => Ok(Some(put)),
                Err(object_store::Error::Precondition { .. }) => Ok(None),
                Err(error) => Err(failed(error)),
            },
            Err(error) => {
                // What stays behind after this fails too is the bucket's lifecycle rule to clear.
                if let Err(left) = parts.abort().await {
                    tracing::warn!(path = %path, error = %left, "an upload's parts were left behind");
                }
                Err(error)
            }
        }
    }

    async fn send(&self, parts: &mut WriteMultipart) -> Result<(), PublishError> {
        let mut sent = 0;
        loop {
            let bytes = self.staged.lock().await.copy_of(sent, READ_BYTES).await?;
            if bytes.is_empty() {
                return Ok(());
            }
            sent += bytes.len() as u64;
            let ready = parts.wait_for_capacity(PARTS_AT_ONCE).await;
            ready.map_err(|source| PublishError::Store {
                path: self.out.path(self.key),
                source,
            })?;
            parts.put(bytes);
        }
    }
}
