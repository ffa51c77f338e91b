//! The byte ranges of strips and tiles: inside the file, long enough, and whose they are.

use std::io::{Read, Seek};

use super::directory::{Numbers, number_at};
use super::image::{Image, Table, codec};
use crate::source::{Checked, Source, Stop, counted, human};
use crate::validate::Notes;
use crate::verdict::TiffReport;

/// Ranges that are kept to find overlaps (16 bytes each); a file with more is not searched for them.
const MAX_RANGES: usize = 1 << 19;

/// Everything that the directories refer to, as far as the walk has come.
#[derive(Debug)]
pub(super) struct Extent {
    header: u64,
    end: u64,
    first_data: u64,
    ranges: Vec<(u64, u64)>,
    /// Bytes of offset and byte-count arrays that may still be read.
    table_budget: u64,
}

impl Extent {
    pub(super) fn new(header: u64, size: u64) -> Self {
        let table_budget = size.saturating_mul(4).saturating_add(1 << 20);
        Self {
            header,
            end: header,
            first_data: u64::MAX,
            ranges: Vec::new(),
            table_budget,
        }
    }

    pub(super) fn reach(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// The byte after the last one that anything refers to.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Where the first chunk lies.
    pub(super) fn first_data(&self) -> u64 {
        self.first_data
    }

    fn add(&mut self, start: u64, end: u64) {
        self.reach(end);
        self.first_data = self.first_data.min(start);
        if self.ranges.len() < MAX_RANGES {
            self.ranges.push((start, end));
        }
    }

    fn spend(&mut self, bytes: u64) -> Checked<()> {
        match self.table_budget.checked_sub(bytes) {
            Some(left) => self.table_budget = left,
            None => {
                return Err(Stop::malformed(
                    "the images share their offset arrays beyond reason",
                ));
            }
        }
        Ok(())
    }

    /// Counts ranges that overlap the one before without being it, and ranges that are the one before.
    pub(super) fn overlaps(&mut self) -> (u64, u64) {
        self.ranges.sort_unstable();
        let (mut overlapping, mut shared) = (0, 0);
        let mut before: Option<(u64, u64)> = None;
        for range in &self.ranges {
            match before {
                Some(previous) if previous == *range => shared += 1,
                Some((_, end)) if range.0 < end => overlapping += 1,
                _ => {}
            }
            let reach = before.map_or(range.1, |(_, end)| end.max(range.1));
            before = Some((range.0, reach));
        }
        (overlapping, shared)
    }
}

/// What was wrong with the chunks of one image.
#[derive(Debug, Default)]
struct Tally {
    sparse: u64,
    past_end: u64,
    in_header: u64,
    too_short: u64,
    too_long: u64,
    no_count: u64,
}

/// Where one chunk's bytes are; `count` is what may be read, whatever the tags declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) offset: u64,
    pub(super) count: u64,
}

/// Checks every chunk range of one image and adds its counts to the report; returns how many hold no data.
pub(super) fn check_chunks<R: Read + Seek>(
    source: &mut Source<'_, R>,
    image: &Image,
    extent: &mut Extent,
    notes: &mut Notes,
    report: &mut TiffReport,
) -> Checked<u64> {
    let chunks = image
        .grid
        .chunks()
        .ok_or_else(|| Stop::malformed("the image has more chunks than can be counted"))?;
    let total = if image.grid.tiled {
        &mut report.tiles
    } else {
        &mut report.strips
    };
    *total = total.saturating_add(chunks);
    let mut tally = Tally::default();
    match (image.offsets, image.counts) {
        (Table::Zeros, _) => tally.sparse = chunks,
        (Table::Missing, _) if image.compression == codec::OLD_JPEG => {
            notes.warn(format!(
                "{} keeps its data where only old JPEG readers look",
                image.name()
            ));
        }
        (Table::Missing, _) => {
            let noun = image.grid.noun();
            return Err(Stop::malformed(format!(
                "{} has no {noun} offsets",
                image.name()
            )));
        }
        _ => {
            check_lengths(image, chunks, notes)?;
            scan(source, image, chunks, extent, &mut tally)?;
        }
    }
    report.sparse = report.sparse.saturating_add(tally.sparse);
    judge(image, chunks, &tally, source.size(), notes)?;
    Ok(tally.sparse)
}

fn check_lengths(image: &Image, chunks: u64, notes: &mut Notes) -> Checked<()> {
    let noun = image.grid.noun();
    let tables = [(image.offsets, "offset"), (image.counts, "byte count")];
    for (table, what) in tables {
        let Some(length) = table.length() else {
            continue;
        };
        if length < chunks {
            let (name, given) = (image.name(), counted(length, what));
            return Err(Stop::malformed(format!(
                "{name} gives {given} for {}",
                counted(chunks, noun)
            )));
        }
        if length > chunks {
            notes.warn(format!(
                "{} gives {} for {}",
                image.name(),
                counted(length, what),
                counted(chunks, noun)
            ));
        }
    }
    if matches!(image.counts, Table::Missing)
        && chunks > image.grid.planes
        && image.compression != codec::OLD_JPEG
    {
        return Err(Stop::malformed(format!(
            "{} has no byte counts for {}",
            image.name(),
            counted(chunks, noun)
        )));
    }
    Ok(())
}

fn scan<R: Read + Seek>(
    source: &mut Source<'_, R>,
    image: &Image,
    chunks: u64,
    extent: &mut Extent,
    tally: &mut Tally,
) -> Checked<()> {
    for table in [image.offsets, image.counts] {
        if let Table::Values(entry) = table {
            extent.spend(chunks.saturating_mul(entry.value_bytes()))?;
        }
    }
    let start = |table| match table {
        Table::Values(entry) => Numbers::new(entry, image.encoding).map(Some),
        Table::Zeros | Table::Missing => Ok(None),
    };
    let (mut offsets, mut counts) = (start(image.offsets)?, start(image.counts)?);
    for index in 0..chunks {
        let offset = match &mut offsets {
            Some(offsets) => offsets.next(source)?.unwrap_or_default(),
            None => 0,
        };
        let count = match &mut counts {
            Some(counts) => counts.next(source)?,
            None => None,
        };
        if let Some(range) = classify(
            image,
            index,
            (offset, count),
            (extent.header, source.size()),
            tally,
        ) {
            extent.add(range.offset, range.offset.saturating_add(range.count));
        }
    }
    Ok(())
}

/// Tallies one chunk and returns the bytes it really uses.
fn classify(
    image: &Image,
    index: u64,
    (offset, count): (u64, Option<u64>),
    (header, size): (u64, u64),
    tally: &mut Tally,
) -> Option<Range> {
    let single = !image.grid.tiled && image.grid.down == 1;
    let declared = count.unwrap_or(0);
    if declared == 0 && (offset == 0 || !single) {
        tally.sparse += 1;
        tally.no_count += u64::from(offset != 0);
        return None;
    }
    if offset < header {
        tally.in_header += 1;
        return None;
    }
    if offset >= size {
        tally.past_end += 1;
        return None;
    }
    let left = size - offset;
    if image.compression != codec::NONE {
        // Without a byte count a single strip may take all there is, as libtiff estimates it.
        let used = if declared == 0 { left } else { declared };
        if used > left && image.compression != codec::OLD_JPEG {
            tally.past_end += 1;
            return None;
        }
        tally.no_count += u64::from(declared == 0);
        return Some(Range {
            offset,
            count: used.min(left),
        });
    }
    let Some(needed) = image.decoded_bytes(index).filter(|needed| *needed <= left) else {
        tally.past_end += 1;
        return None;
    };
    tally.too_long += u64::from(declared > left);
    tally.no_count += u64::from(declared == 0);
    if declared != 0 && declared < needed {
        tally.too_short += 1;
        return single.then_some(Range {
            offset,
            count: needed,
        });
    }
    // What a writer reserved beyond the pixels still belongs to the chunk.
    Some(Range {
        offset,
        count: declared.min(left).max(needed),
    })
}

fn judge(image: &Image, chunks: u64, tally: &Tally, size: u64, notes: &mut Notes) -> Checked<()> {
    let (name, noun) = (image.name(), image.grid.noun());
    let of = |count: u64| format!("{count} of {}", counted(chunks, noun));
    let lie = |count: u64| if count == 1 { "lies" } else { "lie" };
    if tally.past_end > 0 {
        let (what, lie) = (of(tally.past_end), lie(tally.past_end));
        return Err(Stop::truncated(format!(
            "{what} of {name} {lie} past the end of the file ({})",
            human(size)
        )));
    }
    if tally.in_header > 0 {
        let (what, lie) = (of(tally.in_header), lie(tally.in_header));
        return Err(Stop::malformed(format!(
            "{what} of {name} {lie} within the file's header"
        )));
    }
    let single = !image.grid.tiled && image.grid.down == 1;
    if tally.too_short > 0 && !single {
        let what = of(tally.too_short);
        return Err(Stop::malformed(format!(
            "{what} of {name} declare fewer bytes than their pixels need"
        )));
    }
    if tally.too_short > 0 {
        notes.warn(format!(
            "{name} declares fewer bytes than its pixels need; the file holds them"
        ));
    }
    if tally.too_long > 0 {
        notes.warn(format!(
            "{} of {name} declare bytes past the end of the file that no pixel needs",
            of(tally.too_long)
        ));
    }
    if tally.no_count > 0 {
        notes.warn(format!(
            "{} of {name} have an offset and no byte count",
            of(tally.no_count)
        ));
    }
    Ok(())
}

/// The bytes of chunk `index`, or none if it is sparse; the walk has found it inside the file.
pub(super) fn range_of<R: Read + Seek>(
    source: &mut Source<'_, R>,
    image: &Image,
    index: u64,
) -> Checked<Option<Range>> {
    let Table::Values(offsets) = image.offsets else {
        return Ok(None);
    };
    let offset = number_at(source, image.encoding, &offsets, index)?.unwrap_or_default();
    let count = match image.counts {
        Table::Values(counts) => number_at(source, image.encoding, &counts, index)?,
        Table::Zeros | Table::Missing => None,
    };
    let limits = (image.encoding.header_bytes(), source.size());
    Ok(classify(
        image,
        index,
        (offset, count),
        limits,
        &mut Tally::default(),
    ))
}
