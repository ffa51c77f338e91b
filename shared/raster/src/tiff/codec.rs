//! Codecs on single chunks: does the chunk decode to the bytes that its pixels need.

use std::io::{Read, Seek};

use flate2::{Decompress, FlushDecompress, Status};

use super::directory::Entry;
use super::foreign;
use super::image::{Image, codec};
use super::jpeg::{Shape, end_of_scans, shape_of};
use super::ranges::Range;
use super::wrap::{self, Decoded, Dress, MAX_CHUNK_BYTES};
use crate::source::{Checked, Source, Stop};

const INPUT_BYTES: usize = 32 * 1024;
const OUTPUT_BYTES: usize = 64 * 1024;
/// Data beyond the pixels that a stream may hold before the check stops following it to its end.
const MAX_SURPLUS: u64 = 256 * 1024;
/// Sides beyond which the JPEG decoder refuses by its own default.
const MAX_JPEG_SIDE: u64 = 16384;
const MAX_FAX_SIDE: u64 = 65535;
const MAX_TABLES: u64 = 64 * 1024;
const JPEG_END: [u8; 2] = [0xff, 0xd9];

/// The registered name of a compression scheme.
pub(super) fn name(compression: u16) -> &'static str {
    match compression {
        codec::NONE => "uncompressed",
        2 | 32771 => "CCITT run length",
        3 => "CCITT group 3",
        codec::FAX4 => "CCITT group 4",
        codec::LZW => "LZW",
        codec::OLD_JPEG => "old JPEG",
        codec::JPEG => "JPEG",
        codec::DEFLATE | codec::OLD_DEFLATE => "Deflate",
        codec::PACKBITS => "PackBits",
        codec::LZMA => "LZMA",
        codec::ZSTD => "Zstandard",
        32766 => "NeXT",
        32809 => "ThunderScan",
        33003 | 33004 | 33005 | 34712 => "JPEG 2000",
        34661 => "JBIG",
        34676 | 34677 => "SGI LogLuv",
        34887 => "LERC",
        34933 => "PNG",
        34892 => "lossy JPEG of DNG",
        50001 => "WebP",
        50002 | 52546 => "JPEG XL",
        _ => "an unregistered scheme",
    }
}

/// Decodes chunk `index`, whose bytes are at `range`, or `most` bytes of it and no more where the codec allows it.
pub(super) fn decode<R: Read + Seek>(
    source: &mut Source<'_, R>,
    image: &Image,
    index: u64,
    (range, most): (Range, u64),
) -> Checked<Decoded> {
    let Some(needed) = image.decoded_bytes(index) else {
        return Ok(Decoded::TooLarge);
    };
    if image.mixed {
        return Ok(Decoded::Unsupported(
            "samples of different depth or format".to_owned(),
        ));
    }
    match image.compression {
        codec::NONE => Ok(Decoded::Whole),
        codec::DEFLATE | codec::OLD_DEFLATE => either_order(image, |reversed| {
            inflate(source, range, (needed, most), reversed)
        }),
        codec::LZW if is_old_lzw(source, range)? => Ok(Decoded::Unsupported(
            "the bit order of early LZW".to_owned(),
        )),
        codec::LZW | codec::PACKBITS | codec::ZSTD => either_order(image, |reversed| {
            let dress = bytes(image.compression, range, (needed, most))?;
            let decoded = wrap::decode(source, &Dress { reversed, ..dress }, range)?;
            Ok(match decoded {
                Decoded::Whole if needed > most => Decoded::Partly,
                other => other,
            })
        }),
        codec::FAX4 => either_order(image, |reversed| {
            fax(source, image, index, (range, reversed))
        }),
        codec::JPEG => jpeg(source, image, index, range),
        other => {
            foreign::compare(source, other, range)?;
            Ok(Decoded::Unsupported(format!(
                "{} (scheme {other})",
                name(other)
            )))
        }
    }
}

/// `FillOrder` 2 means reversed bits, but not every writer that declares it reverses compressed data.
fn either_order(
    image: &Image,
    mut decode: impl FnMut(bool) -> Checked<Decoded>,
) -> Checked<Decoded> {
    if image.fill_order != 2 {
        return decode(false);
    }
    match decode(true) {
        Err(Stop::Verdict { .. }) => decode(false),
        other => other,
    }
}

/// Inflates to the end of the stream, so that its checksum is compared, with memory for one block; or `most` bytes.
fn inflate<R: Read + Seek>(
    source: &mut Source<'_, R>,
    range: Range,
    (needed, most): (u64, u64),
    reversed: bool,
) -> Checked<Decoded> {
    let mut stream = Decompress::new(true);
    let mut output = vec![0; OUTPUT_BYTES];
    let mut ended = false;
    while !ended && stream.total_out() <= needed.saturating_add(MAX_SURPLUS) {
        if needed > most && stream.total_out() >= most {
            return Ok(Decoded::Partly);
        }
        let left = range.count.saturating_sub(stream.total_in());
        let length = usize::try_from(left).map_or(INPUT_BYTES, |left| left.min(INPUT_BYTES));
        let mut input = source.up_to(range.offset.saturating_add(stream.total_in()), length)?;
        if reversed {
            for byte in &mut input {
                *byte = byte.reverse_bits();
            }
        }
        let before = (stream.total_in(), stream.total_out());
        let Ok(end) = drain(&mut stream, &input, &mut output) else {
            let at = stream.total_in();
            return Err(Stop::undecodable(format!(
                "the Deflate data are corrupt near byte {at} of the chunk"
            )));
        };
        ended = end;
        if before == (stream.total_in(), stream.total_out()) {
            break;
        }
    }
    let got = stream.total_out();
    if got < needed {
        return Err(Stop::undecodable(format!(
            "the Deflate data hold {got} of {needed} bytes"
        )));
    }
    if !ended && got <= needed.saturating_add(MAX_SURPLUS) {
        return Err(Stop::undecodable(
            "the Deflate data end before their checksum",
        ));
    }
    Ok(Decoded::Whole)
}

/// Inflates one block of input; true at the end of the stream.
fn drain(stream: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<bool, ()> {
    let start = stream.total_in();
    loop {
        let used = usize::try_from(stream.total_in() - start).map_err(|_| ())?;
        let before = stream.total_out();
        let rest = input.get(used..).unwrap_or_default();
        match stream.decompress(rest, output, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return Ok(true),
            Ok(_) if rest.is_empty() && stream.total_out() == before => return Ok(false),
            Ok(_) if stream.total_out() == before && used == input.len() => return Ok(false),
            Ok(_) => {}
            Err(_) => return Err(()),
        }
        let now = usize::try_from(stream.total_in() - start).map_err(|_| ())?;
        if now == used && stream.total_out() == before {
            return Ok(false);
        }
    }
}

/// Early LZW writers packed codes the other way round; libtiff tells them by the first two bytes.
fn is_old_lzw<R: Read + Seek>(source: &mut Source<'_, R>, range: Range) -> Checked<bool> {
    let first = source.array_at::<2>(range.offset)?;
    Ok(range.count >= 2 && first.is_some_and(|[first, second]| first == 0 && second & 1 == 1))
}

/// Most bytes that one encoded byte can stand for.
fn best_ratio(compression: u16) -> u64 {
    match compression {
        codec::PACKBITS => 64,
        codec::LZW => 4096,
        _ => 65536,
    }
}

/// Dresses bytes without pixels' meaning as one row of them, the first `most` of those that are needed.
fn bytes(compression: u16, range: Range, (needed, most): (u64, u64)) -> Checked<Dress> {
    // No buffer is made for pixels that the data cannot possibly hold.
    if needed > range.count.saturating_mul(best_ratio(compression)) {
        let (name, count) = (name(compression), range.count);
        return Err(Stop::undecodable(format!(
            "{count} bytes of {name} data cannot hold {needed} bytes of pixels"
        )));
    }
    Ok(Dress {
        compression,
        width: needed.min(most).min(MAX_CHUNK_BYTES),
        height: 1,
        bits: 8,
        samples: 1,
        jpeg_tables: Vec::new(),
        reversed: false,
    })
}

fn fax<R: Read + Seek>(
    source: &mut Source<'_, R>,
    image: &Image,
    index: u64,
    (range, reversed): (Range, bool),
) -> Checked<Decoded> {
    let (width, rows) = (image.grid.chunk_width, image.chunk_rows(index));
    if width > MAX_FAX_SIDE {
        return Ok(Decoded::TooLarge);
    }
    // Rows follow one another, so the first ones can be decoded without the rest.
    let height = rows
        .min(MAX_FAX_SIDE)
        .min(MAX_CHUNK_BYTES / width.div_ceil(8).max(1));
    let dress = Dress {
        compression: codec::FAX4,
        width,
        height,
        bits: 1,
        samples: 1,
        jpeg_tables: Vec::new(),
        reversed,
    };
    match wrap::decode(source, &dress, range) {
        // Readers paint what a broken line leaves open and go on, so only data without any line are bad.
        Err(Stop::Verdict { reason, .. }) if !begins_with_zeros(source, range)? => Ok(
            Decoded::Unsupported(format!("CCITT group 4 data that readers mend: {reason}")),
        ),
        other => other,
    }
}

fn begins_with_zeros<R: Read + Seek>(source: &mut Source<'_, R>, range: Range) -> Checked<bool> {
    let length = usize::try_from(range.count).map_or(32, |count| count.min(32));
    Ok(source
        .up_to(range.offset, length)?
        .iter()
        .all(|byte| *byte == 0))
}

fn jpeg<R: Read + Seek>(
    source: &mut Source<'_, R>,
    image: &Image,
    index: u64,
    range: Range,
) -> Checked<Decoded> {
    let end = range.offset.saturating_add(range.count);
    let Some(shape) = shape_of(source, range.offset, end)? else {
        return Err(Stop::undecodable("the JPEG data hold no image"));
    };
    compare_shape(image, index, &shape)?;
    if !matches!(shape.frame, 0xc0..=0xc2) || shape.precision != 8 || shape.height == 0 {
        let Shape {
            frame, precision, ..
        } = shape;
        return Ok(Decoded::Unsupported(format!(
            "JPEG frame type {frame:#x} with {precision} bits"
        )));
    }
    if !matches!(shape.components, 1 | 3 | 4) {
        return Ok(Decoded::Unsupported(format!(
            "JPEG with {} components",
            shape.components
        )));
    }
    if shape.width > MAX_JPEG_SIDE || shape.height > MAX_JPEG_SIDE {
        return Ok(Decoded::TooLarge);
    }
    let dress = Dress {
        compression: codec::JPEG,
        width: shape.width,
        height: shape.height,
        bits: 8,
        samples: u16::from(shape.components),
        jpeg_tables: tables(source, image.jpeg_tables)?,
        reversed: false,
    };
    match wrap::decode(source, &dress, range) {
        Ok(Decoded::Whole) if end_of_scans(source, shape.scan, end)?.is_none() => {
            Ok(Decoded::Unsupported(
                "JPEG data without their end marker, which readers mend".to_owned(),
            ))
        }
        // Readers know the tables that the standard suggests, as motion JPEG needs them.
        Err(Stop::Verdict { reason, .. })
            if reason.contains("No DC table") || reason.contains("No AC table") =>
        {
            Ok(Decoded::Unsupported(
                "JPEG data without Huffman tables".to_owned(),
            ))
        }
        other => other,
    }
}

/// The tables that all chunks share: a stream of its own that ends without a scan.
fn tables<R: Read + Seek>(source: &mut Source<'_, R>, entry: Option<Entry>) -> Checked<Vec<u8>> {
    let Some(entry) = entry else {
        return Ok(Vec::new());
    };
    let Some(length @ 4..=MAX_TABLES) = entry.length() else {
        return Ok(Vec::new());
    };
    match shape_of(source, entry.at, entry.at.saturating_add(length)) {
        Ok(None) => {
            let mut tables = source.up_to(entry.at, usize::try_from(length).unwrap_or_default())?;
            // The decoder drops the end marker without a look; readers do without it.
            if !tables.ends_with(&JPEG_END) {
                tables.extend(JPEG_END);
            }
            Ok(tables)
        }
        Ok(Some(_)) => Err(Stop::undecodable("the shared JPEG tables hold an image")),
        Err(Stop::Verdict { code, reason }) => Err(Stop::new(
            code,
            format!("in the shared JPEG tables, {reason}"),
        )),
        Err(error) => Err(error),
    }
}

/// Readers fill up a JPEG that is smaller than its chunk and refuse one that is larger, but for a last strip.
fn compare_shape(image: &Image, index: u64, shape: &Shape) -> Checked<()> {
    let (width, rows) = (image.grid.chunk_width, image.chunk_rows(index));
    let last_strip = !image.grid.tiled && (index + 1).is_multiple_of(image.grid.down.max(1));
    if shape.width > width || (shape.height > rows && !last_strip) {
        let Shape {
            width: wide,
            height: high,
            ..
        } = shape;
        let noun = image.grid.noun();
        return Err(Stop::undecodable(format!(
            "a JPEG of {wide} x {high} pixels in a {noun} of {width} x {rows}"
        )));
    }
    if u64::from(shape.components) != image.chunk_samples {
        let (has, needs) = (shape.components, image.chunk_samples);
        return Err(Stop::undecodable(format!(
            "a JPEG of {has} components where the image has {needs} samples"
        )));
    }
    Ok(())
}
