//! The words and rules of swath: pure data, no I/O, no clock, no environment.

pub mod aoi;
mod choice;
mod class;
pub mod code;
pub mod cql2;
pub mod datetime;
pub mod grid;
mod ids;
pub mod intake;
mod job;
mod level;
pub mod message;
pub mod naming;
pub mod predicate;
mod redact;
mod ring;
pub mod row;
mod shared;
mod signing;
pub mod split;
pub mod stac;
mod table_name;
pub mod template;
pub mod together;
pub mod upkeep;

pub use choice::{AssetChoice, fits};
pub use class::{Class, Classify, Disposition, chain};
pub use ids::{RunId, digest_hex, hex, names};
pub use job::{Headers, Job};
pub use level::{Level, UnknownLevel};
pub use redact::{Redacted, redact_message, redact_text, redact_url, redact_value};
pub use shared::Shared;
pub use signing::{Signing, UnknownSigning};
pub use table_name::TableName;
