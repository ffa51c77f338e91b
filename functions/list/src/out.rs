//! Where sources put what they find: in batches, to a receiver that may say that it is enough.

use swath_cloud::runs::Entry;
use tokio::sync::mpsc::Sender;

/// Entries that go together.
const BATCH: usize = 1000;

/// Takes what a source finds.
#[derive(Debug)]
pub(crate) struct Out {
    /// Nobody, where things are only counted.
    sender: Option<Sender<Vec<Entry>>>,
    batch: Vec<Entry>,
    left: u64,
    taken: u64,
    bytes: u64,
    /// What was seen, things that are not taken among them.
    pub(crate) listed: u64,
    /// Where to go on the next time.
    pub(crate) cursor: Option<String>,
}

/// What was seen of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Objects or items that it names.
    pub(crate) listed: u64,
    /// Those that were taken.
    pub(crate) taken: u64,
    /// Their bytes, as far as it says.
    pub(crate) bytes: u64,
    /// Where to go on the next time.
    pub(crate) cursor: Option<String>,
}

/// Nobody takes any more: there are as many as asked for, or the listing was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Enough;

impl Out {
    pub(crate) fn new(sender: Sender<Vec<Entry>>, limit: Option<u64>) -> Self {
        Self {
            sender: Some(sender),
            ..Self::counting(limit)
        }
    }

    /// Only counts.
    pub(crate) fn counting(limit: Option<u64>) -> Self {
        Self {
            sender: None,
            batch: Vec::new(),
            left: limit.unwrap_or(u64::MAX),
            taken: 0,
            bytes: 0,
            listed: 0,
            cursor: None,
        }
    }

    /// Says whether entries are not needed, only how many there are.
    pub(crate) fn only_counts(&self) -> bool {
        self.sender.is_none()
    }

    /// Counts an entry of so many bytes.
    pub(crate) fn count(&mut self, size: Option<u64>) -> Result<(), Enough> {
        self.left = self.left.checked_sub(1).ok_or(Enough)?;
        self.taken += 1;
        self.bytes += size.unwrap_or(0);
        Ok(())
    }

    /// Says whether nothing more is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Puts an entry; for tasks.
    pub(crate) async fn put(&mut self, entry: Entry) -> Result<(), Enough> {
        if let Some(batch) = self.add(entry)? {
            let sender = self.sender.as_ref().ok_or(Enough)?;
            sender.send(batch).await.map_err(|_| Enough)?;
        }
        Ok(())
    }

    /// Puts an entry; for threads that may wait.
    pub(crate) fn put_blocking(&mut self, entry: Entry) -> Result<(), Enough> {
        if let Some(batch) = self.add(entry)? {
            let sender = self.sender.as_ref().ok_or(Enough)?;
            sender.blocking_send(batch).map_err(|_| Enough)?;
        }
        Ok(())
    }

    fn add(&mut self, entry: Entry) -> Result<Option<Vec<Entry>>, Enough> {
        self.count(entry.size)?;
        if self.only_counts() {
            return Ok(None);
        }
        self.batch.push(entry);
        let is_full = self.batch.len() >= BATCH;
        Ok(is_full.then(|| std::mem::take(&mut self.batch)))
    }

    /// Sends what is left; returns what was seen, and where to go on.
    pub(crate) async fn finish(mut self) -> Seen {
        let rest = std::mem::take(&mut self.batch);
        if let Some(sender) = &self.sender
            && !rest.is_empty()
        {
            // A receiver that is gone has said so before.
            let _ignored = sender.send(rest).await;
        }
        Seen {
            listed: self.listed,
            taken: self.taken,
            bytes: self.bytes,
            cursor: self.cursor,
        }
    }
}
