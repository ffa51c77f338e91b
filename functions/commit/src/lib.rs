//! Adds written files to the catalog, one Iceberg snapshot per batch.

mod commit;
mod config;
mod context;
mod handler;
mod pace;
#[cfg(test)]
mod tests;

pub use commit::{CommitError, Committed, commit};
pub use config::Config;
pub use context::{Context, WiringError};
pub use handler::handle;
