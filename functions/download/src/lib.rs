//! Fetches an asset, proves it whole, publishes it once.
//!
//! A file appears under its final name only when it is proven, and is then never replaced. What is known of it lies in a
//! receipt beside the lake, so that a second run asks no host for what is there, and a crash anywhere costs at most one
//! look at the file.

mod check;
mod config;
mod context;
mod download;
mod failure;
mod flight;
mod handler;
mod places;
mod receipt;
mod row;
mod settle;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use context::{Context, StartError, WiringError};
pub use download::{DownloadError, Fetched, Outcome, download, download_to};
pub use failure::{AssetFailure, WrongBody};
pub use flight::Flights;
pub use handler::handle;
