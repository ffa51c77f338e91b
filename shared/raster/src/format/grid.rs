//! HDF5 and GRIB.

use std::io::{self, Read, Seek};

use super::{cut, trailing};
use crate::source::{Checked, Source, Stop};
use crate::validate::Notes;

const MAX_MESSAGES: u64 = 1 << 20;

/// Where the superblock is: at 0, or at a power of two from 512 on after a user block.
pub(super) fn superblock<R: Read + Seek>(source: &mut Source<'_, R>) -> io::Result<Option<u64>> {
    let mut at = 0;
    while at < source.size() {
        if source.array_at::<8>(at)? == Some(*b"\x89HDF\r\n\x1a\n") {
            return Ok(Some(at));
        }
        at = if at == 0 { 512 } else { at * 2 };
        if at > 1 << 26 {
            break;
        }
    }
    Ok(None)
}

/// Compares the end-of-file address in the superblock with the size.
pub(super) fn hdf5<R: Read + Seek>(source: &mut Source<'_, R>, notes: &mut Notes) -> Checked<()> {
    let size = source.size();
    let past = || cut("the HDF5 superblock", size);
    let at = superblock(source)?.ok_or_else(past)?;
    let [version, second] = source.array_at::<2>(at + 8)?.ok_or_else(past)?;
    // Versions 0 and 1 keep the width of addresses further on and the end address third of four.
    let (width, end_at) = match version {
        0 | 1 => {
            let [width] = source.array_at::<1>(at + 13)?.ok_or_else(past)?;
            let fixed = if version == 0 { 24 } else { 28 };
            (width, at + fixed + 2 * u64::from(width))
        }
        2 | 3 => (second, at + 12 + 2 * u64::from(second)),
        other => {
            return Err(Stop::malformed(format!(
                "superblock version {other} is declared; 0 to 3 are defined"
            )));
        }
    };
    let end = match width {
        4 => source
            .array_at::<4>(end_at)?
            .map(|bytes| u64::from(u32::from_le_bytes(bytes))),
        8 => source.array_at::<8>(end_at)?.map(u64::from_le_bytes),
        other => {
            return Err(Stop::malformed(format!(
                "addresses of {other} bytes are declared; 4 and 8 are known"
            )));
        }
    };
    let end = end.ok_or_else(past)?;
    if end > size {
        return Err(cut(
            &format!("the end at byte {end} that the superblock declares"),
            size,
        ));
    }
    if end <= at {
        return Err(Stop::malformed(format!(
            "the superblock declares the end at byte {end}, before itself"
        )));
    }
    trailing(end, size, notes);
    Ok(())
}

/// Walks the messages; each says how long it is and ends with `7777`.
pub(super) fn grib<R: Read + Seek>(source: &mut Source<'_, R>, notes: &mut Notes) -> Checked<()> {
    let size = source.size();
    let (mut at, mut messages) = (0_u64, 0_u64);
    while at < size && messages < MAX_MESSAGES {
        if source.array_at::<4>(at)? != Some(*b"GRIB") {
            at = next_message(source, at, messages, notes)?;
            continue;
        }
        let number = messages + 1;
        let head = source
            .array_at::<8>(at)?
            .ok_or_else(|| cut(&format!("message {number}"), size))?;
        let length = match head {
            [.., a, b, c, 1] => u64::from(u32::from_be_bytes([0, a, b, c])),
            [.., 2] => source
                .array_at::<8>(at + 8)?
                .map(u64::from_be_bytes)
                .ok_or_else(|| cut("a message", size))?,
            [.., edition] => {
                return Err(Stop::malformed(format!(
                    "message {number} is of edition {edition}"
                )));
            }
        };
        let end = at.saturating_add(length);
        if end > size {
            return Err(cut(
                &format!("the end of message {number} at byte {at}"),
                size,
            ));
        }
        if length < 12 || source.array_at::<4>(end - 4)? != Some(*b"7777") {
            return Err(Stop::malformed(format!(
                "message {number} at byte {at} does not end with 7777"
            )));
        }
        messages = number;
        at = end;
    }
    if messages == 0 {
        Err(Stop::malformed("the file holds no message"))
    } else {
        Ok(())
    }
}

/// Some archives pad messages; anything that is not padding ends the walk with a mention.
fn next_message<R: Read + Seek>(
    source: &mut Source<'_, R>,
    at: u64,
    messages: u64,
    notes: &mut Notes,
) -> Checked<u64> {
    let window = source.up_to(at, 64 * 1024)?;
    if let Some(skip) = window.windows(4).position(|word| word == b"GRIB") {
        notes.warn(format!(
            "{skip} bytes lie between message {messages} and the next"
        ));
        return Ok(at + skip as u64);
    }
    trailing(at, source.size(), notes);
    Ok(source.size())
}
