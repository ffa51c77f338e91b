//! The temporary file of a staged file that memory cannot hold, or that is about to be published.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use tempfile::{NamedTempFile, TempPath};

use super::block::Block;

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

    /// Appends a full block.
    pub(super) fn append(&mut self, block: &mut Block) -> io::Result<()> {
        self.write(block)?;
        self.bytes += block.bytes().len() as u64;
        Ok(())
    }

    /// Makes the file end with a block, which may grow later and be written again.
    pub(super) fn end_with(&mut self, block: &mut Block) -> io::Result<()> {
        self.write(block)?;
        self.file.set_len(self.bytes + block.bytes().len() as u64)
    }

    /// Makes the file end after its whole blocks.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.file.set_len(self.bytes)
    }

    /// Waits until the bytes are on the disk.
    pub(super) fn seal(self) -> io::Result<TempPath> {
        self.file.sync_all()?;
        Ok(self.path)
    }

    fn write(&mut self, block: &mut Block) -> io::Result<()> {
        let written = write_at(&mut self.file, block.padded(), self.bytes);
        match written {
            // Some file systems take the flag and then no such write.
            Err(error) if self.direct && error.kind() == io::ErrorKind::InvalidInput => {
                self.file = OpenOptions::new().write(true).open(&self.path)?;
                self.direct = false;
                write_at(&mut self.file, block.padded(), self.bytes)
            }
            written => written,
        }
    }
}

fn write_at(file: &mut File, bytes: &[u8], at: u64) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.seek(io::SeekFrom::Start(at))?;
    file.write_all(bytes)
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
