//! Writes items and rows as Parquet files, one per partition.

mod config;
mod context;
mod files;
mod gather;
mod handler;
mod put;
mod quarantine;
#[cfg(test)]
mod tests;
mod write;

pub use config::Config;
pub use context::{Context, WiringError};
pub use handler::handle;
pub use quarantine::Rejected;
pub use write::{WriteError, Written, write};
