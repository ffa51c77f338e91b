//! Hrefs that can be opened as they stand in the result, for as long as their signatures last.

use std::collections::BTreeMap;
use std::sync::Arc;

use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::fetch::Sign;
use swath_cloud::http::{self, HttpError, Timeouts};
use swath_cloud::sign::{Command, Function, PlanetaryComputer};
use swath_core::{Redacted, Signing};
use url::Url;

use super::args::ArgumentError;
use crate::download::SignArg;

/// Signs the hrefs of rows, or leaves them as they are.
#[derive(Debug, Default)]
pub(super) struct Hrefs {
    signer: Option<Arc<dyn Sign>>,
    /// Hosts whose files could not be signed: how many hrefs, and why the first one.
    pub(super) unsigned: BTreeMap<String, (u64, String)>,
}

impl Hrefs {
    /// Sets up the signer that is asked for.
    pub(super) fn new(asked: &SignArg, key: Option<Redacted<String>>) -> Result<Self, HrefsError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let signer: Option<Arc<dyn Sign>> = match (asked.signing, &asked.command) {
            (Signing::None, _) => None,
            (Signing::PlanetaryComputer, _) => {
                let client = http::for_apis(Timeouts::default()).map_err(HrefsError::Http)?;
                Some(Arc::new(PlanetaryComputer::new(client, key, clock)))
            }
            (Signing::Command, Some(program)) => Some(Arc::new(Command::new(program.clone()))),
            (Signing::Lambda, _) => {
                let client = http::for_apis(Timeouts::default()).map_err(HrefsError::Http)?;
                let arn = asked.lambda.clone().unwrap_or_default();
                Some(Arc::new(Function::new(client, arn, clock)))
            }
            (other, _) => return Err(HrefsError::Argument(ArgumentError::Sign(other))),
        };
        Ok(Self {
            signer,
            ..Self::default()
        })
    }

    /// Returns the signed href; none when it needs none or cannot have one, which is counted.
    pub(super) async fn sign(&mut self, href: &str) -> Option<String> {
        let signer = self.signer.as_ref()?;
        let url = Url::parse(href).ok()?;
        match signer.sign(&url).await {
            Ok(request) => (request.url != url).then(|| request.url.into()),
            Err(error) => {
                let reason = swath_core::chain(&error);
                let unsigned = self.unsigned.entry(error.host).or_insert((0, reason));
                unsigned.0 += 1;
                None
            }
        }
    }
}

/// Hrefs that cannot be signed at all.
#[derive(Debug)]
pub(super) enum HrefsError {
    Argument(ArgumentError),
    Http(HttpError),
}
