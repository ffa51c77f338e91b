//! One chunk dressed as a TIFF file of its own, so that the decoder cannot look beyond the chunk's bytes.
//!
//! The decoder reads from an offset and minds the byte count only for some codecs. Here the bytes after the chunk do
//! not exist, and the pixel layout (palettes, odd bit depths, colour spaces) does not matter: byte codecs see one row
//! of bytes.

use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tiff::TiffError;
use tiff::decoder::{Decoder, Limits};

use super::ranges::Range;
use crate::source::{Checked, Source, Stop};

/// Bytes that one decoded or encoded chunk may take in memory.
pub(super) const MAX_CHUNK_BYTES: u64 = 64 << 20;
const BLOCK_BYTES: usize = 64 * 1024;

/// What the decoder is told about the chunk.
#[derive(Debug)]
pub(super) struct Dress {
    pub(super) compression: u16,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) bits: u16,
    pub(super) samples: u16,
    pub(super) jpeg_tables: Vec<u8>,
    /// Whether the bits of every byte are stored in reverse (`FillOrder` 2).
    pub(super) reversed: bool,
}

/// What came of decoding one chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    Whole,
    /// As far as was asked for.
    Partly,
    /// The decoder does not know this variant of the codec.
    Unsupported(String),
    /// The chunk is larger than the memory that a check may use.
    TooLarge,
}

/// Decodes the chunk at `range`.
pub(super) fn decode<R: Read + Seek>(
    source: &mut Source<'_, R>,
    dress: &Dress,
    range: Range,
) -> Checked<Decoded> {
    let row_bytes = (dress.width * u64::from(dress.samples) * u64::from(dress.bits)).div_ceil(8);
    let bytes = row_bytes.saturating_mul(dress.height);
    if bytes > MAX_CHUNK_BYTES || range.count > MAX_CHUNK_BYTES {
        return Ok(Decoded::TooLarge);
    }
    let Some(head) = header(dress, range.count) else {
        return Ok(Decoded::TooLarge);
    };
    let mut chunk = Chunk {
        head,
        source,
        range,
        reversed: dress.reversed,
        position: 0,
        block: Block::default(),
    };
    let mut limits = Limits::default();
    limits.decoding_buffer_size = usize::try_from(MAX_CHUNK_BYTES).unwrap_or(usize::MAX);
    limits.intermediate_buffer_size = limits.decoding_buffer_size;
    // The decoder asserts what it believes of its input; a panic there is a chunk that does not decode.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut decoder = Decoder::new(&mut chunk)?.with_limits(limits);
        decoder.read_chunk(0).map(drop)
    }));
    if let Some(error) = chunk.block.failure.take() {
        return Err(Stop::Io(error));
    }
    match result {
        Ok(Ok(())) => Ok(Decoded::Whole),
        Ok(Err(TiffError::UnsupportedError(error))) => Ok(Decoded::Unsupported(error.to_string())),
        Ok(Err(TiffError::LimitsExceeded | TiffError::IntSizeError)) => Ok(Decoded::TooLarge),
        Ok(Err(error)) => Err(Stop::undecodable(said(&error))),
        Err(_) => Err(Stop::undecodable("the decoder gave up on the data")),
    }
}

fn said(error: &TiffError) -> String {
    match error {
        TiffError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the data end before the pixels do".to_owned()
        }
        // Decoders' messages may run over several lines.
        other => {
            let text = other.to_string();
            let text = text.trim_start_matches("format error: compressed data is corrupt: ");
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        }
    }
}

/// A classic little-endian TIFF header with one strip that begins right after it.
fn header(dress: &Dress, count: u64) -> Option<Vec<u8>> {
    const ENTRIES: u32 = 10;
    let has_tables = !dress.jpeg_tables.is_empty();
    let entries = ENTRIES + u32::from(has_tables) - 1;
    let after = 8 + 2 + 12 * entries + 4;
    let tables = u32::try_from(dress.jpeg_tables.len()).ok()?;
    let data = after.checked_add(tables)?;
    let (width, height) = (
        u32::try_from(dress.width).ok()?,
        u32::try_from(dress.height).ok()?,
    );
    let photometric = match dress.samples {
        1 => 1,
        3 => 2,
        4 => 5,
        _ => return None,
    };
    let mut fields: Vec<(u16, u16, u32, u32)> = vec![
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, u32::from(dress.bits)),
        (259, 3, 1, u32::from(dress.compression)),
        (262, 3, 1, photometric),
        (273, 4, 1, data),
        (277, 3, 1, u32::from(dress.samples)),
        (278, 4, 1, height),
        (279, 4, 1, u32::try_from(count).ok()?),
    ];
    if has_tables {
        fields.push((347, 7, tables, after));
    }
    let mut head = b"II*\0\x08\0\0\0".to_vec();
    head.extend(u16::try_from(entries).ok()?.to_le_bytes());
    for (tag, field_type, count, value) in fields {
        head.extend(tag.to_le_bytes());
        head.extend(field_type.to_le_bytes());
        head.extend(count.to_le_bytes());
        head.extend(value.to_le_bytes());
    }
    head.extend([0; 4]);
    head.extend(&dress.jpeg_tables);
    Some(head)
}

/// The block of the chunk that was read last, and the failure of the source if it failed.
#[derive(Debug, Default)]
struct Block {
    at: u64,
    bytes: Vec<u8>,
    failure: Option<io::Error>,
}

/// The header followed by the chunk's bytes, as one seekable file.
struct Chunk<'s, 'a, R> {
    head: Vec<u8>,
    source: &'s mut Source<'a, R>,
    range: Range,
    reversed: bool,
    position: u64,
    block: Block,
}

impl<R: Read + Seek> Chunk<'_, '_, R> {
    fn head_bytes(&self) -> u64 {
        self.head.len() as u64
    }

    /// Makes `block` hold the byte at `at` of the chunk, if there is one.
    fn load(&mut self, at: u64) -> io::Result<()> {
        let held = self.block.at..self.block.at.saturating_add(self.block.bytes.len() as u64);
        if held.contains(&at) {
            return Ok(());
        }
        let left = self.range.count.saturating_sub(at);
        let length = usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        match self
            .source
            .up_to(self.range.offset.saturating_add(at), length)
        {
            Ok(bytes) => self.block.bytes = bytes,
            Err(error) => {
                let kind = error.kind();
                self.block.failure = Some(error);
                return Err(kind.into());
            }
        }
        self.block.at = at;
        if self.reversed {
            for byte in &mut self.block.bytes {
                *byte = byte.reverse_bits();
            }
        }
        Ok(())
    }
}

impl<R: Read + Seek> Read for Chunk<'_, '_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let head_bytes = self.head_bytes();
        let available = if self.position < head_bytes {
            usize::try_from(self.position)
                .ok()
                .and_then(|at| self.head.get(at..))
        } else {
            let at = self.position - head_bytes;
            self.load(at)?;
            usize::try_from(at.saturating_sub(self.block.at))
                .ok()
                .and_then(|at| self.block.bytes.get(at..))
        };
        let available = available.unwrap_or_default();
        let length = available.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..length), available.get(..length)) {
            to.copy_from_slice(from);
        }
        self.position += length as u64;
        Ok(length)
    }
}

impl<R: Read + Seek> Seek for Chunk<'_, '_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.head_bytes().saturating_add(self.range.count);
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
