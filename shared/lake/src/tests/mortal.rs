//! Processes that end in the middle of something, as if the power had failed.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutResult, Result,
};
use tokio::sync::Notify;

use super::*;
use crate::pointer::{MemoryPointer, Pointed, PointerError, Swap};

/// The life of one process: it ends after a number of changes of the world, before the next one takes effect. What it
/// knows then is lost, so that an end after the effect is that before the next.
#[derive(Debug)]
pub(super) struct Life {
    end: Option<u32>,
    changes: AtomicU32,
    over: AtomicBool,
    ended: Notify,
}

impl Life {
    pub(super) fn new(end: Option<u32>) -> Arc<Self> {
        Arc::new(Self {
            end,
            changes: AtomicU32::new(0),
            over: AtomicBool::new(false),
            ended: Notify::new(),
        })
    }

    /// Makes one change of the world, unless the process ends here: then this never returns.
    async fn change<T>(&self, effect: impl Future<Output = T> + Send) -> T {
        let before = self.changes.fetch_add(1, Ordering::SeqCst);
        if self.over.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        match self.end {
            Some(end) if end <= before => {
                self.over.store(true, Ordering::SeqCst);
                self.ended.notify_one();
                std::future::pending().await
            }
            _ => effect.await,
        }
    }

    /// Does work until it is done or the process ends; `None` when it ended.
    pub(super) async fn live<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.ended.notified() => None,
            done = work => Some(done),
        }
    }
}

/// What outlives processes: objects and pointers.
#[derive(Clone, Debug)]
pub(super) struct Outside {
    store: Arc<InMemory>,
    pointer: Arc<MemoryPointer>,
}

impl Outside {
    pub(super) fn new() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
            pointer: Arc::new(MemoryPointer::default()),
        }
    }

    /// Returns a copy of the objects, with the same pointers.
    pub(super) fn fork(&self) -> Self {
        Self {
            store: Arc::new(self.store.fork()),
            pointer: Arc::clone(&self.pointer),
        }
    }

    /// Returns the world as a process sees it for as long as it lives.
    pub(super) fn seen_by(&self, life: &Arc<Life>) -> World {
        let store = Mortal {
            inner: Arc::clone(&self.store),
            life: Arc::clone(life),
        };
        let pointer = Mortal {
            inner: Arc::clone(&self.pointer),
            life: Arc::clone(life),
        };
        World {
            folder: tempfile::tempdir().unwrap(),
            place: Place::new(Arc::new(store), Path::default(), "s3://bucket"),
            pointer: Arc::new(FaultyPointer::new(Arc::new(pointer))),
        }
    }
}

/// Something outside that is changed by a process with an end.
#[derive(Debug)]
struct Mortal<T> {
    inner: Arc<T>,
    life: Arc<Life>,
}

impl<T: fmt::Debug> fmt::Display for Mortal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.inner)
    }
}

#[async_trait]
impl TablePointer for Mortal<MemoryPointer> {
    async fn load(&self, table: TableName) -> Result<Option<Pointed>, PointerError> {
        self.inner.load(table).await
    }

    async fn swap(
        &self,
        table: TableName,
        expected: Option<&Pointed>,
        location: &str,
    ) -> Result<Swap, PointerError> {
        let swap = self.inner.swap(table, expected, location);
        self.life.change(swap).await
    }

    async fn remove(&self, table: TableName) -> Result<(), PointerError> {
        self.life.change(self.inner.remove(table)).await
    }
}

#[async_trait]
impl ObjectStore for Mortal<InMemory> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, options);
        self.life.change(put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, life) = (Arc::clone(&self.inner), Arc::clone(&self.life));
        let deletions = locations.then(move |path| {
            let (inner, life) = (Arc::clone(&inner), Arc::clone(&life));
            async move {
                let path = path?;
                life.change(inner.delete(&path)).await?;
                Ok(path)
            }
        });
        deletions.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.life
            .change(self.inner.copy_opts(from, to, options))
            .await
    }
}
