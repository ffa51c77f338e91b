//! Looks after a lake: merges small files and manifests, drops old snapshots, clears away files that no snapshot needs,
//! brings the indexes up to date. Each step is safe beside commits, and can be done again.

mod config;
mod context;
mod handler;
mod heap;
mod maintain;
mod pace;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use context::Context;
pub use handler::handle;
pub use heap::with_one_heap;
pub use maintain::{MaintainError, Terms, USUAL, index_figures, maintain, steps};
pub use pace::Patience;
