//! Large files in parts, several at a time: one connection seldom fills the line.
//!
//! The parts are taken in their order, so that digests and staging see one stream; what is ahead of it waits in memory,
//! which is bounded by the part's size and by how many files of a process may be fetched so at a time.

use std::ops::Range;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt as _, StreamExt as _};
use reqwest::header::{ACCEPT_RANGES, CONTENT_RANGE, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use swath_core::redact_url;
use tokio::sync::SemaphorePermit;

use super::{ContentRange, Pace, Transfer, Validator, headers};
use crate::fetch::{FetchError, Fetcher, Signed};
use crate::publish::StagedFile;

/// Files of a process that are fetched in parts at a time; others come over one connection each.
pub(in crate::fetch) const FILES_AT_ONCE: usize = 2;

/// How large files are fetched in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Bytes that must be left of a file.
    pub least_bytes: u64,
    /// Bytes of a part.
    pub part_bytes: u64,
    /// Parts of one file under way at a time; one means never in parts.
    pub at_once: usize,
}

impl Default for Parts {
    /// From 64 MiB on, four parts of 4 MiB.
    fn default() -> Self {
        Self {
            least_bytes: 64 << 20,
            part_bytes: 4 << 20,
            at_once: 4,
        }
    }
}

/// The bytes of a part as far as they came, and why no more did.
type Came = (Vec<Bytes>, Option<FetchError>);

impl<'a> Transfer<'a> {
    /// Returns the right to fetch in parts, if the rest is large, its host knows ranges and the file's state has a name.
    pub(super) fn may_part(&self, response: &reqwest::Response) -> Option<SemaphorePermit<'a>> {
        let fetcher = self.fetcher;
        let parts = fetcher.policy.parts;
        let left = self.total?.saturating_sub(self.received);
        let known = headers::text(response.headers(), &ACCEPT_RANGES) == Some("bytes")
            || response.status() == 206;
        let may = parts.at_once > 1
            && parts.part_bytes > 0
            && left >= parts.least_bytes
            && known
            && self.validator.is_some()
            && !self.alone;
        if !may {
            return None;
        }
        fetcher.in_parts.try_acquire().ok()
    }

    /// Takes the first part from the answer that is there, and asks for the others beside it.
    pub(super) async fn stream_parts(
        &mut self,
        (response, signed): (reqwest::Response, &Signed),
        shown: &str,
        staged: &mut StagedFile,
    ) -> Result<(), FetchError> {
        let (fetcher, parts) = (self.fetcher, self.fetcher.policy.parts);
        let (from, total) = (self.received, self.total.unwrap_or_default());
        let whole = Whole {
            total,
            state: self.validator.clone(),
        };
        let ends = |begin: u64| total.min(begin + parts.part_bytes);
        let mut next = ends(from);
        let mut ahead: FuturesOrdered<BoxFuture<'_, Came>> = FuturesOrdered::new();
        ahead.push_back(head(fetcher, response, next - from, shown).boxed());
        loop {
            while next < total && ahead.len() < parts.at_once {
                let range = next..ends(next);
                next = range.end;
                ahead.push_back(part(fetcher, signed, range, &whole).boxed());
            }
            let Some((chunks, failure)) = ahead.next().await else {
                break;
            };
            for bytes in chunks {
                self.take(bytes, shown, staged).await?;
            }
            if let Some(error) = failure {
                // Perhaps the host minds so many connections: what is left comes over one.
                self.alone = true;
                if matches!(error, FetchError::WrongRange { .. }) {
                    self.restart(staged);
                }
                return Err(error);
            }
        }
        self.whole(shown)
    }
}

/// What every part must be of.
struct Whole {
    total: u64,
    state: Option<Validator>,
}

/// Reads so many bytes of an answer that is there; what follows is left to other requests.
async fn head(
    fetcher: &Fetcher,
    mut response: reqwest::Response,
    length: u64,
    shown: &str,
) -> Came {
    let mut chunks = Vec::new();
    let failure = read(fetcher, &mut response, length, shown, &mut chunks).await;
    (chunks, failure.err())
}

async fn part(fetcher: &Fetcher, signed: &Signed, range: Range<u64>, whole: &Whole) -> Came {
    let mut chunks = Vec::new();
    let asked = ask(fetcher, signed, &range, whole).await;
    let failure = match asked {
        Ok(mut response) => {
            let shown = redact_url(response.url());
            let length = range.end - range.start;
            read(fetcher, &mut response, length, &shown, &mut chunks).await
        }
        Err(error) => Err(error),
    };
    (chunks, failure.err())
}

/// Asks for a part of the same state of the file, and for nothing else.
async fn ask(
    fetcher: &Fetcher,
    signed: &Signed,
    range: &Range<u64>,
    whole: &Whole,
) -> Result<reqwest::Response, FetchError> {
    let last = range.end - 1;
    let mut asked = HeaderMap::new();
    let state = whole.state.as_ref();
    let state = state.and_then(|state| HeaderValue::from_str(&state.0).ok());
    let bytes = HeaderValue::from_str(&format!("bytes={}-{last}", range.start));
    if let (Some(state), Ok(bytes)) = (state, bytes) {
        asked.insert(RANGE, bytes);
        asked.insert(IF_RANGE, state);
    }
    let response = fetcher.ask(signed, asked).await?;
    let answer = response.headers();
    match response.status().as_u16() {
        206 => {}
        // The file is another one by now, or the host does not know ranges after all.
        200 => return Err(wrong(&response, range)),
        status => {
            let retry_after = headers::retry_after(answer, fetcher.clock.now());
            let shown = redact_url(response.url());
            return Err(FetchError::from_status(shown, status, retry_after));
        }
    }
    let got = ContentRange::of(answer);
    let same_span = got.and_then(|got| got.span) == Some((range.start, last));
    let same_total = got
        .and_then(|got| got.total)
        .is_none_or(|total| total == whole.total);
    let same_state = Validator::of(answer).is_none_or(|state| whole.state.as_ref() == Some(&state));
    if same_span && same_total && same_state {
        return Ok(response);
    }
    Err(wrong(&response, range))
}

fn wrong(response: &reqwest::Response, range: &Range<u64>) -> FetchError {
    let got = headers::text(response.headers(), &CONTENT_RANGE);
    FetchError::WrongRange {
        url: redact_url(response.url()),
        offset: range.start,
        got: got.unwrap_or_default().to_owned(),
    }
}

/// Reads so many bytes of a body, and no more.
async fn read(
    fetcher: &Fetcher,
    response: &mut reqwest::Response,
    length: u64,
    shown: &str,
    into: &mut Vec<Bytes>,
) -> Result<(), FetchError> {
    let (mut pace, mut left) = (Pace::new(fetcher), length);
    while left > 0 {
        let cut = || FetchError::CutShort {
            url: shown.to_owned(),
            received: length - left,
            expected: length,
        };
        let mut bytes = match response.chunk().await {
            Ok(Some(bytes)) => bytes,
            Err(error) if error.is_timeout() => {
                return Err(FetchError::from_call(response.url(), error));
            }
            Ok(None) | Err(_) => return Err(cut()),
        };
        pace.check(bytes.len(), shown)?;
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= bytes.len() as u64;
        into.push(bytes);
    }
    Ok(())
}
