//! Why something of others cannot be read.

use std::path::PathBuf;
use std::time::Duration;

use swath_core::{Class, Classify};

use crate::fetch::FetchError;
use crate::http::HttpError;
use crate::retry::Retryable;
use crate::store::{class_of, class_of_io};

/// Something of others that cannot be read or listed; addresses of the web in it are redacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The address is none that we know.
    #[error(
        "{text:?} is nothing to read from: use a path, file:///path, s3://bucket/key or https://host/path"
    )]
    Address {
        /// The address.
        text: String,
    },
    /// Files of this machine are not read here.
    #[error("{address}: files of this machine are not read here")]
    Files {
        /// The address.
        address: String,
    },
    /// No client for the web.
    #[error("no HTTP client")]
    Client(#[source] Box<HttpError>),
    /// A file of this machine cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A bucket's call failed.
    #[error("{address} cannot be read")]
    Call {
        /// The object or prefix.
        address: String,
        /// Why.
        #[source]
        source: Box<object_store::Error>,
    },
    /// The web did not bring it.
    #[error(transparent)]
    Fetch(Box<FetchError>),
    /// It is larger than we take.
    #[error("{address}: {size} bytes, the limit is {limit}")]
    TooLarge {
        /// The address.
        address: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: usize,
    },
    /// The host does not say how large the file is.
    #[error("{address}: the host does not say how large the file is")]
    NoSize {
        /// The address.
        address: String,
    },
    /// A thread ended of itself.
    #[error("a thread ended before its work was done")]
    Ended,
}

impl SourceError {
    pub(super) fn call(address: &str, source: object_store::Error) -> Self {
        Self::Call {
            address: address.to_owned(),
            source: Box::new(source),
        }
    }

    /// Returns the failure's stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "no_address",
            Self::Files { .. } => "scheme_refused",
            Self::Client(_) => "no_client",
            Self::TooLarge { .. } => "too_large",
            Self::NoSize { .. } => "size_unknown",
            Self::Ended => "ended",
            Self::Fetch(error) => error.code(),
            Self::File { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => "gone",
                std::io::ErrorKind::PermissionDenied => "forbidden",
                _ => "unreadable",
            },
            Self::Call { source, .. } => match source.as_ref() {
                object_store::Error::NotFound { .. } => "gone",
                _ => match class_of(source) {
                    Class::Denied => "forbidden",
                    Class::Transient => "unavailable",
                    _ => "unreadable",
                },
            },
        }
    }

    /// Says whether there is nothing at the address.
    pub fn is_gone(&self) -> bool {
        self.code() == "gone"
    }
}

impl Classify for SourceError {
    fn class(&self) -> Class {
        match self {
            Self::Address { .. }
            | Self::Files { .. }
            | Self::TooLarge { .. }
            | Self::NoSize { .. } => Class::Invalid,
            Self::Client(_) | Self::Ended => Class::Bug,
            Self::Fetch(error) => error.class(),
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Class::Invalid
            }
            Self::File { source, .. } => class_of_io(source),
            Self::Call { source, .. } => class_of(source),
        }
    }
}

impl Retryable for SourceError {
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Fetch(error) => error.retry_after(),
            _ => None,
        }
    }
}
