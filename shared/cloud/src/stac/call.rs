//! One request and its answer: tried again while it helps, redirected only within the same host.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use swath_core::redact_url;
use url::Url;

use super::request::Request;
use super::{Client, Reach, StacError};
use crate::http::read_body;
use crate::polite::{Host, Outcome};
use crate::retry::{Retryable as _, parse_retry_after};

/// A successful answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Where it came from, after redirects.
    pub(super) url: Url,
    pub(super) body: Bytes,
}

/// Characters of a server's own words that are repeated in errors.
const SHOWN: usize = 300;

/// Calls that find a request too much for the server, before it is made smaller.
const TOO_MUCH: u32 = 3;

impl Client {
    /// Sends a request until an answer comes that `read` takes, or trying again is of no use; `sent` grows by every request
    /// that goes out.
    pub(super) async fn call<T>(
        &self,
        request: &Request,
        read: impl Fn(Answer) -> Result<T, StacError>,
        sent: &mut u64,
    ) -> Result<T, StacError> {
        let clock = self.clock.as_ref();
        let host = self.hosts.of(&request.url.origin().ascii_serialization());
        let (mut attempt, mut too_much, mut waited) = (1, 0, Duration::ZERO);
        loop {
            let error = match self.once(request, &host, &read, sent).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            too_much += u32::from(error.is_too_much());
            let wait = self.policy.wait_after(attempt, waited, &error);
            let Some(wait) = wait.filter(|_| too_much < TOO_MUCH && host.may_retry()) else {
                return Err(error);
            };
            tracing::debug!(attempt, error = %swath_core::chain(&error), "trying again");
            clock.sleep(wait).await;
            waited += wait;
            attempt += 1;
        }
    }

    async fn once<T>(
        &self,
        request: &Request,
        host: &Arc<Host>,
        read: &impl Fn(Answer) -> Result<T, StacError>,
        sent: &mut u64,
    ) -> Result<T, StacError> {
        let leave = host.enter(self.clock.as_ref()).await;
        let _leave = leave.map_err(|retry_after| StacError::Resting {
            url: redact_url(&request.url),
            retry_after,
        })?;
        let answered = self.exchange(request, sent).await;
        let answered = answered.and_then(read);
        let answered = answered.map_err(|error| error.without(&request.headers));
        let outcome = answered
            .as_ref()
            .map_or_else(StacError::outcome, |_| Outcome::Answered);
        let asked = answered.as_ref().err().and_then(StacError::retry_after);
        host.tell(outcome, asked, self.clock.now());
        answered
    }

    async fn exchange(&self, request: &Request, sent: &mut u64) -> Result<Answer, StacError> {
        let mut url = request.url.clone();
        for _ in 0..=self.limits.redirects {
            *sent += 1;
            let response = self.send(request, &url).await?;
            let status = response.status();
            if !status.is_redirection() {
                return self.take(response, url).await;
            }
            url = redirected(&response, &url)?;
        }
        Err(StacError::Redirect {
            url: redact_url(&url),
            reason: "there are too many of them",
        })
    }

    async fn send(&self, request: &Request, url: &Url) -> Result<reqwest::Response, StacError> {
        self.reach.check(url)?;
        let mut builder = self
            .http
            .request(request.method.clone(), url.clone())
            // A server that sends a byte now and then is never idle, and never done.
            .timeout(self.limits.answer)
            .header(ACCEPT, "application/geo+json, application/json");
        if let Some(body) = request.json()? {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body);
        }
        // After ours, so that a link's own value replaces it.
        let sent = builder.headers(request.headers.clone()).send().await;
        sent.map_err(|error| Reach::failure(url, error))
    }

    async fn take(&self, response: reqwest::Response, url: Url) -> Result<Answer, StacError> {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| parse_retry_after(value.to_str().ok()?, self.clock.now()));
        let body = read_body(response, self.limits.page_bytes).await;
        if status == StatusCode::OK {
            return Ok(Answer { url, body: body? });
        }
        // An error stays that error even when its page cannot be read.
        let (code, description) = words(&body.unwrap_or_default());
        Err(StacError::Status {
            url: redact_url(&url),
            status: status.as_u16(),
            code,
            description,
            retry_after,
        })
    }
}

fn redirected(response: &reqwest::Response, url: &Url) -> Result<Url, StacError> {
    let wrong = |reason| StacError::Redirect {
        url: redact_url(url),
        reason,
    };
    // 303 asks for a GET, which would drop what was searched for.
    if !matches!(response.status().as_u16(), 301 | 302 | 307 | 308) {
        return Err(wrong("its status asks for another method"));
    }
    let target = response.headers().get(LOCATION);
    let target = target
        .and_then(|value| url.join(value.to_str().ok()?).ok())
        .ok_or_else(|| wrong("it names no address"))?;
    check_same_server(url, &target)?;
    Ok(target)
}

/// Refuses a way to another host or port, or from https to http; http to https on the same host is fine.
pub(super) fn check_same_server(from: &Url, to: &Url) -> Result<(), StacError> {
    let names = || (redact_url(from), redact_url(to));
    let upgrade = from.scheme() == "http" && to.scheme() == "https";
    if from.host() != to.host() {
        let (from, to) = names();
        Err(StacError::OtherHost { from, to })
    } else if from.scheme() == "https" && to.scheme() != "https" {
        let (from, to) = names();
        Err(StacError::Downgrade { from, to })
    } else if !upgrade && (from.origin() != to.origin()) {
        let (from, to) = names();
        Err(StacError::OtherHost { from, to })
    } else {
        Ok(())
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: Option<Value>,
    #[serde(default)]
    description: Option<Value>,
    #[serde(default)]
    detail: Option<Value>,
    #[serde(default)]
    message: Option<Value>,
}

/// Reads the API's code and words: OGC's `code` and `description`, else `detail` or `message`, else the text itself.
fn words(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(error) = serde_json::from_slice::<ErrorBody>(body) else {
        return (None, begin_of(body));
    };
    let text = |value: Option<Value>| match value? {
        Value::Null => None,
        Value::String(text) => Some(shortened(&text)),
        other => Some(shortened(&other.to_string())),
    };
    let description = text(error.description)
        .or_else(|| text(error.detail))
        .or_else(|| text(error.message))
        .or_else(|| begin_of(body));
    (text(error.code), description)
}

/// Returns how a page begins, on one line; none when it is empty.
pub(super) fn begin_of(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body.get(..4 * SHOWN).unwrap_or(body));
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then(|| shortened(&line))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
