//! JPEG's marker segments up to the first scan: what image does the stream hold.

use std::io::{Read, Seek};

use crate::source::{Checked, Source, Stop};

/// Segments before the first scan; a stream with more is not one.
const MAX_SEGMENTS: usize = 4096;
const SCAN_BLOCK: usize = 512;

/// The frame that a JPEG stream declares, and where its first scan begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The frame marker: 0xc0 baseline, 0xc1 extended, 0xc2 progressive, others lossless or arithmetic.
    pub(crate) frame: u8,
    pub(crate) precision: u8,
    pub(crate) width: u64,
    pub(crate) height: u64,
    pub(crate) components: u8,
    pub(crate) scan: u64,
}

/// Walks the segments in `start..end`; none if the stream ends without a scan, as one of tables alone does.
pub(crate) fn shape_of<R: Read + Seek>(
    source: &mut Source<'_, R>,
    start: u64,
    end: u64,
) -> Checked<Option<Shape>> {
    if source.array_at::<2>(start)? != Some([0xff, 0xd8]) || end.saturating_sub(start) < 4 {
        return Err(Stop::undecodable(
            "the JPEG data do not begin with a start marker",
        ));
    }
    let mut at = start.saturating_add(2);
    let mut frame = None;
    for _ in 0..MAX_SEGMENTS {
        // Readers skip what stands between segments, and so does this walk.
        let found = next_marker(source, at, end)?.filter(|found| found.saturating_add(2) <= end);
        let marker = match found {
            Some(found) => source.array_at::<2>(found)?,
            None => None,
        };
        let (Some(found), Some([_, marker])) = (found, marker) else {
            return Ok(None);
        };
        at = found;
        match marker {
            0xff => at += 1,
            0x00 | 0x01 | 0xd0..=0xd7 => at += 2,
            0xd9 => return Ok(None),
            0xda => return with_scan(frame, at).map(Some),
            0xc0..=0xc7 | 0xc9..=0xcf | 0xdb..=0xdf | 0xe0..=0xef | 0xfe => {
                let length = segment_length(source, at, end)?;
                if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
                    frame = Some(read_frame(source, at, marker)?);
                }
                at = at.saturating_add(2).saturating_add(length);
            }
            other => {
                return Err(Stop::undecodable(format!(
                    "marker {other:#x} stands among the JPEG data's tables"
                )));
            }
        }
    }
    Err(Stop::undecodable(format!(
        "the JPEG data have more than {MAX_SEGMENTS} segments before a scan"
    )))
}

fn with_scan(frame: Option<Shape>, scan: u64) -> Checked<Shape> {
    match frame {
        Some(frame) => Ok(Shape { scan, ..frame }),
        None => Err(Stop::undecodable(
            "the JPEG data have a scan before any frame",
        )),
    }
}

fn segment_length<R: Read + Seek>(source: &mut Source<'_, R>, at: u64, end: u64) -> Checked<u64> {
    let length = source
        .array_at::<2>(at.saturating_add(2))?
        .map(u16::from_be_bytes)
        .map_or(0, u64::from);
    if length < 2 || at.saturating_add(2).saturating_add(length) > end {
        return Err(Stop::undecodable(
            "a JPEG segment reaches past the end of the data",
        ));
    }
    Ok(length)
}

fn read_frame<R: Read + Seek>(source: &mut Source<'_, R>, at: u64, frame: u8) -> Checked<Shape> {
    let Some([precision, high, low, wide, narrow, components]) =
        source.array_at::<6>(at.saturating_add(4))?
    else {
        return Err(Stop::undecodable("the JPEG frame header is cut short"));
    };
    let height = u64::from(u16::from_be_bytes([high, low]));
    let width = u64::from(u16::from_be_bytes([wide, narrow]));
    Ok(Shape {
        frame,
        precision,
        width,
        height,
        components,
        scan: 0,
    })
}

/// Follows the scans from the first one on and says where the end marker ends; none if the data end without it.
///
/// Within a scan only stuffed bytes, restart markers and the segments of further scans may stand; decoders that fill up
/// what they cannot read pass over anything else in silence.
pub(super) fn end_of_scans<R: Read + Seek>(
    source: &mut Source<'_, R>,
    first: u64,
    end: u64,
) -> Checked<Option<u64>> {
    let mut at = first;
    while let Some(found) = next_marker(source, at, end)? {
        let Some([_, marker]) = source
            .array_at::<2>(found)?
            .filter(|_| found.saturating_add(2) <= end)
        else {
            return Ok(None);
        };
        at = found.saturating_add(match marker {
            0xff => 1,
            0x00 | 0x01 | 0xd0..=0xd7 => 2,
            0xd9 => return Ok(Some(found.saturating_add(2))),
            0xc4 | 0xda..=0xdd | 0xe0..=0xef | 0xfe => {
                segment_length(source, found, end)?.saturating_add(2)
            }
            other => {
                return Err(Stop::undecodable(format!(
                    "marker {other:#x} stands within a scan of the JPEG data"
                )));
            }
        });
    }
    Ok(None)
}

/// Where the next 0xff stands from `at` on.
fn next_marker<R: Read + Seek>(
    source: &mut Source<'_, R>,
    mut at: u64,
    end: u64,
) -> Checked<Option<u64>> {
    while at < end {
        let length = usize::try_from(end - at).map_or(SCAN_BLOCK, |left| left.min(SCAN_BLOCK));
        let block = source.up_to(at, length)?;
        if block.is_empty() {
            return Ok(None);
        }
        if let Some(place) = block.iter().position(|byte| *byte == 0xff) {
            return Ok(Some(at.saturating_add(place as u64)));
        }
        at = at.saturating_add(block.len() as u64);
    }
    Ok(None)
}
