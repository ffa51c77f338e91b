//! JSON as items need it: checked to the last byte, members kept as they were spelled, one canonical form for hashing.

mod scan;
mod strings;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use scan::{Place, Scanner};
pub(crate) use strings::unescaped;

/// Objects and arrays inside one another.
pub const MAX_DEPTH: usize = 128;
/// Bytes of one item.
pub const MAX_BYTES: usize = 16 << 20;
/// Objects in one item: assets and links are objects, positions are not.
pub const MAX_OBJECTS: usize = 65_536;

/// Text that is not JSON as an item may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON.
    #[error("not JSON at byte {at}")]
    Syntax {
        /// Where.
        at: usize,
    },
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A member given twice: readers would disagree on which counts.
    #[error("member {key:?} occurs twice in one object")]
    Duplicate {
        /// The member's key.
        key: String,
    },
    /// An escape that is half a character, which no UTF-8 text can hold.
    #[error("unpaired surrogate at byte {at}")]
    Surrogate {
        /// Where.
        at: usize,
    },
    /// Too deep.
    #[error("nested deeper than {MAX_DEPTH}")]
    Depth,
    /// Too many objects.
    #[error("more than {MAX_OBJECTS} objects")]
    Objects,
    /// Too long.
    #[error("{bytes} bytes, at most {MAX_BYTES} are taken")]
    Length {
        /// Its length.
        bytes: usize,
    },
}

/// A member of an object, as it was spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) value: &'a str,
    /// Whether there is white space inside the value, outside its strings.
    spaced: bool,
}

/// An object of the shape of an item.
#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    /// Its members.
    pub(crate) members: Vec<Member<'a>>,
    /// The members of its member `properties`, if that is an object.
    pub(crate) properties: Vec<Member<'a>>,
    /// The canonical text of its member `geometry`.
    pub(crate) geometry: String,
    /// The canonical text.
    pub(crate) canonical: Vec<u8>,
}

impl<'a> Member<'a> {
    /// Returns the value without white space outside strings.
    pub(crate) fn compact(&self) -> Cow<'a, str> {
        if !self.spaced {
            return Cow::Borrowed(self.value);
        }
        let (mut in_string, mut escaped) = (false, false);
        let kept = self.value.chars().filter(|c| {
            let keep = in_string || !c.is_ascii_whitespace();
            match *c {
                '"' if !escaped => in_string = !in_string,
                _ => {}
            }
            escaped = in_string && *c == '\\' && !escaped;
            keep
        });
        Cow::Owned(kept.collect())
    }

    /// Returns the value if it is a string.
    pub(crate) fn as_str(&self) -> Option<Cow<'a, str>> {
        unquote(self.value)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value == "null"
    }

    pub(crate) fn is_number(&self) -> bool {
        self.value
            .starts_with(|c: char| c == '-' || c.is_ascii_digit())
    }
}

impl<'a> Document<'a> {
    /// Reads an object.
    pub(crate) fn read(text: &'a str) -> Result<Self, JsonError> {
        Self::read_as(text, Place::Document)
    }

    /// Reads an object, its members and canonical text alone.
    pub(crate) fn read_members(text: &'a str) -> Result<Self, JsonError> {
        Self::read_as(text, Place::Members)
    }

    fn read_as(text: &'a str, place: Place) -> Result<Self, JsonError> {
        let mut scanner = Scanner::new(text)?;
        scanner.space();
        if scanner.peek() != Some(b'{') {
            scanner.value(0, Place::Elsewhere)?;
            return Err(JsonError::NotAnObject);
        }
        scanner.value(0, place)?;
        scanner.end()?;
        scanner.copy();
        let mut document = std::mem::take(&mut scanner.found);
        document.canonical = scanner.finish();
        Ok(document)
    }
}

/// Reads a JSON string.
pub(crate) fn unquote(token: &str) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_some() {
        return serde_json::from_str(token).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Writes any JSON text in its canonical form: no white space, members sorted by the bytes of their keys, strings with
/// the fewest escapes, numbers as they were spelled.
///
/// # Errors
/// When the text is not JSON, has a member twice, or is beyond the limits of an item.
pub fn canonical(text: &str) -> Result<String, JsonError> {
    let mut scanner = Scanner::new(text)?;
    scanner.value(0, Place::Elsewhere)?;
    scanner.end()?;
    scanner.copy();
    String::from_utf8(scanner.finish()).map_err(|error| JsonError::Syntax {
        at: error.utf8_error().valid_up_to(),
    })
}
