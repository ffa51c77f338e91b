//! A writer of small TIFF files of every shape, with tiny encoders that need no codec library.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use swath_raster::{Expected, Level, Verdict, validate};

pub(crate) const NONE: u16 = 1;
pub(crate) const FAX4: u16 = 4;
pub(crate) const LZW: u16 = 5;
pub(crate) const JPEG: u16 = 7;
pub(crate) const DEFLATE: u16 = 8;
pub(crate) const PACKBITS: u16 = 32773;
pub(crate) const ZSTD: u16 = 50000;

pub(crate) fn check(bytes: &[u8], level: Level) -> Verdict {
    check_as(bytes, &Expected::default(), level)
}

pub(crate) fn check_as(bytes: &[u8], expected: &Expected<'_>, level: Level) -> Verdict {
    validate(&mut Cursor::new(bytes), expected, level).unwrap()
}

/// Prints what became of an injected fault: `ID fault expected got`.
#[allow(
    clippy::print_stdout,
    reason = "tests tell their figures on standard output"
)]
pub(crate) fn say(id: &str, fault: &str, expected: &str, got: impl std::fmt::Display) {
    println!("{id} {fault}: expected {expected}, got {got}");
}

/// A file in memory that counts the bytes read from it.
pub(crate) struct Counted<'b> {
    inner: Cursor<&'b [u8]>,
    pub(crate) read: u64,
}

impl<'b> Counted<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self {
            inner: Cursor::new(bytes),
            read: 0,
        }
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.read += read as u64;
        Ok(read)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

/// One image to be written.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bits: u16,
    pub(crate) samples: u16,
    pub(crate) planar: bool,
    pub(crate) tile: Option<(u32, u32)>,
    pub(crate) rows_per_strip: u32,
    pub(crate) compression: u16,
    pub(crate) subfile: u32,
    /// Tags beside the usual ones, or instead of them: tag, type, values.
    pub(crate) tags: Vec<(u16, u16, Vec<u64>)>,
    pub(crate) without: Vec<u16>,
    pub(crate) children: Vec<Image>,
    /// Chunks to leave out as sparse.
    pub(crate) sparse: Vec<usize>,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            width: 40,
            height: 30,
            bits: 8,
            samples: 1,
            planar: false,
            tile: None,
            rows_per_strip: 8,
            compression: NONE,
            subfile: 0,
            tags: Vec::new(),
            without: Vec::new(),
            children: Vec::new(),
            sparse: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Form {
    pub(crate) bigtiff: bool,
    pub(crate) big_endian: bool,
}

pub(crate) const FORMS: [Form; 4] = [
    Form {
        bigtiff: false,
        big_endian: false,
    },
    Form {
        bigtiff: false,
        big_endian: true,
    },
    Form {
        bigtiff: true,
        big_endian: false,
    },
    Form {
        bigtiff: true,
        big_endian: true,
    },
];

impl Form {
    pub(crate) fn number(self, value: u64, width: usize) -> Vec<u8> {
        if self.big_endian {
            value.to_be_bytes()[8 - width..].to_vec()
        } else {
            value.to_le_bytes()[..width].to_vec()
        }
    }

    fn offset(self) -> usize {
        if self.bigtiff { 8 } else { 4 }
    }
}

/// Writes the images as a chain, data of each before its directory.
pub(crate) fn write(form: Form, images: &[Image]) -> Vec<u8> {
    let mut file = if form.big_endian {
        b"MM".to_vec()
    } else {
        b"II".to_vec()
    };
    file.extend(form.number(if form.bigtiff { 43 } else { 42 }, 2));
    if form.bigtiff {
        file.extend(form.number(8, 2));
        file.extend(form.number(0, 2));
    }
    let mut link = file.len();
    file.extend(form.number(0, form.offset()));
    for image in images {
        let (at, next) = directory(form, &mut file, image);
        let pointer = form.number(at, form.offset());
        file[link..link + pointer.len()].copy_from_slice(&pointer);
        link = next;
    }
    file
}

/// Appends data, children and directory of one image; returns where the directory is and where its next pointer is.
fn directory(form: Form, file: &mut Vec<u8>, image: &Image) -> (u64, usize) {
    let children: Vec<u64> = image
        .children
        .iter()
        .map(|child| directory(form, file, child).0)
        .collect();
    let (mut offsets, mut counts) = (Vec::new(), Vec::new());
    for index in 0..chunks(image) {
        if image.sparse.contains(&index) {
            offsets.push(0);
            counts.push(0);
            continue;
        }
        let data = encode(image, index);
        offsets.push(file.len() as u64);
        counts.push(data.len() as u64);
        file.extend(data);
    }
    file.resize(file.len().next_multiple_of(2), 0);
    let mut tags: Vec<(u16, u16, Vec<u64>)> = vec![
        (254, 4, vec![u64::from(image.subfile)]),
        (256, 3, vec![u64::from(image.width)]),
        (257, 3, vec![u64::from(image.height)]),
        (
            258,
            3,
            vec![u64::from(image.bits); usize::from(image.samples)],
        ),
        (259, 3, vec![u64::from(image.compression)]),
        (262, 3, vec![1]),
        (277, 3, vec![u64::from(image.samples)]),
        (284, 3, vec![if image.planar { 2 } else { 1 }]),
    ];
    if let Some((width, length)) = image.tile {
        tags.extend([
            (322, 3, vec![u64::from(width)]),
            (323, 3, vec![u64::from(length)]),
            (324, 4, offsets),
            (325, 4, counts),
        ]);
    } else {
        tags.extend([
            (273, 4, offsets),
            (278, 3, vec![u64::from(image.rows_per_strip)]),
            (279, 4, counts),
        ]);
    }
    if !children.is_empty() {
        tags.push((330, 4, children));
    }
    for tag in &image.tags {
        tags.retain(|other| other.0 != tag.0);
        tags.push(tag.clone());
    }
    tags.retain(|tag| !image.without.contains(&tag.0));
    tags.sort_by_key(|tag| tag.0);
    entries(form, file, &tags)
}

fn entries(form: Form, file: &mut Vec<u8>, tags: &[(u16, u16, Vec<u64>)]) -> (u64, usize) {
    let at = file.len();
    let (count_width, entry_width) = if form.bigtiff { (8, 20) } else { (2, 12) };
    let mut values_at = at + count_width + entry_width * tags.len() + form.offset();
    let mut values = Vec::new();
    file.extend(form.number(tags.len() as u64, count_width));
    for (tag, kind, numbers) in tags {
        let width = match kind {
            3 => 2,
            4 => 4,
            12 | 16 => 8,
            _ => 1,
        };
        let mut inline: Vec<u8> = numbers
            .iter()
            .flat_map(|number| form.number(*number, width))
            .collect();
        file.extend(form.number(u64::from(*tag), 2));
        file.extend(form.number(u64::from(*kind), 2));
        file.extend(form.number(numbers.len() as u64, form.offset()));
        if inline.len() > form.offset() {
            values.extend_from_slice(&inline);
            let pointer = form.number(values_at as u64, form.offset());
            values_at += inline.len();
            inline = pointer;
        }
        inline.resize(form.offset(), 0);
        file.extend(inline);
    }
    let next = file.len();
    file.extend(form.number(0, form.offset()));
    file.extend(values);
    (at as u64, next)
}

/// Tiles or strips of an image.
pub(crate) fn chunks(image: &Image) -> usize {
    let planes = if image.planar {
        usize::from(image.samples)
    } else {
        1
    };
    let one = match image.tile {
        Some((width, length)) => image.width.div_ceil(width) * image.height.div_ceil(length),
        None => image.height.div_ceil(image.rows_per_strip),
    };
    planes * one as usize
}

/// Width, rows and bytes of one chunk.
fn shape(image: &Image, index: usize) -> (u32, u32, usize) {
    let samples = if image.planar {
        1
    } else {
        u32::from(image.samples)
    };
    let (width, rows) = match image.tile {
        Some(tile) => tile,
        None => {
            let per_plane = image.height.div_ceil(image.rows_per_strip);
            let first = index as u32 % per_plane * image.rows_per_strip;
            (image.width, image.rows_per_strip.min(image.height - first))
        }
    };
    let row = (width * u32::from(image.bits) * samples).div_ceil(8);
    (width, rows, (row * rows) as usize)
}

fn encode(image: &Image, index: usize) -> Vec<u8> {
    let (width, rows, length) = shape(image, index);
    let raw = pixels(length, index as u64);
    match image.compression {
        DEFLATE => deflate(&raw),
        LZW => lzw(&raw),
        PACKBITS => packbits(&raw),
        ZSTD => zstd(&raw),
        JPEG => jpeg(width, rows),
        FAX4 => fax(rows),
        _ => raw,
    }
}

/// Bytes that neither repeat nor vanish.
pub(crate) fn pixels(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut step = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length)
        .map(|at| ((at / 7) as u8).wrapping_add(step() & 3))
        .collect()
}

pub(crate) fn deflate(raw: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(raw).unwrap();
    encoder.finish().unwrap()
}

/// LZW without any dictionary: literals of nine bits, cleared before the codes would grow.
fn lzw(raw: &[u8]) -> Vec<u8> {
    let (mut bits, mut held, mut out) = (0_u32, 0, Vec::new());
    let mut put = |code: u32| {
        bits = bits << 9 | code;
        held += 9;
        while held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
        bits &= (1 << held) - 1;
    };
    for block in raw.chunks(200) {
        put(256);
        for byte in block {
            put(u32::from(*byte));
        }
    }
    put(257);
    for _ in 0..8 {
        put(0);
    }
    out
}

fn packbits(raw: &[u8]) -> Vec<u8> {
    raw.chunks(128)
        .flat_map(|block| std::iter::once((block.len() - 1) as u8).chain(block.iter().copied()))
        .collect()
}

/// A Zstandard frame of raw blocks.
fn zstd(raw: &[u8]) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    out.extend((raw.len() as u32).to_le_bytes());
    let blocks: Vec<&[u8]> = raw.chunks(1 << 16).collect();
    for (place, block) in blocks.iter().enumerate() {
        let header = (block.len() as u32) << 3 | u32::from(place + 1 == blocks.len());
        out.extend(&header.to_le_bytes()[..3]);
        out.extend(*block);
    }
    out
}

/// A grey baseline JPEG whose blocks are all of the middle grey: two bits each.
pub(crate) fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut out = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    out.extend([1; 64]);
    out.extend([0xff, 0xc0, 0, 11, 8]);
    out.extend((height as u16).to_be_bytes());
    out.extend((width as u16).to_be_bytes());
    out.extend([1, 1, 0x11, 0]);
    for class in [0x00, 0x10] {
        out.extend([
            0xff, 0xc4, 0, 20, class, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ]);
    }
    out.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
    let blocks = width.div_ceil(8) * height.div_ceil(8);
    let bits = blocks * 2;
    out.extend(std::iter::repeat_n(0, (bits / 8) as usize));
    if !bits.is_multiple_of(8) {
        out.push(0xff >> (bits % 8));
    }
    out.extend([0xff, 0xd9]);
    out
}

/// White lines in CCITT group 4: one bit each, then the end of the block.
fn fax(rows: u32) -> Vec<u8> {
    let mut bits: Vec<u8> = vec![1; rows as usize];
    bits.extend([
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    ]);
    bits.chunks(8)
        .map(|byte| {
            byte.iter()
                .enumerate()
                .fold(0, |sum, (at, bit)| sum | bit << (7 - at))
        })
        .collect()
}

/// The start of the data of the chunk at `index` of the first image, and its length, from a classic little-endian file.
pub(crate) fn chunk_range(file: &[u8], tags: (u16, u16), index: usize) -> (usize, usize) {
    let long = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let short = |at: usize| usize::from(u16::from_le_bytes(file[at..at + 2].try_into().unwrap()));
    let directory = long(4);
    let value = |tag: u16| {
        let entry = (0..short(directory))
            .map(|n| directory + 2 + 12 * n)
            .find(|at| short(*at) == usize::from(tag))
            .unwrap();
        if long(entry + 4) == 1 {
            long(entry + 8)
        } else {
            long(long(entry + 8) + 4 * index)
        }
    };
    (value(tags.0), value(tags.1))
}

pub(crate) const STRIPS: (u16, u16) = (273, 279);
pub(crate) const TILES: (u16, u16) = (324, 325);
