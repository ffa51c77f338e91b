//! What one directory says about its image: pixels, codec, and the grid of strips or tiles.

use std::io::{Read, Seek};
use std::ops::RangeInclusive;

use super::directory::{Directory, Encoding, Entry, Numbers, number_at};
use crate::source::{Checked, Source, Stop};
use crate::verdict::Code;

/// Readers hold sizes as signed 32-bit numbers.
const MAX_SIDE: u64 = 0x7fff_ffff;

pub(super) mod tag {
    pub(in crate::tiff) const NEW_SUBFILE_TYPE: u16 = 254;
    pub(in crate::tiff) const IMAGE_WIDTH: u16 = 256;
    pub(in crate::tiff) const IMAGE_LENGTH: u16 = 257;
    pub(in crate::tiff) const BITS_PER_SAMPLE: u16 = 258;
    pub(in crate::tiff) const COMPRESSION: u16 = 259;
    pub(in crate::tiff) const PHOTOMETRIC: u16 = 262;
    pub(in crate::tiff) const FILL_ORDER: u16 = 266;
    pub(in crate::tiff) const STRIP_OFFSETS: u16 = 273;
    pub(in crate::tiff) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(in crate::tiff) const ROWS_PER_STRIP: u16 = 278;
    pub(in crate::tiff) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(in crate::tiff) const PLANAR_CONFIGURATION: u16 = 284;
    pub(in crate::tiff) const DATE_TIME: u16 = 306;
    pub(in crate::tiff) const PREDICTOR: u16 = 317;
    pub(in crate::tiff) const TILE_WIDTH: u16 = 322;
    pub(in crate::tiff) const TILE_LENGTH: u16 = 323;
    pub(in crate::tiff) const TILE_OFFSETS: u16 = 324;
    pub(in crate::tiff) const TILE_BYTE_COUNTS: u16 = 325;
    pub(in crate::tiff) const SUB_IFDS: u16 = 330;
    pub(in crate::tiff) const SAMPLE_FORMAT: u16 = 339;
    pub(in crate::tiff) const JPEG_TABLES: u16 = 347;
    pub(in crate::tiff) const YCBCR_SUBSAMPLING: u16 = 530;
    pub(in crate::tiff) const IMAGE_DEPTH: u16 = 32997;
    pub(in crate::tiff) const TILE_DEPTH: u16 = 32998;
    pub(in crate::tiff) const EXIF: u16 = 34665;
    pub(in crate::tiff) const GPS: u16 = 34853;
}

pub(super) mod codec {
    pub(in crate::tiff) const NONE: u16 = 1;
    pub(in crate::tiff) const FAX4: u16 = 4;
    pub(in crate::tiff) const LZW: u16 = 5;
    pub(in crate::tiff) const OLD_JPEG: u16 = 6;
    pub(in crate::tiff) const JPEG: u16 = 7;
    pub(in crate::tiff) const DEFLATE: u16 = 8;
    pub(in crate::tiff) const PACKBITS: u16 = 32773;
    pub(in crate::tiff) const OLD_DEFLATE: u16 = 32946;
    pub(in crate::tiff) const LZMA: u16 = 34925;
    pub(in crate::tiff) const ZSTD: u16 = 50000;
}

/// How an image is cut into chunks (strips or tiles).
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) tiled: bool,
    pub(super) chunk_width: u64,
    pub(super) chunk_rows: u64,
    pub(super) across: u64,
    pub(super) down: u64,
    /// Times that the grid is repeated: once per sample plane and per layer of tiles of a volume.
    pub(super) planes: u64,
    /// Layers of pixels that one chunk holds.
    pub(super) layers: u64,
}

impl Grid {
    pub(super) fn chunks(&self) -> Option<u64> {
        self.across.checked_mul(self.down)?.checked_mul(self.planes)
    }

    pub(super) fn noun(&self) -> &'static str {
        if self.tiled { "tile" } else { "strip" }
    }
}

/// Where the values of the offset or byte-count array are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Table {
    /// The array of this entry.
    Values(Entry),
    /// All values are zero: an image without data, as GDAL writes it.
    Zeros,
    /// The tag is missing.
    Missing,
}

impl Table {
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Values(entry) => Some(entry.count),
            Self::Zeros | Self::Missing => None,
        }
    }
}

/// One image of the file.
#[derive(Debug)]
pub(super) struct Image {
    /// Its place in the walk, from 0.
    pub(super) index: u64,
    /// Where its directory is.
    pub(super) at: u64,
    pub(super) encoding: Encoding,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) compression: u16,
    pub(super) fill_order: u16,
    /// Whether `NewSubfileType` says that this is a reduced version of another image.
    pub(super) reduced: bool,
    pub(super) grid: Grid,
    pub(super) offsets: Table,
    pub(super) counts: Table,
    pub(super) jpeg_tables: Option<Entry>,
    /// Bits of one pixel in one chunk.
    pixel_bits: u64,
    /// Horizontal and vertical chroma subsampling, if chunks hold packed YCbCr units.
    subsampling: Option<(u64, u64)>,
    bits: u64,
    /// Whether samples differ in depth or format.
    pub(super) mixed: bool,
    /// Samples that each chunk holds.
    pub(super) chunk_samples: u64,
    /// Chunks without data, once they have been counted.
    pub(super) sparse: u64,
}

/// Values that samples may have each for themselves.
struct PerSample {
    first: u64,
    sum: u64,
    differ: bool,
}

/// What the fields of the directory say, before the grid is laid out.
struct Fields<'s, 'a, R> {
    source: &'s mut Source<'a, R>,
    encoding: Encoding,
    directory: &'s Directory,
}

impl<R: Read + Seek> Fields<'_, '_, R> {
    /// The one value of a tag.
    fn one(&mut self, tag: u16) -> Checked<Option<u64>> {
        let Some(entry) = self.directory.get(tag).copied() else {
            return Ok(None);
        };
        if entry.count != 1 {
            let count = entry.count;
            return Err(Stop::malformed(format!(
                "tag {tag} must hold one value and holds {count}"
            )));
        }
        number_at(self.source, self.encoding, &entry, 0)
    }

    /// The first value of a tag that may hold one per sample.
    fn first(&mut self, tag: u16) -> Checked<Option<u64>> {
        let Some(entry) = self.directory.get(tag).copied() else {
            return Ok(None);
        };
        number_at(self.source, self.encoding, &entry, 0)
    }

    /// A small number that is not needed to find the data: unreadable means absent.
    fn hint(&mut self, tag: u16) -> Checked<Option<u64>> {
        match self.first(tag) {
            Err(Stop::Verdict { .. }) => Ok(None),
            other => other,
        }
    }

    fn side(&mut self, tag: u16, name: &str) -> Checked<u64> {
        match self.one(tag)? {
            None => Err(Stop::malformed(format!(
                "the directory at byte {} has no {name}",
                self.directory.at
            ))),
            Some(0) => Err(Stop::malformed(format!("the {name} is 0"))),
            Some(side) if side > MAX_SIDE => Err(Stop::new(
                Code::LimitExceeded,
                format!("the {name} is {side}; the limit is {MAX_SIDE}"),
            )),
            Some(side) => Ok(side),
        }
    }

    /// Values of a tag that holds one per sample, or one for all: the first, their sum, and whether they differ.
    fn per_sample(
        &mut self,
        tag: u16,
        samples: u64,
        allowed: RangeInclusive<u64>,
    ) -> Checked<PerSample> {
        let Some(entry) = self.directory.get(tag).copied() else {
            return Ok(PerSample {
                first: 1,
                sum: samples,
                differ: false,
            });
        };
        if entry.count != 1 && entry.count < samples {
            return Err(Stop::malformed(format!(
                "tag {tag} holds {} values for {samples} samples",
                entry.count
            )));
        }
        let mut values = Numbers::new(entry, self.encoding)?;
        let (mut first, mut sum, mut differ) = (None, 0_u64, false);
        for _ in 0..samples.min(entry.count) {
            let value = values.next(self.source)?.unwrap_or_default();
            if !allowed.contains(&value) {
                let (least, most) = (allowed.start(), allowed.end());
                return Err(Stop::malformed(format!(
                    "tag {tag} holds {value}; {least} to {most} are possible"
                )));
            }
            differ |= *first.get_or_insert(value) != value;
            sum = sum.saturating_add(value);
        }
        let first = first.unwrap_or(1);
        Ok(PerSample {
            first,
            sum: if entry.count < samples {
                first.saturating_mul(samples)
            } else {
                sum
            },
            differ,
        })
    }

    /// Early writers gave one scheme per sample; they must be the same.
    fn compression(&mut self, samples: u64) -> Checked<u16> {
        let mut value = u64::from(codec::NONE);
        if self.directory.get(tag::COMPRESSION).is_some() {
            let schemes = self.per_sample(tag::COMPRESSION, samples, 0..=u64::MAX)?;
            if schemes.differ {
                return Err(Stop::malformed(
                    "the samples have different compression schemes",
                ));
            }
            value = schemes.first;
        }
        let Ok(value) = u16::try_from(value) else {
            return Err(Stop::malformed(format!(
                "compression scheme {value} is declared; 65535 is the last"
            )));
        };
        // Schemes from 32768 on are anyone's; those below are defined by the specification and its supplements.
        if value == 0 || ((11..32766).contains(&value) && value != 99 && value != 262) {
            return Err(Stop::malformed(format!(
                "compression scheme {value} is declared; it is not defined"
            )));
        }
        Ok(value)
    }

    fn planar(&mut self) -> Checked<bool> {
        match self.one(tag::PLANAR_CONFIGURATION)? {
            None | Some(1) => Ok(false),
            Some(2) => Ok(true),
            Some(other) => Err(Stop::malformed(format!(
                "planar configuration {other} is declared; 1 and 2 are defined"
            ))),
        }
    }

    fn check_predictor(&mut self, compression: u16) -> Checked<()> {
        let predicted = [
            codec::LZW,
            codec::DEFLATE,
            codec::OLD_DEFLATE,
            codec::ZSTD,
            codec::LZMA,
        ]
        .contains(&compression);
        let predictor = self.hint(tag::PREDICTOR)?.unwrap_or(1);
        if !predicted || matches!(predictor, 1 | 2) || predictor >= 32768 {
            return Ok(());
        }
        if predictor == 3 {
            return match self.hint(tag::SAMPLE_FORMAT)? {
                Some(3 | 6) => Ok(()),
                format => {
                    let format = format.unwrap_or(1);
                    Err(Stop::malformed(format!(
                        "the floating-point predictor is declared over sample format {format}"
                    )))
                }
            };
        }
        Err(Stop::malformed(format!(
            "predictor {predictor} is declared; 1 to 3 are defined"
        )))
    }

    fn grid(&mut self, width: u64, height: u64, planes: u64) -> Checked<Grid> {
        let tiled = self.directory.get(tag::TILE_WIDTH).is_some()
            || self.directory.get(tag::TILE_LENGTH).is_some();
        let (chunk_width, chunk_rows) = if tiled {
            (
                self.side(tag::TILE_WIDTH, "tile width")?,
                self.side(tag::TILE_LENGTH, "tile length")?,
            )
        } else {
            match self.one(tag::ROWS_PER_STRIP)? {
                Some(0) => return Err(Stop::malformed("the rows per strip are 0")),
                rows => (width, rows.unwrap_or(height).min(height)),
            }
        };
        let (across, down) = (width.div_ceil(chunk_width), height.div_ceil(chunk_rows));
        let mut grid = Grid {
            tiled,
            chunk_width,
            chunk_rows,
            across,
            down,
            planes,
            layers: 1,
        };
        if tiled {
            let depth = self.hint(tag::IMAGE_DEPTH)?.unwrap_or(1).max(1);
            grid.layers = self.hint(tag::TILE_DEPTH)?.unwrap_or(1).clamp(1, depth);
            grid.planes = planes.saturating_mul(depth.div_ceil(grid.layers));
        }
        Ok(grid)
    }

    /// Some writers file tiles under the strips' tags; readers take either.
    fn table(&self, tags: [u16; 2]) -> Table {
        match tags.iter().find_map(|tag| self.directory.get(*tag)) {
            Some(entry) if (entry.field_type, entry.count) == (0, 0) => Table::Zeros,
            Some(entry) => Table::Values(*entry),
            None => Table::Missing,
        }
    }

    fn subsampling(&mut self, samples: u64) -> Checked<Option<(u64, u64)>> {
        const YCBCR: u64 = 6;
        if self.hint(tag::PHOTOMETRIC)? != Some(YCBCR) || samples != 3 {
            return Ok(None);
        }
        let Some(entry) = self.directory.get(tag::YCBCR_SUBSAMPLING).copied() else {
            return Ok(Some((2, 2)));
        };
        let horizontal = number_at(self.source, self.encoding, &entry, 0)?;
        let vertical = number_at(self.source, self.encoding, &entry, 1)?;
        match (horizontal, vertical) {
            (Some(horizontal @ 1..=4), Some(vertical @ 1..=4)) => Ok(Some((horizontal, vertical))),
            _ => Ok(Some((2, 2))),
        }
    }
}

impl Image {
    /// Reads what `directory` says of its image; none if it holds no image at all.
    pub(super) fn read<R: Read + Seek>(
        source: &mut Source<'_, R>,
        encoding: Encoding,
        directory: &Directory,
        index: u64,
    ) -> Checked<Option<Self>> {
        if directory.get(tag::IMAGE_WIDTH).is_none() && index > 0 {
            return Ok(None);
        }
        let mut fields = Fields {
            source,
            encoding,
            directory,
        };
        let width = fields.side(tag::IMAGE_WIDTH, "image width")?;
        let height = fields.side(tag::IMAGE_LENGTH, "image length")?;
        let samples = fields.one(tag::SAMPLES_PER_PIXEL)?.unwrap_or(1);
        if samples == 0 || samples > 65535 {
            return Err(Stop::malformed(format!(
                "{samples} samples per pixel are declared; 1 to 65535 are possible"
            )));
        }
        let bits = fields.per_sample(tag::BITS_PER_SAMPLE, samples, 1..=128)?;
        let formats = fields.per_sample(tag::SAMPLE_FORMAT, samples, 1..=6)?;
        let compression = fields.compression(samples)?;
        fields.check_predictor(compression)?;
        let separate = fields.planar()? && samples > 1;
        let grid = fields.grid(width, height, if separate { samples } else { 1 })?;
        let subsampling = if separate {
            None
        } else {
            fields.subsampling(samples)?
        };
        let reduced = fields
            .hint(tag::NEW_SUBFILE_TYPE)?
            .is_some_and(|kind| kind & 1 == 1);
        let fill_order = fields
            .hint(tag::FILL_ORDER)?
            .and_then(|order| u16::try_from(order).ok())
            .unwrap_or(1);
        Ok(Some(Self {
            index,
            at: directory.at,
            encoding,
            width,
            height,
            compression,
            fill_order,
            reduced,
            grid,
            offsets: fields.table([tag::TILE_OFFSETS, tag::STRIP_OFFSETS]),
            counts: fields.table([tag::TILE_BYTE_COUNTS, tag::STRIP_BYTE_COUNTS]),
            jpeg_tables: directory.get(tag::JPEG_TABLES).copied(),
            pixel_bits: if separate { bits.first } else { bits.sum },
            subsampling,
            bits: bits.first,
            mixed: bits.differ || formats.differ,
            chunk_samples: if separate { 1 } else { samples },
            sparse: 0,
        }))
    }

    /// Rows of pixels that chunk `index` must hold: all of a tile, what is left of the image for a strip.
    pub(super) fn chunk_rows(&self, index: u64) -> u64 {
        let Grid {
            tiled,
            chunk_rows,
            across,
            down,
            ..
        } = self.grid;
        if tiled {
            return chunk_rows;
        }
        let row = (index / across.max(1)) % down.max(1);
        self.height
            .saturating_sub(row.saturating_mul(chunk_rows))
            .min(chunk_rows)
    }

    /// Bytes that chunk `index` decodes to; none if that is beyond 64 bits.
    pub(super) fn decoded_bytes(&self, index: u64) -> Option<u64> {
        let rows = self.chunk_rows(index).checked_mul(self.grid.layers)?;
        let width = self.grid.chunk_width;
        match self.subsampling {
            // A unit is one Cb, one Cr and the luma samples that share them.
            Some((horizontal, vertical)) if (horizontal, vertical) != (1, 1) => {
                let units = width.div_ceil(horizontal);
                let unit_bits = (horizontal * vertical + 2).checked_mul(self.bits)?;
                units
                    .checked_mul(unit_bits)?
                    .div_ceil(8)
                    .checked_mul(rows.div_ceil(vertical))
            }
            _ => width
                .checked_mul(self.pixel_bits)?
                .div_ceil(8)
                .checked_mul(rows),
        }
    }

    /// Name of the image for messages.
    pub(super) fn name(&self) -> String {
        format!("image {}", self.index)
    }
}
