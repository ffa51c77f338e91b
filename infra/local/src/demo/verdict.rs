//! Whether the demo's outcome is what its upstream served: every good asset once and byte for byte, no broken one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::raster::Rasters;

/// What was compared and what came of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Verdict {
    event: &'static str,
    /// Files that lie in their place with the bytes that were served.
    right: u64,
    /// Good assets of which no file was published.
    missing: Vec<String>,
    /// Files whose bytes are not those of a good asset.
    wrong: Vec<PathBuf>,
    /// Files that hold the same asset as another.
    twice: Vec<PathBuf>,
}

impl Verdict {
    /// Returns whether nothing is missing, wrong or twice.
    pub(super) fn holds(&self) -> bool {
        self.missing.is_empty() && self.wrong.is_empty() && self.twice.is_empty()
    }

    /// Returns the verdict in words.
    pub(super) fn words(&self) -> String {
        if self.holds() {
            return format!(
                "checked: {} files are what the server has, byte for byte; no broken one was kept\n",
                self.right
            );
        }
        format!(
            "NOT AS SERVED: missing {:?}, wrong {:?}, twice {:?}\n",
            self.missing, self.wrong, self.twice
        )
    }
}

/// Compares the files below `out` with the assets that were served and wanted.
pub(super) async fn compare(
    out: &Path,
    rasters: &std::sync::Arc<Rasters>,
) -> std::io::Result<Verdict> {
    let (assets, rasters) = (out.join("assets"), std::sync::Arc::clone(rasters));
    let compared = tokio::task::spawn_blocking(move || compare_now(&assets, &rasters)).await;
    compared.map_err(std::io::Error::other)?
}

fn compare_now(assets: &Path, rasters: &Rasters) -> std::io::Result<Verdict> {
    let mut good: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (path, fault, digest) in rasters.all() {
        if fault.is_good() {
            good.insert(digest, Some(path));
        }
    }
    let mut verdict = Verdict {
        event: "verdict",
        ..Verdict::default()
    };
    let mut files = Vec::new();
    collect(assets, &mut files)?;
    for file in files {
        match good.get_mut(&digest_of(&file)?).map(Option::take) {
            Some(Some(_)) => verdict.right += 1,
            Some(None) => verdict.twice.push(file),
            None => verdict.wrong.push(file),
        }
    }
    verdict.missing = good.into_values().flatten().collect();
    Ok(verdict)
}

fn digest_of(file: &Path) -> std::io::Result<String> {
    let digest = Sha256::digest(std::fs::read(file)?);
    Ok(swath_core::hex(&digest))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
