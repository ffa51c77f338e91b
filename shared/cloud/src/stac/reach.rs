//! Which APIs may be asked: jobs name their catalog, and on AWS jobs are written by others than those who pay for the network.

use std::sync::Arc;

use reqwest::dns::Resolve;
use url::Url;

use super::StacError;
use crate::fetch::guard::{self, GuardedResolver, NotPublic, SystemResolver};
use crate::fetch::{FetchPolicy, cause};
use crate::http::{self, HttpError, Timeouts};
use crate::sign::Hosts;
use swath_core::redact_url;

/// Which APIs may be asked.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Absent when all may be asked.
    policy: Option<Arc<FetchPolicy>>,
    /// The only hosts that may be asked, when there are any.
    hosts: Hosts,
}

impl Reach {
    /// Allows the open internet over https, as far as `policy` opens no more, and when hosts are named these alone.
    pub fn within(policy: FetchPolicy, hosts: Hosts) -> Self {
        Self {
            policy: Some(Arc::new(policy)),
            hosts,
        }
    }

    /// Builds a client that dials no address that may not be asked.
    ///
    /// # Errors
    /// When the TLS roots cannot be set up.
    pub fn http(&self, timeouts: Timeouts) -> Result<reqwest::Client, HttpError> {
        self.http_with(timeouts, Arc::new(SystemResolver))
    }

    pub(super) fn http_with(
        &self,
        timeouts: Timeouts,
        resolver: Arc<dyn Resolve>,
    ) -> Result<reqwest::Client, HttpError> {
        let mut builder = http::for_apis_builder(timeouts);
        let guarded = self.policy.as_ref();
        if guarded.is_some_and(|policy| !policy.allow_private_hosts) {
            builder = builder.dns_resolver(Arc::new(GuardedResolver::new(resolver)));
        }
        builder.build().map_err(HttpError::Build)
    }

    /// Checks an address before anything is sent to it.
    pub(super) fn check(&self, url: &Url) -> Result<(), StacError> {
        if !self.hosts.is_empty() && !url.host_str().is_some_and(|host| self.hosts.have(host)) {
            return Err(StacError::HostNotAllowed {
                url: redact_url(url),
            });
        }
        let policy = self.policy.as_ref();
        policy.map_or(Ok(()), |policy| {
            guard::check(policy, url).map_err(|source| StacError::NotAllowed(Box::new(source)))
        })
    }

    /// Names a failed call, telling a name that leads into our own networks from one that is not known.
    pub(super) fn failure(url: &Url, error: reqwest::Error) -> StacError {
        if cause::<NotPublic>(&error).is_some() {
            let refused = crate::fetch::FetchError::from_call(url, error);
            return StacError::NotAllowed(Box::new(refused));
        }
        HttpError::from_call(url, error).into()
    }
}
