//! Arrow and Parquet: schemas with field ids, item and row encoders.

mod columns;
mod error;
pub mod geometry;
mod geoparquet;
pub mod input;
mod instant;
pub mod items;
pub mod json;
pub mod keys;
pub mod layout;
pub mod merge;
pub mod plain;
pub mod reader;
pub mod rows;
pub mod rules;
pub mod schema;
pub mod stac_geoparquet;
#[cfg(test)]
mod tests;
pub mod writer;

pub use error::TableError;
pub use items::{ItemError, ItemRow};
pub use rules::{Admitted, Refusal, Repair, Repaired, Rules, RulesError, Validation};
pub use writer::{Effort, EncodedFile, Expected, FileWriter};
