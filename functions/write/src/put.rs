//! Puts into the lake that may be repeated.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStoreExt as _, PutMode, PutOptions};
use swath_cloud::store::StoreError;

use crate::{Context, WriteError};

/// Puts an object that is named by its content: one that is there already is this one.
pub(crate) async fn put_new(
    below: &str,
    bytes: Bytes,
    what: &'static str,
    context: &Context,
) -> Result<(), WriteError> {
    let path = context.lake.path(below);
    let size = bytes.len() as u64;
    let options = PutOptions::from(PutMode::Create);
    let store = &context.lake.store;
    let Err(source) = store.put_opts(&path, bytes.into(), options).await else {
        return Ok(());
    };
    // S3 also answers so while another writer's request is under way, which may yet fail: look.
    if let object_store::Error::AlreadyExists { .. } = source
        && let Ok(there) = store.head(&path).await
        && there.size == size
    {
        return Ok(());
    }
    Err(WriteError::Put {
        what,
        source: Arc::new(StoreError::Call { path, source }),
    })
}
