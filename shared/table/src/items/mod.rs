//! STAC items and rows of `earthcatalog.stac_items`, with nothing lost between them.
//!
//! A member of an item that has a column lies in that column. What the column cannot give back exactly as it was spelled
//! (another type, more digits, an explicit null) lies in `stac_rest` as well, next to every member and property that has
//! no column: `stac_rest` is the item's own JSON without what the columns hold. `_filled` names the columns whose
//! value the item does not have, so that an item read back is the item that was written.

mod batch;
mod decode;
mod draft;
pub(crate) mod foreign;
mod place;
mod record;
#[cfg(test)]
pub(crate) mod tests;

pub use batch::{Placed, batch, encode_partition};
pub use decode::{ItemReader, check_items, decode, read_items};

use swath_core::{Class, Classify};

use crate::geometry::Geometry;
use crate::json::JsonError;
use draft::Draft;
pub(crate) use draft::push_key;
use place::COLUMNS;

/// One item in the shape of its columns, all but the cell, which depends on where it goes.
#[derive(Clone, Debug)]
pub struct ItemRow {
    values: [Value; COLUMNS],
    /// Texts of all columns, one after another.
    texts: String,
    wkb: Option<Vec<u8>>,
    extent: Option<[f64; 4]>,
    /// Its geometry, for the grid; absent when the item has none that can be read.
    pub geometry: Option<Geometry>,
    /// Values that their column could not take, or not as they were typed; they are kept in `stac_rest`.
    pub clashes: usize,
    /// `xxh3` of the item's canonical text.
    pub content: u128,
}

/// One column's value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Null,
    /// A piece of `ItemRow::texts`.
    Text(usize, usize),
    Long(i64),
    Double(f64),
    /// Microseconds since 1970.
    Instant(i64),
    Boolean(bool),
}

/// Text that cannot become a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// Not JSON as an item may be.
    #[error("not a STAC item")]
    Json(#[from] JsonError),
    /// Something else that is GeoJSON or STAC.
    #[error("an object of type {0} is not a STAC item")]
    OtherType(String),
    /// No `id`, or one that is not a text.
    #[error("the item has no id")]
    NoId,
}

impl ItemError {
    /// Returns the reason as a short stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(JsonError::Syntax { .. }) => "not_json",
            Self::Json(JsonError::NotAnObject) => "not_an_object",
            Self::Json(JsonError::Duplicate { .. }) => "duplicate_member",
            Self::Json(JsonError::Surrogate { .. }) => "unpaired_surrogate",
            Self::Json(JsonError::Depth) => "too_deep",
            Self::Json(JsonError::Objects) => "too_many_objects",
            Self::Json(JsonError::Length { .. }) => "too_long",
            Self::OtherType(_) => "not_an_item",
            Self::NoId => "no_id",
        }
    }
}

impl Classify for ItemError {
    fn class(&self) -> Class {
        Class::Invalid
    }
}

impl ItemRow {
    /// Reads an item, byte for byte as it came.
    ///
    /// # Errors
    /// When the text is not a JSON object of type `Feature` with an id, has a member twice, or is beyond the limits of
    /// [`json`](crate::json). Members of a wrong type are no error: they are kept and counted in [`ItemRow::clashes`].
    pub fn parse(text: &str) -> Result<Self, ItemError> {
        Draft::read(text).map(Draft::finish)
    }

    /// Returns the canonical text of an item that [`ItemRow::parse`] would take.
    ///
    /// # Errors
    /// As [`ItemRow::parse`].
    pub fn canonical(text: &str) -> Result<String, ItemError> {
        draft::canonical(text)
    }

    /// Returns the id.
    pub fn id(&self) -> &str {
        self.text(place::ID).unwrap_or_default()
    }

    /// Returns the collection's id.
    pub fn collection(&self) -> Option<&str> {
        self.text(place::COLLECTION)
    }

    /// Returns the platform.
    pub fn platform(&self) -> Option<&str> {
        self.text(place::PLATFORM)
    }

    /// Returns the `datetime` column, which every row has, microseconds since 1970.
    pub fn datetime(&self) -> Option<i64> {
        self.instant(place::DATETIME)
    }

    /// Returns `updated`, microseconds since 1970.
    pub fn updated(&self) -> Option<i64> {
        self.instant(place::UPDATED)
    }

    /// Returns the calendar year (UTC) of the `datetime` column, which every row has.
    pub fn year(&self) -> i32 {
        self.datetime()
            .and_then(crate::instant::year)
            .unwrap_or(1970)
    }

    fn value(&self, place: usize) -> Value {
        self.values.get(place).copied().unwrap_or(Value::Null)
    }

    fn text(&self, place: usize) -> Option<&str> {
        match self.value(place) {
            Value::Text(begin, end) => self.texts.get(begin..end),
            _ => None,
        }
    }

    fn instant(&self, place: usize) -> Option<i64> {
        match self.value(place) {
            Value::Instant(micros) => Some(micros),
            _ => None,
        }
    }
}
