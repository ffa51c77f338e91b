//! Fetches the items of one chunk of a run and hands them on to be written.

mod config;
mod context;
mod document;
mod fetch;
mod gone;
mod handler;
mod ingest;
mod quarantine;
pub mod raster;
#[cfg(test)]
mod tests;
mod upload;

pub use config::Config;
pub use context::{Context, WiringError};
pub use handler::handle;
pub use ingest::{IngestError, Ingested, ingest};
pub use quarantine::Record;
pub use upload::{Heeded, Told, heed};
