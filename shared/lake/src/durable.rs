//! What must be on a local disk before a pointer leads to it.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;

use crate::lake::Lake;

impl Lake {
    /// Has the disk keep these files and their names, if the lake lies in a local folder; stores elsewhere keep what they
    /// have acknowledged. A file that cannot be synchronised is there all the same, unless the power fails.
    pub(crate) async fn make_durable(&self, locations: &[String]) {
        if !self.place.base().starts_with('/') {
            return;
        }
        let files: Vec<PathBuf> = locations.iter().map(PathBuf::from).collect();
        let synced = tokio::task::spawn_blocking(move || {
            let folders: BTreeSet<_> = files.iter().filter_map(|file| file.parent()).collect();
            let files = files.iter().map(PathBuf::as_path);
            for path in files.chain(folders) {
                if let Err(error) = File::open(path).and_then(|file| file.sync_all()) {
                    tracing::debug!(path = %path.display(), %error, "not synchronised");
                }
            }
        });
        if let Err(error) = synced.await {
            tracing::debug!(%error, "files were not synchronised");
        }
    }
}
