//! What can go wrong with a STAC API, named by what was being done.

use std::time::Duration;

use reqwest::header::HeaderMap;
use swath_core::datetime::DatetimeError;
use swath_core::split::AreaNotSupported;
use swath_core::{Class, Classify};

use crate::fetch::FetchError;
use crate::http::HttpError;
use crate::polite::Outcome;
use crate::retry::Retryable;

/// A search that cannot go on. Addresses are redacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StacError {
    /// No usable answer came.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The API may not be asked from here.
    #[error("the catalog may not be asked")]
    NotAllowed(#[source] Box<FetchError>),
    /// The API is none of those that may be asked.
    #[error("{url}: not among the hosts that may be searched (SWATH_CATALOG_HOSTS)")]
    HostNotAllowed {
        /// What was to be asked.
        url: String,
    },
    /// The API refused or failed.
    #[error("{url}: {}", refusal(*status, code.as_deref(), description.as_deref()))]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The API's own code for it.
        code: Option<String>,
        /// The API's own words for it.
        description: Option<String>,
        /// How long the API asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The answer says success and holds no JSON, or an error.
    #[error("{url}: an error page with status 200: {shown:?}")]
    ErrorPage {
        /// What was asked.
        url: String,
        /// How the page begins.
        shown: String,
    },
    /// The answer is JSON but no page of items.
    #[error("{url}: not a page of items: {reason}")]
    NotAPage {
        /// What was asked.
        url: String,
        /// What it is instead.
        reason: String,
    },
    /// The address is no STAC API.
    #[error("{url}: not the landing page of a STAC API: {reason}")]
    NotAnApi {
        /// What was asked.
        url: String,
        /// What it is instead.
        reason: String,
    },
    /// The API names a page that was asked for before.
    #[error("{url}: page {page} names a next page that was already read: pagination loop")]
    PaginationLoop {
        /// The next page.
        url: String,
        /// The page that names it, from 1.
        page: u64,
    },
    /// The API serves the same items under new page addresses.
    #[error("{url}: page {page} and the one before it hold no item that was not served before")]
    NoNewItems {
        /// The page.
        url: String,
        /// Its number, from 1.
        page: u64,
    },
    /// A next page cannot be asked for.
    #[error("{url}: page {page} has a next link that cannot be followed: {reason}")]
    NextLink {
        /// The page.
        url: String,
        /// Its number, from 1.
        page: u64,
        /// What is wrong with the link.
        reason: String,
    },
    /// A link or redirect leads to another server.
    #[error("{from} leads to another host, {to}: refused")]
    OtherHost {
        /// Where the link or redirect stood.
        from: String,
        /// Where it leads.
        to: String,
    },
    /// A link or redirect gives up encryption.
    #[error("{from} leads from https to {to}: refused")]
    Downgrade {
        /// Where the link or redirect stood.
        from: String,
        /// Where it leads.
        to: String,
    },
    /// A redirect that leads nowhere, or one too many.
    #[error("{url}: a redirect that cannot be followed: {reason}")]
    Redirect {
        /// Where it stood.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The job's datetime is none.
    #[error("the datetime asked for cannot be used")]
    Datetime(#[from] DatetimeError),
    /// The area cannot be sent.
    #[error("the area cannot be searched")]
    Area(#[from] AreaNotSupported),
    /// A header of the job is none; its value is not shown.
    #[error("the job's header {0:?} cannot be sent")]
    Header(String),
    /// The host failed so often in a row that it is left alone for a while.
    #[error("{url}: not asked, for the host failed many times in a row")]
    Resting {
        /// What was to be asked.
        url: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// The request cannot be written.
    #[error("the search cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

/// Shorter values of headers are no secrets, and stand in many a sentence.
const SHORTEST_SECRET: usize = 6;

fn refusal(status: u16, code: Option<&str>, description: Option<&str>) -> String {
    let reason = reqwest::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("unknown status");
    let mut text = format!("{status} {reason}");
    for part in [code, description].into_iter().flatten() {
        text.push_str(": ");
        text.push_str(part);
    }
    text
}

impl StacError {
    /// Takes out what the caller's secret headers hold, which some APIs repeat in their own words.
    pub(super) fn without(mut self, headers: &HeaderMap) -> Self {
        let secrets = headers.values().filter(|value| value.is_sensitive());
        let secrets = secrets.filter_map(|value| value.to_str().ok());
        for secret in secrets.filter(|secret| secret.len() >= SHORTEST_SECRET) {
            let hide = |text: &mut String| *text = text.replace(secret, "[redacted]");
            match &mut self {
                Self::Status {
                    code, description, ..
                } => code.iter_mut().chain(description).for_each(hide),
                Self::ErrorPage { shown, .. } => hide(shown),
                _ => {}
            }
        }
        self
    }

    /// Returns whether the request was too much for the server: less may be answered.
    pub(super) fn is_too_much(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 413 | 502 | 504,
                ..
            }
        )
    }

    /// Returns whether the server refuses so many items a page.
    pub(super) fn refuses_limit(&self) -> bool {
        let Self::Status {
            status: 400 | 422,
            description: Some(said),
            ..
        } = self
        else {
            return false;
        };
        said.to_ascii_lowercase().contains("limit")
    }

    /// Returns whether the server knows no POST here.
    pub(super) fn offers_no_post(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 404 | 405 | 501,
                ..
            }
        )
    }

    /// Returns what it says about the host's health.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Status {
                status: 429 | 503, ..
            } => Outcome::Throttled,
            Self::Status { status: 500, .. } => Outcome::Failed,
            Self::Http(error) if error.class() == Class::Transient => Outcome::Failed,
            _ => Outcome::Answered,
        }
    }
}

impl Classify for StacError {
    fn class(&self) -> Class {
        match self {
            Self::Http(error) => error.class(),
            Self::Status { status, .. } => class_of_status(*status),
            Self::ErrorPage { .. } | Self::Resting { .. } => Class::Transient,
            Self::NotAllowed(_)
            | Self::HostNotAllowed { .. }
            | Self::NotAPage { .. }
            | Self::NotAnApi { .. }
            | Self::PaginationLoop { .. }
            | Self::NoNewItems { .. }
            | Self::NextLink { .. }
            | Self::OtherHost { .. }
            | Self::Downgrade { .. }
            | Self::Redirect { .. }
            | Self::Datetime(_)
            | Self::Area(_)
            | Self::Header(_) => Class::Invalid,
            Self::Json(_) => Class::Bug,
        }
    }
}

fn class_of_status(status: u16) -> Class {
    match status {
        401 | 403 | 407 => Class::Denied,
        // Not implemented will not be implemented by waiting.
        501 | 505 => Class::Invalid,
        408 | 425 | 429 | 500..=599 => Class::Transient,
        _ => Class::Invalid,
    }
}

impl Retryable for StacError {
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Resting { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}
