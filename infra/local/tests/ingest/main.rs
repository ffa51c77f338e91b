//! Archives taken in by the binary, and held against the catalog.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic as tests do"
)]

mod archives;
mod changes;
mod regressions;
mod world;
