//! One file on its way: attempts, resumption, and what is known of the bytes so far.

mod parts;

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};
use swath_core::{Signing, redact_url};
use tokio::io::AsyncReadExt as _;
use url::Url;

use super::headers::{self, ContentRange, Validator};
use super::{FetchError, Fetcher, Signed, said};
use crate::digest::{Checksum, Digests, Hashing};
use crate::publish::StagedFile;
use crate::retry::Retryable;

pub(super) use parts::FILES_AT_ONCE;
pub use parts::Parts;

/// Bytes read from a local source at once.
const READ_BYTES: usize = 256 << 10;

/// A file that arrived whole, as far as its host can tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Its size.
    pub size_bytes: u64,
    /// Its digests.
    pub digests: Digests,
    /// The host's entity tag.
    pub etag: Option<String>,
    /// Mean rate of the attempt that brought the last byte; absent when it took no measurable time.
    pub bytes_per_s: Option<f64>,
}

/// One file on its way; [`Transfer::run`] may be called again when the bytes turn out to be wrong.
#[derive(Debug)]
pub struct Transfer<'a> {
    fetcher: &'a Fetcher,
    href: Url,
    signing: Signing,
    /// Bytes that were there when a signature was last renewed: once more at the same place would be in vain.
    renewed_at: Option<u64>,
    hashing: Hashing,
    received: u64,
    total: Option<u64>,
    validator: Option<Validator>,
    etag: Option<String>,
    waited: Duration,
    attempts: u32,
    bytes_fetched: u64,
    last_status: Option<u16>,
    /// Whether the rest is to come over one connection, since parts beside one another did not come.
    alone: bool,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(
        fetcher: &'a Fetcher,
        (href, signing): (Url, Signing),
        promised: Option<Checksum>,
    ) -> Self {
        Self {
            fetcher,
            href,
            signing,
            renewed_at: None,
            hashing: Hashing::new(promised),
            received: 0,
            total: None,
            validator: None,
            etag: None,
            waited: Duration::ZERO,
            attempts: 0,
            bytes_fetched: 0,
            last_status: None,
            alone: false,
        }
    }

    /// Returns the attempts made so far.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the bytes that came over the wire so far, those thrown away included.
    pub fn bytes_fetched(&self) -> u64 {
        self.bytes_fetched
    }

    /// Returns the last answer's status.
    pub fn last_status(&self) -> Option<u16> {
        self.last_status
    }

    /// Brings the file into `staged`, trying again while it helps; a second run starts from the first byte.
    ///
    /// # Errors
    /// The last attempt's failure.
    pub async fn run(&mut self, staged: &mut StagedFile) -> Result<Body, FetchError> {
        self.restart(staged);
        loop {
            let error = match self.attempt(staged).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            if !self.wait(&error).await {
                return Err(error);
            }
        }
    }

    /// Waits before another attempt after `error`; says no, at once, when there is to be none.
    pub async fn wait<E: Retryable>(&mut self, error: &E) -> bool {
        let policy = &self.fetcher.policy.retry;
        let Some(wait) = policy.wait_after(self.attempts, self.waited, error) else {
            return false;
        };
        tracing::debug!(
            attempt = self.attempts,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            error = %swath_core::chain(error),
            "fetching again"
        );
        self.waited += wait;
        self.fetcher.clock.sleep(wait).await;
        true
    }

    async fn attempt(&mut self, staged: &mut StagedFile) -> Result<Body, FetchError> {
        self.attempts += 1;
        let by = self.fetcher.signers.get(self.signing, &self.href)?;
        let mut signed = by.sign(&self.href).await?;
        let started = Instant::now();
        let had = self.received;
        while let Err(error) = self.bring(&signed, staged).await {
            let expired = matches!(error, FetchError::Forbidden { .. })
                && self.renewed_at != Some(self.received);
            if !expired || !by.renew(&self.href, &signed).await {
                return Err(error);
            }
            self.renewed_at = Some(self.received);
            signed = by.sign(&self.href).await?;
        }
        Ok(Body {
            size_bytes: self.received,
            digests: self.hashing.digests(),
            etag: self.etag.clone(),
            bytes_per_s: rate(self.received.saturating_sub(had), started.elapsed()),
        })
    }

    async fn bring(&mut self, signed: &Signed, staged: &mut StagedFile) -> Result<(), FetchError> {
        if signed.url.scheme() == "file" {
            super::guard::check(&self.fetcher.policy, &signed.url)?;
            return self.copy(&signed.url, staged).await;
        }
        self.download(signed, staged).await
    }

    async fn download(
        &mut self,
        signed: &Signed,
        staged: &mut StagedFile,
    ) -> Result<(), FetchError> {
        if self.validator.is_none() {
            self.restart(staged);
        }
        let response = self.fetcher.ask(signed, self.asked_range()).await?;
        let shown = redact_url(response.url());
        let status = response.status().as_u16();
        self.last_status = Some(status);
        match status {
            200 | 203 => {
                self.restart(staged);
                self.total = headers::length(response.headers());
                self.hashing.expect(said::checksums(response.headers()));
            }
            206 => self.check_range(&response, &shown, staged)?,
            416 if self.received > 0 => {
                return self.is_all_there(&response, &shown, staged);
            }
            _ => {
                let now = self.fetcher.clock.now();
                let retry_after = headers::retry_after(response.headers(), now);
                return Err(FetchError::from_status(shown, status, retry_after));
            }
        }
        self.check_size(&shown, self.total.unwrap_or(self.received))?;
        // A partial answer may leave out what the first one said.
        self.validator = Validator::of(response.headers()).or(self.validator.take());
        self.etag = headers::etag(response.headers()).or(self.etag.take());
        match self.may_part(&response) {
            Some(_permit) => {
                let parts = self.stream_parts((response, signed), &shown, staged);
                Box::pin(parts).await
            }
            None => self.stream(response, &shown, staged).await,
        }
    }

    /// Asks for the rest of a file that broke off, if it is still the same file.
    fn asked_range(&self) -> HeaderMap {
        let mut asked = HeaderMap::new();
        let validator = self.validator.as_ref();
        let state = validator.and_then(|validator| HeaderValue::from_str(&validator.0).ok());
        let range = HeaderValue::from_str(&format!("bytes={}-", self.received));
        if let (true, Some(state), Ok(range)) = (self.received > 0, state, range) {
            asked.insert(RANGE, range);
            asked.insert(IF_RANGE, state);
        }
        asked
    }

    fn check_range(
        &mut self,
        response: &reqwest::Response,
        shown: &str,
        staged: &mut StagedFile,
    ) -> Result<(), FetchError> {
        let range = ContentRange::of(response.headers());
        let (span, total) = range.map_or((None, None), |range| (range.span, range.total));
        let begins = span.is_some_and(|(first, _)| first == self.received && first > 0);
        let same_total = self.total.is_none() || total.is_none() || self.total == total;
        let reaches_end = span
            .zip(total)
            .is_none_or(|((_, last), total)| last + 1 == total);
        let same_state = Validator::of(response.headers())
            .is_none_or(|state| self.validator.as_ref() == Some(&state));
        if begins && same_total && reaches_end && same_state {
            self.total = self.total.or(total);
            return Ok(());
        }
        Err(self.wrong_range(response, shown, staged))
    }

    /// Takes the refusal of a range as the end of the file only when the server says that we have it all.
    fn is_all_there(
        &mut self,
        response: &reqwest::Response,
        shown: &str,
        staged: &mut StagedFile,
    ) -> Result<(), FetchError> {
        let total = ContentRange::of(response.headers()).and_then(|range| range.total);
        if total == Some(self.received) {
            return Ok(());
        }
        Err(self.wrong_range(response, shown, staged))
    }

    /// Names the answer's range, and forgets what came before: it may be of another file.
    fn wrong_range(
        &mut self,
        response: &reqwest::Response,
        shown: &str,
        staged: &mut StagedFile,
    ) -> FetchError {
        let got = headers::text(response.headers(), &reqwest::header::CONTENT_RANGE);
        let error = FetchError::WrongRange {
            url: shown.to_owned(),
            offset: self.received,
            got: got.unwrap_or_default().to_owned(),
        };
        self.restart(staged);
        error
    }

    async fn stream(
        &mut self,
        mut response: reqwest::Response,
        shown: &str,
        staged: &mut StagedFile,
    ) -> Result<(), FetchError> {
        let mut pace = Pace::new(self.fetcher);
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    pace.check(bytes.len(), shown)?;
                    self.take(bytes, shown, staged).await?;
                }
                Ok(None) => break,
                Err(error) => return Err(self.broken_off(&response, error, shown)),
            }
        }
        self.whole(shown)
    }

    /// Says whether all bytes came that were promised.
    fn whole(&self, shown: &str) -> Result<(), FetchError> {
        match self.total {
            Some(expected) if expected != self.received => Err(FetchError::CutShort {
                url: shown.to_owned(),
                received: self.received,
                expected,
            }),
            _ => Ok(()),
        }
    }

    /// Tells a body that ended early, which its length shows, from a connection that failed otherwise.
    fn broken_off(
        &self,
        response: &reqwest::Response,
        error: reqwest::Error,
        shown: &str,
    ) -> FetchError {
        match self.total {
            Some(expected) if !error.is_timeout() => FetchError::CutShort {
                url: shown.to_owned(),
                received: self.received,
                expected,
            },
            _ => FetchError::from_call(response.url(), error),
        }
    }

    async fn take(
        &mut self,
        bytes: Bytes,
        shown: &str,
        staged: &mut StagedFile,
    ) -> Result<(), FetchError> {
        let size = bytes.len() as u64;
        self.bytes_fetched += size;
        self.check_size(shown, self.received + size)?;
        staged.write(&bytes).await?;
        self.hashing.update(&bytes);
        self.received += size;
        Ok(())
    }

    fn check_size(&self, shown: &str, size_bytes: u64) -> Result<(), FetchError> {
        let limit_bytes = self.fetcher.policy.max_size_bytes;
        if size_bytes <= limit_bytes {
            return Ok(());
        }
        Err(FetchError::TooLarge {
            url: shown.to_owned(),
            size_bytes,
            limit_bytes,
        })
    }

    async fn copy(&mut self, url: &Url, staged: &mut StagedFile) -> Result<(), FetchError> {
        let shown = redact_url(url);
        let path = url.to_file_path().map_err(|()| FetchError::Status {
            url: shown.clone(),
            status: 404,
        })?;
        self.restart(staged);
        let unreadable = |source| unreadable(&path, source);
        // Asked before it is opened: opening a pipe would wait for its writer.
        let facts = tokio::fs::metadata(&path).await.map_err(unreadable)?;
        if !facts.is_file() {
            return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        self.check_size(&shown, facts.len())?;
        let mut file = tokio::fs::File::open(&path).await.map_err(unreadable)?;
        loop {
            let mut bytes = BytesMut::with_capacity(READ_BYTES);
            if file.read_buf(&mut bytes).await.map_err(unreadable)? == 0 {
                return Ok(());
            }
            self.take(bytes.freeze(), &shown, staged).await?;
        }
    }

    fn restart(&mut self, staged: &mut StagedFile) {
        self.hashing.restart();
        self.received = 0;
        self.total = None;
        self.validator = None;
        self.etag = None;
        staged.restart();
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> FetchError {
    FetchError::Source {
        path: path.to_owned(),
        source,
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a rate needs no more than 53 bits"
)]
fn rate(bytes: u64, elapsed: Duration) -> Option<f64> {
    let seconds = elapsed.as_secs_f64();
    (seconds > 0.0).then(|| bytes as f64 / seconds)
}

/// Watches that a body does not trickle: a client's own idle timeout is content with a byte now and then.
struct Pace {
    window: Duration,
    least_bytes: u64,
    began: Instant,
    bytes: u64,
}

impl Pace {
    fn new(fetcher: &Fetcher) -> Self {
        Self {
            window: fetcher.policy.timeouts.idle,
            least_bytes: fetcher.policy.least_bytes,
            began: Instant::now(),
            bytes: 0,
        }
    }

    fn check(&mut self, bytes: usize, shown: &str) -> Result<(), FetchError> {
        self.bytes += bytes as u64;
        if self.began.elapsed() < self.window {
            return Ok(());
        }
        if self.bytes < self.least_bytes {
            return Err(FetchError::Stalled {
                url: shown.to_owned(),
                least_bytes: self.least_bytes,
                window: self.window,
            });
        }
        self.began = Instant::now();
        self.bytes = 0;
        Ok(())
    }
}
