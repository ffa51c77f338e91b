//! Queues whose messages are done when they are sent: what a chunk's receipt speaks of is then in the catalog.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use swath_cloud::queue::{Queue, QueueError};
use swath_core::message::Message;
use swath_core::{Classify, chain};
use tokio::sync::Mutex;

/// What was committed by this process.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) items: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) files: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) checked: AtomicU64,
}

/// Writes what it is sent.
#[derive(Debug)]
pub(super) struct Writes {
    pub(super) context: swath_write::Context,
    pub(super) tally: Arc<Tally>,
}

/// Commits what it is sent, one batch after the other.
pub(super) struct Commits {
    pub(super) context: swath_commit::Context,
    pub(super) tally: Arc<Tally>,
    pub(super) turn: Mutex<()>,
}

impl fmt::Debug for Commits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Commits")
    }
}

fn undone(error: &impl Classify) -> QueueError {
    QueueError::Undone {
        class: error.class(),
        reason: chain(error),
    }
}

#[async_trait]
impl Queue for Writes {
    async fn send(&self, messages: Vec<Message>) -> Result<(), QueueError> {
        for result in swath_write::write(&messages, &self.context).await {
            let written = result.map_err(|error| undone(&error))?;
            let checked = written.checked as u64;
            self.tally.checked.fetch_add(checked, Ordering::Relaxed);
            let rejected = written.rejected.len() as u64;
            self.tally.rejected.fetch_add(rejected, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[async_trait]
impl Queue for Commits {
    async fn send(&self, messages: Vec<Message>) -> Result<(), QueueError> {
        let _turn = self.turn.lock().await;
        for result in Box::pin(swath_commit::commit(&messages, &self.context)).await {
            let committed = result.map_err(|error| undone(&error))?;
            self.tally
                .rows
                .fetch_add(committed.rows_added, Ordering::Relaxed);
            self.tally
                .files
                .fetch_add(committed.files_added, Ordering::Relaxed);
        }
        Ok(())
    }
}
