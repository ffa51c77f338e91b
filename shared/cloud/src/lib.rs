//! The world outside: HTTP, STAC APIs, stores, queues, clock.

pub mod aws;
pub mod clock;
pub mod collections;
pub mod digest;
pub mod fetch;
pub mod http;
pub mod item;
pub mod keys;
mod polite;
pub mod progress;
pub mod publish;
pub mod queue;
pub mod retry;
pub mod runs;
pub mod sign;
pub mod sources;
pub mod stac;
pub mod store;
mod tls;
