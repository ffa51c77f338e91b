//! Small Cloud Optimized GeoTIFF files made on the spot, for demonstrations and tests.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::mix::mix;

/// Metres per pixel, and the corner of the first pixel in UTM zone 33 north (EPSG:32633).
const PIXEL_METRES: f64 = 10.0;
const CORNER: (f64, f64) = (399_960.0, 5_800_020.0);

/// Says what [`cog`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CogSpec {
    /// Width in pixels; 0 counts as 1.
    pub width: u32,
    /// Height in pixels; 0 counts as 1.
    pub height: u32,
    /// Side of a tile in pixels, rounded up to a multiple of 16.
    pub tile: u32,
    /// Overviews, each of half the side of the one before.
    pub overviews: u8,
    /// The same seed gives the same pixels everywhere, and with one build the same bytes.
    pub seed: u64,
    /// Whether rows are stored as differences, which compresses better.
    pub predictor: bool,
}

impl Default for CogSpec {
    fn default() -> Self {
        Self {
            width: 1024,
            height: 1024,
            tile: 512,
            overviews: 2,
            seed: 1,
            predictor: true,
        }
    }
}

/// One picture of unsigned 16-bit pixels, rows first.
struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u16>,
}

/// A directory entry with its values, little-endian; `kind` is the type of the values.
struct Field {
    tag: u16,
    kind: u16,
    values: Vec<u8>,
}

const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const DOUBLE: u16 = 12;

/// Makes a Cloud Optimized GeoTIFF in memory: one band of unsigned 16 bits, Deflate, EPSG:32633, 10 m pixels.
///
/// The directories come first, then the overviews' tiles from the smallest on, then the tiles of the image. Smooth
/// relief under a little noise makes 1 to 4 MB of 1024 to 2048 pixels a side.
pub fn cog(spec: &CogSpec) -> Vec<u8> {
    let side = spec.tile.clamp(1, 1 << 14).next_multiple_of(16);
    let mut pictures = vec![paint(spec)];
    for _ in 0..spec.overviews {
        if let Some(half) = pictures.last().map(halve) {
            pictures.push(half);
        }
    }
    let tiles: Vec<Vec<Vec<u8>>> = pictures
        .iter()
        .map(|picture| tiles(picture, side, spec.predictor))
        .collect();
    let describe = |offsets: &[Vec<u32>]| -> Vec<Vec<Field>> {
        let parts = pictures.iter().zip(&tiles).zip(offsets).enumerate();
        parts
            .map(|(place, ((picture, tiles), offsets))| {
                fields(spec, side, (place, picture), tiles, offsets)
            })
            .collect()
    };
    // Sizes do not depend on the offsets, so a first round without them says where the data begin.
    let blank: Vec<Vec<u32>> = tiles.iter().map(|tiles| vec![0; tiles.len()]).collect();
    let header = directories(&describe(&blank));
    let mut at = length(&header);
    let mut offsets = blank;
    for (offsets, tiles) in offsets.iter_mut().zip(&tiles).rev() {
        for (offset, tile) in offsets.iter_mut().zip(tiles) {
            *offset = at;
            at = at.saturating_add(length(tile));
        }
    }
    let mut file = directories(&describe(&offsets));
    for tile in tiles.iter().rev().flatten() {
        file.extend_from_slice(tile);
    }
    file
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// A wave between -8192 and 8192 from two parabolas; whole numbers, so that every machine draws the same.
fn wave(phase: u32) -> i32 {
    let ramp = i32::try_from(phase >> 16).unwrap_or_default() - 32768;
    (ramp * (32768 - ramp.abs())) >> 15
}

fn waves(length: u32, mut seed: u64) -> Vec<i32> {
    let mut sum = vec![0; usize::try_from(length).unwrap_or_default()];
    for octave in 0..3_u32 {
        seed = mix(seed);
        let start = u32::try_from(seed & 0xffff_ffff).unwrap_or_default();
        let cycles = 1 + u32::try_from(seed >> 62).unwrap_or_default() + 3 * octave;
        let step = (u32::MAX / length.max(1)).wrapping_mul(cycles);
        let mut phase = start;
        for value in &mut sum {
            *value += wave(phase) >> (2 + octave);
            phase = phase.wrapping_add(step);
        }
    }
    sum
}

fn paint(spec: &CogSpec) -> Picture {
    let (width, height) = (spec.width.max(1), spec.height.max(1));
    let columns = waves(width, spec.seed ^ 0x5ca1_ab1e);
    let rows = waves(height, spec.seed.wrapping_mul(3) ^ 0xf00d);
    let mut noise = mix(spec.seed);
    let mut pixels = Vec::with_capacity(columns.len() * rows.len());
    for (line, row) in rows.iter().enumerate() {
        let tilt = i32::try_from(line % 64).unwrap_or_default();
        for (place, column) in columns.iter().enumerate() {
            if place % 8 == 0 {
                noise = mix(noise);
            }
            let bits = i32::try_from((noise >> (place % 8 * 8)) & 0x03).unwrap_or_default();
            let relief = 8192 + row + column + ((row * column) >> 13) + tilt;
            pixels.push(u16::try_from(relief + bits).unwrap_or(u16::MAX));
        }
    }
    Picture {
        width,
        height,
        pixels,
    }
}

/// Every second pixel of every second row.
fn halve(picture: &Picture) -> Picture {
    let (width, height) = (picture.width.div_ceil(2), picture.height.div_ceil(2));
    let row = usize::try_from(picture.width).unwrap_or(1).max(1);
    let rows = picture.pixels.chunks(row).step_by(2);
    let pixels = rows
        .flat_map(|row| row.iter().step_by(2).copied())
        .collect();
    Picture {
        width,
        height,
        pixels,
    }
}

/// The tiles of a picture, left to right and top to bottom; what is beyond the edge is 0.
fn tiles(picture: &Picture, side: u32, predictor: bool) -> Vec<Vec<u8>> {
    let row = usize::try_from(picture.width).unwrap_or(1).max(1);
    let side = usize::try_from(side).unwrap_or(16);
    let mut all = Vec::new();
    for band in picture.pixels.chunks(row * side) {
        for left in (0..row).step_by(side) {
            let mut raw = Vec::with_capacity(side * side * 2);
            for line in band.chunks(row) {
                let part = line.get(left..row.min(left + side)).unwrap_or_default();
                let mut before = 0;
                for place in 0..side {
                    let pixel = part.get(place).copied().unwrap_or_default();
                    let stored = if predictor {
                        pixel.wrapping_sub(before)
                    } else {
                        pixel
                    };
                    raw.extend_from_slice(&stored.to_le_bytes());
                    before = pixel;
                }
            }
            raw.resize(side * side * 2, 0);
            all.push(deflate(&raw));
        }
    }
    all
}

fn deflate(raw: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(raw.len()), Compression::new(3));
    // Writing into memory does not fail.
    encoder
        .write_all(raw)
        .and_then(|()| encoder.finish())
        .unwrap_or_default()
}

fn shorts(tag: u16, values: &[u16]) -> Field {
    Field {
        tag,
        kind: SHORT,
        values: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    }
}

fn longs(tag: u16, values: &[u32]) -> Field {
    Field {
        tag,
        kind: LONG,
        values: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    }
}

fn doubles(tag: u16, values: &[f64]) -> Field {
    Field {
        tag,
        kind: DOUBLE,
        values: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    }
}

/// The fields of one image in the order of their tags; the first image carries the georeference.
fn fields(
    spec: &CogSpec,
    side: u32,
    (place, picture): (usize, &Picture),
    tiles: &[Vec<u8>],
    offsets: &[u32],
) -> Vec<Field> {
    const DEFLATE: u16 = 8;
    let counts: Vec<u32> = tiles.iter().map(|tile| length(tile)).collect();
    let mut fields = vec![
        longs(254, &[u32::from(place > 0)]),
        longs(256, &[picture.width]),
        longs(257, &[picture.height]),
        shorts(258, &[16]),
        shorts(259, &[DEFLATE]),
        shorts(262, &[1]),
        shorts(277, &[1]),
        shorts(284, &[1]),
        shorts(317, &[if spec.predictor { 2 } else { 1 }]),
        longs(322, &[side]),
        longs(323, &[side]),
        longs(324, offsets),
        longs(325, &counts),
        shorts(339, &[1]),
    ];
    if place == 0 {
        fields.push(doubles(33550, &[PIXEL_METRES, PIXEL_METRES, 0.0]));
        fields.push(doubles(33922, &[0.0, 0.0, 0.0, CORNER.0, CORNER.1, 0.0]));
        // Version 1.1.0; projected; pixels are areas; EPSG:32633.
        fields.push(shorts(
            34735,
            &[1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633],
        ));
        fields.push(Field {
            tag: 42113,
            kind: ASCII,
            values: b"0\0".to_vec(),
        });
    }
    fields
}

/// The header and all directories, each followed by the values that do not fit into its entries.
fn directories(images: &[Vec<Field>]) -> Vec<u8> {
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    for (place, fields) in images.iter().enumerate() {
        let count = u16::try_from(fields.len()).unwrap_or_default();
        let mut values_at = length(&file) + 2 + 12 * u32::from(count) + 4;
        let mut values = Vec::new();
        file.extend(count.to_le_bytes());
        for field in fields {
            let width = match field.kind {
                SHORT => 2,
                LONG => 4,
                DOUBLE => 8,
                _ => 1,
            };
            file.extend(field.tag.to_le_bytes());
            file.extend(field.kind.to_le_bytes());
            file.extend((length(&field.values) / width).to_le_bytes());
            let mut inline = field.values.clone();
            if inline.len() > 4 {
                values.extend_from_slice(&inline);
                inline = values_at.to_le_bytes().to_vec();
                values.resize(values.len().next_multiple_of(2), 0);
                values_at = values_at.saturating_add(length(&field.values).next_multiple_of(2));
            }
            inline.resize(4, 0);
            file.extend(inline);
        }
        let next = if place + 1 < images.len() {
            values_at
        } else {
            0
        };
        file.extend(next.to_le_bytes());
        file.extend(values);
    }
    file
}
