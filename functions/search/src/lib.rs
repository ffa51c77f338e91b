//! Searches a STAC API for one area.

mod config;
mod context;
mod found;
mod handler;
mod rows;
mod search;
mod together;

pub use config::Config;
pub use context::{Context, WiringError};
pub use found::{AreaFound, RejectedItem};
pub use handler::handle;
pub use search::{SearchError, search};
pub use together::Together;
