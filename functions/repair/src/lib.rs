//! Asks again for the assets whose file is not as it should be: which ones, the rows of `swath.asset_files` say, and the
//! files themselves where they are looked at.

mod config;
mod context;
mod handler;
mod repair;
#[cfg(test)]
mod tests;
mod told;

pub use config::Config;
pub use context::{Context, WiringError};
pub use handler::handle;
pub use repair::{Again, Choice, Found, RepairError, choose, parse, repair};
pub use told::{State, Told, newest};
