//! Tokens of the Planetary Computer: <https://planetarycomputer.microsoft.com/docs/concepts/sas/>.
//!
//! A token is good for one container of one storage account. However many files of it are wanted, it is asked for once,
//! and again shortly before its end, which the answer names. Its lifetime is taken by the server's own clock, so that
//! ours may be wrong by minutes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::DATE;
use serde::Deserialize;
use swath_core::{Class, Classify as _, Redacted, stac::parse_datetime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;

use crate::clock::Clock;
use crate::fetch::{Sign, SignError, Signed};
use crate::http::{HttpError, read_body};
use crate::retry::{Policy, parse_retry_after};

const ENDPOINT: &str = "https://planetarycomputer.microsoft.com/api/sas/v1/token/";
const STORAGE: &str = ".blob.core.windows.net";
/// An account that is open to everyone and for which no tokens are given out.
const OPEN_ACCOUNT: &str = "ai4edatasetspublicassets";
/// A token is not used when less than this is left of it, or a tenth of its life.
const MARGIN: Duration = Duration::from_mins(1);
/// How long a token without a usable end is used.
const UNKNOWN_LIFE: Duration = Duration::from_mins(5);
const LARGEST_ANSWER: usize = 64 << 10;

type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// Signs Azure blobs with tokens of the Planetary Computer.
#[derive(Clone, Debug)]
pub struct PlanetaryComputer {
    http: reqwest::Client,
    endpoint: Option<Url>,
    /// A host whose first path segment is the account, as emulators of Azure have it.
    emulator: Option<String>,
    key: Option<Redacted<String>>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    tokens: Arc<Mutex<HashMap<(String, String), Slot>>>,
}

#[derive(Clone, Debug)]
struct Token {
    query: Redacted<String>,
    use_until: OffsetDateTime,
}

#[derive(Deserialize)]
struct Answer {
    token: String,
    #[serde(default, rename = "msft:expiry")]
    expiry: Option<String>,
}

impl PlanetaryComputer {
    /// Asks Microsoft's service, with a subscription key if there is one.
    pub fn new(
        http: reqwest::Client,
        key: Option<Redacted<String>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            http,
            endpoint: Url::parse(ENDPOINT).ok(),
            emulator: None,
            key,
            clock,
            // As patient as Microsoft's own client: the service throttles.
            policy: Policy {
                attempts: 10,
                ..Policy::default()
            },
            tokens: Arc::default(),
        }
    }

    /// Asks another service (its address ends in `/`), for blobs of an emulator of Azure too.
    #[must_use]
    pub fn at(self, endpoint: Url, emulator: &str) -> Self {
        Self {
            endpoint: Some(endpoint),
            emulator: Some(emulator.to_owned()),
            ..self
        }
    }

    /// Returns whose token an href needs: account and container; nothing for hrefs that need none.
    fn container(&self, href: &Url) -> Option<(String, String)> {
        let host = href.host_str()?;
        let mut path = href.path_segments()?;
        let account = if self.emulator.as_deref() == Some(host) {
            path.next()?
        } else {
            host.strip_suffix(STORAGE)?
        };
        let container = path.next().filter(|name| !name.is_empty())?;
        let has = |key| href.query_pairs().any(|(name, _)| name == key);
        let signed = has("st") && has("se") && has("sp") || has("sig");
        (account != OPEN_ACCOUNT && !signed).then(|| (account.to_owned(), container.to_owned()))
    }

    fn slot(&self, of: &(String, String)) -> Slot {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tokens.entry(of.clone()).or_default())
    }

    /// Takes the token at hand, or asks for one while all others who want it wait.
    async fn token(&self, href: &Url, of: &(String, String)) -> Result<Token, SignError> {
        let slot = self.slot(of);
        let mut slot = slot.lock().await;
        let good = slot
            .as_ref()
            .filter(|token| self.clock.now() < token.use_until);
        if let Some(token) = good {
            return Ok(token.clone());
        }
        let clock = self.clock.as_ref();
        let token = self
            .policy
            .run(clock, |_| async { self.ask(href, of).await })
            .await?;
        Ok(slot.insert(token).clone())
    }

    async fn ask(
        &self,
        href: &Url,
        (account, container): &(String, String),
    ) -> Result<Token, SignError> {
        let failed = |error: &HttpError| SignError {
            class: error.class(),
            ..SignError::denied(href, swath_core::chain(error))
        };
        let below = format!("{account}/{container}");
        let url = self
            .endpoint
            .as_ref()
            .and_then(|endpoint| endpoint.join(&below).ok());
        let url = url.ok_or_else(|| SignError::denied(href, "no address to ask"))?;
        let mut request = self.http.get(url.clone());
        if let Some(key) = &self.key {
            request = request.header("Ocp-Apim-Subscription-Key", key.expose());
        }
        let response = request.send().await;
        let response = response.map_err(|error| failed(&HttpError::from_call(&url, error)))?;
        let now = self.clock.now();
        if !response.status().is_success() {
            return Err(refused(href, &response, now));
        }
        let server_now = header(&response, &DATE)
            .and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok())
            .unwrap_or(now);
        let body = read_body(response, LARGEST_ANSWER).await;
        let body = body.map_err(|error| failed(&error))?;
        // The answer holds the token, so it is not repeated in the error.
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| SignError::denied(href, "the token service's answer holds no token"))?;
        let end = answer.expiry.as_deref().and_then(parse_datetime);
        let life = end.and_then(|end| Duration::try_from(end - server_now).ok());
        let life = life.filter(|life| !life.is_zero()).unwrap_or(UNKNOWN_LIFE);
        Ok(Token {
            query: Redacted::new(answer.token),
            use_until: now + life.saturating_sub(MARGIN.min(life / 10)),
        })
    }
}

fn header<'a>(
    response: &'a reqwest::Response,
    name: &reqwest::header::HeaderName,
) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn refused(href: &Url, response: &reqwest::Response, now: OffsetDateTime) -> SignError {
    let status = response.status().as_u16();
    let class = match status {
        408 | 425 | 429 | 500..=599 => Class::Transient,
        404 => Class::Invalid,
        _ => Class::Denied,
    };
    let retry_after = header(response, &reqwest::header::RETRY_AFTER);
    SignError {
        class,
        retry_after: retry_after.and_then(|value| parse_retry_after(value, now)),
        ..SignError::denied(href, format!("the token service said {status}"))
    }
}

#[async_trait]
impl Sign for PlanetaryComputer {
    async fn sign(&self, href: &Url) -> Result<Signed, SignError> {
        let Some(of) = self.container(href) else {
            return Ok(Signed::plain(href.clone()));
        };
        let token = self.token(href, &of).await?;
        Ok(Signed::plain(with_token(href, &token)))
    }

    async fn renew(&self, href: &Url, used: &Signed) -> bool {
        let Some(of) = self.container(href) else {
            return false;
        };
        let slot = self.slot(&of);
        let mut slot = slot.lock().await;
        // Another task may have thrown the refused token away already: its successor is not to be thrown away too.
        if slot
            .as_ref()
            .is_some_and(|token| with_token(href, token) == used.url)
        {
            *slot = None;
        }
        true
    }
}

fn with_token(href: &Url, token: &Token) -> Url {
    let token = token.query.expose().trim_start_matches('?');
    let query = match href.query().filter(|query| !query.is_empty()) {
        Some(query) => format!("{query}&{token}"),
        None => token.to_owned(),
    };
    let mut signed = href.clone();
    signed.set_query(Some(&query));
    signed
}
