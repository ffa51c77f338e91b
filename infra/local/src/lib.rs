//! The whole of swath on one machine, as one binary.

pub mod areas;
mod aws;
pub mod census;
mod cli;
mod collections;
mod command;
mod decode;
mod demo;
mod diff;
pub mod download;
mod encode;
pub mod exit;
pub mod ingest;
mod itemize;
mod lake;
pub mod repair;
pub mod run;
pub mod search;
mod serve_items;
pub mod stac_server;
mod validate;

pub use cli::How;
pub use command::main;
