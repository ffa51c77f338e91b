//! The whole of swath on one machine, as one binary.

mod aws;
mod cli;
mod command;
mod decode;
mod demo;
pub mod download;
mod encode;
pub mod exit;
mod lake;
pub mod repair;
pub mod run;
pub mod search;
mod serve_items;
pub mod stac_server;
mod validate;

pub use cli::How;
pub use command::main;
