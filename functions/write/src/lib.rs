//! Writes items and rows as Parquet files, one per partition.

mod config;
mod context;
mod files;
mod gather;
mod handler;
mod merge;
mod put;
mod quarantine;
mod stage;
#[cfg(test)]
mod tests;
mod write;

pub use config::Config;
pub use context::{Context, WiringError};
pub use handler::handle;
pub use merge::MergeError;
pub use quarantine::Rejected;
pub use write::{WriteError, Written, write};
