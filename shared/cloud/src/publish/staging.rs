//! Where files grow that nobody may read yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::PublishError;
use super::block::Pool;
use super::spill::NAME;
use super::staged::StagedFile;
use crate::store::Store;

/// The staging folder's name below a local store; no key of ours begins with a dot.
const LOCAL_FOLDER: &str = ".swath-staging";
/// The staging folder's name below a scratch folder.
const SCRATCH_FOLDER: &str = "swath-staging";

/// How long a staged file may lie untouched before [`Staging::sweep`] takes it for a crashed run's.
pub const STALE_AFTER: Duration = Duration::from_hours(6);

/// A folder of files under way, and the memory that they share before they need it.
#[derive(Clone, Debug)]
pub struct Staging {
    folder: PathBuf,
    pool: Arc<Pool>,
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
            Ok(()) => Ok(Self {
                folder,
                pool: Arc::default(),
            }),
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

    /// Makes an empty staged file; nothing of it stays unless it is published.
    pub fn create(&self) -> StagedFile {
        StagedFile::new(&self.folder, &self.pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(folder: &Path) -> Store {
        crate::store::open(folder.to_str().unwrap()).unwrap()
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
