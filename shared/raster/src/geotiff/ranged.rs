//! A file of which only some ranges are at hand: reading on says which one is missing.

use std::io::{self, Read, Seek, SeekFrom};

/// Bytes that are fetched first: most headers lie within.
const FIRST_BYTES: u64 = 32 * 1024;
/// Bytes that are fetched where more is wanted.
const MORE_BYTES: u64 = 64 * 1024;
/// Ranges that one file's headers may be scattered over.
const MOST_RANGES: usize = 64;

/// A file of known size, by its ranges.
///
/// Reading where no range is at hand fails with [`io::ErrorKind::WouldBlock`] and [`Ranged::wanted`] tells from where
/// on; whoever can fetch adds the range and reads anew.
#[derive(Debug, Default)]
pub struct Ranged {
    size: u64,
    at: u64,
    ranges: Vec<(u64, Vec<u8>)>,
    wanted: Option<u64>,
}

impl Ranged {
    /// Begins with a file of `size` bytes, none of them at hand.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            ..Self::default()
        }
    }

    /// Adds the bytes from `offset` on.
    pub fn add(&mut self, offset: u64, bytes: Vec<u8>) {
        self.ranges.push((offset, bytes));
        self.wanted = None;
    }

    /// Returns the range to fetch next; none once 64 have been.
    pub fn next_range(&self) -> Option<std::ops::Range<u64>> {
        let (from, length) = match self.wanted {
            Some(from) => (from, MORE_BYTES),
            None => (0, FIRST_BYTES),
        };
        let to = from.saturating_add(length).min(self.size);
        (self.ranges.len() < MOST_RANGES && from < to).then_some(from..to)
    }

    /// Returns how many ranges and bytes have been fetched.
    pub fn fetched(&self) -> (usize, u64) {
        let bytes = self.ranges.iter().map(|(_, bytes)| bytes.len() as u64);
        (self.ranges.len(), bytes.sum())
    }
}

impl Read for Ranged {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.size || buf.is_empty() {
            return Ok(0);
        }
        let found = self.ranges.iter().find_map(|(offset, bytes)| {
            let start = usize::try_from(self.at.checked_sub(*offset)?).ok()?;
            bytes.get(start..).filter(|rest| !rest.is_empty())
        });
        let Some(rest) = found else {
            self.wanted = Some(self.at);
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let length = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Ranged {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
