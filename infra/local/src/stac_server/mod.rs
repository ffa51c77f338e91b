//! A small STAC API over items in memory: landing page, collections, item search by POST and GET, paging by token.
//!
//! It answers on loopback only. The demo runs against it, and so do the tests.

mod api;
mod index;
mod query;

pub use api::{Served, serve};
pub use index::{Index, IndexError};
