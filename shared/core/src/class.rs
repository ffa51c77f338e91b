//! What a failure asks of whoever holds the work.

use serde::{Deserialize, Serialize};

/// The kind of a failure, named for what to do about it rather than where it arose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// A remote was slow, throttled or down: the same call may succeed later.
    Transient,
    /// Another writer moved first: read again, then retry.
    Conflict,
    /// The call may have taken effect: look before trying again.
    Uncertain,
    /// The input can never succeed: no retry will help.
    Invalid,
    /// We may not do this here: every message would fail alike.
    Denied,
    /// Ours to fix; handed back so that nothing is lost, and paged.
    Bug,
}

/// What becomes of a message whose work failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Hand it back to the queue.
    Retry,
    /// Take it off the queue and keep it where a person can look.
    Quarantine,
    /// Hand back this message and every one not yet started: all would fail alike.
    StopBatch,
}

/// An error that knows its [`Class`].
pub trait Classify: std::error::Error + Send + Sync + 'static {
    /// Returns the class of this error.
    fn class(&self) -> Class;
}

impl Class {
    /// Returns what becomes of the message.
    pub fn disposition(self) -> Disposition {
        match self {
            Self::Transient | Self::Conflict | Self::Uncertain | Self::Bug => Disposition::Retry,
            Self::Invalid => Disposition::Quarantine,
            Self::Denied => Disposition::StopBatch,
        }
    }

    /// Returns the name used in logs and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Conflict => "conflict",
            Self::Uncertain => "uncertain",
            Self::Invalid => "invalid",
            Self::Denied => "denied",
            Self::Bug => "bug",
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes an error and each of its sources on one line; a source that an error of others has told already is not repeated.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let told = cause.to_string();
        if !line.ends_with(&told) {
            line.push_str(": ");
            line.push_str(&told);
        }
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = Outer(std::io::Error::other("inner"));
        assert_eq!(chain(&error), "outer: inner");
    }

    #[test]
    fn a_cause_that_was_told_is_not_told_again() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: {0}")]
        struct Teller(#[source] std::io::Error);
        assert_eq!(
            chain(&Teller(std::io::Error::other("inner"))),
            "outer: inner"
        );
    }

    #[test]
    fn only_invalid_input_leaves_the_queue() {
        for class in [
            Class::Transient,
            Class::Conflict,
            Class::Uncertain,
            Class::Bug,
        ] {
            assert_eq!(class.disposition(), Disposition::Retry, "{class}");
        }
        assert_eq!(Class::Invalid.disposition(), Disposition::Quarantine);
        assert_eq!(Class::Denied.disposition(), Disposition::StopBatch);
    }
}
