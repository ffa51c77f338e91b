//! How far a file's wholeness is proven.

use serde::{Deserialize, Serialize};

/// How far a file's wholeness is proven, from nothing to every pixel; each level includes those before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Looks at nothing but emptiness.
    None,
    /// Compares the size with the promised one and recognises error bodies.
    Size,
    /// Walks the container: every directory, box or record lies inside the file.
    Structure,
    /// Decodes the first, the last and some parts between, or every part of a small file.
    #[default]
    Window,
    /// Decodes everything and verifies every checksum that the format carries.
    Full,
}

/// A level that does not exist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown validation level {0:?}: use none, size, structure, window or full")]
pub struct UnknownLevel(String);

impl Level {
    /// All levels, shallow to deep.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Size,
        Self::Structure,
        Self::Window,
        Self::Full,
    ];

    /// Returns the name used on the command line and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Size => "size",
            Self::Structure => "structure",
            Self::Window => "window",
            Self::Full => "full",
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_read_back_from_its_name() {
        for level in Level::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
        }
        assert!("deep".parse::<Level>().is_err());
    }
}
