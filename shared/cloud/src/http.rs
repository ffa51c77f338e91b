//! HTTP clients, built in one place: rustls, timeouts, no proxy, no redirects behind our back.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect;
use swath_core::{Class, Classify, redact_url};
use url::Url;

use crate::retry::Retryable;
use crate::tls;

/// Names us to servers.
pub const USER_AGENT: &str = concat!("swath/", env!("CARGO_PKG_VERSION"));

/// How long a server may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// Between two pieces of an answer, and until its first.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
        }
    }
}

/// A call that brought no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client cannot be built.
    #[error("no HTTP client can be built")]
    Build(#[source] reqwest::Error),
    /// Nothing listens there.
    #[error("{url}: connection refused")]
    Refused {
        /// Redacted.
        url: String,
    },
    /// The host has no address, cannot be reached or shows no valid certificate.
    #[error("{url}: no connection")]
    Connect {
        /// Redacted.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server was silent for too long.
    #[error("{url}: no answer in time")]
    Timeout {
        /// Redacted.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke.
    #[error("{url}: the exchange broke off")]
    Broken {
        /// Redacted.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The request cannot be made: not an HTTP address, or an impossible header.
    #[error("{url}: not a request that can be made")]
    Request {
        /// Redacted.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer, decoded, is larger than we take.
    #[error("{url}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// Redacted.
        url: String,
        /// Bytes taken at most.
        limit: usize,
    },
}

impl Classify for HttpError {
    fn class(&self) -> Class {
        match self {
            Self::Build(_) => Class::Bug,
            Self::Refused { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. } => Class::Transient,
            Self::Request { .. } | Self::TooLarge { .. } => Class::Invalid,
        }
    }
}

impl Retryable for HttpError {}

impl HttpError {
    /// Names what went wrong with a call to `url`; the error's own copy of the address is dropped, for it may hold secrets.
    pub fn from_call(url: &Url, error: reqwest::Error) -> Self {
        let (url, source) = (redact_url(url), error.without_url());
        if is_refusal(&source) {
            Self::Refused { url }
        } else if source.is_timeout() {
            Self::Timeout { url, source }
        } else if source.is_connect() {
            Self::Connect { url, source }
        } else if source.is_builder() {
            Self::Request { url, source }
        } else {
            Self::Broken { url, source }
        }
    }
}

fn is_refusal(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        source = cause.source();
    }
    false
}

fn builder(timeouts: Timeouts, protocols: &[&str]) -> reqwest::ClientBuilder {
    let builder = match tls::config(protocols) {
        Ok(config) => reqwest::Client::builder().use_preconfigured_tls(config),
        // Its own attempt at the same then says why not.
        Err(_) => reqwest::Client::builder().use_rustls_tls(),
    };
    builder
        .user_agent(USER_AGENT)
        .connect_timeout(timeouts.connect)
        .read_timeout(timeouts.idle)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
}

/// Builds a client for files: bytes come as they are stored, redirects are handed to the caller.
///
/// # Errors
/// When the TLS roots cannot be set up.
pub fn for_downloads(timeouts: Timeouts) -> Result<reqwest::Client, HttpError> {
    for_downloads_builder(timeouts)
        .build()
        .map_err(HttpError::Build)
}

/// Returns the builder behind [`for_downloads`], for a caller that guards name resolution too.
pub fn for_downloads_builder(timeouts: Timeouts) -> reqwest::ClientBuilder {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    // One connection per file: HTTP/2 would press many bodies through one window.
    let builder = builder(timeouts, &["http/1.1"]).http1_only();
    builder.no_gzip().default_headers(headers)
}

/// Builds a client for APIs: answers may be compressed, redirects are handed to the caller.
///
/// # Errors
/// When the TLS roots cannot be set up.
pub fn for_apis(timeouts: Timeouts) -> Result<reqwest::Client, HttpError> {
    for_apis_builder(timeouts).build().map_err(HttpError::Build)
}

/// Returns the builder behind [`for_apis`], for a caller that guards name resolution too.
pub fn for_apis_builder(timeouts: Timeouts) -> reqwest::ClientBuilder {
    builder(timeouts, &["h2", "http/1.1"]).gzip(true)
}

/// Reads an answer's decoded body, `limit` bytes at most.
///
/// # Errors
/// When the connection breaks or the body is larger.
pub async fn read_body(mut response: reqwest::Response, limit: usize) -> Result<Bytes, HttpError> {
    let url = response.url().clone();
    let mut body = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| HttpError::from_call(&url, error))?
    {
        if body.len() + piece.len() > limit {
            let url = redact_url(&url);
            return Err(HttpError::TooLarge { url, limit });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
}
