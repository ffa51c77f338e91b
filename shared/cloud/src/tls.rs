//! Whom clients believe: the roots of the machine and Mozilla's.
//!
//! Reading the machine's costs milliseconds and hundreds of files, so it is done once for all clients of a process.

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};

static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();

/// Makes settings for clients that speak the first of `protocols` that the server knows.
///
/// # Errors
/// When the provider of cryptography knows no version of TLS.
pub(crate) fn config(protocols: &[&str]) -> Result<ClientConfig, rustls::Error> {
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(default_provider()));
    let roots = Arc::clone(ROOTS.get_or_init(|| Arc::new(roots())));
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)?
        .with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
    config.alpn_protocols = protocols.collect();
    Ok(config)
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(error = %error, "roots of the machine that cannot be read");
    }
    // Machines have old ones that are no longer understood.
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(roots = roots.len(), ignored, "roots read");
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_share_their_roots_and_differ_in_protocols() {
        let files = config(&["http/1.1"]).unwrap();
        let apis = config(&["h2", "http/1.1"]).unwrap();
        assert_eq!(files.alpn_protocols, [b"http/1.1".to_vec()]);
        assert_eq!(apis.alpn_protocols.len(), 2);
        assert!(ROOTS.get().unwrap().len() >= webpki_roots::TLS_SERVER_ROOTS.len());
    }
}
