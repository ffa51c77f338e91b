//! Why an asset did not come home.

use std::time::Duration;

use swath_cloud::fetch::FetchError;
use swath_cloud::item::FindError;
use swath_cloud::retry::Retryable;
use swath_core::code::class_of_code;
use swath_core::naming::NamingError;
use swath_core::{Class, Classify, Signing, chain};
use swath_raster::{Code, Verdict};

/// A failure that concerns one asset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssetFailure {
    /// No file can be named after it.
    #[error(transparent)]
    Name(#[from] NamingError),
    /// The href is no absolute address.
    #[error("the href is no absolute address")]
    Href(#[from] url::ParseError),
    /// There is no href, and the catalog gives none.
    #[error("it has no href")]
    NoHref(#[source] FindError),
    /// It could not be fetched.
    #[error(transparent)]
    Fetch(FetchError),
    /// What came is not the asset.
    #[error(transparent)]
    Body(#[from] WrongBody),
    /// It could be had from none of several places.
    #[error("{}; nor from elsewhere: {}", chain(decisive.as_ref()), listed(others))]
    Everywhere {
        /// What decides: a failure that may pass, if there is one, else that of the asset's own href.
        decisive: Box<AssetFailure>,
        /// The other places' failures.
        others: Vec<AssetFailure>,
    },
    /// Another file lies in its place.
    #[error("{place}: {reason}; it was left as it is: remove it to have the asset fetched")]
    Occupied {
        /// The place.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Bytes that came whole and are not the asset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WrongBody {
    /// The verdict's code, or `checksum_mismatch`.
    pub code: &'static str,
    /// What is wrong.
    pub reason: String,
    class: Class,
    of_host: bool,
}

impl WrongBody {
    /// Names what a verdict found; nothing when the file may be used.
    pub(crate) fn of_verdict(verdict: &Verdict) -> Option<Self> {
        if !verdict.is_bad() {
            return None;
        }
        let class = match class_of_code(verdict.code.as_str()) {
            // Known to be whole: it would come again as it is.
            Class::Transient if !verdict.retryable => Class::Invalid,
            class => class,
        };
        // A host that says it is busy may say so twice in the same words; any other page that comes twice is what it has.
        let of_host = matches!(
            verdict.code,
            Code::ErrorBodyXmlThrottle | Code::ErrorBodyJsonThrottle
        );
        Some(Self {
            code: verdict.code.as_str(),
            reason: verdict.reason.clone(),
            class,
            of_host,
        })
    }

    /// Names a checksum that is not the promised one.
    pub(crate) fn of_checksum(promised: &str) -> Self {
        Self {
            code: "checksum_mismatch",
            reason: format!("the bytes are not those of the promised checksum {promised}"),
            class: Class::Transient,
            of_host: false,
        }
    }

    /// Takes the same bytes coming twice into account: they are what the host has.
    pub(crate) fn came_again(self) -> Self {
        match self.class {
            Class::Transient if !self.of_host => Self {
                class: Class::Invalid,
                reason: format!("{}, and the same bytes came twice", self.reason),
                ..self
            },
            _ => self,
        }
    }
}

impl Classify for WrongBody {
    fn class(&self) -> Class {
        self.class
    }
}

impl Retryable for WrongBody {}

impl AssetFailure {
    /// Returns the failure's stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "unnameable",
            Self::Href(_) => "href_malformed",
            Self::NoHref(_) => "no_href",
            Self::Fetch(error) => error.code(),
            Self::Body(wrong) => wrong.code,
            Self::Everywhere { decisive, .. } => decisive.code(),
            Self::Occupied { .. } => "occupied",
        }
    }

    /// Returns whether asking again in the same way is of no use.
    pub fn is_final(&self, signing: Signing) -> bool {
        match self {
            // Our own rules may change, and to apply them again costs nothing.
            Self::Name(_) | Self::Href(_) | Self::NoHref(_) | Self::Occupied { .. } => false,
            Self::Fetch(error) => error.class() == Class::Invalid && !error.is_policy(),
            // Whoever shows no credentials is asked for them every time.
            Self::Body(wrong) if wrong.code == Code::ErrorBodyLogin.as_str() => {
                signing == Signing::None
            }
            Self::Body(wrong) => wrong.class() == Class::Invalid,
            Self::Everywhere { decisive, others } => {
                decisive.is_final(signing) && others.iter().all(|other| other.is_final(signing))
            }
        }
    }
}

/// Writes failures in one line.
fn listed(failures: &[AssetFailure]) -> String {
    let failures: Vec<String> = failures.iter().map(|failure| chain(failure)).collect();
    failures.join("; ")
}

impl Classify for AssetFailure {
    fn class(&self) -> Class {
        match self {
            Self::Name(error) => error.class(),
            Self::Href(_) => Class::Invalid,
            Self::NoHref(error) => error.class(),
            Self::Fetch(error) => error.class(),
            Self::Body(wrong) => wrong.class(),
            Self::Everywhere { decisive, .. } => decisive.class(),
            Self::Occupied { .. } => Class::Conflict,
        }
    }
}

impl Retryable for AssetFailure {
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Fetch(error) => error.retry_after(),
            Self::Everywhere { decisive, .. } => decisive.retry_after(),
            _ => None,
        }
    }
}
