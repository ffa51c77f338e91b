//! JPEG 2000: boxes of JP2, then marker segments and tile-parts of the codestream, up to its end marker.

use std::io::{Read, Seek};

use super::{cut, trailing};
use crate::source::{Checked, Source, Stop};
use crate::validate::Notes;

/// Boxes or tile-parts that one file may hold; more cost time and mean a loop of tiny ones.
const MAX_PARTS: u64 = 1 << 20;

/// Walks the boxes to the end of the file; one of them must hold a whole codestream.
pub(super) fn jp2<R: Read + Seek>(source: &mut Source<'_, R>, notes: &mut Notes) -> Checked<()> {
    let size = source.size();
    let (mut at, mut codestreams, mut parts) = (0, 0, 0);
    while at < size {
        let Some(head) = source.array_at::<8>(at)? else {
            if codestreams == 0 {
                return Err(cut(&format!("the box at byte {at}"), size));
            }
            trailing(at, size, notes);
            break;
        };
        let [a, b, c, d, name @ ..] = head;
        let (start, end) = extent(source, at, u32::from_be_bytes([a, b, c, d]))?;
        let label = String::from_utf8_lossy(&name).into_owned();
        if end > size {
            return Err(cut(&format!("the end of box {label:?} at byte {at}"), size));
        }
        if &name == b"jp2c" {
            codestream(source, start, end, notes)?;
            codestreams += 1;
        } else if codestreams > 0
            && !name
                .iter()
                .all(|byte| byte.is_ascii_graphic() || *byte == b' ')
        {
            trailing(at, size, notes);
            break;
        }
        at = end;
        parts += 1;
        if parts > MAX_PARTS {
            return Err(Stop::malformed(format!(
                "the file holds more than {MAX_PARTS} boxes"
            )));
        }
    }
    if codestreams == 0 {
        return Err(Stop::truncated("the file holds no codestream box"));
    }
    Ok(())
}

/// Where the content of the box at `at` begins and ends.
fn extent<R: Read + Seek>(source: &mut Source<'_, R>, at: u64, length: u32) -> Checked<(u64, u64)> {
    match length {
        0 => Ok((at + 8, source.size())),
        1 => {
            let long = source
                .array_at::<8>(at.saturating_add(8))?
                .map(u64::from_be_bytes);
            match long {
                Some(long) if long >= 16 => Ok((at + 16, at.saturating_add(long))),
                Some(long) => Err(Stop::malformed(format!(
                    "the box at byte {at} declares {long} bytes; 16 is the least"
                ))),
                None => Err(cut(&format!("the box at byte {at}"), source.size())),
            }
        }
        2..8 => Err(Stop::malformed(format!(
            "the box at byte {at} declares {length} bytes; 8 is the least"
        ))),
        _ => Ok((at + 8, at.saturating_add(u64::from(length)))),
    }
}

/// Walks a bare codestream.
pub(super) fn j2k<R: Read + Seek>(source: &mut Source<'_, R>, notes: &mut Notes) -> Checked<()> {
    let size = source.size();
    codestream(source, 0, size, notes)
}

/// Walks the segments and tile-parts in `start..end` up to the end-of-codestream marker.
fn codestream<R: Read + Seek>(
    source: &mut Source<'_, R>,
    start: u64,
    end: u64,
    notes: &mut Notes,
) -> Checked<()> {
    if end.saturating_sub(start) < 4
        || source.array_at::<4>(start)? != Some([0xff, 0x4f, 0xff, 0x51])
    {
        return Err(Stop::malformed(
            "the codestream does not begin with its start and size markers",
        ));
    }
    let (mut at, mut tile_parts) = (start + 2, 0_u64);
    for _ in 0..MAX_PARTS {
        if at == end && tile_parts > 0 {
            notes.warn(format!(
                "the codestream has all of its {tile_parts} tile-parts and no end marker"
            ));
            return Ok(());
        }
        let marker = source
            .array_at::<2>(at)?
            .filter(|_| at.saturating_add(2) <= end);
        match marker {
            None => {
                return Err(Stop::truncated(format!(
                    "the codestream ends after {tile_parts} tile-parts"
                )));
            }
            Some([0xff, 0xd9]) => {
                trailing(at + 2, end, notes);
                return Ok(());
            }
            Some([0xff, 0x90]) => {
                tile_parts += 1;
                at = after_tile_part(source, at, end)?;
            }
            Some([0xff, _]) => at = after_segment(source, at, end)?,
            Some(_) => {
                return Err(Stop::malformed(format!(
                    "the codestream has no marker at byte {at}"
                )));
            }
        }
    }
    Err(Stop::malformed(format!(
        "the codestream has more than {MAX_PARTS} parts"
    )))
}

fn after_segment<R: Read + Seek>(source: &mut Source<'_, R>, at: u64, end: u64) -> Checked<u64> {
    let length = source
        .array_at::<2>(at.saturating_add(2))?
        .map(u16::from_be_bytes);
    let next = at
        .saturating_add(2)
        .saturating_add(length.map_or(0, u64::from));
    match length {
        Some(2..) if next <= end => Ok(next),
        Some(0 | 1) => Err(Stop::malformed(format!(
            "the codestream segment at byte {at} has no length"
        ))),
        _ => Err(Stop::truncated(format!(
            "the codestream segment at byte {at} lies past the end"
        ))),
    }
}

/// A tile-part says how long it is; the last one may say 0, which means up to the end marker.
fn after_tile_part<R: Read + Seek>(source: &mut Source<'_, R>, at: u64, end: u64) -> Checked<u64> {
    let past = || {
        Stop::truncated(format!(
            "the tile-part at byte {at} lies past the end of the codestream"
        ))
    };
    let length = source
        .array_at::<4>(at.saturating_add(6))?
        .map(u32::from_be_bytes)
        .ok_or_else(past)?;
    if length == 0 {
        let last = end.saturating_sub(2);
        return if source.array_at::<2>(last)? == Some([0xff, 0xd9]) {
            Ok(last)
        } else {
            Err(past())
        };
    }
    if length < 14 {
        return Err(Stop::malformed(format!(
            "the tile-part at byte {at} declares {length} bytes; 14 is the least"
        )));
    }
    let next = at.saturating_add(u64::from(length));
    if next > end { Err(past()) } else { Ok(next) }
}
