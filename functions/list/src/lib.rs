//! Lists a source of items as the chunks of a run.

mod config;
mod context;
mod filter;
mod handler;
pub mod inventory;
mod list;
mod out;
mod source;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use context::{Context, WiringError};
pub use filter::{Filter, GlobError};
pub use handler::handle;
pub use list::{ListError, Planned, Scanned, SortedList, each, list, scan, sorted};
