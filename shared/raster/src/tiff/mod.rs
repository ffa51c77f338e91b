//! TIFF: an own walk over the whole structure first, codecs on single chunks second.

mod chunk;
mod codec;
mod directory;
mod facts;
mod foreign;
mod image;
mod jpeg;
mod ranges;
mod walk;
mod wrap;

use std::io::{Read, Seek};

use crate::Level;
use crate::source::{Checked, Source, counted, human};
use crate::validate::Notes;
use crate::verdict::TiffReport;

pub(crate) use facts::{Facts, facts};
pub(crate) use jpeg::shape_of;

/// Checks a file whose content begins as TIFF does.
pub(crate) fn check<R: Read + Seek>(
    source: &mut Source<'_, R>,
    level: Level,
    notes: &mut Notes,
) -> Checked<()> {
    let mut report = TiffReport::default();
    let result = check_into(source, level, notes, &mut report);
    // A bad file's report still says how far the walk came, once it knows the first image.
    if report.images > 0 {
        notes.tiff = Some(report);
    }
    result
}

fn check_into<R: Read + Seek>(
    source: &mut Source<'_, R>,
    level: Level,
    notes: &mut Notes,
    report: &mut TiffReport,
) -> Checked<()> {
    let images = walk::walk(source, notes, report)?;
    notes.summary = summary(report, source.size());
    if level >= Level::Window {
        chunk::decode(source, &images, level, notes, report)?;
        let partly = match report.decoded_partly {
            0 => String::new(),
            count => format!(" ({count} of them in part)"),
        };
        notes.summary = format!(
            "{}; {} decoded{partly}",
            notes.summary,
            counted(report.decoded, "chunk")
        );
    }
    Ok(())
}

fn summary(report: &TiffReport, size: u64) -> String {
    let mut parts = vec![counted(report.images, "image")];
    if report.tiles > 0 {
        parts.push(counted(report.tiles, "tile"));
    }
    if report.strips > 0 {
        parts.push(counted(report.strips, "strip"));
    }
    let sparse = if report.sparse > 0 {
        format!(" ({} sparse)", report.sparse)
    } else {
        String::new()
    };
    format!(
        "{}{sparse} inside the file ({})",
        parts.join(", "),
        human(size)
    )
}
