//! Why a fetch failed.

use std::path::PathBuf;
use std::time::Duration;

use swath_core::code::class_of_code;
use swath_core::{Class, Classify};

use super::guard::NotPublic;
use super::sign::SignError;
use crate::http::HttpError;
use crate::publish::PublishError;
use crate::retry::Retryable;

/// A file that could not be fetched; addresses in it are redacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The policy forbids the scheme.
    #[error("{url}: files are not fetched over {scheme:?} here")]
    Scheme {
        /// The address.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// A user name or password stands in the address.
    #[error("{url}: the address carries a user name or password")]
    Credentials {
        /// The address.
        url: String,
    },
    /// The address leads into a network that is not the open internet.
    #[error("{url}: {address} is not on the open internet")]
    Private {
        /// The address asked for.
        url: String,
        /// Where it leads.
        address: String,
    },
    /// The host is none of those that may be fetched from.
    #[error("{url}: not among the hosts that may be fetched from (SWATH_ASSET_HOSTS)")]
    Unlisted {
        /// The address.
        url: String,
    },
    /// The port is not one of the web's.
    #[error("{url}: port {port} is not fetched from, only 80 and 443")]
    Port {
        /// The address.
        url: String,
        /// Its port.
        port: u16,
    },
    /// A redirect leads from https to http.
    #[error("{url}: redirected to http, which is not secure")]
    Downgrade {
        /// Where it leads.
        url: String,
    },
    /// A redirect says nowhere to go, or to no address.
    #[error("{url}: redirected with status {status} to nowhere")]
    Nowhere {
        /// The address that answered.
        url: String,
        /// Its status.
        status: u16,
    },
    /// Redirects without an end.
    #[error("{url}: more than {limit} redirects")]
    Redirects {
        /// The last address.
        url: String,
        /// Redirects followed at most.
        limit: u32,
    },
    /// The file is larger than we take.
    #[error("{url}: {size_bytes} bytes or more, the limit is {limit_bytes}")]
    TooLarge {
        /// The address.
        url: String,
        /// What was promised or received.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The file is not there.
    #[error("{url}: not there (status {status})")]
    Gone {
        /// The address.
        url: String,
        /// 404 or 410.
        status: u16,
    },
    /// The host sends us to a page to log in.
    #[error("{url}: sends us to log in instead of the file")]
    Login {
        /// The address.
        url: String,
    },
    /// The host does not let us.
    #[error("{url}: not allowed (status {status})")]
    Forbidden {
        /// The address.
        url: String,
        /// 401, 403, 407 or 451.
        status: u16,
    },
    /// The host is busy or ill.
    #[error("{url}: not now (status {status})")]
    Unavailable {
        /// The address.
        url: String,
        /// 408, 425, 429 or 5xx.
        status: u16,
        /// How long the host asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The host failed so often in a row, or asked for so long a pause, that it is left alone for a while.
    #[error("{url}: not asked, for the host is left alone for another {} s", retry_after.as_secs())]
    Resting {
        /// The address.
        url: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// The host answers with a status that brings no file.
    #[error("{url}: answered with status {status} instead of the file")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// The body ended early.
    #[error("{url}: ended after {received} of {expected} bytes")]
    CutShort {
        /// The address.
        url: String,
        /// Bytes received.
        received: u64,
        /// Bytes promised.
        expected: u64,
    },
    /// The answer's range is not the one asked for.
    #[error("{url}: asked for the file from byte {offset}, got {got:?}")]
    WrongRange {
        /// The address.
        url: String,
        /// The first byte asked for.
        offset: u64,
        /// The answer's `Content-Range`.
        got: String,
    },
    /// The body trickles.
    #[error("{url}: fewer than {least_bytes} bytes in {window:?}")]
    Stalled {
        /// The address.
        url: String,
        /// Bytes that a window must bring.
        least_bytes: u64,
        /// The window.
        window: Duration,
    },
    /// The exchange failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No signature.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The local source cannot be read.
    #[error("{} cannot be read", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bytes cannot be kept on this machine: not the asset's fault.
    #[error(transparent)]
    Staging(#[from] PublishError),
}

impl FetchError {
    /// Names an HTTP failure, telling a guarded name from a name that is not known.
    pub(crate) fn from_call(url: &url::Url, error: reqwest::Error) -> Self {
        if let Some(private) = cause::<NotPublic>(&error) {
            let address = private.address.clone();
            let url = swath_core::redact_url(url);
            return Self::Private { url, address };
        }
        Self::Http(HttpError::from_call(url, error))
    }

    /// Names a status that is no success.
    pub(super) fn from_status(url: String, status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            404 | 410 => Self::Gone { url, status },
            401 | 403 | 407 | 451 => Self::Forbidden { url, status },
            408 | 425 | 429 | 500..=599 => Self::Unavailable {
                url,
                status,
                retry_after,
            },
            _ => Self::Status { url, status },
        }
    }

    /// Returns the failure's stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Scheme { .. } => "scheme_refused",
            Self::Credentials { .. } => "credentials_in_href",
            Self::Private { .. } => "private_address",
            Self::Unlisted { .. } => "host_refused",
            Self::Port { .. } => "port_refused",
            Self::Downgrade { .. } => "redirect_to_http",
            Self::Nowhere { .. } => "redirect_to_nowhere",
            Self::Redirects { .. } => "too_many_redirects",
            Self::TooLarge { .. } => "too_large",
            Self::Gone { .. } => "gone",
            Self::Forbidden { .. } => "forbidden",
            Self::Login { .. } => "login_required",
            Self::Unavailable { status: 429, .. } => "throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::Resting { .. } => "resting",
            Self::Status { .. } => "unexpected_status",
            Self::CutShort { .. } => "cut_short",
            Self::WrongRange { .. } => "wrong_range",
            Self::Stalled { .. } => "stalled",
            Self::Http(HttpError::Refused { .. }) => "connection_refused",
            Self::Http(HttpError::Connect { .. }) => "no_connection",
            Self::Http(HttpError::Timeout { .. }) => "timeout",
            Self::Http(_) => "broken_off",
            Self::Sign(_) => "not_signed",
            Self::Source { source, .. } => source_code(source),
            Self::Staging(_) => "staging",
        }
    }

    /// Returns whether the policy refused the address before the host said anything.
    pub fn is_policy(&self) -> bool {
        matches!(
            self,
            Self::Scheme { .. }
                | Self::Credentials { .. }
                | Self::Private { .. }
                | Self::Unlisted { .. }
                | Self::Port { .. }
                | Self::Downgrade { .. }
                | Self::TooLarge { .. }
        )
    }
}

fn source_code(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "gone",
        std::io::ErrorKind::PermissionDenied => "forbidden",
        _ => "unreadable",
    }
}

impl Classify for FetchError {
    fn class(&self) -> Class {
        match self {
            Self::Http(error) => error.class(),
            Self::Sign(error) => error.class(),
            Self::Staging(error) => error.class(),
            _ => class_of_code(self.code()),
        }
    }
}

impl Retryable for FetchError {
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            Self::Resting { retry_after, .. } => Some(*retry_after),
            Self::Sign(error) => error.retry_after(),
            _ => None,
        }
    }
}

pub(crate) fn cause<'a, T: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
