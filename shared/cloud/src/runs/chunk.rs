//! A chunk's entries: one JSON object a line, in a file that is named by its content.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use swath_core::{digest_hex, hex};

use super::{LedgerError, PlannedChunk};
use crate::store::Store;

/// Bytes that a chunk's file has at most; a chunk of large items ends before it has as many as asked for.
const MOST_BYTES: usize = 64 << 20;

/// Something to be taken in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its address; of an item that came by itself, where it came from.
    #[serde(rename = "h")]
    pub href: String,
    /// Its entity tag, where the listing has one.
    #[serde(default, rename = "e", skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Bytes, where the listing says.
    #[serde(default, rename = "s", skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The item itself, byte for byte, when nothing is to be fetched.
    #[serde(default, rename = "i", skip_serializing_if = "Option::is_none")]
    pub item: Option<Box<RawValue>>,
    /// Why there is no item, when what came can never be one.
    #[serde(default, rename = "b", skip_serializing_if = "Option::is_none")]
    pub bad: Option<Bad>,
    /// Since when the object is known to be gone, microseconds since 1970: its items leave the catalog.
    #[serde(default, rename = "g", skip_serializing_if = "Option::is_none")]
    pub gone: Option<i64>,
}

/// A text that is no item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    /// A short stable code.
    pub code: String,
    /// The same for people.
    pub reason: String,
    /// The text, what is no text of it replaced.
    pub text: String,
}

impl Entry {
    /// Names an object that is to be fetched.
    pub fn object(href: String, etag: Option<String>, size: Option<u64>) -> Self {
        Self {
            href,
            etag,
            size,
            item: None,
            bad: None,
            gone: None,
        }
    }

    /// Names an object that is gone since a moment.
    pub fn gone(href: String, since: time::OffsetDateTime) -> Self {
        let micros = since.unix_timestamp_nanos().div_euclid(1000);
        Self {
            gone: Some(i64::try_from(micros).unwrap_or(i64::MAX)),
            ..Self::object(href, None, None)
        }
    }

    /// Says whether it is to be fetched.
    pub fn is_object(&self) -> bool {
        self.item.is_none() && self.bad.is_none() && self.gone.is_none()
    }
}

/// Puts entries into chunks as they come; holds one chunk at a time.
#[derive(Debug)]
pub struct Chunker {
    lake: Store,
    folder: String,
    size: u32,
    text: Vec<u8>,
    entries: u32,
    first: String,
    last: String,
    chunks: Vec<PlannedChunk>,
    /// Chunks that were not there before.
    new: Vec<String>,
    /// The sum of all entries' digests: the same set in another order has the same.
    sum: u128,
    taken: u64,
}

impl Chunker {
    /// Makes chunks of `size` entries.
    pub fn new(lake: Store, size: u32) -> Self {
        Self {
            lake,
            folder: "runs/chunks".to_owned(),
            size: size.max(1),
            text: Vec::new(),
            entries: 0,
            first: String::new(),
            last: String::new(),
            chunks: Vec::new(),
            new: Vec::new(),
            sum: 0,
            taken: 0,
        }
    }

    /// Puts the chunks' files below this folder of the lake.
    #[must_use]
    pub fn below(self, folder: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            ..self
        }
    }

    /// Returns how many entries were added.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// When the lake does not take a chunk that is full.
    pub async fn add(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        let begin = self.text.len();
        let written = serde_json::to_writer(&mut self.text, entry);
        written.map_err(|source| LedgerError::Page {
            path: entry.href.clone(),
            source,
        })?;
        let line = self.text.get(begin..).unwrap_or_default();
        self.sum = self.sum.wrapping_add(super::known::digest(&[line]));
        self.text.push(b'\n');
        if self.entries == 0 || entry.href < self.first {
            self.first.clone_from(&entry.href);
        }
        if self.entries == 0 || entry.href > self.last {
            self.last.clone_from(&entry.href);
        }
        self.entries += 1;
        self.taken += 1;
        if self.entries >= self.size || self.text.len() >= MOST_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), LedgerError> {
        if self.entries == 0 {
            return Ok(());
        }
        let text = Bytes::from(std::mem::take(&mut self.text));
        let at = format!("{}/{}.jsonl", self.folder, digest_hex(&[&text], 16));
        if !super::ledger::exists(&self.lake, &at).await? {
            self.lake.put(&at, text).await?;
            self.new.push(at.clone());
        }
        self.chunks.push(PlannedChunk {
            at,
            entries: std::mem::take(&mut self.entries),
            first: std::mem::take(&mut self.first),
            last: std::mem::take(&mut self.last),
        });
        Ok(())
    }

    /// Ends the last chunk; returns all of them and the digest of what they hold, whatever its order.
    ///
    /// # Errors
    /// When the lake does not take the chunk.
    pub async fn finish(&mut self) -> Result<(Vec<PlannedChunk>, String), LedgerError> {
        self.flush().await?;
        let digest = format!("{}:{}", self.taken, hex(&self.sum.to_be_bytes()));
        Ok((std::mem::take(&mut self.chunks), digest))
    }

    /// Takes back what was written, for a source that turned out to be broken.
    pub async fn abandon(self) {
        for at in self.new {
            // What stays is named by its content and does no harm.
            let _ignored = super::ledger::delete(&self.lake, &at).await;
        }
    }
}

/// Reads a chunk's entries.
///
/// # Errors
/// When it is gone or not what was written.
pub async fn read_chunk(lake: &Store, at: &str) -> Result<Vec<Entry>, LedgerError> {
    let bytes = lake.get(at).await?;
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line).map_err(|source| LedgerError::Page {
                path: at.to_owned(),
                source,
            })
        })
        .collect()
}
