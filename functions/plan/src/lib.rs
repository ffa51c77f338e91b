//! Turns a file of areas of interest into one search per area.

mod config;
mod context;
mod handler;
mod plan;
mod read;
mod upload;

pub use config::Config;
pub use context::{Context, WiringError};
pub use handler::handle;
pub use plan::{PlanError, Planned, plan, plan_areas};
pub use read::{ReadError, read};
pub use upload::{Upload, UploadError, Uploaded, read_upload};
