//! ZIP and gzip.

use std::io::{self, BufReader, Read, Seek};

use flate2::bufread::MultiGzDecoder;

use super::{cut, trailing};
use crate::Level;
use crate::source::{Checked, Source, Stop};
use crate::validate::Notes;
use crate::verdict::Code;

/// The end record and the longest comment after it.
const ZIP_TAIL: usize = 22 + 65535;
/// Bytes that a gzip file is inflated to before the check stops following it.
const MAX_INFLATED: u64 = 8 << 30;

/// Finds the end record in the tail; the directory that it counts must lie before it.
pub(super) fn zip<R: Read + Seek>(source: &mut Source<'_, R>, notes: &mut Notes) -> Checked<()> {
    let size = source.size();
    let tail = source.tail(ZIP_TAIL)?;
    let Some(place) = tail.windows(4).rposition(|word| word == b"PK\x05\x06") else {
        return Err(Stop::truncated("the file ends without a ZIP end record"));
    };
    let record = tail.get(place..).unwrap_or_default();
    let at = size - record.len() as u64;
    let field = |from: usize, width: usize| {
        let bytes = record.get(from..from + width)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |value: u64, byte| (value << 8) | u64::from(*byte)),
        )
    };
    let (Some(length), Some(start), Some(comment)) = (field(12, 4), field(16, 4), field(20, 2))
    else {
        return Err(cut("the ZIP end record", size));
    };
    let end = at + 22 + comment;
    if end > size {
        return Err(cut("the comment of the ZIP end record", size));
    }
    trailing(end, size, notes);
    let (start, length) = wide_directory(source, at)?.unwrap_or((start, length));
    if start.checked_add(length).is_none_or(|end| end > at) {
        return Err(Stop::malformed(format!(
            "the ZIP directory at byte {start} does not end before its end record"
        )));
    }
    if length > 0 && source.array_at::<4>(start)? != Some(*b"PK\x01\x02") {
        // Self-extracting archives put a program before everything, and every offset is off by its length.
        let shifted = at.saturating_sub(length);
        if source.array_at::<4>(shifted)? != Some(*b"PK\x01\x02") {
            return Err(Stop::malformed(format!(
                "there is no ZIP directory at byte {start}"
            )));
        }
    }
    Ok(())
}

/// Start and length of the directory from the 64-bit end record, if its locator stands before the end record.
fn wide_directory<R: Read + Seek>(
    source: &mut Source<'_, R>,
    at: u64,
) -> Checked<Option<(u64, u64)>> {
    let Some(locator) = at.checked_sub(20) else {
        return Ok(None);
    };
    let Some([b'P', b'K', 6, 7, _, _, _, _, offset @ ..]) = source.array_at::<16>(locator)? else {
        return Ok(None);
    };
    let record = u64::from_le_bytes(offset);
    let Some([b'P', b'K', 6, 6]) = source.array_at::<4>(record)? else {
        return Err(Stop::malformed(format!(
            "there is no 64-bit ZIP end record at byte {record}"
        )));
    };
    let length = source
        .array_at::<8>(record.saturating_add(40))?
        .map(u64::from_le_bytes);
    let start = source
        .array_at::<8>(record.saturating_add(48))?
        .map(u64::from_le_bytes);
    Ok(start.zip(length))
}

/// At `full` the whole file is inflated and its checksum compared; before that only its shortest length is.
pub(super) fn gzip<R: Read + Seek>(
    source: &mut Source<'_, R>,
    level: Level,
    notes: &mut Notes,
) -> Checked<()> {
    let size = source.size();
    if size < 18 {
        return Err(cut("the gzip trailer", size));
    }
    if level < Level::Full {
        notes.doubt(
            Code::NotChecked,
            "a gzip file says where it ends only when it is inflated, at level full",
        );
        return Ok(());
    }
    let mut failure = None;
    let reader = BufReader::with_capacity(
        64 * 1024,
        Whole {
            source,
            at: 0,
            failure: &mut failure,
        },
    );
    let copied = io::copy(
        &mut MultiGzDecoder::new(reader).take(MAX_INFLATED),
        &mut io::sink(),
    );
    if let Some(error) = failure {
        return Err(Stop::Io(error));
    }
    match copied {
        Ok(MAX_INFLATED) => {
            notes.doubt(
                Code::UnverifiedLimit,
                format!("the first {MAX_INFLATED} inflated bytes were checked"),
            );
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Stop::truncated("the gzip data end before their trailer"))
        }
        Err(error) => Err(Stop::undecodable(format!(
            "the gzip data are corrupt: {error}"
        ))),
    }
}

/// The whole file as a stream that remembers a failure of the source itself.
struct Whole<'s, 'a, R> {
    source: &'s mut Source<'a, R>,
    at: u64,
    failure: &'s mut Option<io::Error>,
}

impl<R: Read + Seek> Read for Whole<'_, '_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.source.read_at(self.at, buf) {
            Ok(read) => {
                self.at += read as u64;
                Ok(read)
            }
            Err(error) => {
                let kind = error.kind();
                *self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}
