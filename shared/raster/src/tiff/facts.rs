//! What the first directory says of its pixels and its place on Earth, read without touching a pixel.

use std::io::{Read, Seek};

use super::directory::{Directory, Encoding, read_directory, read_header};
use super::image::{Image, tag};
use crate::source::{Checked, Source};

/// Bytes of one tag that are read at most; what is longer is no description of a raster.
const MAX_TAG_BYTES: u64 = 1 << 20;
/// Where GDAL says how it laid a file out, right after the header.
const GHOST: &[u8] = b"GDAL_STRUCTURAL_METADATA_SIZE=";
const GHOST_BYTES: usize = 512;

/// The raw contents of the tags that place and describe an image.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) big_endian: bool,
    pub(crate) width: u64,
    pub(crate) height: u64,
    pub(crate) samples: u64,
    /// Bits of the first sample, and its `SampleFormat`.
    pub(crate) bits: u64,
    pub(crate) format: u64,
    /// Whether samples differ in depth or format.
    pub(crate) mixed: bool,
    /// Whether the file says that its directories come before its tiles.
    pub(crate) cloud_optimized: bool,
    pub(crate) scale: Vec<f64>,
    pub(crate) tie_points: Vec<f64>,
    pub(crate) matrix: Vec<f64>,
    pub(crate) keys: Vec<u16>,
    pub(crate) doubles: Vec<f64>,
    pub(crate) texts: String,
    pub(crate) datetime: Option<String>,
    pub(crate) gdal_metadata: Option<String>,
    pub(crate) gdal_nodata: Option<String>,
    /// Tags that are there and cannot be read.
    pub(crate) unread: Vec<String>,
}

const MODEL_PIXEL_SCALE: u16 = 33550;
const MODEL_TIE_POINT: u16 = 33922;
const MODEL_TRANSFORMATION: u16 = 34264;
const GEO_KEYS: u16 = 34735;
const GEO_DOUBLES: u16 = 34736;
const GEO_TEXTS: u16 = 34737;
const GDAL_METADATA: u16 = 42112;
const GDAL_NODATA: u16 = 42113;

/// Reads the first directory's facts; `source` is read in a few small ranges.
pub(crate) fn facts<R: Read + Seek>(source: &mut Source<'_, R>) -> Checked<Facts> {
    let (encoding, first) = read_header(source)?;
    let directory = read_directory(source, encoding, first)?;
    let mut facts = Facts {
        big_endian: encoding.big_endian,
        ..Facts::default()
    };
    if let Some(image) = Image::read(source, encoding, &directory, 0)? {
        facts.width = image.width;
        facts.height = image.height;
        facts.cloud_optimized = image.grid.tiled && ghost(source, encoding)?;
    }
    let mut tags = Tags {
        source,
        encoding,
        directory: &directory,
        unread: Vec::new(),
    };
    facts.samples = tags.first(tag::SAMPLES_PER_PIXEL)?.unwrap_or(1);
    let (bits, formats) = (
        tags.numbers(tag::BITS_PER_SAMPLE)?,
        tags.numbers(tag::SAMPLE_FORMAT)?,
    );
    let differ = |values: &[u64]| values.windows(2).any(|pair| pair.first() != pair.get(1));
    facts.mixed = differ(&bits) || differ(&formats);
    facts.bits = bits.first().copied().unwrap_or(1);
    facts.format = formats.first().copied().unwrap_or(1);
    facts.scale = tags.doubles(MODEL_PIXEL_SCALE)?;
    facts.tie_points = tags.doubles(MODEL_TIE_POINT)?;
    facts.matrix = tags.doubles(MODEL_TRANSFORMATION)?;
    facts.keys = tags.shorts(GEO_KEYS)?;
    facts.doubles = tags.doubles(GEO_DOUBLES)?;
    facts.texts = tags.text(GEO_TEXTS)?.unwrap_or_default();
    facts.datetime = tags.text(tag::DATE_TIME)?;
    facts.gdal_metadata = tags.text(GDAL_METADATA)?;
    facts.gdal_nodata = tags.text(GDAL_NODATA)?;
    facts.unread = tags.unread;
    Ok(facts)
}

/// Whether GDAL's note on the layout says that directories come first, and that nobody has edited the file since.
fn ghost<R: Read + Seek>(source: &mut Source<'_, R>, encoding: Encoding) -> Checked<bool> {
    let note = source.up_to(encoding.header_bytes(), GHOST_BYTES)?;
    if !note.starts_with(GHOST) {
        return Ok(false);
    }
    let has = |words: &[u8]| note.windows(words.len()).any(|window| window == words);
    Ok(has(b"LAYOUT=IFDS_BEFORE_DATA") && !has(b"KNOWN_INCOMPATIBLE_EDITION=YES"))
}

struct Tags<'s, 'a, R> {
    source: &'s mut Source<'a, R>,
    encoding: Encoding,
    directory: &'s Directory,
    unread: Vec<String>,
}

impl<R: Read + Seek> Tags<'_, '_, R> {
    /// The bytes of a tag whose values are of one of `types`.
    fn bytes(&mut self, tag: u16, types: &[u16]) -> Checked<Option<(u16, Vec<u8>)>> {
        let Some(entry) = self.directory.get(tag).copied() else {
            return Ok(None);
        };
        let length = entry.length().unwrap_or(u64::MAX);
        if !types.contains(&entry.field_type) || length > MAX_TAG_BYTES {
            self.unread.push(format!(
                "tag {tag} is of type {} and {length} bytes long; {MAX_TAG_BYTES} bytes of another type are read",
                entry.field_type
            ));
            return Ok(None);
        }
        let length = usize::try_from(length).unwrap_or_default();
        Ok(Some((
            entry.field_type,
            self.source.up_to(entry.at, length)?,
        )))
    }

    /// Whole numbers of two, four or eight bytes.
    fn numbers(&mut self, tag: u16) -> Checked<Vec<u64>> {
        let Some((kind, bytes)) = self.bytes(tag, &[3, 4, 16])? else {
            return Ok(Vec::new());
        };
        let width = match kind {
            3 => 2,
            4 => 4,
            _ => 8,
        };
        let number = |bytes| self.encoding.number(bytes);
        Ok(bytes.chunks_exact(width).map(number).collect())
    }

    fn first(&mut self, tag: u16) -> Checked<Option<u64>> {
        Ok(self.numbers(tag)?.first().copied())
    }

    fn shorts(&mut self, tag: u16) -> Checked<Vec<u16>> {
        let numbers = self.numbers(tag)?.into_iter();
        Ok(numbers
            .map(|number| u16::try_from(number).unwrap_or(u16::MAX))
            .collect())
    }

    fn doubles(&mut self, tag: u16) -> Checked<Vec<f64>> {
        let Some((_, bytes)) = self.bytes(tag, &[12])? else {
            return Ok(Vec::new());
        };
        let double = |bytes| f64::from_bits(self.encoding.number(bytes));
        Ok(bytes.chunks_exact(8).map(double).collect())
    }

    /// Text up to its first NUL; what is no UTF-8 is replaced.
    fn text(&mut self, tag: u16) -> Checked<Option<String>> {
        let Some((_, bytes)) = self.bytes(tag, &[2])? else {
            return Ok(None);
        };
        let end = bytes
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(bytes.len());
        let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
        Ok(Some(text.into_owned()))
    }
}
