//! Codecs that are not decoded here: what begins as its codec's data do must also end so.

use std::io::{Read, Seek};

use super::codec::name;
use super::ranges::Range;
use super::wrap::MAX_CHUNK_BYTES;
use crate::source::{Checked, Source, Stop};

/// How the data of one codec begin and end; an empty end is unknown.
struct Mark {
    begins: &'static [&'static [u8]],
    ends: &'static [u8],
}

/// Marks by compression scheme; LERC's own stream may be packed once more, and then begins as that codec does.
fn mark_of(compression: u16) -> Option<Mark> {
    let (begins, ends): (&'static [&'static [u8]], &'static [u8]) = match compression {
        33003 | 33004 | 33005 | 34712 => (&[b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "], b"\xff\xd9"),
        34887 => (&[b"Lerc", b"CntZImage", b"\x78", b"\x28\xb5\x2f\xfd"], b""),
        34925 => (&[b"\xfd7zXZ\0"], b"YZ"),
        34933 => (&[b"\x89PNG\r\n\x1a\n"], b"IEND\xaeB`\x82"),
        50001 => (&[b"RIFF"], b""),
        50002 | 52546 => (&[b"\xff\x0a", b"\0\0\0\x0cJXL "], b""),
        _ => return None,
    };
    Some(Mark { begins, ends })
}

/// Compares the first and last bytes of a chunk with its codec's marks, and WebP's length with the chunk's.
pub(super) fn compare<R: Read + Seek>(
    source: &mut Source<'_, R>,
    compression: u16,
    range: Range,
) -> Checked<()> {
    let Some(mark) = mark_of(compression) else {
        return Ok(());
    };
    let length = usize::try_from(range.count).map_or(16, |count| count.min(16));
    let head = source.up_to(range.offset, length)?;
    let name = name(compression);
    if head.iter().all(|byte| *byte == 0) {
        return Err(Stop::undecodable(format!("the {name} data are zeros")));
    }
    if !mark.begins.iter().any(|begin| head.starts_with(begin)) {
        // A variant that this check does not know is no reason to call the file bad.
        return Ok(());
    }
    // Writers may pad a chunk to a whole number of words.
    let tail_bytes = range.count.min(mark.ends.len() as u64 + 4);
    let tail_at = range.offset.saturating_add(range.count - tail_bytes);
    let tail = source.up_to(tail_at, usize::try_from(tail_bytes).unwrap_or_default())?;
    let ended = mark.ends.is_empty() || tail.windows(mark.ends.len()).any(|end| end == mark.ends);
    if !ended {
        return Err(Stop::undecodable(format!(
            "the data do not end as {name} data do"
        )));
    }
    if head.starts_with(b"Lerc2 ") {
        return compare_lerc(source, range);
    }
    if compression == 50001 {
        let declared = head.get(4..8).map_or(0, |bytes| {
            bytes
                .iter()
                .rev()
                .fold(0, |value: u64, byte| (value << 8) | u64::from(*byte))
        });
        if head.get(8..12) != Some(b"WEBP") || declared.saturating_add(8) > range.count {
            return Err(Stop::undecodable(format!(
                "{declared} bytes of WebP data are declared in {}",
                range.count
            )));
        }
    }
    Ok(())
}

/// LERC of version 3 and later carries a checksum of all that follows it.
fn compare_lerc<R: Read + Seek>(source: &mut Source<'_, R>, range: Range) -> Checked<()> {
    let word = |bytes: Option<[u8; 4]>| bytes.map_or(0, u32::from_le_bytes);
    let version = word(source.array_at(range.offset + 6)?);
    let stored = word(source.array_at(range.offset + 10)?);
    let size_at = if version >= 4 { 34 } else { 30 };
    let size = u64::from(word(source.array_at(range.offset + size_at)?));
    if version < 3 {
        return Ok(());
    }
    if size < 34 || size > range.count {
        return Err(Stop::undecodable(format!(
            "{size} bytes of LERC data are declared in {}",
            range.count
        )));
    }
    let Some(length) = usize::try_from(size - 14)
        .ok()
        .filter(|_| size <= MAX_CHUNK_BYTES)
    else {
        return Ok(());
    };
    let bytes = source.up_to(range.offset + 14, length)?;
    if fletcher(&bytes) == stored {
        Ok(())
    } else {
        Err(Stop::undecodable("the LERC data fail their checksum"))
    }
}

/// Fletcher's sum over big-endian 16-bit words, as LERC computes it.
fn fletcher(bytes: &[u8]) -> u32 {
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let (mut first, mut second) = (0xffff_u32, 0xffff_u32);
    // 359 words are the most that fit before the sums must be folded.
    for block in bytes.chunks(718) {
        for word in block.chunks(2) {
            let high = word.first().copied().unwrap_or_default();
            let low = word.get(1).copied().unwrap_or_default();
            first += u32::from(u16::from_be_bytes([high, low]));
            second += first;
        }
        first = fold(first);
        second = fold(second);
    }
    (fold(second) << 16) | fold(first)
}
