//! A secret in a header, shown to some hosts and to no others.

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use swath_core::Redacted;
use url::Url;

use super::Hosts;
use crate::fetch::{Sign, SignError, Signed};

/// Hosts of NASA's Earthdata Cloud and archives.
const EARTHDATA: [&str; 3] = [
    ".earthdata.nasa.gov",
    ".earthdatacloud.nasa.gov",
    ".cr.usgs.gov",
];

/// A secret that no request can carry; it is not shown.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// Not a name and a value.
    #[error("the header is no `Name: value`")]
    Line,
    /// Characters that no header has.
    #[error("the token or header holds characters that no header has")]
    Characters,
}

/// Sends a header to the hosts that may see it; other hosts get none, also when redirects lead from one to the other.
#[derive(Clone)]
pub struct Header {
    headers: HeaderMap,
    hosts: Hosts,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Header")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl Header {
    /// Sends a bearer token.
    ///
    /// # Errors
    /// When the token cannot stand in a header.
    pub fn bearer(token: &Redacted<String>, hosts: Hosts) -> Result<Self, HeaderError> {
        let value = format!("Bearer {}", token.expose().trim());
        Self::new(AUTHORIZATION, &value, hosts)
    }

    /// Sends a bearer token to NASA's Earthdata hosts, and to `more`.
    ///
    /// # Errors
    /// When the token cannot stand in a header.
    pub fn earthdata(token: &Redacted<String>, more: &Hosts) -> Result<Self, HeaderError> {
        let names = EARTHDATA
            .into_iter()
            .chain(more.0.iter().map(String::as_str));
        Self::bearer(token, Hosts::new(names))
    }

    /// Sends a header that is written as `Name: value`.
    ///
    /// # Errors
    /// When it is not written so, or cannot stand in a request.
    pub fn line(line: &Redacted<String>, hosts: Hosts) -> Result<Self, HeaderError> {
        let (name, value) = line.expose().split_once(':').ok_or(HeaderError::Line)?;
        let name = name.trim().parse().map_err(|_| HeaderError::Line)?;
        Self::new(name, value.trim(), hosts)
    }

    fn new(name: HeaderName, value: &str, hosts: Hosts) -> Result<Self, HeaderError> {
        let mut value = HeaderValue::from_str(value).map_err(|_| HeaderError::Characters)?;
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(name, value)]);
        Ok(Self { headers, hosts })
    }
}

#[async_trait]
impl Sign for Header {
    async fn sign(&self, href: &Url) -> Result<Signed, SignError> {
        if self.hosts.is_empty() {
            let reason = "no host is named that may see the token or header";
            return Err(SignError::denied(href, reason));
        }
        let (headers, hosts) = (self.headers.clone(), self.hosts.clone());
        Ok(Signed::with_headers(href.clone(), headers, hosts))
    }
}
