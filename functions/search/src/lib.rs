//! Searches a STAC API for one area.

mod config;
mod context;
mod found;
mod handler;
mod marks;
mod rows;
mod search;
mod taken;
mod together;

pub use config::Config;
pub use context::{Context, WiringError};
pub use found::{AreaFound, RejectedItem};
pub use handler::handle;
pub use marks::Marks;
pub use search::{SearchError, search, search_on};
pub use together::Together;
