//! Queues: where messages go. Receiving is the shell's work, or the in-process receiver's.

mod body;
mod by_host;
mod folder;
mod hold;
mod memory;
pub mod sqs;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use swath_core::message::{Message, MessageError};
use swath_core::{Class, Classify};
use url::Url;

use crate::retry::Retryable;
use crate::store::{Store, StoreError, class_of_io};

pub use body::{LARGEST, fetch_body};
pub use by_host::{ByHost, UpstreamError, Upstreams};
pub use folder::FolderQueue;
pub use hold::{FIRST_SENT, Held, Hold, SqsHold};
pub use memory::{MemoryQueue, MemoryReceiver, channel};

/// Takes messages for someone else to work on; delivers each at least once, in no order.
#[async_trait]
pub trait Queue: Debug + Send + Sync {
    /// Sends messages; waits while the queue is full.
    ///
    /// # Errors
    /// When not every message was taken; some may have been.
    async fn send(&self, messages: Vec<Message>) -> Result<(), QueueError>;
}

/// Opens a queue by its address: `https://` or `http://` an SQS queue URL, `file:///` a folder of messages.
///
/// # Errors
/// When the address is neither, or the folder cannot be made.
pub async fn open(uri: &str, lake: &Store) -> Result<Arc<dyn Queue>, QueueError> {
    let unknown = || QueueError::Uri(uri.split('?').next().unwrap_or_default().to_owned());
    let url = Url::parse(uri).map_err(|_| unknown())?;
    match url.scheme() {
        "https" | "http" => Ok(Arc::new(sqs::open(&url, lake.clone()).await)),
        "file" => {
            let path = url.to_file_path().map_err(|()| unknown())?;
            Ok(Arc::new(FolderQueue::open(path)?))
        }
        _ => Err(unknown()),
    }
}

/// Messages that could not be sent or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The address is none that we know.
    #[error("{0:?} is no queue: use an SQS queue URL or file:///folder")]
    Uri(String),
    /// Nobody receives any more.
    #[error("the queue is closed: its receiver is gone")]
    Closed,
    /// Whoever takes the messages works on them at once, and could not.
    #[error("what was sent is not done: {reason}")]
    Undone {
        /// What the failure asks for.
        class: Class,
        /// The failure and its causes.
        reason: String,
    },
    /// A message cannot be written as JSON.
    #[error("a message cannot be written")]
    Message(#[source] MessageError),
    /// A body that goes by reference could not be stored or fetched.
    #[error("a message's body cannot be kept in the store")]
    Body(#[source] StoreError),
    /// A reference that no body of ours can have.
    #[error("no message body lies at {path:?}: {reason}")]
    Reference {
        /// The path that was named.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The folder took no message.
    #[error("the folder {} took no message", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A call to SQS failed as a whole.
    #[error("{queue}: no message was taken")]
    Call {
        /// The queue's URL.
        queue: String,
        /// What the failure asks for.
        class: Class,
        /// Why.
        #[source]
        source: Box<sqs::CallError>,
    },
    /// A received message could not be made to wait.
    #[error("{queue}: a message could not be made to wait")]
    Hold {
        /// The queue's URL.
        queue: String,
        /// Why.
        #[source]
        source: Box<aws_sdk_sqs::Error>,
    },
    /// SQS took some messages and not others, again and again.
    #[error("{queue}: {refused} messages were not taken: {code} ({reason})")]
    Refused {
        /// The queue's URL.
        queue: String,
        /// How many.
        refused: usize,
        /// The first one's code.
        code: String,
        /// The first one's reason.
        reason: String,
        /// Whether the fault lies in the message rather than the queue.
        ours: bool,
    },
}

impl Classify for QueueError {
    fn class(&self) -> Class {
        match self {
            Self::Uri(_) => Class::Denied,
            Self::Closed | Self::Refused { ours: true, .. } => Class::Bug,
            Self::Message(error) => error.class(),
            Self::Body(error) => error.class(),
            Self::Reference { .. } => Class::Invalid,
            Self::Folder { source, .. } => class_of_io(source),
            Self::Call { class, .. } | Self::Undone { class, .. } => *class,
            Self::Refused { .. } | Self::Hold { .. } => Class::Transient,
        }
    }
}

impl Retryable for QueueError {}
