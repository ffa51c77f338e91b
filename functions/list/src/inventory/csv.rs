//! CSV: quoted fields, no header as AWS writes it, URL-encoded keys. One line is held at a time.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};

use memchr::memchr;
use percent_encoding::percent_decode;

use super::{BLOCK, Flow, InventoryError, Row};
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
            modified: find(2, |value| date_ms(value).is_some()),
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
    names: Option<&[String]>,
    take: &mut dyn FnMut(&Row<'_>) -> Flow,
) -> Result<(), InventoryError> {
    let mut lines = Lines {
        name,
        input: BufReader::with_capacity(BLOCK, input),
        line: Vec::new(),
        fields: Vec::new(),
        row: 0,
    };
    let schema = |found: String| InventoryError::Schema {
        at: name.to_owned(),
        column: "Key",
        found,
    };
    if let Some(names) = names {
        let columns = Columns::named(names).ok_or_else(|| schema(names.join(", ")))?;
        while lines.next()? {
            if lines.row == 1 && lines.is_header() {
                continue;
            }
            if lines.take(&columns, take)? == Flow::Enough {
                break;
            }
        }
        return Ok(());
    }
    let mut first = Vec::new();
    let mut by_header = None;
    while first.len() < GUESSED_FROM && lines.next()? {
        if lines.row == 1 && lines.is_header() {
            let names = lines.texts();
            by_header = Some(Columns::named(&names).ok_or_else(|| schema(names.join(", ")))?);
            break;
        }
        first.push((lines.line.clone(), lines.texts()));
    }
    let columns = if let Some(columns) = by_header {
        columns
    } else {
        let texts: Vec<_> = first.iter().map(|(_, texts)| texts.clone()).collect();
        let Some(columns) = Columns::guessed(&texts) else {
            return if texts.is_empty() {
                Ok(())
            } else {
                Err(schema("one column without a name".to_owned()))
            };
        };
        columns
    };
    for (row, (line, _)) in first.into_iter().enumerate() {
        lines.again(line, row as u64 + 1)?;
        if lines.take(&columns, take)? == Flow::Enough {
            return Ok(());
        }
    }
    while lines.next()? {
        if lines.take(&columns, take)? == Flow::Enough {
            break;
        }
    }
    Ok(())
}

struct Lines<'a, R> {
    name: &'a str,
    input: BufReader<R>,
    line: Vec<u8>,
    fields: Vec<Field>,
    row: u64,
}

impl<R: Read> Lines<'_, R> {
    /// Reads the next line that is not empty, and finds its fields.
    fn next(&mut self) -> Result<bool, InventoryError> {
        loop {
            self.line.clear();
            if !self.more()? {
                return Ok(false);
            }
            self.row += 1;
            while !self.split() {
                // A quote is open: the field holds the end of the line.
                if !self.more()? || self.line.len() > LONGEST {
                    return Err(self.wrong("a quote is not closed"));
                }
            }
            if self.fields.len() > 1 || self.fields.iter().any(|(begin, end, _)| end > begin) {
                return Ok(true);
            }
        }
    }

    fn more(&mut self) -> Result<bool, InventoryError> {
        let read = self.input.read_until(b'\n', &mut self.line);
        Ok(read.map_err(InventoryError::read(self.name))? > 0)
    }

    /// Takes up a line that was read before.
    fn again(&mut self, line: Vec<u8>, row: u64) -> Result<(), InventoryError> {
        self.line = line;
        self.row = row;
        if self.split() {
            return Ok(());
        }
        Err(self.wrong("a quote is not closed"))
    }

    /// Finds the fields of the line; says no when a quote is open at its end.
    fn split(&mut self) -> bool {
        self.fields.clear();
        let mut line = self.line.as_slice();
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
            self.fields.push((begin, end, doubled));
            if next >= line.len() {
                return true;
            }
            // What stands between a closing quote and the comma is no part of anything.
            let rest = line.get(next..).unwrap_or_default();
            match memchr(b',', rest) {
                Some(comma) => at = next + comma + 1,
                None => return true,
            }
        }
    }

    fn raw(&self, column: usize) -> Option<(&[u8], bool)> {
        let (begin, end, doubled) = *self.fields.get(column)?;
        Some((self.line.get(begin..end)?, doubled))
    }

    fn text(&self, column: Option<usize>) -> Result<Option<Cow<'_, str>>, InventoryError> {
        let Some((raw, doubled)) = column.and_then(|column| self.raw(column)) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(raw).map_err(|_| self.wrong("a field is not UTF-8"))?;
        Ok(Some(if doubled {
            Cow::Owned(text.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(text)
        }))
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
        let key = self.text(Some(columns.key))?.unwrap_or_default();
        let key = decoded(&key).ok_or_else(|| self.wrong("the key is not UTF-8 once decoded"))?;
        if key.is_empty() {
            return Err(self.wrong("the key is empty"));
        }
        let size = self.text(columns.size)?.unwrap_or_default();
        let size = (!size.is_empty()).then(|| size.parse());
        let size = size
            .transpose()
            .map_err(|_| self.wrong("the size is no number"))?;
        let modified = self.text(columns.modified)?.unwrap_or_default();
        let modified_ms = match modified.as_ref() {
            "" => None,
            text => Some(date_ms(text).ok_or_else(|| self.wrong("the time is none"))?),
        };
        let etag = self.text(columns.etag)?;
        let etag = etag.as_deref().map(|etag| etag.trim_matches('"'));
        Ok(take(&Row {
            bucket: &self.text(columns.bucket)?.unwrap_or_default(),
            key: &key,
            size,
            modified_ms,
            etag: etag.filter(|etag| !etag.is_empty()),
            is_old: is(columns.is_latest, "false"),
            is_delete_marker: is(columns.is_delete_marker, "true"),
        }))
    }
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
fn decoded(key: &str) -> Option<Cow<'_, str>> {
    if !key.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(key));
    }
    let spaced = key.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8().ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}
