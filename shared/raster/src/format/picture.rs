//! PNG, JPEG and WebP.

use std::io::{Read, Seek};

use flate2::Crc;

use super::{cut, trailing};
use crate::Level;
use crate::source::{Checked, Source, Stop};
use crate::tiff::shape_of;
use crate::validate::Notes;

const MAX_CHUNKS: u64 = 1 << 20;
const BLOCK_BYTES: usize = 64 * 1024;
/// How far before the end of a JPEG its end marker may be; phones append whole films, but then the first scan is short.
const JPEG_TAIL: usize = 1 << 20;

/// Walks the chunks up to IEND; at `full` every chunk's checksum is compared.
pub(super) fn png<R: Read + Seek>(
    source: &mut Source<'_, R>,
    level: Level,
    notes: &mut Notes,
) -> Checked<()> {
    let size = source.size();
    let (mut at, mut has_data) = (8_u64, false);
    for _ in 0..MAX_CHUNKS {
        let Some([a, b, c, d, name @ ..]) = source.array_at::<8>(at)? else {
            return Err(cut("the end chunk IEND", size));
        };
        let length = u64::from(u32::from_be_bytes([a, b, c, d]));
        let label = String::from_utf8_lossy(&name).into_owned();
        if !name.iter().all(u8::is_ascii_alphabetic) || (at == 8 && &name != b"IHDR") {
            return Err(Stop::malformed(format!("there is no chunk at byte {at}")));
        }
        let end = at + 12 + length;
        if end > size {
            return Err(cut(&format!("chunk {label} at byte {at}"), size));
        }
        if level == Level::Full || &name == b"IHDR" {
            compare_crc(source, at + 4, length + 4, &label)?;
        }
        has_data |= &name == b"IDAT";
        if &name == b"IEND" {
            trailing(end, size, notes);
            return if has_data {
                Ok(())
            } else {
                Err(Stop::malformed("the file holds no image data"))
            };
        }
        at = end;
    }
    Err(Stop::malformed(format!(
        "the file holds more than {MAX_CHUNKS} chunks"
    )))
}

fn compare_crc<R: Read + Seek>(
    source: &mut Source<'_, R>,
    start: u64,
    length: u64,
    label: &str,
) -> Checked<()> {
    let mut crc = Crc::new();
    let mut done = 0;
    while done < length {
        let want = usize::try_from(length - done).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        let block = source.up_to(start + done, want)?;
        crc.update(&block);
        done += block.len() as u64;
    }
    let stored = source
        .array_at::<4>(start + length)?
        .map(u32::from_be_bytes);
    if stored == Some(crc.sum()) {
        Ok(())
    } else {
        Err(Stop::undecodable(format!(
            "chunk {label} fails its checksum"
        )))
    }
}

/// Walks the segments to the first scan and looks for the end marker at the end.
pub(super) fn jpeg<R: Read + Seek>(source: &mut Source<'_, R>, notes: &mut Notes) -> Checked<()> {
    let size = source.size();
    let shape = match shape_of(source, 0, size) {
        Ok(Some(shape)) => shape,
        Ok(None) => return Err(Stop::truncated("the file ends before its first scan")),
        // The segments say how long they are, so what is missing is the rest of the file.
        Err(Stop::Verdict { reason, .. }) => return Err(Stop::truncated(reason)),
        Err(error) => return Err(error),
    };
    let tail = source.tail(JPEG_TAIL)?;
    let end = tail.windows(2).rposition(|pair| pair == [0xff, 0xd9]);
    let Some(end) = end else {
        return Err(Stop::truncated("the file ends without a JPEG end marker"));
    };
    let end = size - (tail.len() - end) as u64 + 2;
    if end <= shape.scan {
        return Err(Stop::truncated("the file ends within its first scan"));
    }
    trailing(end, size, notes);
    Ok(())
}

/// Walks the chunks that the RIFF header counts.
pub(super) fn webp<R: Read + Seek>(source: &mut Source<'_, R>, notes: &mut Notes) -> Checked<()> {
    let size = source.size();
    let declared = source.array_at::<4>(4)?.map_or(0, u32::from_le_bytes);
    let end = u64::from(declared) + 8;
    if end > size {
        return Err(cut("the end that the RIFF header declares", size));
    }
    let (mut at, mut has_data) = (12_u64, false);
    while at + 8 <= end {
        let Some([name @ .., a, b, c, d]) = source.array_at::<8>(at)? else {
            break;
        };
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        let label = String::from_utf8_lossy(&name).into_owned();
        if at + 8 + length > end {
            return Err(cut(&format!("chunk {label:?} at byte {at}"), size));
        }
        has_data |= matches!(&name, b"VP8 " | b"VP8L" | b"ANMF");
        at += 8 + length + length % 2;
    }
    if !has_data {
        return Err(Stop::malformed("the file holds no image data"));
    }
    trailing(end + end % 2, size, notes);
    Ok(())
}
