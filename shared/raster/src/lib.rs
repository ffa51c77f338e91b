//! Bytes in, verdict out: is this raster file whole.
//!
//! [`validate`] reads a seekable file, recognises it by its content and says [`Outcome::Good`], [`Outcome::Bad`] or
//! [`Outcome::Unverified`] with a stable [`Code`] and a reason a person can act on. It touches no network, clock,
//! environment or store, allocates by what the file holds and never by what its header claims, and does not panic.
//!
//! TIFF files are walked by this crate itself (every directory, every strip and tile range) before any codec sees them,
//! because decoders neither prove nor need that a file is complete. Codecs then run on single chunks, each confined to
//! its own byte range.

mod body;
mod format;
pub mod geotiff;
mod kind;
mod mix;
mod source;
pub mod synth;
mod tiff;
mod validate;
mod verdict;

pub use kind::Kind;
pub use swath_core::Level;
pub use validate::{Expected, validate};
pub use verdict::{Code, Outcome, TiffReport, Verdict};
