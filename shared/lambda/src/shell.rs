//! What a function brings to its batches.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use swath_cloud::queue::{Hold, QueueError, fetch_body};
use swath_cloud::store::Store;
use swath_core::message::{Message, MessageError, Pending};
use swath_core::{Class, Classify};

/// What stays the same from batch to batch: the function's name and limits, and the lake.
#[derive(Clone, Debug)]
pub struct Shell {
    pub(crate) function: &'static str,
    pub(crate) lake: Store,
    pub(crate) concurrency: NonZeroUsize,
    pub(crate) needed: Duration,
    /// Who makes messages wait, and after how many deliveries a queue gives one up.
    pub(crate) hold: Option<(Arc<dyn Hold>, NonZeroU32)>,
}

/// Deliveries of one message, after which a queue gives it up, unless a deployment says otherwise.
pub const MAX_RECEIVES: NonZeroU32 = NonZeroU32::MIN.saturating_add(7);

/// A message's body by reference that could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BodyError {
    /// It is gone, or the lake fails.
    #[error("the message's body could not be fetched")]
    Fetch(#[source] QueueError),
    /// The text is not what the message says it is.
    #[error("the body at {path:?} is not what its message says")]
    Content {
        path: String,
        #[source]
        source: MessageError,
    },
}

impl Classify for BodyError {
    fn class(&self) -> Class {
        match self {
            Self::Fetch(source) => source.class(),
            Self::Content { source, .. } => source.class(),
        }
    }
}

impl Shell {
    /// Makes the shell of a function; bodies by reference and the quarantine lie in the lake.
    pub fn new(function: &'static str, lake: Store) -> Self {
        Self {
            function,
            lake,
            concurrency: NonZeroUsize::MIN,
            needed: Duration::ZERO,
            hold: None,
        }
    }

    /// Works on this many messages at once instead of one.
    #[must_use]
    pub fn concurrency(mut self, most: NonZeroUsize) -> Self {
        self.concurrency = most;
        self
    }

    /// Starts no message when less than this is left of the invocation.
    #[must_use]
    pub fn needing(mut self, time: Duration) -> Self {
        self.needed = time;
        self
    }

    /// Has messages that fail for now come again when it may help, instead of when their queue shows them again; `most` is
    /// how often the queue delivers one before it gives it up.
    #[must_use]
    pub fn holding(mut self, hold: Arc<dyn Hold>, most: NonZeroU32) -> Self {
        self.hold = Some((hold, most));
        self
    }

    /// Fetches the body of a message that came without it.
    pub(crate) async fn make_whole(&self, pending: Pending) -> Result<Message, BodyError> {
        let text = fetch_body(&self.lake, &pending.body_at).await;
        let text = text.map_err(BodyError::Fetch)?;
        let path = pending.body_at.path.clone();
        let whole = pending.with_body(&text);
        whole.map_err(|source| BodyError::Content { path, source })
    }
}
