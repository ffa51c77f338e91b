//! Who holds the pointers of a lake.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::TablePointer;
#[cfg(feature = "glue")]
use super::glue::{Glue, GluePointer};

/// The status and the body of an answer; or, when none came, whether the request may have been heard, and what went wrong.
pub type Answer = Result<(u16, String), (bool, String)>;

/// Who holds the pointers of a lake; the lake itself unless it is said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PointerKind {
    /// A folder's `SQLite` file, a bucket's objects.
    #[default]
    Lake,
    /// The AWS Glue Data Catalog of the credentials' account and region.
    #[cfg(feature = "glue")]
    Glue {
        /// What the names of its databases begin with.
        prefix: String,
    },
}

/// A word that names no holder of pointers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of lake, glue and glue:PREFIX, where PREFIX is of a-z, 0-9 and _")]
pub struct UnknownKind(String);

impl PointerKind {
    /// Returns the pointer that it names: the lake's own, or one in Glue, which is asked by `ask`: the action (`GetTable`) and
    /// its JSON body, sent once; the status and the body of the answer or, when none came, whether the request may have been
    /// heard, and what went wrong.
    pub fn pointer(
        &self,
        own: Arc<dyn TablePointer>,
        ask: impl Fn(&'static str, String) -> BoxFuture<'static, Answer> + Send + Sync + 'static,
    ) -> Arc<dyn TablePointer> {
        match self {
            Self::Lake => {
                drop(ask);
                own
            }
            #[cfg(feature = "glue")]
            Self::Glue { prefix } => Arc::new(GluePointer::new(Glue::new(ask), prefix)),
        }
    }
}

impl FromStr for PointerKind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        if word == "lake" {
            return Ok(Self::Lake);
        }
        #[cfg(feature = "glue")]
        {
            let prefix = match word {
                "glue" => Some(""),
                _ => word.strip_prefix("glue:"),
            };
            // Glue makes all letters small: names that differ in that alone would be one.
            let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if let Some(prefix) = prefix.filter(|prefix| prefix.chars().all(is_fit)) {
                let prefix = prefix.to_owned();
                return Ok(Self::Glue { prefix });
            }
        }
        Err(UnknownKind(word.to_owned()))
    }
}

impl fmt::Display for PointerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lake => f.write_str("lake"),
            #[cfg(feature = "glue")]
            Self::Glue { prefix } if prefix.is_empty() => f.write_str("glue"),
            #[cfg(feature = "glue")]
            Self::Glue { prefix } => write!(f, "glue:{prefix}"),
        }
    }
}

#[cfg(all(test, feature = "glue"))]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_named_by_a_word() {
        for word in ["lake", "glue", "glue:europe_2_"] {
            let kind: PointerKind = word.parse().unwrap();
            assert_eq!(kind.to_string(), word);
        }
        for word in ["", "Glue", "glue:Europe", "glue:a-b", "rest"] {
            assert!(word.parse::<PointerKind>().is_err(), "{word}");
        }
    }
}
