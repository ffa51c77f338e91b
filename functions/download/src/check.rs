//! Proving that a file is the asset: size, checksum, structure, content.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use swath_cloud::digest::{Checksum, Digests};
use swath_cloud::publish::StagedFile;
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

/// A file to be proven.
#[derive(Debug)]
pub(crate) enum Proven<'a> {
    /// In its place.
    There(&'a Path),
    /// On its way.
    Staged(&'a mut StagedFile),
}

/// Checks a file as deep as the job asks, off the async threads.
///
/// # Errors
/// When the file cannot be read.
pub(crate) async fn check(
    file: Proven<'_>,
    asked: &DownloadAsset,
    key: &str,
    digests: &Digests,
) -> Result<Checked, DownloadError> {
    let level = asked.job.validate;
    let verdict = verdict(file, asked, key).await?;
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
    let host_broken = digests.host_broken.as_deref();
    if let Some(said) = host_broken.filter(|_| wrong.is_none() && level > Level::None) {
        wrong = Some(WrongBody::of_checksum(said));
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

async fn verdict(
    file: Proven<'_>,
    asked: &DownloadAsset,
    key: &str,
) -> Result<Verdict, DownloadError> {
    let look = Look {
        key: key.to_owned(),
        size_bytes: asked.size_bytes,
        media_type: asked.media_type.clone(),
        level: asked.job.validate,
    };
    let verdict = match file {
        Proven::Staged(staged) => staged.read(move |content| look.at(content)).await?,
        Proven::There(path) => {
            let path = path.to_owned();
            let looked = tokio::task::spawn_blocking(move || look.at(&mut File::open(path)?));
            looked
                .await
                .unwrap_or_else(|gone| Err(io::Error::other(gone)))
        }
    };
    verdict.map_err(|source| DownloadError::Check {
        key: key.to_owned(),
        source,
    })
}

/// What is looked for in a file.
struct Look {
    key: String,
    size_bytes: Option<u64>,
    media_type: Option<String>,
    level: Level,
}

impl Look {
    fn at<R: Read + Seek>(&self, content: &mut R) -> io::Result<Verdict> {
        let expected = Expected {
            size_bytes: self.size_bytes,
            media_type: self.media_type.as_deref(),
            name: Some(&self.key),
        };
        swath_raster::validate(content, &expected, self.level)
    }
}
