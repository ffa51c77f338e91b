//! Settings from the environment, read once at cold start.

use std::collections::HashMap;
use std::fmt::Display;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use swath_core::{Class, Classify};

/// The variables that a function may read.
#[derive(Clone)]
pub struct Env(HashMap<String, String>);

/// A setting that is missing or makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvError {
    /// A setting without which the function cannot work.
    #[error("the environment has no {name}")]
    Missing {
        /// The variable.
        name: &'static str,
    },
    /// A value that is not what the setting takes; the value itself is not shown.
    #[error("the environment's {name} is unusable: {reason}")]
    Unusable {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Classify for EnvError {
    fn class(&self) -> Class {
        Class::Denied
    }
}

impl Env {
    /// Takes what this process was started with; variables that are not text are left out.
    pub fn of_process() -> Self {
        let pairs = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self(pairs.collect())
    }

    /// Takes the given pairs of name and value.
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(pairs.into_iter().map(owned).collect())
    }

    /// Returns a value's text; an empty one counts as absent, as templates leave them.
    fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name)?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// Reads a setting that must be there.
    ///
    /// # Errors
    /// When it is missing or does not parse.
    pub fn required<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, EnvError> {
        self.optional(name)?.ok_or(EnvError::Missing { name })
    }

    /// Reads a setting that may be absent.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn optional<T: FromStr<Err: Display>>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, EnvError> {
        let parse = |text: &str| text.parse().map_err(|error| unusable(name, &error));
        self.text(name).map(parse).transpose()
    }

    /// Reads a setting that has a default.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn or<T: FromStr<Err: Display>>(
        &self,
        name: &'static str,
        default: T,
    ) -> Result<T, EnvError> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    /// Reads a setting that is JSON and may be absent.
    ///
    /// # Errors
    /// When it is not JSON of the right shape.
    pub fn json<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, EnvError> {
        let parse = |text: &str| serde_json::from_str(text).map_err(|error| unusable(name, &error));
        self.text(name).map(parse).transpose()
    }

    /// Reads a time in whole seconds that has a default.
    ///
    /// # Errors
    /// When it is no whole number.
    pub fn seconds(&self, name: &'static str, default: u32) -> Result<Duration, EnvError> {
        let seconds = self.or(name, default)?;
        Ok(Duration::from_secs(seconds.into()))
    }

    /// Reads a number of things done at once that has a default (1 at least).
    ///
    /// # Errors
    /// When it is no whole number above 0.
    pub fn count(&self, name: &'static str, default: usize) -> Result<NonZeroUsize, EnvError> {
        self.or(
            name,
            NonZeroUsize::new(default).unwrap_or(NonZeroUsize::MIN),
        )
    }
}

/// Says which variables there are, not what they hold: some are credentials.
impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn unusable(name: &'static str, error: &dyn Display) -> EnvError {
    EnvError::Unusable {
        name,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_variable() {
        let env = Env::of([("SWATH_CONCURRENCY", "many")]);
        let error = env.count("SWATH_CONCURRENCY", 4).unwrap_err().to_string();
        assert!(error.contains("SWATH_CONCURRENCY"), "{error}");
        let error = env.required::<String>("SWATH_LAKE").unwrap_err();
        assert_eq!(error.to_string(), "the environment has no SWATH_LAKE");
    }

    #[test]
    fn an_empty_value_is_absent() {
        let env = Env::of([("SWATH_JOB", " "), ("SWATH_LAKE", "")]);
        assert_eq!(env.json::<u8>("SWATH_JOB"), Ok(None));
        assert!(env.required::<String>("SWATH_LAKE").is_err());
        assert_eq!(env.seconds("SWATH_LAKE", 3), Ok(Duration::from_secs(3)));
    }

    #[test]
    fn nothing_at_once_is_refused() {
        let env = Env::of([("SWATH_CONCURRENCY", "0")]);
        assert!(env.count("SWATH_CONCURRENCY", 4).is_err());
    }

    #[test]
    fn values_are_not_shown() {
        let env = Env::of([("TOKEN", "canary"), ("N", "canary")]);
        assert!(!format!("{env:?}").contains("canary"));
        let error = env.required::<u8>("N").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }

    #[test]
    fn the_process_has_a_path() {
        let path: Option<String> = Env::of_process().optional("PATH").unwrap();
        assert!(path.is_some_and(|path| path.contains("bin")));
    }
}
