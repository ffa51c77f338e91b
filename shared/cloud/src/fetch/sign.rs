//! Turning an href as catalogued into one that its host accepts.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use swath_core::{Class, Classify, Signing};
use url::Url;

use crate::retry::Retryable;
use crate::sign::{Hosts, s3};

/// Signs hrefs; asked again for every attempt, so that no signature is used past its end.
#[async_trait]
pub trait Sign: Debug + Send + Sync {
    /// Returns the href with whatever the host wants to see.
    ///
    /// # Errors
    /// When no signature can be had.
    async fn sign(&self, href: &Url) -> Result<Signed, SignError>;

    /// Returns whether another signature can be had than `used`, which the host did not accept.
    async fn renew(&self, _href: &Url, _used: &Signed) -> bool {
        false
    }
}

/// An address that its host should accept; its secrets are in no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// The address.
    pub url: Url,
    /// What goes along to some hosts.
    headers: HeaderMap,
    /// The hosts that may see the headers.
    hosts: Hosts,
}

impl Signed {
    /// Takes an address with all that is needed in it.
    pub fn plain(url: Url) -> Self {
        Self::with_headers(url, HeaderMap::new(), Hosts::default())
    }

    /// Takes an address, and headers for these hosts alone, wherever redirects lead.
    pub fn with_headers(url: Url, headers: HeaderMap, hosts: Hosts) -> Self {
        Self {
            url,
            headers,
            hosts,
        }
    }

    /// Returns the headers that the host of `hop` may see.
    pub(super) fn headers_for(&self, hop: &Url) -> Option<&HeaderMap> {
        let may = hop.host_str().is_some_and(|host| self.hosts.have(host));
        may.then_some(&self.headers)
    }
}

impl Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = swath_core::redact_url(&self.url);
        f.debug_struct("Signed")
            .field("url", &url)
            .finish_non_exhaustive()
    }
}

/// A signature that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{host}: no signature for its files: {reason}")]
pub struct SignError {
    /// The host whose files need one.
    pub host: String,
    /// What the signer said, free of secrets.
    pub reason: String,
    /// What the failure asks for.
    pub class: Class,
    /// How long the signer asked to be left alone.
    pub retry_after: Option<Duration>,
}

impl SignError {
    /// Names what must be changed before files of the href's host can be signed.
    pub(crate) fn denied(href: &Url, reason: impl Into<String>) -> Self {
        Self {
            host: href.host_str().unwrap_or_default().to_owned(),
            reason: reason.into(),
            class: Class::Denied,
            retry_after: None,
        }
    }
}

impl Classify for SignError {
    fn class(&self) -> Class {
        self.class
    }
}

impl Retryable for SignError {
    fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Leaves every href as it is, but for objects of S3: those are asked for without credentials.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsigned;

#[async_trait]
impl Sign for Unsigned {
    async fn sign(&self, href: &Url) -> Result<Signed, SignError> {
        match href.scheme() {
            "s3" => s3::open_address(href).map(Signed::plain),
            _ => Ok(Signed::plain(href.clone())),
        }
    }
}

/// The signers at hand, by the way of signing that jobs ask for.
#[derive(Clone, Debug)]
pub struct Signers(HashMap<Signing, Arc<dyn Sign>>);

impl Default for Signers {
    /// Signs nothing.
    fn default() -> Self {
        Self(HashMap::new()).with(Signing::None, Arc::new(Unsigned))
    }
}

impl Signers {
    /// Adds a signer, or replaces it.
    #[must_use]
    pub fn with(mut self, signing: Signing, signer: Arc<dyn Sign>) -> Self {
        self.0.insert(signing, signer);
        self
    }

    /// Returns the signer for an href.
    ///
    /// # Errors
    /// When there is none, or the href's owner charges readers and the job did not agree to pay.
    pub(super) fn get(&self, signing: Signing, href: &Url) -> Result<&dyn Sign, SignError> {
        if signing != Signing::S3RequesterPays {
            s3::refuse_paid(href)?;
        }
        let signer = self.0.get(&signing).map(Arc::as_ref);
        signer.ok_or_else(|| SignError::denied(href, format!("{signing} is not set up here")))
    }
}
