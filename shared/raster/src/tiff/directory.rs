//! TIFF's header, directories and value arrays, read by offset and never by trust.

use std::io::{Read, Seek};

use crate::source::{Checked, Source, Stop, human};

/// More entries than this are a directory offset into something else; libtiff draws the line at the same place.
const MAX_ENTRIES: u64 = 4096;
/// Value arrays are read in blocks of this size, however long they claim to be.
const BLOCK_BYTES: usize = 16 * 1024;

/// How numbers and offsets are stored in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) big_endian: bool,
    pub(super) bigtiff: bool,
}

impl Encoding {
    /// Bytes of the header, before which no data can lie.
    pub(super) fn header_bytes(self) -> u64 {
        if self.bigtiff { 16 } else { 8 }
    }

    fn count_bytes(self) -> u64 {
        if self.bigtiff { 8 } else { 2 }
    }

    fn entry_bytes(self) -> u64 {
        if self.bigtiff { 20 } else { 12 }
    }

    fn offset_bytes(self) -> u64 {
        if self.bigtiff { 8 } else { 4 }
    }

    /// Reads an unsigned number of 1, 2, 4 or 8 bytes.
    pub(super) fn number(self, bytes: &[u8]) -> u64 {
        let fold = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
        if self.big_endian {
            bytes.iter().fold(0, fold)
        } else {
            bytes.iter().rev().fold(0, fold)
        }
    }

    fn field(self, bytes: &[u8], at: usize, length: usize) -> u64 {
        at.checked_add(length)
            .and_then(|end| bytes.get(at..end))
            .map_or(0, |field| self.number(field))
    }
}

/// One directory entry; `at` is where its values begin, in the entry itself or elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) tag: u16,
    pub(super) field_type: u16,
    pub(super) count: u64,
    pub(super) at: u64,
}

impl Entry {
    /// Bytes of one value; 0 if the type is none that TIFF defines.
    pub(super) fn value_bytes(&self) -> u64 {
        match self.field_type {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 | 17 | 18 => 8,
            _ => 0,
        }
    }

    /// Whether the values are whole numbers, as offsets, counts and sizes must be.
    fn is_whole(&self) -> bool {
        matches!(self.field_type, 1 | 3 | 4 | 6 | 8 | 9 | 13 | 16 | 17 | 18)
    }

    pub(super) fn length(&self) -> Option<u64> {
        self.count.checked_mul(self.value_bytes())
    }

    pub(super) fn end(&self) -> Option<u64> {
        self.length().and_then(|length| self.at.checked_add(length))
    }
}

/// One directory: its usable entries, where the next one is, and where this one ends.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) at: u64,
    pub(super) entries: Vec<Entry>,
    pub(super) next: u64,
    pub(super) end: u64,
    /// Oddities that readers live with.
    pub(super) oddities: Vec<String>,
}

impl Directory {
    pub(super) fn get(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }
}

/// Reads the header and returns the encoding and the offset of the first directory.
pub(super) fn read_header<R: Read + Seek>(source: &mut Source<'_, R>) -> Checked<(Encoding, u64)> {
    let cut = || Stop::truncated("the file ends within the TIFF header");
    let head = source.array_at::<8>(0)?.ok_or_else(cut)?;
    let encoding = Encoding {
        big_endian: head.first() == Some(&b'M'),
        bigtiff: false,
    };
    let encoding = Encoding {
        bigtiff: encoding.field(&head, 2, 2) == 43,
        ..encoding
    };
    if !encoding.bigtiff {
        return Ok((encoding, encoding.field(&head, 4, 4)));
    }
    if encoding.field(&head, 4, 2) != 8 || encoding.field(&head, 6, 2) != 0 {
        return Err(Stop::malformed(
            "the BigTIFF header does not declare offsets of 8 bytes",
        ));
    }
    let first = source.array_at::<8>(8)?.ok_or_else(cut)?;
    Ok((encoding, encoding.number(&first)))
}

/// Reads the directory at `at`; every value of a known type must lie inside the file.
pub(super) fn read_directory<R: Read + Seek>(
    source: &mut Source<'_, R>,
    encoding: Encoding,
    at: u64,
) -> Checked<Directory> {
    let size = source.size();
    let cut = || {
        Stop::truncated(format!(
            "the directory at byte {at} lies past the end of the file ({})",
            human(size)
        ))
    };
    let count = source.up_to(at, if encoding.bigtiff { 8 } else { 2 })?;
    if (count.len() as u64) < encoding.count_bytes() {
        return Err(cut());
    }
    let count = encoding.number(&count);
    if count == 0 || count > MAX_ENTRIES {
        return Err(Stop::malformed(format!(
            "the directory at byte {at} declares {count} entries; 1 to {MAX_ENTRIES} are possible"
        )));
    }
    let first = at.saturating_add(encoding.count_bytes());
    let length = count * encoding.entry_bytes();
    let end = first.checked_add(length).ok_or_else(cut)?;
    if end > size {
        return Err(cut());
    }
    let bytes = source.up_to(first, usize::try_from(length).map_err(|_| cut())?)?;
    let mut directory = Directory {
        at,
        entries: Vec::new(),
        next: 0,
        end,
        oddities: Vec::new(),
    };
    let step = usize::try_from(encoding.entry_bytes()).map_err(|_| cut())?;
    let mut position = first;
    for raw in bytes.chunks_exact(step) {
        add_entry(&mut directory, encoding, raw, (position, size))?;
        position += encoding.entry_bytes();
    }
    read_next(source, encoding, &mut directory)?;
    Ok(directory)
}

fn read_next<R: Read + Seek>(
    source: &mut Source<'_, R>,
    encoding: Encoding,
    directory: &mut Directory,
) -> Checked<()> {
    let next = source.up_to(directory.end, 8)?;
    let width = usize::try_from(encoding.offset_bytes()).unwrap_or(8);
    if let Some(next) = next.get(..width) {
        directory.next = encoding.number(next);
        directory.end = directory.end.saturating_add(encoding.offset_bytes());
        return Ok(());
    }
    // Old writers leave out the pointer that would say "no more"; a cut within it loses nothing else.
    directory.oddities.push(format!(
        "the file ends before the directory at byte {} says what follows it",
        directory.at
    ));
    Ok(())
}

fn add_entry(
    directory: &mut Directory,
    encoding: Encoding,
    raw: &[u8],
    (position, size): (u64, u64),
) -> Checked<()> {
    let tag = u16::try_from(encoding.field(raw, 0, 2)).unwrap_or_default();
    let field_type = u16::try_from(encoding.field(raw, 2, 2)).unwrap_or_default();
    let (count, inline, value) = if encoding.bigtiff {
        (encoding.field(raw, 4, 8), 12, encoding.field(raw, 12, 8))
    } else {
        (encoding.field(raw, 4, 4), 8, encoding.field(raw, 8, 4))
    };
    let mut entry = Entry {
        tag,
        field_type,
        count,
        at: position.saturating_add(inline),
    };
    // GDAL marks arrays of an image without any data with neither type nor values.
    if entry.value_bytes() == 0 && (field_type, count) != (0, 0) {
        directory
            .oddities
            .push(format!("tag {tag} has the unknown type {field_type}"));
    }
    if directory.get(tag).is_some() {
        directory.oddities.push(format!(
            "tag {tag} comes twice in the directory at byte {}",
            directory.at
        ));
        return Ok(());
    }
    if entry
        .length()
        .is_none_or(|length| length > encoding.offset_bytes())
    {
        entry.at = value;
        if entry.end().is_none_or(|end| end > size) {
            return Err(Stop::truncated(format!(
                "the {count} values of tag {tag} at byte {value} lie past the end of the file ({})",
                human(size)
            )));
        }
    }
    directory.entries.push(entry);
    Ok(())
}

/// Reads whole numbers one after another, a block at a time.
#[derive(Debug)]
pub(super) struct Numbers {
    entry: Entry,
    encoding: Encoding,
    next: u64,
    block: Vec<u8>,
    used: usize,
}

impl Numbers {
    /// Starts at the first value of `entry`, which must hold whole numbers.
    pub(super) fn new(entry: Entry, encoding: Encoding) -> Checked<Self> {
        if !entry.is_whole() {
            let Entry {
                tag, field_type, ..
            } = entry;
            return Err(Stop::malformed(format!(
                "tag {tag} must hold whole numbers and has type {field_type}"
            )));
        }
        Ok(Self {
            entry,
            encoding,
            next: 0,
            block: Vec::new(),
            used: 0,
        })
    }

    /// The next value, or none after the last.
    pub(super) fn next<R: Read + Seek>(
        &mut self,
        source: &mut Source<'_, R>,
    ) -> Checked<Option<u64>> {
        let width = usize::try_from(self.entry.value_bytes()).unwrap_or(8);
        if self.next >= self.entry.count {
            return Ok(None);
        }
        if self.used >= self.block.len() {
            let at = self
                .entry
                .at
                .saturating_add(self.next.saturating_mul(self.entry.value_bytes()));
            let left = (self.entry.count - self.next).saturating_mul(self.entry.value_bytes());
            let length = usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
            self.block = source.up_to(at, length)?;
            self.used = 0;
        }
        let Some(bytes) = self.block.get(self.used..self.used + width) else {
            return Err(Stop::truncated(format!(
                "the values of tag {} lie past the end of the file",
                self.entry.tag
            )));
        };
        let value = self.encoding.number(bytes);
        let sign = 1_u64
            .checked_shl(u32::try_from(8 * width - 1).unwrap_or(63))
            .unwrap_or(0);
        if matches!(self.entry.field_type, 6 | 8 | 9 | 17) && value & sign != 0 {
            return Err(Stop::malformed(format!(
                "tag {} holds a negative number",
                self.entry.tag
            )));
        }
        self.used += width;
        self.next += 1;
        Ok(Some(value))
    }
}

/// Reads value `index` of `entry`.
pub(super) fn number_at<R: Read + Seek>(
    source: &mut Source<'_, R>,
    encoding: Encoding,
    entry: &Entry,
    index: u64,
) -> Checked<Option<u64>> {
    if index >= entry.count {
        return Ok(None);
    }
    let at = entry
        .at
        .saturating_add(index.saturating_mul(entry.value_bytes()));
    let one = Entry {
        count: 1,
        at,
        ..*entry
    };
    Numbers::new(one, encoding)?.next(source)
}
