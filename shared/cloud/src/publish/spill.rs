//! The temporary file of a staged file that memory cannot hold, or that is about to be published.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::path::Path;

use tempfile::{NamedTempFile, TempPath};

use super::block::{BLOCK_BYTES, Block};

/// How staged files' names begin and end.
pub(super) const NAME: (&str, &str) = ("asset-", ".part");

/// A temporary file that grows by whole blocks.
#[derive(Debug)]
pub(super) struct Spill {
    file: File,
    path: TempPath,
    /// Bytes of whole blocks.
    bytes: u64,
    /// Whether writes go around the operating system's cache.
    direct: bool,
}

impl Spill {
    /// Makes an empty file in a folder.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let (made, direct) = match named(folder, true) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                (named(folder, false)?, false)
            }
            made => (made?, true),
        };
        let (file, path) = made.into_parts();
        Ok(Self {
            file,
            path,
            bytes: 0,
            direct,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends blocks, all full but the last, which may grow later and be written again.
    pub(super) fn append(&mut self, blocks: &mut [Block]) -> io::Result<()> {
        let taken = blocks.iter().map(|block| block.bytes().len() as u64);
        let end = self.bytes + taken.sum::<u64>();
        let full = blocks.iter().filter(|block| block.is_full()).count() as u64;
        let pieces: Vec<&[u8]> = blocks.iter_mut().map(Block::padded).collect();
        let written = self.bytes + pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.write(&pieces)?;
        self.bytes += full * BLOCK_BYTES as u64;
        if written == end {
            return Ok(());
        }
        self.file.set_len(end)
    }

    /// Waits until the bytes are on the disk.
    pub(super) fn seal(self) -> io::Result<TempPath> {
        self.file.sync_all()?;
        Ok(self.path)
    }

    fn write(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let written = write_at(&mut self.file, pieces, self.bytes);
        match written {
            // Some file systems take the flag and then no such write.
            Err(error) if self.direct && error.kind() == io::ErrorKind::InvalidInput => {
                self.file = OpenOptions::new().write(true).open(&self.path)?;
                self.direct = false;
                write_at(&mut self.file, pieces, self.bytes)
            }
            written => written,
        }
    }
}

/// Writes all pieces in as few calls as the file system takes: each waits for the disk.
fn write_at(file: &mut File, pieces: &[&[u8]], at: u64) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(at))?;
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn named(folder: &Path, direct: bool) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(NAME.0).suffix(NAME.1);
    builder.make_in(folder, |path| options(direct).open(path))
}

/// What is published is for others to read; the umask has its say.
fn options(direct: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(target_os = "linux")]
    if direct {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(libc::O_DIRECT);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = direct;
    options
}
