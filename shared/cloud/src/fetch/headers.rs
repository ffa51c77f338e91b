//! What an answer says about the bytes it brings: RFC 9110 §8.8, §13.1.5 and §14.4.

use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, RETRY_AFTER,
};
use std::time::Duration;
use time::OffsetDateTime;

use crate::retry::parse_retry_after;

/// Names one state of a file, so that its rest can be asked for: a strong entity tag, else a date of change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Validator(pub(super) String);

impl Validator {
    /// Returns what `If-Range` may carry; a weak tag does not promise equal bytes.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        match text(headers, &ETAG) {
            Some(tag) if tag.starts_with('"') => Some(Self(tag.to_owned())),
            Some(_) => None,
            None => text(headers, &LAST_MODIFIED).map(|date| Self(date.to_owned())),
        }
    }
}

/// The bytes that a partial answer brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// First and last byte; absent in the answer to a range that cannot be had.
    pub(super) span: Option<(u64, u64)>,
    /// The whole file's size, when the server says it.
    pub(super) total: Option<u64>,
}

impl ContentRange {
    /// Reads `bytes 5-9/10`, `bytes 5-9/*` and `bytes */10`.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (span, total) = value
            .trim()
            .strip_prefix("bytes ")?
            .trim()
            .split_once('/')?;
        let total = match total {
            "*" => None,
            digits => Some(digits.parse().ok()?),
        };
        let span = match span {
            "*" => None,
            span => {
                let (first, last) = span.split_once('-')?;
                Some((first.parse().ok()?, last.parse().ok()?))
            }
        };
        let inside = match (span, total) {
            (Some((first, last)), Some(total)) => first <= last && last < total,
            (Some((first, last)), None) => first <= last,
            (None, total) => total.is_some(),
        };
        inside.then_some(Self { span, total })
    }

    /// Reads the header of an answer.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        text(headers, &CONTENT_RANGE).and_then(Self::parse)
    }
}

/// Returns how many bytes the answer promises to bring.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, &CONTENT_LENGTH)?.trim().parse().ok()
}

/// Returns the entity tag as sent.
pub(super) fn etag(headers: &HeaderMap) -> Option<String> {
    text(headers, &ETAG).map(str::to_owned)
}

/// Returns how long the server asks to be left alone.
pub(super) fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    parse_retry_after(text(headers, &RETRY_AFTER)?, now)
}

/// Returns a header's value when it is plain text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_strictly() {
        let range = |span, total| Some(ContentRange { span, total });
        let cases = [
            ("bytes 5-9/10", range(Some((5, 9)), Some(10))),
            ("bytes 5-9/*", range(Some((5, 9)), None)),
            ("bytes */10", range(None, Some(10))),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */*", None),
            ("items 5-9/10", None),
            ("bytes 5-/10", None),
            ("", None),
        ];
        for (value, expected) in cases {
            assert_eq!(ContentRange::parse(value), expected, "{value:?}");
        }
    }

    #[test]
    fn only_a_strong_tag_or_a_date_lets_a_file_be_resumed() {
        let headers = |pairs: &[(HeaderName, &str)]| -> HeaderMap {
            let pairs = pairs.iter().cloned();
            pairs
                .map(|(name, value)| (name, value.parse().unwrap()))
                .collect()
        };
        let date = "Sat, 01 Jun 2024 12:00:00 GMT";
        let strong = headers(&[(ETAG, "\"a\""), (LAST_MODIFIED, date)]);
        let weak = headers(&[(ETAG, "W/\"a\""), (LAST_MODIFIED, date)]);
        let dated = headers(&[(LAST_MODIFIED, date)]);
        assert_eq!(Validator::of(&strong), Some(Validator("\"a\"".into())));
        assert_eq!(Validator::of(&weak), None);
        assert_eq!(Validator::of(&dated), Some(Validator(date.into())));
        assert_eq!(Validator::of(&HeaderMap::new()), None);
    }
}
