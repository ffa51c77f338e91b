//! Which chunks a level decodes, and what their decoding says of the file.

use std::io::{Read, Seek};

use super::codec;
use super::image::{Image, codec as scheme};
use super::ranges::{Range, range_of};
use super::wrap::Decoded;
use crate::Level;
use crate::mix::mix;
use crate::source::{Checked, Source, Stop, counted};
use crate::validate::Notes;
use crate::verdict::{Code, TiffReport};

/// Files up to this size are decoded whole at `window`: it costs less than a sample of a large one.
const SMALL_FILE: u64 = 1 << 20;
/// Decoded bytes after which `window` no longer takes every chunk of a small file.
const SMALL_BUDGET: u64 = 32 << 20;
/// Chunks that `window` decodes of the first image, and of each further one.
const FIRST_IMAGE: u64 = 5;
const FURTHER_IMAGE: u64 = 2;
/// Chunks that `window` decodes in all.
const WINDOW_CHUNKS: u64 = 96;
/// Decoded bytes after which `window` leaves a chunk of a large file: many beginnings find more than few whole chunks.
const WINDOW_BYTES: u64 = 32 << 10;
/// What a hole that a lost write leaves is a multiple of; bytes of such a block that are looked at, and looks at most.
const HOLE_BYTES: u64 = 4096;
const PROBE_BYTES: usize = 16;
const PROBES: u64 = 4096;
/// Decoded bytes after which `full` stops: what Deflate can make of the file, and room for the blank images that other
/// codecs pack even tighter.
const FULL_RATIO: u64 = 1100;
const FULL_ROOM: u64 = 1 << 30;

struct Budget {
    level: Level,
    bytes: u64,
    chunks: u64,
}

/// Decodes the chunks that `level` asks for.
pub(super) fn decode<R: Read + Seek>(
    source: &mut Source<'_, R>,
    images: &[Image],
    level: Level,
    notes: &mut Notes,
    report: &mut TiffReport,
) -> Checked<()> {
    let size = source.size();
    let full = level == Level::Full;
    let mut budget = Budget {
        level,
        bytes: if full {
            size.saturating_mul(FULL_RATIO).saturating_add(FULL_ROOM)
        } else {
            SMALL_BUDGET
        },
        chunks: if full { u64::MAX } else { WINDOW_CHUNKS },
    };
    for image in images {
        let Some(chunks) = image.grid.chunks() else {
            continue;
        };
        if image.compression == scheme::NONE && !image.mixed {
            // The walk has compared every range with the bytes its pixels need; there is nothing to decode.
            report.decoded = report
                .decoded
                .saturating_add(chunks.saturating_sub(image.sparse));
            continue;
        }
        if image.compression == scheme::OLD_JPEG {
            // Its data need not even be in the strips.
            report.undecoded = report.undecoded.saturating_add(chunks);
            notes.doubt(
                Code::UnverifiedCodec,
                format!("{} is not decoded here: old JPEG", image.name()),
            );
        } else if image.sparse < chunks {
            decode_image(source, image, &mut budget, notes, report)?;
        }
    }
    Ok(())
}

fn decode_image<R: Read + Seek>(
    source: &mut Source<'_, R>,
    image: &Image,
    budget: &mut Budget,
    notes: &mut Notes,
    report: &mut TiffReport,
) -> Checked<()> {
    let chunks = image.grid.chunks().unwrap_or_default();
    let every = budget.level == Level::Full || source.size() <= SMALL_FILE;
    let wanted = if image.index == 0 {
        FIRST_IMAGE
    } else {
        FURTHER_IMAGE
    };
    let mut sample = Sample::new(chunks, wanted, source.size() ^ image.at);
    let mut last: Option<Range> = None;
    let mut next = 0;
    while let Some(index) = if every && budget.bytes > 0 {
        within(next, chunks)
    } else {
        sample.next()
    } {
        next = index + 1;
        let Some(range) = range_of(source, image, index)? else {
            continue;
        };
        if last == Some(range) {
            continue;
        }
        last = Some(range);
        if !every && budget.chunks == 0 {
            return Ok(());
        }
        budget.chunks = budget.chunks.saturating_sub(1);
        budget.bytes = budget
            .bytes
            .saturating_sub(image.decoded_bytes(index).unwrap_or(u64::MAX));
        let most = if every {
            u64::MAX
        } else {
            window_of(source, range)?
        };
        decode_one(source, image, (index, range, most), notes, report)?;
    }
    if budget.level == Level::Full && budget.bytes == 0 {
        notes.doubt(
            Code::UnverifiedLimit,
            "the chunks decode to more than any honest file of this size",
        );
    }
    Ok(())
}

fn within(index: u64, chunks: u64) -> Option<u64> {
    (index < chunks).then_some(index)
}

/// Decoded bytes of a chunk that `window` asks for: all where zeros stand for a block, as they may be the picture's or a
/// hole.
fn window_of<R: Read + Seek>(source: &mut Source<'_, R>, range: Range) -> Checked<u64> {
    let end = range.offset.saturating_add(range.count);
    let last = end.saturating_sub(PROBE_BYTES as u64).max(range.offset);
    let step = HOLE_BYTES.max(range.count / PROBES);
    let mut at = range.offset;
    loop {
        let probe = source.array_at::<PROBE_BYTES>(at.min(last))?;
        if probe.is_some_and(|bytes| bytes == [0; PROBE_BYTES]) {
            return Ok(u64::MAX);
        }
        if at >= last {
            return Ok(WINDOW_BYTES);
        }
        at = at.saturating_add(step);
    }
}

/// Decodes one chunk, `most` bytes of it at least, and says in a failure which one it was.
fn decode_one<R: Read + Seek>(
    source: &mut Source<'_, R>,
    image: &Image,
    (index, range, most): (u64, Range, u64),
    notes: &mut Notes,
    report: &mut TiffReport,
) -> Checked<()> {
    let noun = image.grid.noun();
    match codec::decode(source, image, index, (range, most)) {
        Ok(Decoded::Whole) => {
            report.decoded += 1;
            Ok(())
        }
        Ok(Decoded::Partly) => {
            report.decoded += 1;
            report.decoded_partly += 1;
            Ok(())
        }
        Ok(Decoded::Unsupported(what)) => {
            report.undecoded += 1;
            notes.doubt(
                Code::UnverifiedCodec,
                format!("{} is not decoded here: {what}", image.name()),
            );
            Ok(())
        }
        Ok(Decoded::TooLarge) => {
            report.undecoded += 1;
            notes.doubt(
                Code::UnverifiedLimit,
                format!(
                    "{noun} {index} of {} is too large to decode here",
                    image.name()
                ),
            );
            Ok(())
        }
        Err(Stop::Verdict { code, reason }) => {
            let chunks = counted(image.grid.chunks().unwrap_or_default(), noun);
            let name = codec::name(image.compression);
            Err(Stop::new(
                code,
                format!(
                    "{noun} {index} of {} ({chunks}, {name}): {reason}",
                    image.name()
                ),
            ))
        }
        Err(error) => Err(error),
    }
}

/// The first, the last and some other indices of `chunks`, the same ones for the same seed.
struct Sample {
    chunks: u64,
    wanted: u64,
    taken: u64,
    state: u64,
}

impl Sample {
    fn new(chunks: u64, wanted: u64, seed: u64) -> Self {
        Self {
            chunks,
            wanted: wanted.min(chunks),
            taken: 0,
            state: seed,
        }
    }

    fn next(&mut self) -> Option<u64> {
        if self.taken >= self.wanted {
            return None;
        }
        self.taken += 1;
        match self.taken {
            1 => Some(0),
            2 => Some(self.chunks - 1),
            // With few chunks each is taken once; with many, two draws of the same one are no loss.
            taken if self.chunks <= self.wanted => Some(taken - 2),
            _ => {
                self.state = mix(self.state);
                Some(self.state % self.chunks)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn a_sample_has_the_first_and_the_last_chunk_and_repeats() {
        let draw = |seed| {
            let mut sample = Sample::new(1000, 6, seed);
            std::iter::from_fn(|| sample.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!((draw(7)[0], draw(7)[1], draw(7).len()), (0, 999, 6));
        assert!(draw(7).iter().all(|index| *index < 1000));
    }

    #[test]
    fn a_sample_of_few_chunks_is_all_of_them() {
        for chunks in 0..6 {
            let mut sample = Sample::new(chunks, 6, 1);
            let mut all: Vec<_> = std::iter::from_fn(|| sample.next()).collect();
            all.sort_unstable();
            assert_eq!(all, (0..chunks).collect::<Vec<_>>());
        }
    }
}
