//! Secrets that cannot be printed.

use url::Url;

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
}
