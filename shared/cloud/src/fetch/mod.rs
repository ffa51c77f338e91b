//! Bringing one file here: streamed to a staging file, hashed on the way, resumed where it broke off.
//!
//! Memory stays flat whatever the file's size. Redirects are followed by hand so that every hop is checked by the same
//! rules as the href itself.

mod error;
pub(crate) mod guard;
mod headers;
mod range;
mod said;
mod sign;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod transfer;

use std::sync::Arc;

use reqwest::dns::Resolve;
use reqwest::header::{HeaderMap, LOCATION};
use swath_core::{Class, Classify as _, Signing, redact_url};
use tokio::sync::Semaphore;
use url::Url;

use crate::clock::Clock;
use crate::digest::Checksum;
use crate::http::{self, HttpError, Timeouts};
use crate::polite::{Hosts, Manners, Outcome};
use crate::retry::Policy;

pub use error::FetchError;
pub(crate) use error::cause;
pub use guard::is_public;
pub use range::Part;
pub use sign::{Sign, SignError, Signed, Signers, Unsigned};
pub use transfer::{Body, Parts, Transfer};

/// Hosts that serve no files but pages to log in.
const LOGIN_HOSTS: [&str; 4] = [
    "urs.earthdata.nasa.gov",
    "uat.urs.earthdata.nasa.gov",
    "login.microsoftonline.com",
    "accounts.google.com",
];

/// What may be fetched, from where, and how patiently.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a rule of its own, and any set of them makes sense"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPolicy {
    /// Whether `http` is fetched beside `https`.
    pub allow_http: bool,
    /// Whether `file` hrefs are read from this machine's disk.
    pub allow_file: bool,
    /// Whether hosts outside the open internet, and ports other than the web's, are fetched from.
    pub allow_private_hosts: bool,
    /// The only hosts that are fetched from; any when there are none.
    pub hosts: crate::sign::Hosts,
    /// Bytes that a file may have.
    pub max_size_bytes: u64,
    /// Redirects followed for one request.
    pub max_redirects: u32,
    /// How often and after how long a failed request is made again.
    pub retry: Policy,
    /// Whether a host that fails again and again, or asks for a long pause, is not asked for a while.
    pub rests: bool,
    /// How long a host may be silent.
    pub timeouts: Timeouts,
    /// Bytes that each window of `timeouts.idle` must bring; fewer count as silence.
    pub least_bytes: u64,
    /// How large files are fetched in parts.
    pub parts: Parts,
}

impl Default for FetchPolicy {
    /// The open internet over https, 64 GiB, five redirects, five tries.
    fn default() -> Self {
        Self {
            allow_http: false,
            allow_file: false,
            allow_private_hosts: false,
            hosts: crate::sign::Hosts::default(),
            max_size_bytes: 64 << 30,
            max_redirects: 5,
            retry: Policy::default(),
            rests: false,
            timeouts: Timeouts::default(),
            least_bytes: 16 << 10,
            parts: Parts::default(),
        }
    }
}

/// Fetches files by one policy.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: reqwest::Client,
    policy: FetchPolicy,
    signers: Signers,
    clock: Arc<dyn Clock>,
    hosts: Option<Hosts>,
    /// Rights to fetch a file in parts.
    in_parts: Arc<Semaphore>,
}

impl Fetcher {
    /// Builds the client that keeps to the policy.
    ///
    /// # Errors
    /// When the TLS roots cannot be set up.
    pub fn new(
        policy: FetchPolicy,
        signers: Signers,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpError> {
        let resolver = Arc::new(guard::SystemResolver);
        Self::with_resolver(policy, signers, clock, resolver)
    }

    fn with_resolver(
        policy: FetchPolicy,
        signers: Signers,
        clock: Arc<dyn Clock>,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, HttpError> {
        let mut builder = http::for_downloads_builder(policy.timeouts);
        if !policy.allow_private_hosts {
            let guarded = guard::GuardedResolver::new(resolver);
            builder = builder.dns_resolver(Arc::new(guarded));
        }
        let client = builder.build().map_err(HttpError::Build)?;
        Ok(Self {
            client,
            hosts: policy.rests.then(|| Hosts::new(Manners::BRIEF)),
            policy,
            signers,
            clock,
            in_parts: Arc::new(Semaphore::new(transfer::FILES_AT_ONCE)),
        })
    }

    /// Returns what may be fetched.
    pub fn policy(&self) -> &FetchPolicy {
        &self.policy
    }

    /// Starts to bring one file here; nothing is sent before [`Transfer::run`].
    pub fn transfer(
        &self,
        href: Url,
        signing: Signing,
        promised: Option<Checksum>,
    ) -> Transfer<'_> {
        Transfer::new(self, (href, signing), promised)
    }

    /// Reads a small document whole, `limit` bytes at most, trying again while that helps.
    ///
    /// # Errors
    /// The last attempt's failure.
    pub async fn document(&self, href: &Url, limit: usize) -> Result<bytes::Bytes, FetchError> {
        let call = |_| self.document_once(href, limit);
        self.policy.retry.run(self.clock.as_ref(), call).await
    }

    async fn document_once(&self, href: &Url, limit: usize) -> Result<bytes::Bytes, FetchError> {
        let signed = Signed::plain(href.clone());
        let response = self.ask(&signed, HeaderMap::new()).await?;
        let status = response.status().as_u16();
        if !matches!(status, 200 | 203) {
            let retry_after = headers::retry_after(response.headers(), self.clock.now());
            let url = redact_url(response.url());
            return Err(FetchError::from_status(url, status, retry_after));
        }
        Ok(http::read_body(response, limit).await?)
    }

    /// Asks for a file, following redirects; every hop is checked before anything is sent to it.
    async fn ask(
        &self,
        signed: &Signed,
        headers: HeaderMap,
    ) -> Result<reqwest::Response, FetchError> {
        let mut url = signed.url.clone();
        for _ in 0..=self.policy.max_redirects {
            guard::check(&self.policy, &url)?;
            let mut request = self.client.get(url.clone()).headers(headers.clone());
            if let Some(secret) = signed.headers_for(&url) {
                request = request.headers(secret.clone());
            }
            let response = self.send(&url, request).await?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            url = self.next_hop(&url, &response)?;
        }
        Err(FetchError::Redirects {
            url: redact_url(&url),
            limit: self.policy.max_redirects,
        })
    }

    /// Sends one request, unless its host is left alone, and notes how the host fares.
    async fn send(
        &self,
        url: &Url,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, FetchError> {
        let sent = async {
            let sent = request.send().await;
            sent.map_err(|error| FetchError::from_call(url, error))
        };
        let Some(hosts) = &self.hosts else {
            return sent.await;
        };
        let host = hosts.of(&url.origin().ascii_serialization());
        let leave = host.enter(self.clock.as_ref()).await;
        let _leave = leave.map_err(|retry_after| FetchError::Resting {
            url: redact_url(url),
            retry_after,
        })?;
        let answered = sent.await;
        let now = self.clock.now();
        let outcome = match &answered {
            Ok(answer) => match answer.status().as_u16() {
                429 => Outcome::Throttled,
                500..=599 => Outcome::Failed,
                _ => Outcome::Answered,
            },
            Err(FetchError::Http(error)) if error.class() == Class::Transient => Outcome::Failed,
            Err(_) => Outcome::Answered,
        };
        let asked = answered
            .as_ref()
            .ok()
            .filter(|_| outcome != Outcome::Answered);
        let asked = asked.and_then(|answer| headers::retry_after(answer.headers(), now));
        host.tell(outcome, asked, now);
        answered
    }

    fn next_hop(&self, url: &Url, response: &reqwest::Response) -> Result<Url, FetchError> {
        let location = headers::text(response.headers(), &LOCATION);
        let next = location.and_then(|location| url.join(location).ok());
        let next = next.or_else(|| in_its_region(url, response.headers()));
        let Some(next) = next else {
            return Err(FetchError::Nowhere {
                url: redact_url(url),
                status: response.status().as_u16(),
            });
        };
        if is_login(&next) {
            return Err(FetchError::Login {
                url: redact_url(url),
            });
        }
        match next.scheme() {
            "https" => Ok(next),
            "http" if url.scheme() == "http" || self.policy.allow_http => Ok(next),
            "http" => Err(FetchError::Downgrade {
                url: redact_url(&next),
            }),
            // A host of others must not make us read our own disk, even where our own hrefs may.
            scheme => Err(FetchError::Scheme {
                scheme: scheme.to_owned(),
                url: redact_url(&next),
            }),
        }
    }
}

/// Returns whether a redirect leads to where people log in: a body from there would be a page, with status 200.
fn is_login(next: &Url) -> bool {
    let host = next.host_str().unwrap_or_default();
    LOGIN_HOSTS.contains(&host)
        || next
            .query_pairs()
            .any(|(name, value)| name == "error" && value == "access_denied")
}

/// Returns where S3 keeps an object of another region: it names the region, but no address.
fn in_its_region(url: &Url, headers: &HeaderMap) -> Option<Url> {
    if url.host_str() != Some("s3.amazonaws.com") {
        return None;
    }
    let region = headers.get("x-amz-bucket-region")?.to_str().ok()?;
    let plain =
        |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    let mut next = url.clone();
    let host = format!("s3.{region}.amazonaws.com");
    (region.bytes().all(plain) && next.set_host(Some(&host)).is_ok()).then_some(next)
}
