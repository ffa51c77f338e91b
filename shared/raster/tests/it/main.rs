//! What the checks promise, shown on files that the tests make themselves.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::format_collect,
    clippy::panic,
    clippy::semicolon_if_nothing_returned,
    clippy::single_match_else,
    clippy::too_many_lines,
    clippy::trivially_copy_pass_by_ref,
    missing_docs,
    reason = "tests may panic and print, count small things and list many cases"
)]

mod bodies;
mod formats;
mod geotiff;
mod limits;
mod mutations;
mod real;
mod support;
mod synth;
mod tiff_faults;
mod tiff_layouts;
mod tiff_pixels;
