//! Requests: what is asked first, and what a next link makes of it.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use swath_core::digest_hex;
use url::Url;

use super::StacError;

/// The members of a request's body, each as it was written.
pub(super) type Body = BTreeMap<String, Box<RawValue>>;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Body>,
}

impl Request {
    pub(super) fn get(url: Url, headers: HeaderMap) -> Self {
        Self {
            method: Method::GET,
            url,
            headers,
            body: None,
        }
    }

    pub(super) fn post(url: Url, headers: HeaderMap, body: Body) -> Self {
        Self {
            method: Method::POST,
            url,
            headers,
            body: Some(body),
        }
    }

    /// Returns the body's JSON text.
    pub(super) fn json(&self) -> Result<Option<String>, StacError> {
        let body = self.body.as_ref();
        body.map(|body| serde_json::to_string(body).map_err(StacError::Json))
            .transpose()
    }

    /// Returns what tells this request from all others.
    pub(super) fn fingerprint(&self) -> Result<String, StacError> {
        let body = self.json()?.unwrap_or_default();
        let mut headers: Vec<_> = self.headers.iter().collect();
        headers.sort_by_key(|(name, value)| (name.as_str(), value.as_bytes()));
        let headers: Vec<u8> = headers
            .iter()
            .flat_map(|(name, value)| {
                [name.as_str().as_bytes(), b"\0", value.as_bytes(), b"\0"].concat()
            })
            .collect();
        Ok(digest_hex(
            &[
                self.method.as_str().as_bytes(),
                self.url.as_str().as_bytes(),
                &headers,
                body.as_bytes(),
            ],
            16,
        ))
    }

    /// Makes the request that a next link asks for. `merge` adds to this request, which must be the search's first one.
    pub(super) fn follow(&self, link: NextLink, page: &Url) -> Result<Self, String> {
        let url = page
            .join(&link.href)
            .map_err(|error| format!("its href is no address: {error}"))?;
        let method = match link.method.as_deref() {
            None if link.body.is_some() => Method::POST,
            None => Method::GET,
            Some(name) if name.eq_ignore_ascii_case("GET") => Method::GET,
            Some(name) if name.eq_ignore_ascii_case("POST") => Method::POST,
            Some(name) => return Err(format!("its method is {name:?}")),
        };
        let merge = link.merge.unwrap_or_default();
        // The first request's headers are the caller's own, such as a key; the server wants them on every page.
        let mut headers = self.headers.clone();
        add_headers(&mut headers, link.headers.unwrap_or_default())?;
        let original = || self.body.clone().unwrap_or_default();
        let body = match (&method, link.body) {
            (&Method::GET, _) => None,
            (_, Some(changes)) if merge => {
                let mut body = original();
                body.extend(changes);
                Some(body)
            }
            (_, Some(body)) => Some(body),
            // A search without a body would be a search for everything.
            (_, None) => Some(original()),
        };
        Ok(Self {
            method,
            url,
            headers,
            body,
        })
    }
}

/// Adds a link's headers, but for those that belong to the connection.
fn add_headers(headers: &mut HeaderMap, asked: BTreeMap<String, Value>) -> Result<(), String> {
    for (name, value) in asked {
        let wrong = || format!("its header {name:?} is none");
        let header = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        if ["host", "content-length", "transfer-encoding", "connection"].contains(&header.as_str())
        {
            continue;
        }
        headers.remove(&header);
        let values = match value {
            Value::Array(values) => values,
            one => vec![one],
        };
        for value in values {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(yes) => yes.to_string(),
                _ => return Err(wrong()),
            };
            let value = HeaderValue::try_from(text).map_err(|_| wrong())?;
            headers.append(header.clone(), value);
        }
    }
    Ok(())
}

/// A page's link to the one after it.
#[derive(Debug, Deserialize)]
pub(super) struct NextLink {
    href: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    body: Option<Body>,
    #[serde(default)]
    merge: Option<bool>,
}

impl NextLink {
    pub(super) fn is_post(&self) -> bool {
        let method = self.method.as_deref();
        method.is_some_and(|name| name.eq_ignore_ascii_case("POST"))
    }
}
