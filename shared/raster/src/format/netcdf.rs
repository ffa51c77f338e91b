//! NetCDF 3 (classic, 64-bit offset, 64-bit data): the header says where every variable lies.

use std::io::{Read, Seek};

use super::cut;
use crate::source::{Checked, Source, Stop};
use crate::validate::Notes;

/// Dimensions, attributes and variables in all; a header with more costs more than it can be worth.
const MAX_ITEMS: u64 = 1 << 18;

struct Header<'s, 'a, R> {
    source: &'s mut Source<'a, R>,
    at: u64,
    /// 1 classic, 2 offsets of 64 bits, 5 counts of 64 bits too.
    version: u8,
    items: u64,
}

/// Compares where the variables lie, and how many records there are, with the size.
pub(super) fn check<R: Read + Seek>(source: &mut Source<'_, R>, notes: &mut Notes) -> Checked<()> {
    let size = source.size();
    let version = source.array_at::<4>(0)?.map_or(1, |[.., version]| version);
    let mut header = Header {
        source,
        at: 4,
        version,
        items: 0,
    };
    let records = header.count()?;
    let streaming = if version == 5 {
        u64::MAX
    } else {
        u64::from(u32::MAX)
    };
    let dimensions = header.dimensions()?;
    header.attributes()?;
    let layout = header.variables(&dimensions)?;
    if layout.end > size {
        return Err(cut(
            &format!("byte {} of the last variable", layout.end),
            size,
        ));
    }
    if records == streaming {
        notes.warn("the number of records is left open");
        return Ok(());
    }
    let Some((start, record_bytes)) = layout.records else {
        return Ok(());
    };
    let end = records
        .checked_mul(record_bytes)
        .and_then(|bytes| start.checked_add(bytes));
    // The padding of the very last record may be missing.
    if end.is_none_or(|end| end > size.saturating_add(3)) {
        return Err(cut(&format!("the last of {records} records"), size));
    }
    Ok(())
}

/// The end of the fixed variables, and the start and size of one record over all record variables.
struct Layout {
    end: u64,
    records: Option<(u64, u64)>,
}

impl<R: Read + Seek> Header<'_, '_, R> {
    fn past(&self) -> Stop {
        cut("the NetCDF header", self.source.size())
    }

    fn word(&mut self) -> Checked<u64> {
        let word = self
            .source
            .array_at::<4>(self.at)?
            .map(u32::from_be_bytes)
            .ok_or_else(|| self.past())?;
        self.at += 4;
        Ok(u64::from(word))
    }

    fn long(&mut self) -> Checked<u64> {
        let long = self
            .source
            .array_at::<8>(self.at)?
            .map(u64::from_be_bytes)
            .ok_or_else(|| self.past())?;
        self.at += 8;
        Ok(long)
    }

    /// A count: 64 bits in the 64-bit data format, else 32.
    fn count(&mut self) -> Checked<u64> {
        if self.version == 5 {
            self.long()
        } else {
            self.word()
        }
    }

    fn skip(&mut self, bytes: u64) -> Checked<()> {
        let padded = bytes
            .checked_next_multiple_of(4)
            .and_then(|bytes| self.at.checked_add(bytes));
        self.at = padded
            .filter(|at| *at <= self.source.size())
            .ok_or_else(|| self.past())?;
        Ok(())
    }

    fn name(&mut self) -> Checked<()> {
        let length = self.count()?;
        self.skip(length)
    }

    /// The number of elements of a list, whose tag must be `tag` or, for an empty list, 0.
    fn list(&mut self, tag: u64) -> Checked<u64> {
        let found = self.word()?;
        let count = self.count()?;
        self.items = self.items.saturating_add(count);
        if self.items > MAX_ITEMS {
            return Err(Stop::malformed(format!(
                "the header lists more than {MAX_ITEMS} things"
            )));
        }
        if found == tag || (found == 0 && count == 0) {
            return Ok(count);
        }
        Err(Stop::malformed(format!(
            "the header has list {found} where {tag} belongs"
        )))
    }

    fn dimensions(&mut self) -> Checked<Vec<u64>> {
        let mut lengths = Vec::new();
        for _ in 0..self.list(10)? {
            self.name()?;
            lengths.push(self.count()?);
        }
        Ok(lengths)
    }

    fn attributes(&mut self) -> Checked<()> {
        for _ in 0..self.list(12)? {
            self.name()?;
            let width = type_bytes(self.word()?)?;
            let bytes = self
                .count()?
                .checked_mul(width)
                .ok_or_else(|| self.past())?;
            self.skip(bytes)?;
        }
        Ok(())
    }

    fn variables(&mut self, dimensions: &[u64]) -> Checked<Layout> {
        let mut layout = Layout {
            end: self.at,
            records: None,
        };
        let (mut record_variables, mut unpadded) = (0_u64, 0);
        for _ in 0..self.list(11)? {
            self.name()?;
            let rank = self.count()?;
            let (mut values, mut is_record) = (1_u64, false);
            self.items = self.items.saturating_add(rank);
            if self.items > MAX_ITEMS {
                return Err(Stop::malformed(format!(
                    "the header lists more than {MAX_ITEMS} things"
                )));
            }
            for place in 0..rank {
                let id = usize::try_from(self.count()?).ok();
                match id.and_then(|id| dimensions.get(id)) {
                    Some(0) if place == 0 => is_record = true,
                    Some(length) => values = values.saturating_mul(*length),
                    None => {
                        return Err(Stop::malformed(
                            "a variable names a dimension that does not exist",
                        ));
                    }
                }
            }
            self.attributes()?;
            let bytes = values.saturating_mul(type_bytes(self.word()?)?);
            self.count()?;
            let begin = if self.version == 1 {
                self.word()?
            } else {
                self.long()?
            };
            if is_record {
                let (start, sum) = layout.records.unwrap_or((begin, 0));
                layout.records = Some((
                    start.min(begin),
                    sum.saturating_add(bytes.next_multiple_of(4)),
                ));
                record_variables += 1;
                unpadded = bytes;
            } else {
                layout.end = layout.end.max(begin.saturating_add(bytes));
            }
        }
        // A lone record variable is packed without padding.
        if let (1, Some((start, _))) = (record_variables, layout.records) {
            layout.records = Some((start, unpadded));
        }
        Ok(layout)
    }
}

fn type_bytes(number: u64) -> Checked<u64> {
    match number {
        1 | 2 | 7 => Ok(1),
        3 | 8 => Ok(2),
        4 | 5 | 9 => Ok(4),
        6 | 10 | 11 => Ok(8),
        other => Err(Stop::malformed(format!(
            "value type {other} is declared; 1 to 11 are defined"
        ))),
    }
}
