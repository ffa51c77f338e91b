//! Rows as bytes, for keeping them aside until their file is written.

use super::place::COLUMNS;
use super::{ItemRow, Value};

impl ItemRow {
    /// Appends the row, all but its geometry, in a form that only [`ItemRow::from_record`] of the same build reads.
    pub fn write_record(&self, into: &mut Vec<u8>) {
        for value in &self.values {
            match *value {
                Value::Null => into.push(0),
                Value::Text(begin, end) => {
                    into.push(1);
                    put_size(into, begin);
                    put_size(into, end);
                }
                Value::Long(number) => put(into, 2, number.to_le_bytes()),
                Value::Double(number) => put(into, 3, number.to_le_bytes()),
                Value::Instant(micros) => put(into, 4, micros.to_le_bytes()),
                Value::Boolean(truth) => into.push(if truth { 6 } else { 5 }),
            }
        }
        put_size(into, self.texts.len());
        into.extend_from_slice(self.texts.as_bytes());
        match &self.wkb {
            Some(wkb) => {
                into.push(1);
                put_size(into, wkb.len());
                into.extend_from_slice(wkb);
            }
            None => into.push(0),
        }
        match &self.extent {
            Some(sides) => {
                into.push(1);
                for side in sides {
                    into.extend_from_slice(&side.to_le_bytes());
                }
            }
            None => into.push(0),
        }
        into.extend_from_slice(&self.content.to_le_bytes());
    }

    /// Reads a row back; `None` when the bytes are not one whole record.
    pub fn from_record(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let mut values = [Value::Null; COLUMNS];
        for value in &mut values {
            *value = reader.value()?;
        }
        let size = reader.size()?;
        let texts = std::str::from_utf8(reader.bytes(size)?).ok()?.to_owned();
        let wkb = if reader.flag()? {
            let size = reader.size()?;
            Some(reader.bytes(size)?.to_vec())
        } else {
            None
        };
        let extent = if reader.flag()? {
            let mut number = || reader.take().map(f64::from_le_bytes);
            Some([number()?, number()?, number()?, number()?])
        } else {
            None
        };
        let content = u128::from_le_bytes(reader.take()?);
        let row = Self {
            values,
            texts,
            wkb,
            extent,
            geometry: None,
            clashes: 0,
            content,
        };
        reader.0.is_empty().then_some(row)
    }
}

fn put(into: &mut Vec<u8>, tag: u8, bytes: [u8; 8]) {
    into.push(tag);
    into.extend_from_slice(&bytes);
}

fn put_size(into: &mut Vec<u8>, size: usize) {
    // An item is some MiB at most.
    into.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, size: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn flag(&mut self) -> Option<bool> {
        self.take::<1>().map(|[flag]| flag == 1)
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.take()?)).ok()
    }

    fn value(&mut self) -> Option<Value> {
        let [tag] = self.take()?;
        Some(match tag {
            0 => Value::Null,
            1 => Value::Text(self.size()?, self.size()?),
            2 => Value::Long(i64::from_le_bytes(self.take()?)),
            3 => Value::Double(f64::from_le_bytes(self.take()?)),
            4 => Value::Instant(i64::from_le_bytes(self.take()?)),
            5 => Value::Boolean(false),
            6 => Value::Boolean(true),
            _ => return None,
        })
    }
}
