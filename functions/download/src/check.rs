//! Proving that a file is the asset: size, checksum, structure, content.

use std::fs::File;
use std::path::{Path, PathBuf};

use swath_cloud::digest::{Checksum, Digests};
use swath_core::Level;
use swath_core::message::DownloadAsset;
use swath_raster::{Code, Expected, Verdict};

use crate::{DownloadError, WrongBody};

/// What was found out about a file.
#[derive(Debug)]
pub(crate) struct Checked {
    /// `good`, or the code of what else.
    pub(crate) code: &'static str,
    /// What is wrong with it, if anything.
    pub(crate) wrong: Option<WrongBody>,
    /// Oddities that change nothing.
    pub(crate) warnings: Vec<String>,
}

/// Checks the file at `path` as deep as the job asks, off the async threads.
///
/// # Errors
/// When the file cannot be read.
pub(crate) async fn check(
    path: &Path,
    asked: &DownloadAsset,
    key: &str,
    digests: &Digests,
) -> Result<Checked, DownloadError> {
    let level = asked.job.validate;
    let verdict = verdict(path, asked, key).await?;
    let mut warnings = verdict.warnings.clone();
    let mut wrong = WrongBody::of_verdict(&verdict);
    if let Some(promise) = asked.checksum.as_deref().filter(|_| level > Level::None) {
        match (Checksum::parse(promise), digests.promise_kept) {
            (Some(promise), Some(false)) if wrong.is_none() => {
                wrong = Some(WrongBody::of_checksum(&promise.shown()));
            }
            (Some(_), Some(_)) => {}
            _ => warnings.push("checksum_unverified".to_owned()),
        }
    }
    let code = match (&wrong, verdict.code) {
        (Some(wrong), _) => wrong.code,
        (None, Code::Ok) => "good",
        (None, code) => code.as_str(),
    };
    Ok(Checked {
        code,
        wrong,
        warnings,
    })
}

async fn verdict(path: &Path, asked: &DownloadAsset, key: &str) -> Result<Verdict, DownloadError> {
    let (file, key) = (path.to_owned(), key.to_owned());
    let (size_bytes, media_type) = (asked.size_bytes, asked.media_type.clone());
    let level = asked.job.validate;
    let checked = tokio::task::spawn_blocking(move || {
        let expected = Expected {
            size_bytes,
            media_type: media_type.as_deref(),
            name: Some(&key),
        };
        swath_raster::validate(&mut File::open(file)?, &expected, level)
    });
    let failed = |path: PathBuf, source| DownloadError::Check { path, source };
    match checked.await {
        Ok(verdict) => verdict.map_err(|source| failed(path.to_owned(), source)),
        Err(gone) => Err(failed(path.to_owned(), std::io::Error::other(gone))),
    }
}
