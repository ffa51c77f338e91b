//! Stands where [`schema`](super) stands in builds that do without it.

use std::path::Path;

use serde_json::Value;

use super::Faults;

/// A schema that cannot be had from the cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaCacheError {
    /// Schemas cannot be read at all.
    #[error("this build follows no JSON schemas: its feature `schema` is off")]
    NotBuilt,
}

/// No schemas.
#[derive(Debug)]
pub(super) enum Schemas {}

impl Schemas {
    pub(super) fn open(_folder: &Path) -> Result<Self, SchemaCacheError> {
        Err(SchemaCacheError::NotBuilt)
    }

    pub(super) fn check(&self, _item: &Value, _faults: &mut Faults) {
        match *self {}
    }
}
