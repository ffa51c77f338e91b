//! Names of cells.

use std::borrow::{Borrow, Cow};
use std::fmt::{self, Write as _};
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

static NONE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("__none__"));
static GLOBAL: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("__global__"));

/// The name of a cell, as stored in `grid_partition`: cheap to clone, ordered as text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CellKey(Arc<str>);

impl CellKey {
    /// Returns the key of what lies in no cell: a null or empty geometry, or a miss of all regions.
    pub fn none() -> Self {
        Self(Arc::clone(&NONE))
    }

    /// Returns the key of what lies in more cells than are allowed, or of all geometries of a grid without cells.
    pub fn global() -> Self {
        Self(Arc::clone(&GLOBAL))
    }

    /// Says whether this is `__none__` or `__global__`, so no cell of a grid.
    pub fn is_reserved(&self) -> bool {
        self.0 == *NONE || self.0 == *GLOBAL
    }

    /// Returns the key as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key as one segment of a path: ASCII letters, digits, `_` and `-` as they are, other bytes as `%XX`.
    pub fn path_segment(&self) -> Cow<'_, str> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if self.0.bytes().all(plain) {
            return Cow::Borrowed(&self.0);
        }
        let mut safe = String::with_capacity(self.0.len() * 3);
        for byte in self.0.bytes() {
            if plain(byte) {
                safe.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(safe, "%{byte:02X}");
            }
        }
        Cow::Owned(safe)
    }
}

impl From<String> for CellKey {
    fn from(text: String) -> Self {
        Self(Arc::from(text))
    }
}

impl From<&str> for CellKey {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl AsRef<str> for CellKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for CellKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_in_a_region_name_opens_no_folder() {
        assert_eq!(
            CellKey::from("a/..%2F é").path_segment(),
            "a%2F%2E%2E%252F%20%C3%A9"
        );
        assert_eq!(CellKey::from("..").path_segment(), "%2E%2E");
        assert_eq!(
            CellKey::from("8106bffffffffff").path_segment(),
            "8106bffffffffff"
        );
    }

    #[test]
    fn a_key_is_plain_text_in_json() {
        assert_eq!(
            serde_json::to_string(&CellKey::none()).unwrap(),
            "\"__none__\""
        );
        let key: CellKey = serde_json::from_str("\"FR\"").unwrap();
        assert_eq!(key.as_str(), "FR");
        assert!(!key.is_reserved());
        assert!(
            serde_json::from_str::<CellKey>("\"__global__\"")
                .unwrap()
                .is_reserved()
        );
    }
}
