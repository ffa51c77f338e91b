//! Speaks to STAC APIs: <https://github.com/radiantearth/stac-api-spec>, Item Search, versions 0.9 to 1.0.

mod call;
mod checkpoint;
mod error;
mod page;
mod query;
mod reach;
mod request;
mod search;
mod seen;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use swath_core::Job;
use swath_core::aoi::Area;
use tokio::sync::Mutex;
use url::Url;

use crate::clock::Clock;
use crate::retry::Policy;

pub use crate::polite::Manners;
pub use checkpoint::Checkpoint;
pub use error::StacError;
pub use reach::Reach;
pub use search::{Page, Search, Stopped};

/// How much is taken from an API before it is thought to be sick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one page, decoded.
    pub page_bytes: usize,
    /// Pages of one search.
    pub pages: u64,
    /// Empty pages in a row that still name a next one.
    pub empty_pages: u64,
    /// Redirects of one request.
    pub redirects: u32,
    /// Time from a request to the end of its answer.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            page_bytes: 64 * 1024 * 1024,
            pages: 100_000,
            empty_pages: 3,
            redirects: 5,
            answer: Duration::from_mins(2),
        }
    }
}

/// Speaks to STAC APIs; clones share what was learnt of them.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    policy: Policy,
    limits: Limits,
    reach: Reach,
    hosts: crate::polite::Hosts,
    /// Where each API searches, by its landing page.
    known: Arc<Mutex<HashMap<Url, Endpoint>>>,
}

/// Where and how an API searches.
#[derive(Clone, Debug)]
struct Endpoint {
    url: Url,
    /// It was found to answer no POST.
    by_get: bool,
    /// [`swath_core::digest_hex`] of the landing page, 64 digits.
    landing_digest: String,
}

impl Client {
    /// Speaks over a client from [`crate::http::for_apis`].
    pub fn new(http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            http,
            clock,
            policy: Policy::default(),
            limits: Limits::default(),
            reach: Reach::default(),
            hosts: crate::polite::Hosts::default(),
            known: Arc::default(),
        }
    }

    /// Takes other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Asks no API but those within reach; its HTTP client should be from [`Reach::http`].
    #[must_use]
    pub fn with_reach(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// Takes another way of trying again.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Takes other manners towards hosts.
    #[must_use]
    pub fn with_manners(self, manners: Manners) -> Self {
        Self {
            hosts: crate::polite::Hosts::new(manners),
            ..self
        }
    }

    /// Begins a search for the items that a job asks for in one area; its pages are asked for one by one.
    ///
    /// # Errors
    /// When the job or the area cannot be asked for, or the API's landing page cannot be read.
    pub async fn search(&self, job: &Job, area: &Area) -> Result<Search, StacError> {
        let asked = query::Query::new(job, area)?;
        let mut sent = 0;
        self.endpoint(&job.catalog, asked.headers(), &mut sent)
            .await?;
        let mut search = Search::new(self.clone(), job, asked);
        search.requests = sent;
        Ok(search)
    }

    /// Goes on with a search where it stood; job and area must be those that it began with.
    ///
    /// # Errors
    /// As [`Self::search`], and when what was written down leads to another server.
    pub async fn resume(
        &self,
        job: &Job,
        area: &Area,
        from: Checkpoint,
    ) -> Result<Search, StacError> {
        let mut search = self.search(job, area).await?;
        search.go_on(from).await?;
        Ok(search)
    }

    /// Returns where the API searches; its landing page is read once.
    ///
    /// # Errors
    /// When the landing page cannot be read, or is none.
    pub async fn search_url(&self, landing: &Url) -> Result<Url, StacError> {
        let endpoint = self.endpoint(landing, &HeaderMap::new(), &mut 0).await?;
        Ok(endpoint.url)
    }

    /// Returns [`swath_core::digest_hex`] of a landing page that was read, 64 digits; `None` when it was not.
    pub async fn landing_digest(&self, landing: &Url) -> Option<String> {
        let known = self.known.lock().await;
        let endpoint = known.get(landing)?;
        Some(endpoint.landing_digest.clone())
    }

    async fn endpoint(
        &self,
        landing: &Url,
        headers: &HeaderMap,
        sent: &mut u64,
    ) -> Result<Endpoint, StacError> {
        let mut known = self.known.lock().await;
        if let Some(endpoint) = known.get(landing) {
            return Ok(endpoint.clone());
        }
        let request = request::Request::get(landing.clone(), headers.clone());
        let endpoint = self
            .call(&request, |answer| page::endpoint(&answer), sent)
            .await?;
        known.insert(landing.clone(), endpoint.clone());
        Ok(endpoint)
    }

    /// Remembers that an API answers no POST.
    async fn learn_by_get(&self, landing: &Url) {
        if let Some(endpoint) = self.known.lock().await.get_mut(landing) {
            endpoint.by_get = true;
        }
    }
}

#[cfg(test)]
mod tests;
