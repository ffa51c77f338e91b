//! One object of a list.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// An object as a listing or an inventory has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// Its key, decoded.
    pub key: String,
    /// When it was last modified.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_modified: Option<OffsetDateTime>,
    /// Its entity tag, without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Its size, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl Entry {
    /// Says whether two states of one object hold other bytes, as far as the lists tell.
    ///
    /// Entity tags decide where both lists have them; else sizes and, where sizes are equal or missing, moments of change.
    /// A list that tells neither leaves an object unchanged.
    pub fn differs(&self, other: &Self) -> bool {
        if let (Some(one), Some(other)) = (&self.etag, &other.etag) {
            return one.trim_matches('"') != other.trim_matches('"');
        }
        let sizes = self.size.zip(other.size);
        let moments = self.last_modified.zip(other.last_modified);
        sizes.is_some_and(|(one, other)| one != other)
            || moments.is_some_and(|(one, other)| one != other)
    }
}

impl super::Keyed for Entry {
    fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
    }

    fn weight(&self) -> usize {
        let etag = self.etag.as_ref().map_or(0, String::len);
        self.key.len() + etag + size_of::<Self>()
    }
}
