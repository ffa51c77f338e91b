//! Signers of hrefs: who gives out access, and who may see it.

mod command;
mod function;
mod header;
mod planetary;
pub mod s3;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use swath_core::{Redacted, Signing};

use crate::clock::Clock;
use crate::fetch::Signers;
use crate::http::{self, HttpError, Timeouts};

pub use command::Command;
pub use function::Function;
pub use header::{Header, HeaderError};
pub use planetary::PlanetaryComputer;
pub use s3::{Buckets, S3};

/// Host names: whole ones, and with a leading dot all below one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Takes names, whatever their case; empty ones are left out.
    pub fn new<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Self {
        let names = names
            .into_iter()
            .map(|name| name.as_ref().trim().to_ascii_lowercase());
        Self(names.filter(|name| !name.is_empty()).collect())
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a host is one of them.
    pub fn have(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.0.iter().any(|name| {
            if name.starts_with('.') {
                host.ends_with(name.as_str())
            } else {
                host == *name
            }
        })
    }
}

/// What signers need and nobody else may see.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The subscription key of the Planetary Computer, which takes requests without one, too, but fewer.
    pub planetary_computer_key: Option<Redacted<String>>,
    /// The token for `bearer`.
    pub bearer_token: Option<Redacted<String>>,
    /// The header for `header`, as `Name: value`.
    pub header: Option<Redacted<String>>,
    /// The hosts that may see the token or the header.
    pub hosts: Hosts,
    /// The token for `earthdata`.
    pub earthdata_token: Option<Redacted<String>>,
    /// The buckets that our own credentials may be used for.
    pub buckets: Buckets,
    /// The program for `command`.
    pub command: Option<PathBuf>,
    /// The ARN of the function for `lambda`.
    pub lambda: Option<String>,
}

/// Signers that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// No HTTP client.
    #[error("no signer can be spoken to")]
    Http(#[source] HttpError),
    /// A token or header that no request can carry.
    #[error("access that cannot be used")]
    Header(#[from] HeaderError),
}

impl Access {
    /// Sets up the signers for which there is access.
    ///
    /// # Errors
    /// When no HTTP client can be built, or a token or header is none.
    pub fn signers(&self, clock: &Arc<dyn Clock>) -> Result<Signers, AccessError> {
        let client = http::for_apis(Timeouts::default()).map_err(AccessError::Http)?;
        let key = self.planetary_computer_key.clone();
        let planetary = PlanetaryComputer::new(client.clone(), key, Arc::clone(clock));
        let s3 = |pays| Arc::new(S3::new(client.clone(), self.buckets.clone(), pays));
        let mut signers = Signers::default()
            .with(Signing::PlanetaryComputer, Arc::new(planetary))
            .with(Signing::S3, s3(false))
            .with(Signing::S3RequesterPays, s3(true));
        if let Some(token) = &self.bearer_token {
            let bearer = Header::bearer(token, self.hosts.clone())?;
            signers = signers.with(Signing::Bearer, Arc::new(bearer));
        }
        if let Some(line) = &self.header {
            let header = Header::line(line, self.hosts.clone())?;
            signers = signers.with(Signing::Header, Arc::new(header));
        }
        if let Some(token) = &self.earthdata_token {
            let earthdata = Header::earthdata(token, &self.hosts)?;
            signers = signers.with(Signing::Earthdata, Arc::new(earthdata));
        }
        if let Some(program) = &self.command {
            let command = Command::new(program.clone());
            signers = signers.with(Signing::Command, Arc::new(command));
        }
        if let Some(arn) = &self.lambda {
            let function = Function::new(client, arn.clone(), Arc::clone(clock));
            signers = signers.with(Signing::Lambda, Arc::new(function));
        }
        Ok(signers)
    }
}
