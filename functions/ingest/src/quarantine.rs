//! Objects that can never become items are kept with their bytes and the reason.

use serde::{Deserialize, Serialize};
use swath_cloud::runs::Entry;
use swath_cloud::store::{Store, StoreError};
use swath_core::{Class, RunId, digest_hex, hex, redact_text};

use crate::fetch::Failure;

/// Bytes of a document that are kept.
const KEPT: usize = 1 << 20;

/// A rejected object, as it is kept at `quarantine/objects/<digest of its address>.json`.
///
/// Address and document stand as they came: they are the evidence, and what is tried again. Who shows them leaves secrets out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The run that met it last.
    pub run_id: RunId,
    /// Where the run's objects came from.
    pub source: String,
    /// The object's address.
    pub href: String,
    /// Its entity tag, where the listing had one.
    pub etag: Option<String>,
    /// What the failure asks for.
    pub class: Class,
    /// A short stable code.
    pub code: String,
    /// The failure and each of its causes, without secrets.
    pub reason: String,
    /// Bytes of the document, when there was one.
    pub size_bytes: Option<u64>,
    /// The document, its first MiB, when it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The same in hex, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_hex: Option<String>,
}

impl Record {
    /// Takes an entry and why it brought no document.
    pub(crate) fn new(run_id: &RunId, source: &str, entry: Entry, failure: Failure) -> Self {
        let record = Self {
            run_id: run_id.clone(),
            source: source.to_owned(),
            href: entry.href,
            etag: entry.etag,
            class: failure.class,
            code: failure.code,
            reason: redact_text(&failure.reason).into_owned(),
            size_bytes: None,
            body: None,
            body_hex: None,
        };
        match &failure.bytes {
            Some(bytes) => record.with_body(bytes),
            None => record,
        }
    }

    /// Takes the document, as far as it is kept.
    fn with_body(mut self, bytes: &[u8]) -> Self {
        let kept = bytes.get(..KEPT).unwrap_or(bytes);
        self.size_bytes = Some(bytes.len() as u64);
        match std::str::from_utf8(whole_letters(kept)) {
            Ok(text) => self.body = Some(text.to_owned()),
            Err(_) => self.body_hex = Some(hex(kept)),
        }
        self
    }

    /// Returns where it is kept, below the lake's base: one record per address.
    pub fn path(&self) -> String {
        let name = digest_hex(&[self.href.as_bytes()], 16);
        format!("quarantine/objects/{name}.json")
    }

    /// Keeps it.
    pub(crate) async fn keep(&self, lake: &Store) -> Result<(), StoreError> {
        // Texts and numbers: writing them cannot fail.
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        lake.put(&self.path(), text.into()).await
    }
}

/// Leaves out a letter that the end cuts.
fn whole_letters(text: &[u8]) -> &[u8] {
    let end = match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => text.len(),
    };
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: &[u8]) -> Record {
        let failure = Failure {
            class: Class::Invalid,
            code: "not_json".to_owned(),
            reason: String::new(),
            bytes: Some(bytes.to_vec().into()),
        };
        let entry = Entry::object("x".to_owned(), None, None);
        Record::new(&RunId::derive(&[b"r"]), "s", entry, failure)
    }

    #[test]
    fn a_long_text_is_kept_as_text_wherever_it_is_cut() {
        let long = "é".repeat(KEPT);
        for before in ["", "x"] {
            let record = kept(format!("{before}{long}").as_bytes());
            let body = record.body.unwrap();
            assert!(KEPT - body.len() <= 1 && body.ends_with('é'));
            assert_eq!(record.size_bytes, Some((2 * KEPT + before.len()) as u64));
        }
        let binary = kept(b"\xff\xfe");
        assert_eq!(
            (binary.body, binary.body_hex.as_deref()),
            (None, Some("fffe"))
        );
    }
}
