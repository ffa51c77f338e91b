//! A few bytes out of the middle of a file.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, HeaderValue, RANGE};
use swath_core::redact_url;
use url::Url;

use super::headers::{self, ContentRange, Validator};
use super::{FetchError, Fetcher, Signed};

/// Some bytes of a file, and what the host says of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The bytes asked for; fewer where the file ends before.
    pub bytes: Bytes,
    /// The size of the whole file, if the host says it.
    pub size_bytes: Option<u64>,
    /// Names the state of the file: parts of two states do not fit together.
    pub state: Option<String>,
}

impl Fetcher {
    /// Brings some bytes of a file, trying again while that helps.
    ///
    /// A host that knows no ranges sends the file from its start; of that only what was asked for is read.
    ///
    /// # Errors
    /// The last attempt's failure.
    pub async fn range(&self, href: &Url, range: Range<u64>) -> Result<Part, FetchError> {
        let call = |_| self.range_once(href, &range);
        self.policy.retry.run(self.clock.as_ref(), call).await
    }

    async fn range_once(&self, href: &Url, range: &Range<u64>) -> Result<Part, FetchError> {
        let mut asked = HeaderMap::new();
        let last = range.end.saturating_sub(1);
        if let Ok(value) = HeaderValue::from_str(&format!("bytes={}-{last}", range.start)) {
            asked.insert(RANGE, value);
        }
        let mut response = self.ask(&Signed::plain(href.clone()), asked).await?;
        let url = redact_url(response.url());
        let answer = response.headers();
        let state = Validator::of(answer).map(|validator| validator.0);
        let (skip, size_bytes) = match response.status().as_u16() {
            200 | 203 => (range.start, headers::length(answer)),
            206 => {
                let got = ContentRange::of(answer);
                let begins = got.and_then(|got| got.span).map(|(first, _)| first);
                if begins != Some(range.start) {
                    let text = headers::text(answer, &reqwest::header::CONTENT_RANGE);
                    let got = text.unwrap_or_default().to_owned();
                    let offset = range.start;
                    return Err(FetchError::WrongRange { url, offset, got });
                }
                (0, got.and_then(|got| got.total))
            }
            status => {
                let retry_after = headers::retry_after(answer, self.clock.now());
                return Err(FetchError::from_status(url, status, retry_after));
            }
        };
        let length = range.end.saturating_sub(range.start);
        let length = size_bytes.map_or(length, |size| length.min(size.saturating_sub(range.start)));
        let bytes = read(&mut response, skip, length).await?;
        if size_bytes.is_some() && (bytes.len() as u64) < length {
            return Err(FetchError::CutShort {
                url,
                received: bytes.len() as u64,
                expected: length,
            });
        }
        Ok(Part {
            bytes,
            size_bytes,
            state,
        })
    }
}

/// Reads `length` bytes of a body after `skip` bytes, and no more.
async fn read(
    response: &mut reqwest::Response,
    mut skip: u64,
    length: u64,
) -> Result<Bytes, FetchError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::new();
    while bytes.len() < length {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| FetchError::from_call(response.url(), error))?;
        let Some(chunk) = chunk else {
            break;
        };
        let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
        skip -= passed as u64;
        let rest = chunk.get(passed..).unwrap_or_default();
        let wanted = rest.len().min(length - bytes.len());
        bytes.extend_from_slice(rest.get(..wanted).unwrap_or_default());
    }
    Ok(bytes.freeze())
}
