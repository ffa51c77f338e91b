//! Formats other than TIFF: by signature, by their own lengths, and by how they end.

mod archive;
mod boxes;
mod grid;
mod netcdf;
mod picture;
mod table;
mod text;

use std::io::{self, Read, Seek};

use crate::Level;
use crate::kind::Kind;
use crate::source::{Checked, Source, Stop, human};
use crate::validate::Notes;
use crate::verdict::Code;

/// Looks for what does not stand at the beginning of a file: an HDF5 superblock after a user block.
pub(crate) fn of_content<R: Read + Seek>(
    source: &mut Source<'_, R>,
    sniffed: Kind,
) -> io::Result<Kind> {
    if sniffed == Kind::Unknown && grid::superblock(source)?.is_some() {
        return Ok(Kind::Hdf5);
    }
    Ok(sniffed)
}

/// Checks a file of any kind but TIFF.
pub(crate) fn check<R: Read + Seek>(
    kind: Kind,
    source: &mut Source<'_, R>,
    level: Level,
    notes: &mut Notes,
) -> Checked<()> {
    notes.summary = format!("{kind} from signature to end ({})", human(source.size()));
    match kind {
        Kind::Jp2 => boxes::jp2(source, notes),
        Kind::J2k => boxes::j2k(source, notes),
        Kind::Png => picture::png(source, level, notes),
        Kind::Jpeg => picture::jpeg(source, notes),
        Kind::Webp => picture::webp(source, notes),
        Kind::Hdf5 => grid::hdf5(source, notes),
        Kind::NetCdf => netcdf::check(source, notes),
        Kind::Grib => grid::grib(source, notes),
        Kind::Las => table::las(source, notes),
        Kind::Parquet => table::parquet(source),
        Kind::Zip => archive::zip(source, notes),
        Kind::Gzip => archive::gzip(source, level, notes),
        Kind::Json => text::json(source),
        Kind::Xml | Kind::Html => text::markup(source, kind),
        Kind::Tiff | Kind::Empty | Kind::Unknown => Err(Stop::new(
            Code::UnknownKind,
            format!("the content ({}) is no known format", human(source.size())),
        )),
    }
}

/// Ends a check because something begins in the file and ends past it.
pub(super) fn cut(what: &str, size: u64) -> Stop {
    Stop::truncated(format!(
        "{what} lies past the end of the file ({})",
        human(size)
    ))
}

/// Mentions bytes after the end that the format itself declares.
pub(super) fn trailing(end: u64, size: u64, notes: &mut Notes) {
    if size > end {
        notes.warn(format!(
            "{} bytes follow the end that the format declares",
            size - end
        ));
    }
}
