//! CSV: quoted fields, no header as AWS writes it, URL-encoded keys. One line is held at a time.

use std::borrow::Cow;
use std::io::{ErrorKind, Read};
use std::ops::Range;

use memchr::{memchr, memchr2};
use percent_encoding::percent_decode;

use super::{BLOCK, Flow, InventoryError, Needs, Row};
use crate::inventory::row::date_ms;

/// Rows from which the columns are told when nothing names them.
const GUESSED_FROM: usize = 1000;
/// Bytes of one line.
const LONGEST: usize = 1 << 20;

/// Where the columns are that rows are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Columns {
    count: usize,
    bucket: Option<usize>,
    key: usize,
    is_latest: Option<usize>,
    is_delete_marker: Option<usize>,
    size: Option<usize>,
    modified: Option<usize>,
    etag: Option<usize>,
}

/// A field of a line: where it lies, and whether quotes in it are doubled.
type Field = (usize, usize, bool);

impl Columns {
    /// Finds columns by name; the spellings of CSV, Parquet and headers differ by case and underscores alone.
    fn named(names: &[impl AsRef<str>]) -> Option<Self> {
        let plain = |name: &str| name.replace(['_', ' ', '"'], "").to_ascii_lowercase();
        let names: Vec<String> = names.iter().map(|name| plain(name.as_ref())).collect();
        let find = |name: &str| names.iter().position(|other| other == name);
        Some(Self {
            count: names.len(),
            bucket: find("bucket"),
            key: find("key")?,
            is_latest: find("islatest"),
            is_delete_marker: find("isdeletemarker"),
            size: find("size"),
            modified: find("lastmodifieddate").or_else(|| find("lastmodified")),
            etag: find("etag"),
        })
    }

    /// Tells columns by what stands in the first rows: bucket and key come first, the others look like what they are.
    fn guessed(rows: &[Vec<String>]) -> Option<Self> {
        let count = rows.first()?.len();
        if count < 2 {
            return None;
        }
        let all = |column: usize, fits: fn(&str) -> bool| {
            let mut values = rows
                .iter()
                .filter_map(|row| row.get(column))
                .filter(|value| !value.is_empty());
            let first = values.next().is_some_and(|value| fits(value));
            first && values.all(|value| fits(value))
        };
        let find = |from: usize, fits| (from..count).find(|column| all(*column, fits));
        let is_flag = |value: &str| matches!(value.to_ascii_lowercase().as_str(), "true" | "false");
        let is_latest = find(2, is_flag);
        let next = is_latest.map(|column| column + 1);
        Some(Self {
            count,
            bucket: Some(0),
            key: 1,
            is_latest,
            is_delete_marker: next.filter(|column| all(*column, is_flag)),
            size: find(2, |value| value.bytes().all(|byte| byte.is_ascii_digit())),
            modified: find(2, |value| date_ms(value.as_bytes()).is_some()),
            etag: find(2, is_etag),
        })
    }
}

fn is_etag(value: &str) -> bool {
    let value = value.trim_matches('"');
    let digest = value.split_once('-').map_or(value, |(digest, _)| digest);
    digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads rows; `names` are those of the manifest.
pub(super) fn read(
    name: &str,
    input: impl Read,
    (names, needs): (Option<&[String]>, Needs),
    take: &mut dyn FnMut(&Row<'_>) -> Flow,
) -> Result<(), InventoryError> {
    let mut lines = Lines::new(name, input);
    let columns = match names {
        Some(names) => Some(lines.named(names)?),
        None => lines.told()?,
    };
    let Some(columns) = columns else {
        return Ok(());
    };
    while lines.next()? {
        if lines.row == 1 && lines.is_header() {
            continue;
        }
        if lines.take(&columns, needs, take)? == Flow::Enough {
            break;
        }
    }
    Ok(())
}

/// Lines of a file, one at a time, where they lie in the block that was read.
struct Lines<'a, R> {
    name: &'a str,
    input: R,
    /// What was read.
    block: Vec<u8>,
    /// Bytes of it, from its begin.
    filled: usize,
    /// The line in it.
    line: Range<usize>,
    /// Where the next line begins.
    next: usize,
    /// Whether lines that were read stay, to be read again.
    keeps: bool,
    fields: Vec<Field>,
    row: u64,
}

impl<'a, R: Read> Lines<'a, R> {
    fn new(name: &'a str, input: R) -> Self {
        Self {
            name,
            input,
            block: vec![0; BLOCK],
            filled: 0,
            line: 0..0,
            next: 0,
            keeps: false,
            fields: Vec::new(),
            row: 0,
        }
    }

    fn named(&self, names: &[impl AsRef<str>]) -> Result<Columns, InventoryError> {
        Columns::named(names).ok_or_else(|| {
            let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
            self.schema(names.join(", "))
        })
    }

    /// Tells the columns by a header or by the first rows, which are read again then; `None` when there are none.
    fn told(&mut self) -> Result<Option<Columns>, InventoryError> {
        self.keeps = true;
        let mut first = Vec::new();
        let mut header = None;
        while first.len() < GUESSED_FROM && self.next()? {
            if self.row == 1 && self.is_header() {
                header = Some(self.named(&self.texts())?);
                break;
            }
            first.push(self.texts());
        }
        self.keeps = false;
        (self.next, self.row) = (0, 0);
        if header.is_some() || first.is_empty() {
            return Ok(header);
        }
        let told = Columns::guessed(&first);
        told.map(Some)
            .ok_or_else(|| self.schema("one column without a name".to_owned()))
    }

    fn schema(&self, found: String) -> InventoryError {
        InventoryError::Schema {
            at: self.name.to_owned(),
            column: "Key",
            found,
        }
    }

    /// Reads the next line that is not empty, and finds its fields.
    fn next(&mut self) -> Result<bool, InventoryError> {
        loop {
            self.row += 1;
            let mut length = self.more(0)?;
            if length == 0 {
                return Ok(false);
            }
            loop {
                let line = self.block.get(self.next..self.next + length);
                if split(line.unwrap_or_default(), &mut self.fields) {
                    break;
                }
                // A quote is open: the field holds the end of the line.
                let longer = self.more(length)?;
                if longer == length {
                    return Err(self.wrong("a quote is not closed"));
                }
                length = longer;
            }
            self.line = self.next..self.next + length;
            self.next += length;
            if self.fields.len() > 1 || self.fields.iter().any(|(begin, end, _)| end > begin) {
                return Ok(true);
            }
        }
    }

    /// Returns how long the next line is with its first end after `length` bytes, or with all that is left.
    fn more(&mut self, length: usize) -> Result<usize, InventoryError> {
        let mut seen = length;
        loop {
            let unread = self.block.get(self.next..self.filled).unwrap_or_default();
            if let Some(end) = memchr(b'\n', unread.get(seen..).unwrap_or_default()) {
                return Ok(seen + end + 1);
            }
            seen = unread.len();
            if seen > LONGEST {
                return Err(self.wrong("the line is longer than 1 MiB, or a quote is not closed"));
            }
            if !self.fill()? {
                return Ok(seen);
            }
        }
    }

    /// Reads on; says no at the end.
    fn fill(&mut self) -> Result<bool, InventoryError> {
        if !self.keeps {
            self.block.copy_within(self.next..self.filled, 0);
            self.filled -= self.next;
            self.next = 0;
        }
        if self.filled == self.block.len() {
            self.block.resize(self.filled * 2, 0);
        }
        loop {
            let rest = self.block.get_mut(self.filled..).unwrap_or_default();
            match self.input.read(rest) {
                Ok(read) => {
                    self.filled += read;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(InventoryError::read(self.name)(error)),
            }
        }
    }

    fn raw(&self, column: usize) -> Option<(&[u8], bool)> {
        let (begin, end, doubled) = *self.fields.get(column)?;
        let line = self.block.get(self.line.clone())?;
        Some((line.get(begin..end)?, doubled))
    }

    /// Returns what a field holds; nothing of a column that is not there.
    fn bytes(&self, column: Option<usize>) -> Cow<'_, [u8]> {
        match column.and_then(|column| self.raw(column)) {
            None => Cow::Borrowed(&[]),
            Some((raw, false)) => Cow::Borrowed(raw),
            Some((raw, true)) => {
                let mut was_quote = false;
                let single = raw.iter().filter(|byte| {
                    was_quote = **byte == b'"' && !was_quote;
                    **byte != b'"' || was_quote
                });
                Cow::Owned(single.copied().collect())
            }
        }
    }

    fn text(&self, column: Option<usize>) -> Result<Cow<'_, str>, InventoryError> {
        utf8(self.bytes(column)).ok_or_else(|| self.wrong("a field is not UTF-8"))
    }

    fn texts(&self) -> Vec<String> {
        let fields = (0..self.fields.len()).filter_map(|column| self.raw(column));
        fields
            .map(|(raw, _)| String::from_utf8_lossy(raw).into_owned())
            .collect()
    }

    /// Says whether the line names columns; no bucket may be called `Bucket`, and one called `bucket` has keys other than `key`.
    fn is_header(&self) -> bool {
        let is = |column, name: &str| {
            let raw = self.raw(column);
            raw.is_some_and(|(raw, _)| raw.eq_ignore_ascii_case(name.as_bytes()))
        };
        (is(0, "bucket") && is(1, "key")) || (self.fields.len() == 1 && is(0, "key"))
    }

    fn wrong(&self, reason: &str) -> InventoryError {
        InventoryError::Row {
            at: self.name.to_owned(),
            row: self.row,
            reason: reason.to_owned(),
        }
    }

    fn take(
        &self,
        columns: &Columns,
        needs: Needs,
        take: &mut dyn FnMut(&Row<'_>) -> Flow,
    ) -> Result<Flow, InventoryError> {
        if self.fields.len() != columns.count {
            let (found, count) = (self.fields.len(), columns.count);
            return Err(self.wrong(&format!("{found} fields, the schema has {count}")));
        }
        let is = |column: Option<usize>, word: &str| {
            let raw = column.and_then(|column| self.raw(column));
            raw.is_some_and(|(raw, _)| raw.eq_ignore_ascii_case(word.as_bytes()))
        };
        let key = decoded(self.bytes(Some(columns.key)));
        let key = key.ok_or_else(|| self.wrong("the key is not UTF-8 once decoded"))?;
        if key.is_empty() {
            return Err(self.wrong("the key is empty"));
        }
        let size = match self.bytes(columns.size).as_ref() {
            [] => None,
            digits => Some(number(digits).ok_or_else(|| self.wrong("the size is no number"))?),
        };
        let modified_ms = match self.bytes(columns.modified).as_ref() {
            [] => None,
            text => Some(date_ms(text).ok_or_else(|| self.wrong("the time is none"))?),
        };
        let wanted = |column: Option<usize>| column.filter(|_| needs.address);
        let (bucket, etag) = (wanted(columns.bucket), wanted(columns.etag));
        let etag = self.text(etag)?;
        Ok(take(&Row {
            bucket: &self.text(bucket)?,
            key: &key,
            size,
            modified_ms,
            etag: Some(etag.trim_matches('"')).filter(|etag| !etag.is_empty()),
            is_old: is(columns.is_latest, "false"),
            is_delete_marker: is(columns.is_delete_marker, "true"),
        }))
    }
}

/// Finds the fields of a line; says no when a quote is open at its end.
fn split(mut line: &[u8], fields: &mut Vec<Field>) -> bool {
    fields.clear();
    while let Some(rest) = line
        .strip_suffix(b"\n")
        .or_else(|| line.strip_suffix(b"\r"))
    {
        line = rest;
    }
    let mut at = 0;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        let (begin, end, doubled, next) = if rest.first() == Some(&b'"') {
            let Some((length, doubled)) = quoted(rest.get(1..).unwrap_or_default()) else {
                return false;
            };
            (at + 1, at + 1 + length, doubled, at + length + 2)
        } else {
            let length = memchr(b',', rest).unwrap_or(rest.len());
            (at, at + length, false, at + length)
        };
        fields.push((begin, end, doubled));
        match line.get(next) {
            None => return true,
            Some(b',') => at = next + 1,
            // What stands between a closing quote and the comma is no part of anything.
            Some(_) => match memchr(b',', line.get(next..).unwrap_or_default()) {
                Some(comma) => at = next + comma + 1,
                None => return true,
            },
        }
    }
}

fn utf8(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Returns how long a quoted field is, and whether it has doubled quotes in it; `None` when its closing quote is missing.
fn quoted(rest: &[u8]) -> Option<(usize, bool)> {
    let (mut from, mut doubled) = (0, false);
    loop {
        let quote = from + memchr(b'"', rest.get(from..)?)?;
        if rest.get(quote + 1) != Some(&b'"') {
            return Some((quote, doubled));
        }
        doubled = true;
        from = quote + 2;
    }
}

/// Decodes a key as inventories spell it: as a form does.
fn decoded(key: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    if memchr2(b'%', b'+', &key).is_none() {
        return utf8(key);
    }
    let spaced: Vec<u8> = key
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let decoded = percent_decode(&spaced).decode_utf8().ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}
