//! Which items are taken: rules by level, and repairs that were asked for.
//!
//! [`Rules::admit`] is the one door for `encode`, the function `write` and whoever else takes items in. At level `none` an
//! item is what can become a row; `core` asks for what the specification of STAC 1.0 and 1.1 says of every item,
//! `schema` for what its published JSON schemas say, those of its extensions among them.

mod core;
mod repair;
#[cfg(feature = "schema")]
mod schema;
#[cfg(not(feature = "schema"))]
#[path = "no_schema.rs"]
mod schema;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr;

use serde_json::Value;
use swath_core::{Class, Classify, chain};

pub use self::repair::{Repair, Repairs};
pub use self::schema::SchemaCacheError;
use self::schema::Schemas;
use crate::{ItemError, ItemRow};

/// Faults of one item that are told; the rest is counted.
const TOLD: usize = 8;
/// Characters of a fault that are told.
const WORDS: usize = 240;

/// How much is asked of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Validation {
    /// That it can become a row: JSON of type `Feature` with an id.
    #[default]
    None,
    /// Required members, types, the rule of `datetime`, the order of `bbox`, the shape of geometry, links and assets.
    Core,
    /// `Core`, then the JSON schemas of its version and of its extensions, from a local cache.
    Schema,
}

impl Validation {
    /// All levels.
    pub const ALL: [Self; 3] = [Self::None, Self::Core, Self::Schema];

    /// Returns the name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Core => "core",
            Self::Schema => "schema",
        }
    }
}

impl std::fmt::Display for Validation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names neither a level nor a repair.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is none of {known}")]
pub struct UnknownName {
    word: String,
    known: String,
}

impl UnknownName {
    fn new(word: &str, known: &[&str]) -> Self {
        Self {
            word: word.to_owned(),
            known: known.join(", "),
        }
    }
}

impl FromStr for Validation {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|level| level.as_str() == text);
        found.ok_or_else(|| UnknownName::new(text, &Self::ALL.map(Self::as_str)))
    }
}

/// Rules that cannot be followed as they were asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// The level `schema` without schemas.
    #[error("validation by schema needs the folder of a schema cache")]
    NoCache,
    /// The cache cannot be read.
    #[error(transparent)]
    Cache(#[from] SchemaCacheError),
}

impl Classify for RulesError {
    fn class(&self) -> Class {
        // The setting is wrong, whatever comes.
        Class::Denied
    }
}

/// What is asked of every item, and what may be mended; the default asks for nothing and mends nothing.
#[derive(Debug, Default)]
pub struct Rules {
    validation: Validation,
    repairs: Vec<Repair>,
    schemas: Option<Schemas>,
}

/// An item that is taken.
#[derive(Debug)]
pub struct Admitted {
    /// Its row.
    pub row: ItemRow,
    /// What was mended, if anything was: the row is that of the mended text.
    pub repaired: Option<Repaired>,
}

/// An item's text after repairs; whoever took the item keeps the text that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The item as it is taken.
    pub text: String,
    /// The repairs that changed it.
    pub repairs: Vec<Repair>,
}

/// Why an item is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// A short stable code: of several faults, that of the first.
    pub code: &'static str,
    /// All faults, in words.
    pub reason: String,
}

impl Classify for Refusal {
    fn class(&self) -> Class {
        Class::Invalid
    }
}

/// What is wrong with an item, in the order in which it was found.
#[derive(Debug, Default)]
struct Faults {
    found: Vec<(&'static str, String)>,
    more: usize,
}

impl Faults {
    /// Adds a fault: its code, where it is, what is wrong.
    fn add(&mut self, code: &'static str, at: &str, what: &str) {
        if self.found.len() == TOLD {
            self.more += 1;
            return;
        }
        let mut words: String = what.chars().take(WORDS).collect();
        if words.len() < what.len() {
            words.push('…');
        }
        self.found.push((code, format!("{at}: {words}")));
    }

    fn into_refusal(self) -> Option<Refusal> {
        let (code, _) = self.found.first()?;
        let code = *code;
        let words: Vec<_> = self.found.into_iter().map(|(_, words)| words).collect();
        let mut reason = words.join("; ");
        if self.more > 0 {
            // Writing to a String cannot fail.
            let _ = write!(reason, "; and {} faults more", self.more);
        }
        Some(Refusal { code, reason })
    }
}

impl Rules {
    /// Joins a level, the repairs that may be made, and the folder of the schemas that the level `schema` needs: a
    /// schema of address `https://host/path` lies there as `host/path`.
    ///
    /// # Errors
    /// When the level is `schema` and there is no such folder, or nothing in it.
    pub fn new(
        validation: Validation,
        repairs: &[Repair],
        schemas: Option<&Path>,
    ) -> Result<Self, RulesError> {
        let schemas = match (validation, schemas) {
            (Validation::Schema, Some(folder)) => Some(Schemas::open(folder)?),
            (Validation::Schema, None) => return Err(RulesError::NoCache),
            _ => None,
        };
        let mut repairs = repairs.to_vec();
        repairs.sort_unstable();
        repairs.dedup();
        Ok(Self {
            validation,
            repairs,
            schemas,
        })
    }

    /// Reads an item, mends what may be mended, and says whether it is as it should be.
    ///
    /// # Errors
    /// When it is not: the code of the first fault and all faults in words.
    pub fn admit(&self, text: &str) -> Result<Admitted, Refusal> {
        let repaired = repair::repair(text, &self.repairs);
        let text = repaired.as_ref().map_or(text, |mended| &mended.text);
        let row = row_of(text)?;
        self.check(text, &row)?;
        Ok(Admitted { row, repaired })
    }

    /// Reads an item as [`Rules::admit`] does; returns its canonical text rather than its row.
    ///
    /// # Errors
    /// As [`Rules::admit`].
    pub fn admit_text(&self, text: &str) -> Result<(String, Option<Repaired>), Refusal> {
        let repaired = repair::repair(text, &self.repairs);
        let text = repaired.as_ref().map_or(text, |mended| &mended.text);
        if self.validation != Validation::None {
            self.check(text, &row_of(text)?)?;
        }
        let canonical = ItemRow::canonical(text).map_err(|error| refused(&error))?;
        Ok((canonical, repaired))
    }

    fn check(&self, text: &str, row: &ItemRow) -> Result<(), Refusal> {
        if self.validation == Validation::None {
            return Ok(());
        }
        let item: Value = serde_json::from_str(text).map_err(|error| Refusal {
            // JSON, but with a number that no double holds.
            code: "number_too_large",
            reason: chain(&error),
        })?;
        let mut faults = Faults::default();
        core::check(&item, row, &mut faults);
        if let (Some(schemas), true) = (&self.schemas, faults.found.is_empty()) {
            schemas.check(&item, &mut faults);
        }
        faults.into_refusal().map_or(Ok(()), Err)
    }
}

fn row_of(text: &str) -> Result<ItemRow, Refusal> {
    ItemRow::parse(text).map_err(|error| refused(&error))
}

fn refused(error: &ItemError) -> Refusal {
    Refusal {
        code: error.code(),
        reason: chain(error),
    }
}
