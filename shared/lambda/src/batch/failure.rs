//! Why one message failed.

use std::any::Any;
use std::time::Duration;

use swath_core::{Class, Classify, chain, redact_text};
use tracing::{error, warn};

use super::tally::Outcome;
use crate::quarantine::KeepError;

/// Why one message failed, ready to be logged and kept.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) class: Class,
    pub(super) code: &'static str,
    /// The failure and each of its causes, without secrets: it is logged and kept.
    pub(super) reason: String,
    pub(super) outcome: Outcome,
    /// How long whoever failed asked to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    /// Takes an error that arose at the stage `code`.
    pub(super) fn of(code: &'static str, error: &impl Classify) -> Self {
        Self {
            class: error.class(),
            code,
            reason: redact_text(&chain(error)).into_owned(),
            outcome: Outcome::HandedBack,
            retry_after: None,
        }
    }

    /// Takes what a panic left behind.
    pub(super) fn panic(payload: &(dyn Any + Send)) -> Self {
        let said = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no words");
        Self {
            class: Class::Bug,
            code: "panic",
            reason: redact_text(&format!("the work panicked: {said}")).into_owned(),
            outcome: Outcome::Panicked,
            retry_after: None,
        }
    }

    /// Takes work that was cut off at the end of the invocation.
    pub(super) fn cut_off() -> Self {
        Self {
            class: Class::Uncertain,
            code: "deadline",
            reason: "the work was cut off at the end of the invocation".to_owned(),
            outcome: Outcome::HandedBack,
            retry_after: None,
        }
    }

    /// Takes a use case that lost count of its messages.
    pub(super) fn miscounted(answers: usize, messages: usize) -> Self {
        Self {
            class: Class::Bug,
            code: "miscounted",
            reason: format!("the work gave {answers} answers to {messages} messages"),
            outcome: Outcome::HandedBack,
            retry_after: None,
        }
    }

    /// Writes the failure's one line, with when the message comes again if that was arranged.
    pub(super) fn log_held(&self, function: &str, message_id: &str, wait: Option<Duration>) {
        let Self {
            class,
            code,
            reason,
            outcome,
            ..
        } = self;
        let wait_s = wait.map(|wait| wait.as_secs());
        let said = match outcome {
            Outcome::PutOff => "message put off",
            _ => "message handed back",
        };
        warn!(function, message.id = message_id, error.class = %class, error.code = code, error.chain = reason, wait_s, "{said}");
    }

    /// Writes the failure's one line; an error of `quarantine` means that the message went back instead.
    pub(super) fn log(&self, function: &str, message_id: &str, quarantine: Option<&KeepError>) {
        let Self {
            class,
            code,
            reason,
            ..
        } = self;
        if let Some(cause) = quarantine {
            let cause = chain(cause);
            error!(function, message.id = message_id, error.class = %class, error.code = code, error.chain = reason,
                quarantine.error = cause, "message handed back: it belongs into quarantine, which failed");
            return;
        }
        match class {
            Class::Invalid => {
                error!(function, message.id = message_id, error.class = %class, error.code = code, error.chain = reason, "message quarantined");
            }
            Class::Denied | Class::Bug => {
                error!(function, message.id = message_id, error.class = %class, error.code = code, error.chain = reason, "message handed back");
            }
            _ => {
                warn!(function, message.id = message_id, error.class = %class, error.code = code, error.chain = reason, "message handed back");
            }
        }
    }
}
