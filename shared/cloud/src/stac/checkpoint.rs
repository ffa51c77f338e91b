//! Where a search stands, written down: another process can go on with it.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;

use super::request::{Body, Request};

/// Where a search stands between two pages: what is left of it, and what it has done.
///
/// It holds what the API said of its next page, but none of the headers that the caller sends with every request: those may be
/// secrets, and the job has them. Items that were handed out are not remembered: one that lies at the joint of two parts, or
/// moves to a later page, may be handed out again by the search that goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    pub(super) parts: Vec<PartMark>,
    /// The part under way, and its next page.
    pub(super) under_way: Option<(PartMark, RequestMark)>,
    pub(super) left: Option<u64>,
    pub(super) pages: u64,
    pub(super) empty_pages: u64,
    pub(super) lightened: u64,
    pub(super) requests: u64,
    pub(super) by_get: bool,
}

impl Checkpoint {
    /// Returns how many pages were read.
    pub fn pages(&self) -> u64 {
        self.pages
    }
}

/// A part of a search: what sets it apart from the other parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PartMark {
    pub(super) area: Option<Box<RawValue>>,
    pub(super) datetime: Option<String>,
    pub(super) limit: u64,
    pub(super) halvings: u8,
    pub(super) again: bool,
}

/// A request for a next page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RequestMark {
    method: String,
    pub(super) url: Url,
    /// Those that the API's own links added.
    headers: Vec<(String, String)>,
    body: Option<Body>,
}

impl RequestMark {
    /// Takes a request down, without the headers `of_all` requests; `None` when it has a header that is no text.
    pub(super) fn of(request: &Request, of_all: &HeaderMap) -> Option<Self> {
        let own = request
            .headers
            .iter()
            .filter(|(name, value)| of_all.get(*name) != Some(value));
        let headers = own.map(|(name, value)| {
            let value = value.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        });
        Some(Self {
            method: request.method.as_str().to_owned(),
            url: request.url.clone(),
            headers: headers.collect::<Option<_>>()?,
            body: request.body.clone(),
        })
    }

    /// Makes the request again; `None` when what was written down makes none.
    pub(super) fn request(self, of_all: &HeaderMap) -> Option<Request> {
        let mut headers = of_all.clone();
        for (name, value) in self.headers {
            let value = HeaderValue::try_from(value).ok()?;
            headers.insert(HeaderName::try_from(name).ok()?, value);
        }
        Some(Request {
            method: Method::try_from(self.method.as_str()).ok()?,
            url: self.url,
            headers,
            body: self.body,
        })
    }
}
