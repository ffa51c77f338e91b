//! One file under way: in memory while there is room, then in a file that nobody reads.
//!
//! A file is on the disk before it gets its name, so the operating system's cache would only cost: the bytes are written
//! around it where the file system allows that. Small files are proven before anything is written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tempfile::TempPath;

use super::PublishError;
use super::block::{BLOCK_BYTES, Block, Pool};
use super::spill::Spill;

/// A file under way; nothing of it stays unless it is published.
#[derive(Debug)]
pub struct StagedFile {
    folder: PathBuf,
    pool: Arc<Pool>,
    parts: Parts,
}

/// The bytes so far: what a file holds, then what memory holds.
#[derive(Debug, Default)]
struct Parts {
    spill: Option<Spill>,
    /// All full but the last.
    blocks: Vec<Block>,
}

impl StagedFile {
    pub(super) fn new(folder: &Path, pool: &Arc<Pool>) -> Self {
        Self {
            folder: folder.to_owned(),
            pool: Arc::clone(pool),
            parts: Parts::default(),
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let block = match self.parts.blocks.last_mut() {
                Some(block) if !block.is_full() => block,
                _ => self.next_block().await?,
            };
            rest = block.append(rest);
        }
        Ok(())
    }

    /// Makes room for more bytes; what is in memory goes to the file when there is no more of it.
    async fn next_block(&mut self) -> Result<&mut Block, PublishError> {
        let more = self.parts.spill.is_none() || self.parts.blocks.is_empty();
        let block = if let Some(block) = more.then(|| self.pool.take()).flatten() {
            block
        } else {
            if !self.parts.blocks.is_empty() {
                self.work(Parts::spill_full).await?;
            }
            self.pool.take_one()
        };
        self.parts.blocks.push(block);
        let last = self.parts.blocks.len() - 1;
        // It was pushed above.
        self.parts
            .blocks
            .get_mut(last)
            .ok_or_else(|| PublishError::staging(&self.folder, io::ErrorKind::OutOfMemory.into()))
    }

    /// Throws away what was written.
    pub fn restart(&mut self) {
        self.parts = Parts::default();
    }

    /// Lets `look` read what was written, on a thread that may wait.
    ///
    /// # Errors
    /// When the bytes cannot be read.
    pub async fn read<T: Send + 'static>(
        &mut self,
        look: impl FnOnce(&mut Content<'_>) -> T + Send + 'static,
    ) -> Result<T, PublishError> {
        self.work(move |parts, _| parts.content().map(|mut content| look(&mut content)))
            .await
    }

    /// Returns a copy of some bytes; fewer at the end.
    pub(super) async fn copy_of(
        &mut self,
        from: u64,
        length: usize,
    ) -> Result<Bytes, PublishError> {
        let copy = move |content: &mut Content<'_>| {
            content.seek(SeekFrom::Start(from))?;
            let mut bytes = BytesMut::zeroed(length);
            let mut filled = 0;
            while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
                match content.read(room)? {
                    0 => break,
                    read => filled += read,
                }
            }
            bytes.truncate(filled);
            Ok(bytes.freeze())
        };
        let copied = self.read(copy).await?;
        copied.map_err(|source| PublishError::staging(&self.folder, source))
    }

    /// Waits until the bytes are on the disk, then lets go of the handle and hands the name to `then`.
    pub(super) async fn seal<T: Send + 'static>(
        mut self,
        then: impl FnOnce(TempPath) -> T + Send + 'static,
    ) -> Result<T, PublishError> {
        self.work(|parts, folder| {
            parts.spill_all(folder)?;
            match parts.spill.take() {
                Some(spill) => spill.seal().map(then),
                None => Err(io::ErrorKind::NotFound.into()),
            }
        })
        .await
    }

    /// Does what may wait for the disk on a thread that may.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Parts, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, PublishError> {
        let (mut parts, folder) = (std::mem::take(&mut self.parts), self.folder.clone());
        let worked = tokio::task::spawn_blocking(move || {
            let result = work(&mut parts, &folder);
            (parts, result)
        });
        let result = match worked.await {
            Ok((parts, result)) => {
                self.parts = parts;
                result
            }
            Err(gone) => Err(io::Error::other(gone)),
        };
        result.map_err(|source| PublishError::staging(&self.folder, source))
    }
}

impl Parts {
    fn file(&mut self, folder: &Path) -> io::Result<&mut Spill> {
        if self.spill.is_none() {
            self.spill = Some(Spill::create(folder)?);
        }
        self.spill.as_mut().ok_or(io::ErrorKind::NotFound.into())
    }

    /// Writes the full blocks to the file.
    fn spill_full(&mut self, folder: &Path) -> io::Result<()> {
        let full = self.blocks.iter().take_while(|block| block.is_full());
        let full = full.count();
        let mut blocks: Vec<Block> = self.blocks.drain(..full).collect();
        self.file(folder)?.append(&mut blocks)
    }

    /// Writes everything to the file; a last block that is not full stays in memory too, for more may come.
    fn spill_all(&mut self, folder: &Path) -> io::Result<()> {
        let mut blocks = std::mem::take(&mut self.blocks);
        let written = self.file(folder)?.append(&mut blocks);
        self.blocks = blocks
            .into_iter()
            .filter(|block| !block.is_full())
            .collect();
        written
    }

    fn content(&mut self) -> io::Result<Content<'_>> {
        if let Some(spill) = &self.spill {
            let path = spill.path().to_owned();
            let folder = path.parent().unwrap_or(&path).to_owned();
            self.spill_all(&folder)?;
            return File::open(path).map(Content::File);
        }
        let size = self.blocks.iter().map(|block| block.bytes().len() as u64);
        Ok(Content::Held(Held {
            size: size.sum(),
            blocks: &self.blocks,
            position: 0,
        }))
    }
}

/// What was staged, to be read.
#[derive(Debug)]
pub enum Content<'a> {
    /// In memory.
    Held(Held<'a>),
    /// In a file.
    File(File),
}

/// Bytes in memory.
#[derive(Debug)]
pub struct Held<'a> {
    blocks: &'a [Block],
    size: u64,
    position: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Held(held) => Ok(held.read(buf)),
            Self::File(file) => file.read(buf),
        }
    }
}

impl Seek for Content<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let held = match self {
            Self::File(file) => return file.seek(to),
            Self::Held(held) => held,
        };
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => held.size.checked_add_signed(by),
            SeekFrom::Current(by) => held.position.checked_add_signed(by),
        };
        held.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(held.position)
    }
}

impl Held<'_> {
    fn read(&mut self, buf: &mut [u8]) -> usize {
        let block_bytes = BLOCK_BYTES as u64;
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let block = self.blocks.get(place(self.position / block_bytes));
        let bytes = block.map(Block::bytes).unwrap_or_default();
        let from = bytes.get(place(self.position % block_bytes)..);
        let from = from.unwrap_or_default();
        let length = from.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..length), from.get(..length)) {
            to.copy_from_slice(from);
        }
        self.position += length as u64;
        length
    }
}
