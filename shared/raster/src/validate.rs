//! The one door: sniff, compare with the promise, hand over to the format's check.

use std::io::{self, Read, Seek};

use crate::Level;
use crate::body;
use crate::format;
use crate::kind::{Kind, is_cut_tiff_header, promised, sniff};
use crate::source::{Source, Stop, human};
use crate::tiff;
use crate::verdict::{Code, TiffReport, Verdict};

/// Enough to tell any kind and to find the words of a login page.
const HEAD_BYTES: usize = 16 * 1024;
/// A verdict carries no more warnings than this; the last one says how many were left out.
const MAX_WARNINGS: usize = 20;

/// Says what the item promised about a file; anything unknown is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected<'a> {
    /// The size in bytes, from the item or from the server's answer.
    pub size_bytes: Option<u64>,
    /// The media type that the item gives.
    pub media_type: Option<&'a str>,
    /// The file's name, key or URL; only its extension counts, and only without a media type.
    pub name: Option<&'a str>,
}

/// What a format's check hands back beside its result.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) warnings: Vec<String>,
    /// Why the outcome is at best unverified.
    pub(crate) doubt: Option<(Code, String)>,
    /// What was checked, in the words of a good verdict.
    pub(crate) summary: String,
    pub(crate) tiff: Option<TiffReport>,
    omitted: usize,
}

impl Notes {
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(text.into());
        } else {
            self.omitted += 1;
        }
    }

    pub(crate) fn doubt(&mut self, code: Code, reason: impl Into<String>) {
        if self.doubt.is_none() {
            self.doubt = Some((code, reason.into()));
        }
    }
}

/// Checks one file and says whether it is whole and what was promised.
///
/// Reads `source` from absolute offsets, wherever it stands. The verdict is the same for the same bytes, promise and
/// level.
///
/// # Errors
/// Only if `source` itself fails; a broken file is a verdict, not an error.
pub fn validate<R: Read + Seek>(
    source: &mut R,
    expected: &Expected<'_>,
    level: Level,
) -> io::Result<Verdict> {
    let mut source = Source::new(source)?;
    let head = source.up_to(0, HEAD_BYTES)?;
    let kind = format::of_content(&mut source, sniff(&head))?;
    let mut notes = Notes::default();
    let result = check(
        &mut source,
        Head { bytes: &head, kind },
        expected,
        level,
        &mut notes,
    );
    let (code, reason) = match result {
        Ok(()) => match notes.doubt.take() {
            Some(doubt) => doubt,
            None => (Code::Ok, std::mem::take(&mut notes.summary)),
        },
        Err(Stop::Verdict { code, reason }) => (code, reason),
        Err(Stop::Io(error)) => return Err(error),
    };
    if notes.omitted > 0 {
        notes
            .warnings
            .push(format!("{} more warnings", notes.omitted));
    }
    // The same bytes would come again: the size is the promised one, so the fault is at the origin.
    let complete =
        expected.size_bytes == Some(source.size()) && matches!(code, Code::Truncated | Code::Empty);
    Ok(Verdict {
        outcome: code.outcome(),
        level,
        code,
        reason,
        kind,
        size_bytes: source.size(),
        retryable: code.is_retryable() && !complete,
        warnings: notes.warnings,
        tiff: notes.tiff,
    })
}

#[derive(Clone, Copy)]
struct Head<'h> {
    bytes: &'h [u8],
    kind: Kind,
}

fn check<R: Read + Seek>(
    source: &mut Source<'_, R>,
    head: Head<'_>,
    expected: &Expected<'_>,
    level: Level,
    notes: &mut Notes,
) -> Result<(), Stop> {
    let Head { bytes, kind } = head;
    if kind == Kind::Empty {
        return Err(Stop::new(Code::Empty, "the file holds no bytes"));
    }
    if level == Level::None {
        return Err(Stop::new(Code::NotChecked, "nothing was checked, as asked"));
    }
    let promise = promised(expected.media_type, expected.name);
    body::refuse_errors(kind, bytes, promise)?;
    compare_size(source.size(), expected.size_bytes, level)?;
    compare_kind(head, promise, source.size(), notes)?;
    if level == Level::Size {
        notes.summary = format!("the size is the promised one ({})", human(source.size()));
        return Ok(());
    }
    match kind {
        Kind::Tiff => tiff::check(source, level, notes),
        other => format::check(other, source, level, notes),
    }
}

fn compare_size(size: u64, promised: Option<u64>, level: Level) -> Result<(), Stop> {
    match promised {
        Some(promised) if promised != size => Err(Stop::new(
            Code::SizeMismatch,
            format!("the file holds {size} bytes where {promised} were promised"),
        )),
        None if level == Level::Size => Err(Stop::new(
            Code::SizeUnknown,
            "no size was promised to compare with",
        )),
        _ => Ok(()),
    }
}

/// Rasters under another raster's name are only odd; anything else where a raster was promised is wrong.
fn compare_kind(
    head: Head<'_>,
    promise: Option<Kind>,
    size: u64,
    notes: &mut Notes,
) -> Result<(), Stop> {
    let Head { bytes, kind } = head;
    if kind == Kind::Unknown && is_cut_tiff_header(bytes) {
        return Err(Stop::truncated(format!(
            "the file ends within the TIFF header ({size} bytes)"
        )));
    }
    let Some(promise) = promise else {
        return Ok(());
    };
    if kind.satisfies(promise) {
        return Ok(());
    }
    if kind == Kind::Unknown && promise.is_raster() {
        let code = if size < 16 {
            Code::Truncated
        } else {
            Code::NotRaster
        };
        return Err(Stop::new(
            code,
            format!(
                "{promise} was promised and the content ({}) is no known format",
                human(size)
            ),
        ));
    }
    if promise.is_raster() && !kind.is_raster() {
        return Err(Stop::new(
            Code::MediaMismatch,
            format!("{promise} was promised and the content is {kind}"),
        ));
    }
    if kind != Kind::Unknown {
        notes.warn(format!("{promise} was promised and the content is {kind}"));
    }
    Ok(())
}
