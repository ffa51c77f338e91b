//! Where files grow that nobody may read yet.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempPath;
use time::OffsetDateTime;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};

use super::PublishError;
use crate::store::Store;

/// The staging folder's name below a local store; no key of ours begins with a dot.
const LOCAL_FOLDER: &str = ".swath-staging";
/// The staging folder's name below a scratch folder.
const SCRATCH_FOLDER: &str = "swath-staging";
/// How staged files' names begin and end.
const NAME: (&str, &str) = ("asset-", ".part");
const BUFFER_BYTES: usize = 1 << 20;

/// How long a staged file may lie untouched before [`Staging::sweep`] takes it for a crashed run's.
pub const STALE_AFTER: Duration = Duration::from_hours(6);

/// A folder of files under way.
#[derive(Clone, Debug)]
pub struct Staging {
    folder: PathBuf,
}

impl Staging {
    /// Opens the staging folder of a store: inside a local one, so that publishing is a rename; else below `scratch`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub async fn open(out: &Store, scratch: &Path) -> Result<Self, PublishError> {
        let folder = match &out.local_root {
            Some(root) => root.join(LOCAL_FOLDER),
            None => scratch.join(SCRATCH_FOLDER),
        };
        match tokio::fs::create_dir_all(&folder).await {
            Ok(()) => Ok(Self { folder }),
            Err(source) => Err(PublishError::staging(&folder, source)),
        }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes what a crashed run left: staged files, and nothing else, untouched for `stale_after`; returns how many.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn sweep(
        &self,
        now: OffsetDateTime,
        stale_after: Duration,
    ) -> Result<usize, PublishError> {
        let failed = |source| PublishError::staging(&self.folder, source);
        let mut entries = tokio::fs::read_dir(&self.folder).await.map_err(failed)?;
        let mut removed = 0;
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name();
            let ours = name
                .to_str()
                .is_some_and(|name| name.starts_with(NAME.0) && name.ends_with(NAME.1));
            // Another process may be faster: what is gone already is as good as removed.
            let Ok(facts) = entry.metadata().await else {
                continue;
            };
            let touched = facts.modified().map(OffsetDateTime::from);
            let stale = touched.is_ok_and(|touched| now - touched > stale_after);
            if ours
                && stale
                && facts.is_file()
                && tokio::fs::remove_file(entry.path()).await.is_ok()
            {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Makes an empty staged file, removed again unless it is published.
    ///
    /// # Errors
    /// When the folder takes no file.
    pub async fn create(&self) -> Result<StagedFile, PublishError> {
        let folder = self.folder.clone();
        let made = tokio::task::spawn_blocking(move || named(&folder)).await;
        let made = made.unwrap_or_else(|gone| Err(std::io::Error::other(gone)));
        let (file, path) = made
            .map_err(|source| PublishError::staging(&self.folder, source))?
            .into_parts();
        Ok(StagedFile {
            path,
            writer: BufWriter::with_capacity(BUFFER_BYTES, File::from_std(file)),
        })
    }
}

fn named(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(NAME.0).suffix(NAME.1);
    #[cfg(unix)]
    {
        // What is published is for others to read; the umask still has its say.
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// A file under way; its name goes with it unless it is published.
#[derive(Debug)]
pub struct StagedFile {
    path: TempPath,
    writer: BufWriter<File>,
}

impl StagedFile {
    /// Returns where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        let written = self.writer.write_all(bytes).await;
        written.map_err(|source| self.failed(source))
    }

    /// Hands what was written to the operating system, so that readers of the path see it.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub async fn flush(&mut self) -> Result<(), PublishError> {
        let flushed = self.writer.flush().await;
        flushed.map_err(|source| self.failed(source))
    }

    /// Throws away what was written.
    ///
    /// # Errors
    /// When the file cannot be emptied.
    pub async fn restart(&mut self) -> Result<(), PublishError> {
        let emptied = async {
            self.writer.flush().await?;
            self.writer.get_ref().set_len(0).await?;
            self.writer.rewind().await
        };
        let emptied = emptied.await.map(drop);
        emptied.map_err(|source| self.failed(source))
    }

    /// Waits until the bytes are on the disk, then lets go of the handle and keeps the name.
    pub(super) async fn seal(mut self) -> Result<TempPath, PublishError> {
        self.flush().await?;
        match self.writer.get_ref().sync_all().await {
            Ok(()) => Ok(self.path),
            Err(source) => Err(PublishError::staging(&self.path, source)),
        }
    }

    fn failed(&self, source: std::io::Error) -> PublishError {
        PublishError::staging(&self.path, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(folder: &Path) -> Store {
        crate::store::open(folder.to_str().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_staged_file_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(&local(folder.path()), folder.path())
            .await
            .unwrap();
        let mut staged = staging.create().await.unwrap();
        staged.write(b"half").await.unwrap();
        staged.flush().await.unwrap();
        assert_eq!(std::fs::read(staged.path()).unwrap(), b"half");
        drop(staged);
        assert_eq!(std::fs::read_dir(staging.folder()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_restart_forgets_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(&local(folder.path()), folder.path())
            .await
            .unwrap();
        let mut staged = staging.create().await.unwrap();
        staged.write(b"wrong bytes").await.unwrap();
        staged.restart().await.unwrap();
        staged.write(b"right").await.unwrap();
        staged.flush().await.unwrap();
        assert_eq!(std::fs::read(staged.path()).unwrap(), b"right");
    }

    #[tokio::test]
    async fn a_sweep_removes_stale_staged_files_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(&local(folder.path()), folder.path())
            .await
            .unwrap();
        let place = |name: &str| staging.folder().join(name);
        for name in ["asset-old.part", "notes.txt", "asset-x.tif"] {
            std::fs::write(place(name), b"x").unwrap();
        }
        std::fs::create_dir(place("asset-folder.part")).unwrap();
        std::fs::write(folder.path().join("asset-outside.part"), b"x").unwrap();
        let touched = OffsetDateTime::from(
            place("asset-old.part")
                .metadata()
                .unwrap()
                .modified()
                .unwrap(),
        );
        let soon = touched + Duration::from_hours(1);
        assert_eq!(staging.sweep(soon, STALE_AFTER).await.unwrap(), 0);
        let later = touched + Duration::from_hours(7);
        assert_eq!(staging.sweep(later, STALE_AFTER).await.unwrap(), 1);
        assert!(!place("asset-old.part").exists());
        assert!(place("notes.txt").exists() && place("asset-x.tif").exists());
        assert!(
            place("asset-folder.part").exists()
                && folder.path().join("asset-outside.part").exists()
        );
    }
}
