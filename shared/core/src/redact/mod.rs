//! Secrets that cannot be printed.

mod text;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

pub use text::{redact_text, redact_value};

/// A secret whose `Debug` and `Display` say nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Takes a secret.
    pub fn new(secret: T) -> Self {
        Self(secret)
    }

    /// Returns the secret, for the one call that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> std::fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> std::fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Returns the address without user, password, query and fragment, for messages and tables.
pub fn redact_url(address: &Url) -> String {
    let mut shown = address.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Both fail only for addresses that have no host, which carry no credentials.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.to_string()
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    body: Asking<'a>,
}

#[derive(Deserialize)]
struct Asking<'a> {
    #[serde(borrow)]
    job: Carrying<'a>,
}

/// The members of a job that may be, or hold, secrets.
#[derive(Deserialize)]
struct Carrying<'a> {
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
    #[serde(borrow, default)]
    catalog: Option<&'a RawValue>,
}

/// Returns a message's text without the values of its job's headers and what its catalog's address has of user, password and
/// query; all else stays as it was written.
pub fn redact_message(text: &str) -> Cow<'_, str> {
    let Ok(Wire { body }) = serde_json::from_str(text) else {
        return text.into();
    };
    let Carrying { headers, catalog } = body.job;
    let replaced = [
        headers.and_then(|raw| Some((raw.get(), without_values(raw)?))),
        catalog.and_then(|raw| Some((raw.get(), without_credentials(raw)?))),
    ];
    let replaced = replaced.into_iter().flatten();
    replaced.fold(text.into(), |text: Cow<'_, str>, (raw, shown)| {
        text.replace(raw, &shown).into()
    })
}

fn without_values(headers: &RawValue) -> Option<String> {
    let mut headers: BTreeMap<String, Value> = serde_json::from_str(headers.get()).ok()?;
    for value in headers.values_mut() {
        *value = "[redacted]".into();
    }
    serde_json::to_string(&headers).ok()
}

fn without_credentials(catalog: &RawValue) -> Option<String> {
    let catalog: Url = serde_json::from_str(catalog.get()).ok()?;
    serde_json::to_string(&redact_url(&catalog)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redacted_address_keeps_host_and_path_only() {
        let url = Url::parse("https://me:pw@host.example/a/b.tif?sig=abc#x").unwrap();
        assert_eq!(redact_url(&url), "https://host.example/a/b.tif");
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Redacted::new("canary");
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
    }

    #[test]
    fn a_message_keeps_all_but_its_secrets() {
        let message = |headers: &str, catalog: &str| {
            format!(
                r#"{{"version":1, "run_id":"r","kind":"SearchArea","body":{{"job":{{"headers":{headers},
                    "catalog": "{catalog}"}},"area":{{"size":1.50}}}}}}"#
            )
        };
        let told = message(
            r#"{"X-Key": "can\"ary","X-B":"canary"}"#,
            "https://me:canary@stac.example/?key=canary",
        );
        let kept = message(
            r#"{"X-B":"[redacted]","X-Key":"[redacted]"}"#,
            "https://stac.example/",
        );
        assert_eq!(redact_message(&told), kept);
        for other in [
            "{",
            "[]",
            r#"{"body":{"items":[]}}"#,
            r#"{"body":{"job":{}}}"#,
        ] {
            assert_eq!(redact_message(other), other);
        }
    }
}
