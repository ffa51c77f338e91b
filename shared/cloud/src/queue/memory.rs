//! A bounded queue inside one process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use swath_core::message::Message;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout_at};

use super::{Queue, QueueError};

/// Makes a queue that holds `capacity` messages (1 at least) before a sender waits.
pub fn channel(capacity: usize) -> (MemoryQueue, MemoryReceiver) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (
        MemoryQueue(sender),
        MemoryReceiver(Arc::new(Mutex::new(receiver))),
    )
}

/// The sending end; the queue closes when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct MemoryQueue(mpsc::Sender<Message>);

/// The receiving end; clones share the work.
#[derive(Clone, Debug)]
pub struct MemoryReceiver(Arc<Mutex<mpsc::Receiver<Message>>>);

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(&self, messages: Vec<Message>) -> Result<(), QueueError> {
        for message in messages {
            self.0.send(message).await.map_err(|_| QueueError::Closed)?;
        }
        Ok(())
    }
}

impl MemoryReceiver {
    /// Receives the next message; `None` when the queue is closed and empty.
    pub async fn recv(&self) -> Option<Message> {
        self.0.lock().await.recv().await
    }

    /// Waits for a message, then gathers more until there are `max_messages`, the window has passed or the queue is closed;
    /// empty when the queue is closed and empty. A call that is dropped half-way loses what it gathered.
    pub async fn recv_batch(&self, max_messages: usize, window: Duration) -> Vec<Message> {
        let mut receiver = self.0.lock().await;
        let mut batch: Vec<_> = receiver.recv().await.into_iter().collect();
        let end = Instant::now() + window;
        while !batch.is_empty() && batch.len() < max_messages {
            match timeout_at(end, receiver.recv()).await {
                Ok(Some(message)) => batch.push(message),
                Ok(None) | Err(_) => break,
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_core::message::{Body, FilesWritten};
    use swath_core::{RunId, TableName};

    fn message(n: usize) -> Message {
        Message {
            run_id: RunId::new(n.to_string()),
            body: Body::FilesWritten(FilesWritten {
                table: TableName::AssetRows,
                files: Vec::new(),
            }),
        }
    }

    #[tokio::test]
    async fn a_sender_waits_while_the_queue_is_full() {
        let (queue, receiver) = channel(2);
        let sender = tokio::spawn(async move { queue.send((0..5).map(message).collect()).await });
        let full = tokio::time::timeout(Duration::from_millis(50), async {
            while !sender.is_finished() {
                tokio::task::yield_now().await;
            }
        });
        assert!(full.await.is_err(), "five messages fit into two places");
        for n in 0..5 {
            assert_eq!(receiver.recv().await.unwrap().run_id, message(n).run_id);
        }
        sender.await.unwrap().unwrap();
        assert!(receiver.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_batch_ends_when_it_is_full_or_the_window_has_passed() {
        let (queue, receiver) = channel(10);
        queue.send((0..5).map(message).collect()).await.unwrap();
        let window = Duration::from_millis(20);
        assert_eq!(receiver.recv_batch(3, window).await.len(), 3);
        assert_eq!(receiver.recv_batch(3, window).await.len(), 2);
    }

    #[tokio::test]
    async fn a_closed_queue_hands_out_what_it_holds_without_waiting() {
        let (queue, receiver) = channel(10);
        queue.send(vec![message(0)]).await.unwrap();
        drop(queue);
        let hour = Duration::from_hours(1);
        assert_eq!(receiver.recv_batch(3, hour).await.len(), 1);
        assert!(receiver.recv_batch(3, hour).await.is_empty());
    }

    #[tokio::test]
    async fn sending_to_nobody_is_an_error() {
        let (queue, receiver) = channel(1);
        drop(receiver);
        let error = queue.send(vec![message(0)]).await.unwrap_err();
        assert!(matches!(error, QueueError::Closed));
    }
}
