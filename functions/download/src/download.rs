//! The use case: one asset, asked for once or many times, ends as one whole file or one reason why not.

use std::time::Duration;

use swath_cloud::item::FoundAsset;
use swath_cloud::publish::PublishError;
use swath_cloud::queue::QueueError;
use swath_cloud::retry::Retryable;
use swath_cloud::store::{StoreError, class_of_io};
use swath_core::message::{Body as MessageBody, DownloadAsset, Message, WriteRows};
use swath_core::naming::AssetName;
use swath_core::row::AssetFile;
use swath_core::{Class, Classify, RunId};

use crate::settle::Asset;
use crate::{AssetFailure, Context, receipt, row};

/// What became of an asset.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// The row that was sent.
    pub row: AssetFile,
    /// What became of it, in a word.
    pub outcome: Outcome,
    /// Bytes that came over the wire, those thrown away included.
    pub bytes_fetched: u64,
    /// Oddities that changed nothing.
    pub warnings: Vec<String>,
}

/// What became of an asset, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Fetched, proven and put in its place.
    Published,
    /// Found in its place without a receipt, and proven.
    Adopted,
    /// Known from before: published, or refused for good.
    Skipped,
    /// It can never succeed.
    Refused,
    /// It did not succeed this time.
    Failed,
}

impl Outcome {
    /// Returns the name used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Adopted => "adopted",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Fetched {
    /// Makes an outcome for which nothing was fetched.
    pub(crate) fn of(outcome: Outcome, row: AssetFile) -> Self {
        Self {
            row,
            outcome,
            bytes_fetched: 0,
            warnings: Vec::new(),
        }
    }
}

/// An outcome that could not be brought about or written down; the message goes back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The asset may come another time, and somebody will ask again.
    #[error("not this time")]
    NotYet(#[source] AssetFailure),
    /// The file cannot be staged, published or looked at.
    #[error("the file cannot be kept")]
    Keep(#[from] PublishError),
    /// The file cannot be read to be proven.
    #[error("{key}: cannot be read to be proven")]
    Check {
        /// The file, below its base.
        key: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The receipt cannot be read or written.
    #[error("the receipt cannot be kept")]
    Receipt(#[from] StoreError),
    /// The row cannot be sent.
    #[error("the outcome cannot be told")]
    Tell(#[from] QueueError),
}

impl Classify for DownloadError {
    fn class(&self) -> Class {
        match self {
            Self::NotYet(failure) => failure.class(),
            Self::Keep(error) => error.class(),
            Self::Check { source, .. } => class_of_io(source),
            Self::Receipt(error) => error.class(),
            Self::Tell(error) => error.class(),
        }
    }
}

impl Retryable for DownloadError {
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotYet(failure) => failure.retry_after(),
            _ => None,
        }
    }
}

/// Brings one asset home, or finds it there, and tells its row to `context.write`.
///
/// All that is the asset's own fault is a row, not an error.
///
/// # Errors
/// When the outcome could not be brought about for reasons of ours, or not be told; and, unless this is the last try,
/// when the asset may come another time.
pub async fn download(
    run_id: &RunId,
    asked: &DownloadAsset,
    context: &Context,
) -> Result<Fetched, DownloadError> {
    let found;
    let asked = match (&context.finder, asked.href.is_empty()) {
        (Some(finder), true) => match finder.find(asked).await {
            Ok(asset) => {
                found = with_found(asked, asset);
                &found
            }
            Err(error) => {
                let failure = AssetFailure::NoHref(error);
                if failure.class() == Class::Transient && !context.last_try {
                    return Err(DownloadError::NotYet(failure));
                }
                return tell(run_id, unfetched(run_id, asked, context, &failure), context).await;
            }
        },
        _ => asked,
    };
    let name = AssetName {
        collection: asked.collection.as_deref(),
        item_id: &asked.item_id,
        asset_name: &asked.asset_name,
        href: &asked.href,
        media_type: asked.media_type.as_deref(),
    };
    match name.key() {
        Ok(key) => download_to(run_id, asked, &key, context).await,
        Err(error) => {
            tell(
                run_id,
                unfetched(run_id, asked, context, &error.into()),
                context,
            )
            .await
        }
    }
}

/// Brings one asset home as [`download`] does, to the place that the caller names, below the base.
///
/// # Errors
/// As [`download`].
pub async fn download_to(
    run_id: &RunId,
    asked: &DownloadAsset,
    key: &str,
    context: &Context,
) -> Result<Fetched, DownloadError> {
    let receipt_path = receipt::path(&context.out, key);
    let _turn = context.flights.enter(&receipt_path).await;
    let asset = Asset {
        run_id,
        asked,
        context,
        key: key.to_owned(),
        receipt_path,
    };
    let fetched = asset.settle().await?;
    tell(run_id, fetched, context).await
}

/// Takes what the item says of its asset today.
pub(crate) fn with_found(asked: &DownloadAsset, found: FoundAsset) -> DownloadAsset {
    DownloadAsset {
        href: found.href,
        alternate_hrefs: found.alternate_hrefs,
        media_type: found.media_type.or_else(|| asked.media_type.clone()),
        size_bytes: found.size_bytes.or(asked.size_bytes),
        checksum: found.checksum.or_else(|| asked.checksum.clone()),
        ..asked.clone()
    }
}

fn unfetched(
    run_id: &RunId,
    asked: &DownloadAsset,
    context: &Context,
    failure: &AssetFailure,
) -> Fetched {
    let mut row = row::empty(run_id, asked, context.clock.now());
    row::note(&mut row, failure);
    let outcome = match failure.class() {
        Class::Invalid => Outcome::Refused,
        _ => Outcome::Failed,
    };
    Fetched::of(outcome, row)
}

/// Sends the outcome's row.
async fn tell(
    run_id: &RunId,
    fetched: Fetched,
    context: &Context,
) -> Result<Fetched, DownloadError> {
    tracing::debug!(
        item.id = fetched.row.item_id,
        asset.key = fetched.row.asset_name,
        outcome = fetched.outcome.as_str(),
        code = fetched.row.error_code.as_deref(),
        bytes = fetched.bytes_fetched,
        "asset settled"
    );
    let rows = WriteRows::AssetFiles(vec![fetched.row.clone()]);
    let message = Message {
        run_id: run_id.clone(),
        body: MessageBody::WriteRows(rows),
    };
    context.write.send(vec![message]).await?;
    Ok(fetched)
}
