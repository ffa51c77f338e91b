//! Records of rows, kept in memory while they are few and on disk when they are many.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Bytes of a block.
const BLOCK: u64 = 4 << 20;
/// Blocks that stay in memory.
const BLOCKS: usize = 32;

/// Records being collected: a length of four bytes before each. The first blocks stay in memory, the others do not.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    blocks: Vec<Vec<u8>>,
    /// What goes to the file next.
    tail: Vec<u8>,
    file: Option<File>,
    /// Bytes in the file.
    written: u64,
}

/// All records, to be read by any number of threads.
#[derive(Debug)]
pub(super) struct Records {
    blocks: Vec<Vec<u8>>,
    file: Option<File>,
}

/// Where the file begins; places below are in memory, a block for each whole [`STRIDE`].
const FILE: u64 = STRIDE * BLOCKS as u64;
/// Places of a block; more than its bytes, since an item may outgrow it.
const STRIDE: u64 = 1 << 32;

impl Spool {
    /// Makes an empty spool; a file, if one is needed, lies nameless in the folder and vanishes with the process.
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            blocks: Vec::new(),
            tail: Vec::new(),
            file: None,
            written: 0,
        }
    }

    /// Appends records; returns where the first one lies.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<u64> {
        let size = records.len() as u64;
        let count = self.blocks.len();
        if let Some(block) = self.blocks.last_mut()
            && block.len() as u64 + size <= BLOCK
        {
            let at = STRIDE * (count as u64 - 1) + block.len() as u64;
            block.extend_from_slice(records);
            return Ok(at);
        }
        if count < BLOCKS && size <= BLOCK {
            let mut block = Vec::with_capacity(usize::try_from(BLOCK).unwrap_or(0));
            block.extend_from_slice(records);
            self.blocks.push(block);
            return Ok(STRIDE * count as u64);
        }
        if self.tail.len() as u64 + size > BLOCK {
            self.flush()?;
        }
        let at = FILE + self.written + self.tail.len() as u64;
        self.tail.extend_from_slice(records);
        Ok(at)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(&self.folder)?,
        };
        file.write_all(&self.tail)?;
        self.written += self.tail.len() as u64;
        self.tail.clear();
        self.file = Some(file);
        Ok(())
    }

    /// Ends the collecting.
    pub(super) fn finish(mut self) -> io::Result<Records> {
        if !self.tail.is_empty() {
            self.flush()?;
        }
        Ok(Records {
            blocks: self.blocks,
            file: self.file,
        })
    }
}

impl Records {
    /// Returns the record that lies at a place; one of the file is read into the buffer.
    pub(super) fn read<'a>(&'a self, at: u64, into: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        if at < FILE {
            let number = usize::try_from(at / STRIDE).unwrap_or(usize::MAX);
            let begin = usize::try_from(at % STRIDE).unwrap_or(usize::MAX);
            let block = self.blocks.get(number).ok_or_else(short)?;
            let rest = block.get(begin..).unwrap_or_default();
            let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
            let record = rest.get(..u32::from_le_bytes(*length) as usize);
            return record.ok_or_else(short);
        }
        let file = self.file.as_ref().ok_or_else(short)?;
        let at = at - FILE;
        let mut length = [0; 4];
        read_at(file, &mut length, at)?;
        into.resize(u32::from_le_bytes(length) as usize, 0);
        read_at(file, into, at + 4)?;
        Ok(into)
    }
}

fn short() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}

#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, at)
}

#[cfg(windows)]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    let mut read = 0;
    while let Some(rest) = into.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match std::os::windows::fs::FileExt::seek_read(file, rest, at + read as u64)? {
            0 => return Err(short()),
            count => read += count,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_from_memory_and_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path());
        let record = |number: usize| {
            let length = if number % 50 == 7 { 5 << 20 } else { 700_000 };
            let mut bytes = u32::to_le_bytes(length).to_vec();
            bytes.resize(length as usize + 4, u8::try_from(number % 251).unwrap());
            bytes
        };
        let places: Vec<u64> = (0..260)
            .map(|number| spool.append(&record(number)).unwrap())
            .collect();
        assert!(places.iter().any(|at| *at < FILE) && places.iter().any(|at| *at > FILE));
        let records = spool.finish().unwrap();
        let mut buffer = Vec::new();
        for (number, at) in places.into_iter().enumerate().rev() {
            let found = records.read(at, &mut buffer).unwrap();
            assert!(found == &record(number)[4..], "{number}");
        }
        assert!(records.read(FILE - 1, &mut buffer).is_err());
    }
}
