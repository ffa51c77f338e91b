//! Sorting with bounded memory: sorted runs on disk, merged as they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{
    BufRead as _, BufReader, BufWriter, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _,
};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Entry, KeysError};

/// Runs that are merged at a time; more are first merged into one.
const MOST_RUNS: usize = 64;
/// Bytes that are written, or read of one run, at a time.
const BLOCK: usize = 256 << 10;
/// Bytes that are read of all runs at a time.
const SHARED: usize = 4 << 20;

/// Something that is sorted by its key first, and then by all that it is.
pub trait Keyed: Ord + Serialize + DeserializeOwned {
    /// Says whether two have one key, of which the greater one counts alone.
    fn is_same(&self, other: &Self) -> bool;

    /// Returns the bytes of memory that it takes, more or less.
    fn weight(&self) -> usize;

    /// Writes it as it is kept aside.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    fn write(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(out, self)
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// When it is something else.
    fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// Takes entries in any order.
#[derive(Debug)]
pub struct Sorter<T = Entry> {
    held: Vec<T>,
    bytes: usize,
    limit: usize,
    runs: Vec<File>,
}

impl<T: Keyed> Sorter<T> {
    /// Keeps `limit_bytes` of entries in memory, more or less; what is more goes to temporary files.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            held: Vec::new(),
            bytes: 0,
            limit: limit_bytes.max(1),
            runs: Vec::new(),
        }
    }

    /// Takes one entry.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn push(&mut self, entry: T) -> Result<(), KeysError> {
        self.bytes += entry.weight();
        self.held.push(entry);
        if self.bytes >= self.limit {
            self.spill()?;
        }
        Ok(())
    }

    /// Returns the entries in the order of their keys' bytes; of those of one key the last modified one alone.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn finish(mut self) -> Result<Sorted<T>, KeysError> {
        let mut held = std::mem::take(&mut self.held);
        held.sort_unstable();
        Sorted::new(self.runs, held)
    }

    fn spill(&mut self) -> Result<(), KeysError> {
        let mut held = std::mem::take(&mut self.held);
        held.sort_unstable();
        self.bytes = 0;
        self.runs.push(run_of(held.into_iter().map(Ok))?);
        if self.runs.len() >= MOST_RUNS {
            let merged = Sorted::<T>::new(std::mem::take(&mut self.runs), Vec::new())?;
            self.runs.push(run_of(merged)?);
        }
        Ok(())
    }
}

/// Writes sorted entries to a file that vanishes with its handle.
fn run_of<T: Keyed>(
    entries: impl Iterator<Item = Result<T, KeysError>>,
) -> Result<File, KeysError> {
    let file = tempfile::tempfile().map_err(KeysError::Spool)?;
    let mut out = BufWriter::with_capacity(BLOCK, file);
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.clear();
        entry?.write(&mut bytes).map_err(KeysError::Broken)?;
        let length = (bytes.len() as u64).to_le_bytes();
        out.write_all(&length).map_err(KeysError::Spool)?;
        out.write_all(&bytes).map_err(KeysError::Spool)?;
    }
    let mut file = out
        .into_inner()
        .map_err(|error| KeysError::Spool(error.into_error()))?;
    file.seek(SeekFrom::Start(0)).map_err(KeysError::Spool)?;
    Ok(file)
}

/// A sorted run.
#[derive(Debug)]
enum Run<T> {
    Disk(BufReader<File>, Vec<u8>),
    Memory(std::vec::IntoIter<T>),
}

impl<T: Keyed> Run<T> {
    fn next(&mut self) -> Result<Option<T>, KeysError> {
        match self {
            Self::Memory(entries) => Ok(entries.next()),
            Self::Disk(file, bytes) => {
                if file.fill_buf().map_err(KeysError::Spool)?.is_empty() {
                    return Ok(None);
                }
                let mut length = [0; 8];
                file.read_exact(&mut length).map_err(KeysError::Spool)?;
                bytes.clear();
                let length = u64::from_le_bytes(length);
                let whole = file.take(length).read_to_end(bytes);
                if whole.map_err(KeysError::Spool)? as u64 != length {
                    return Err(KeysError::Spool(ErrorKind::UnexpectedEof.into()));
                }
                T::read(bytes).map(Some).map_err(KeysError::Broken)
            }
        }
    }
}

/// Entries in the order of their keys' bytes, each key once.
#[derive(Debug)]
pub struct Sorted<T: Ord = Entry> {
    runs: Vec<Run<T>>,
    /// The next entry of each run, the least on top.
    heads: BinaryHeap<Reverse<(T, usize)>>,
    ended: bool,
}

impl<T: Keyed> Sorted<T> {
    fn new(runs: Vec<File>, held: Vec<T>) -> Result<Self, KeysError> {
        let block = (SHARED / runs.len().max(1)).min(BLOCK);
        let disk = |run| Run::Disk(BufReader::with_capacity(block, run), Vec::new());
        let mut runs: Vec<Run<T>> = runs.into_iter().map(disk).collect();
        runs.push(Run::Memory(held.into_iter()));
        let mut heads = BinaryHeap::new();
        for (place, run) in runs.iter_mut().enumerate() {
            if let Some(entry) = run.next()? {
                heads.push(Reverse((entry, place)));
            }
        }
        Ok(Self {
            runs,
            heads,
            ended: false,
        })
    }

    fn pop(&mut self) -> Result<Option<T>, KeysError> {
        let Some(mut top) = self.heads.peek_mut() else {
            return Ok(None);
        };
        let place = top.0.1;
        let following = match self.runs.get_mut(place) {
            Some(run) => run.next()?,
            None => None,
        };
        Ok(Some(match following {
            Some(entry) => std::mem::replace(&mut top.0.0, entry),
            None => PeekMut::pop(top).0.0,
        }))
    }

    fn next_key(&mut self) -> Result<Option<T>, KeysError> {
        let Some(mut entry) = self.pop()? else {
            return Ok(None);
        };
        // Of one key the greatest comes last: the last modified one.
        while self.heads.peek().is_some_and(|top| top.0.0.is_same(&entry)) {
            entry = self.pop()?.unwrap_or(entry);
        }
        Ok(Some(entry))
    }
}

impl<T: Keyed> Iterator for Sorted<T> {
    type Item = Result<T, KeysError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_key().transpose();
        // A list that broke off has no end that could be told from its real one.
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}
