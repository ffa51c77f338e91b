//! Names of runs and of content.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Names one run: the same input and the same job give the same id, so a second try goes on with the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// Derives an id of 16 hex digits from the parts that make a run what it is.
    pub fn derive(parts: &[&[u8]]) -> Self {
        Self(digest_hex(parts, 8))
    }

    /// Takes an id that was made elsewhere.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the first `bytes` bytes (32 at most) of the SHA-256 of the length-prefixed parts, as lower-case hex.
pub fn digest_hex(parts: &[&[u8]], bytes: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    hex(digest.get(..bytes).unwrap_or(&digest))
}

/// Writes bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Names each run once, in order, with spaces between: for log lines about what several runs share.
pub fn names<'a>(runs: impl IntoIterator<Item = &'a RunId>) -> String {
    let runs: std::collections::BTreeSet<&str> = runs.into_iter().map(RunId::as_str).collect();
    runs.into_iter().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_boundary_between_parts_changes_the_digest() {
        assert_ne!(digest_hex(&[b"ab", b"c"], 8), digest_hex(&[b"a", b"bc"], 8));
    }

    #[test]
    fn a_digest_is_hex_of_the_asked_length() {
        let text = digest_hex(&[b"x"], 8);
        assert_eq!(text.len(), 16);
        assert!(text.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
