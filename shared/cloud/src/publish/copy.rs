//! Files that go from bucket to bucket: their bytes come here once, to be proven, and do not go up again.
//!
//! What is copied is the state of the object that was proven, by its entity tag. It is copied as the part of an upload,
//! which becomes an object only when the store's own SHA-256 of it, where it says one, is that of the proven bytes, and
//! only where no object lies by then.

use std::ops::Range;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, RequestPayer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt as _, TryStreamExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::OnceCell;
use url::Url;

use super::{Facts, PublishError, Published, adopt};
use crate::digest::hex;
use crate::sign::s3::{load, named};
use crate::store::Store;

/// Bytes that S3 copies in one request at most.
const LARGEST_PART: u64 = 5 << 30;
/// Parts of one object that are copied at a time.
const PARTS_AT_ONCE: usize = 4;
/// What stays as it is in the header that names the source.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// An object whose bytes were read and proven.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its `s3://` address.
    pub href: &'a Url,
    /// The entity tag that its bytes came with.
    pub etag: &'a str,
    /// Whether we agreed to pay for reading it.
    pub pays: bool,
}

/// Has S3 copy objects, with the credentials of the environment.
#[derive(Clone, Debug)]
pub struct Copier {
    client: Arc<OnceCell<Client>>,
    largest_part: u64,
}

impl Default for Copier {
    fn default() -> Self {
        Self {
            client: Arc::default(),
            largest_part: LARGEST_PART,
        }
    }
}

/// Why the store did not copy; the bytes that are here go up instead.
#[derive(Debug, thiserror::Error)]
enum NotCopied {
    /// It refused or failed.
    #[error("{step}: {reason}")]
    Refused { step: &'static str, reason: String },
    /// What it copied is something else.
    #[error("what was copied has the SHA-256 {found}")]
    Other { found: String },
}

impl NotCopied {
    fn at<E>(step: &'static str) -> impl Fn(SdkError<E>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        move |error| {
            let code = error.code().map(str::to_owned);
            let reason = code.unwrap_or_else(|| swath_core::chain(&error));
            Self::Refused { step, reason }
        }
    }

    fn without(step: &'static str, what: &str) -> Self {
        let reason = format!("the answer has no {what}");
        Self::Refused { step, reason }
    }
}

impl Copier {
    /// Copies the object to `key`, unless one lies there; nothing when the store does not copy it.
    ///
    /// # Errors
    /// [`PublishError::Occupied`] when other bytes lie there; otherwise when what lies there cannot be looked at.
    pub async fn copy(
        &self,
        source: Source<'_>,
        (out, key): (&Store, &str),
        facts: &Facts,
    ) -> Result<Option<Published>, PublishError> {
        let (Some(bucket), Ok((from, object))) = (out.bucket(), named(source.href)) else {
            return Ok(None);
        };
        if facts.size_bytes == 0 {
            return Ok(None);
        }
        let copy = Copy {
            client: self.client.get_or_init(client).await,
            from: utf8_percent_encode(&format!("{from}/{object}"), PLAIN).to_string(),
            source,
            bucket,
            key: out.path(key).to_string(),
            facts,
            largest_part: self.largest_part,
        };
        match copy.run().await {
            Ok(Some(etag)) => Ok(Some(Published {
                adopted: false,
                etag,
            })),
            // Perhaps our own, of a call whose answer was lost.
            Ok(None) => adopt(out, key, facts).await.map(Some),
            Err(error) => {
                tracing::info!(
                    from = %swath_core::redact_url(source.href),
                    to = out.uri_of(key),
                    error = %error,
                    "the store does not copy it; the bytes go up instead"
                );
                Ok(None)
            }
        }
    }
}

async fn client() -> Client {
    let shared = load().await;
    let mut config = aws_sdk_s3::config::Builder::from(&shared);
    // Emulators and private stores answer at one host for all buckets.
    if shared.endpoint_url().is_some() {
        config = config.force_path_style(true);
    }
    Client::from_conf(config.build())
}

/// One copy under way.
struct Copy<'a> {
    client: &'a Client,
    from: String,
    source: Source<'a>,
    bucket: &'a str,
    key: String,
    facts: &'a Facts,
    largest_part: u64,
}

impl Copy<'_> {
    /// Copies; returns the new object's entity tag, or nothing where an object lies.
    async fn run(&self) -> Result<Option<Option<String>>, NotCopied> {
        const STEP: &str = "upload begun";
        let asked = self.client.create_multipart_upload();
        let asked = asked.bucket(self.bucket).key(&self.key);
        let asked = asked.checksum_algorithm(ChecksumAlgorithm::Sha256);
        let begun = asked.send().await.map_err(NotCopied::at(STEP))?;
        let upload = begun.upload_id();
        let upload = upload.ok_or_else(|| NotCopied::without(STEP, "upload id"))?;
        let ended = async { self.complete(upload, self.parts(upload).await?).await };
        let ended = ended.await;
        if !matches!(ended, Ok(Some(_))) {
            self.abort(upload).await;
        }
        ended
    }

    async fn parts(&self, upload: &str) -> Result<Vec<CompletedPart>, NotCopied> {
        let ranges = ranges(self.facts.size_bytes, self.largest_part);
        let whole = ranges.len() == 1;
        let parts = ranges.into_iter().zip(1..);
        let parts = parts.map(|(range, number)| self.part(upload, number, range, whole));
        let parts = futures::stream::iter(parts).buffered(PARTS_AT_ONCE);
        parts.try_collect().await
    }

    async fn part(
        &self,
        upload: &str,
        number: i32,
        range: Range<u64>,
        whole: bool,
    ) -> Result<CompletedPart, NotCopied> {
        const STEP: &str = "part copied";
        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
        let asked = self.client.upload_part_copy();
        let asked = asked.bucket(self.bucket).key(&self.key).upload_id(upload);
        let asked = asked.part_number(number).copy_source(&self.from);
        let asked = asked.copy_source_if_match(self.source.etag);
        let asked = asked.set_copy_source_range((!whole).then_some(bytes));
        let asked = asked.set_request_payer(self.source.pays.then_some(RequestPayer::Requester));
        let copied = asked.send().await.map_err(NotCopied::at(STEP))?;
        let copied = copied.copy_part_result();
        let copied = copied.ok_or_else(|| NotCopied::without(STEP, "result"))?;
        let sha256 = copied.checksum_sha256();
        if let Some(said) = sha256.filter(|_| whole) {
            let found = STANDARD.decode(said).map(|bytes| hex(&bytes));
            let found = found.unwrap_or_else(|_| said.to_owned());
            if found != self.facts.sha256 {
                return Err(NotCopied::Other { found });
            }
        }
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(copied.e_tag().map(str::to_owned))
            .set_checksum_sha256(sha256.map(str::to_owned))
            .build())
    }

    async fn complete(
        &self,
        upload: &str,
        parts: Vec<CompletedPart>,
    ) -> Result<Option<Option<String>>, NotCopied> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let asked = self.client.complete_multipart_upload();
        let asked = asked.bucket(self.bucket).key(&self.key).upload_id(upload);
        let asked = asked.multipart_upload(parts.build()).if_none_match("*");
        match asked.send().await {
            Ok(done) => Ok(Some(done.e_tag().map(str::to_owned))),
            Err(error) if error.raw_response().map(|raw| raw.status().as_u16()) == Some(412) => {
                Ok(None)
            }
            Err(error) => Err(NotCopied::at("upload completed")(error)),
        }
    }

    /// Throws the parts away; what stays behind after this fails too is the bucket's lifecycle rule to clear.
    async fn abort(&self, upload: &str) {
        let asked = self.client.abort_multipart_upload();
        let asked = asked.bucket(self.bucket).key(&self.key).upload_id(upload);
        if let Err(error) = asked.send().await {
            let (bucket, key) = (self.bucket, &self.key);
            let error = swath_core::chain(&error);
            tracing::warn!(bucket, key, error, "a copy's parts were left behind");
        }
    }
}

/// Divides so many bytes into parts that are copied in one request each.
fn ranges(size_bytes: u64, largest: u64) -> Vec<Range<u64>> {
    let count = size_bytes.div_ceil(largest);
    let each = size_bytes.div_ceil(count.max(1));
    (0..count)
        .map(|number| number * each..size_bytes.min((number + 1) * each))
        .collect()
}

#[cfg(test)]
mod tests;
