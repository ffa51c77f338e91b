//! Parquet tables and LAS point clouds.

use std::io::{Read, Seek};

use super::cut;
use crate::source::{Checked, Source, Stop};
use crate::validate::Notes;

/// Compares the magic at both ends and the length of the footer.
pub(super) fn parquet<R: Read + Seek>(source: &mut Source<'_, R>) -> Checked<()> {
    let size = source.size();
    let Some(tail) = size.checked_sub(8).filter(|at| *at >= 4) else {
        return Err(cut("the Parquet footer", size));
    };
    let Some([a, b, c, d, magic @ ..]) = source.array_at::<8>(tail)? else {
        return Err(cut("the Parquet footer", size));
    };
    if &magic != b"PAR1" && &magic != b"PARE" {
        return Err(Stop::truncated(
            "the file does not end with the Parquet magic",
        ));
    }
    let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
    if footer == 0 || footer > tail - 4 {
        return Err(Stop::malformed(format!(
            "the footer declares {footer} bytes in a file of {size}"
        )));
    }
    Ok(())
}

/// Compares where the points lie, and how many there are, with the size.
pub(super) fn las<R: Read + Seek>(source: &mut Source<'_, R>, notes: &mut Notes) -> Checked<()> {
    let size = source.size();
    let past = || cut("the LAS header", size);
    let head = source.up_to(0, 375)?;
    let number = |at: usize, width: usize| {
        let bytes = at.checked_add(width).and_then(|end| head.get(at..end));
        bytes.map(|bytes| {
            bytes
                .iter()
                .rev()
                .fold(0, |value: u64, byte| (value << 8) | u64::from(*byte))
        })
    };
    let minor = number(25, 1).ok_or_else(past)?;
    let points_at = number(96, 4).ok_or_else(past)?;
    let format = number(104, 1).ok_or_else(past)?;
    let record_bytes = number(105, 2).ok_or_else(past)?;
    let legacy = number(107, 4).ok_or_else(past)?;
    let header_bytes = number(94, 2).ok_or_else(past)?;
    if header_bytes < 227 || points_at < header_bytes {
        return Err(Stop::malformed(format!(
            "the points are said to be at byte {points_at} of a header of {header_bytes}"
        )));
    }
    let points = if minor >= 4 {
        number(247, 8).ok_or_else(past)?
    } else {
        legacy
    };
    let compressed = format & 0xc0 != 0;
    if !compressed {
        let end = points
            .checked_mul(record_bytes)
            .and_then(|bytes| bytes.checked_add(points_at));
        return if end.is_some_and(|end| end <= size) {
            Ok(())
        } else {
            Err(cut(&format!("the last of {points} points"), size))
        };
    }
    if points == 0 {
        return Ok(());
    }
    match source.array_at::<8>(points_at)?.map(i64::from_le_bytes) {
        None => Err(cut("the first point", size)),
        Some(-1) => {
            notes.warn("the place of the chunk table is left to the end of the file");
            Ok(())
        }
        Some(table) => match u64::try_from(table) {
            Ok(table) if table > points_at && table.saturating_add(8) <= size => Ok(()),
            Ok(table) if table > points_at => {
                Err(cut(&format!("the chunk table at byte {table}"), size))
            }
            _ => Err(Stop::malformed(format!(
                "the chunk table is said to be at byte {table}"
            ))),
        },
    }
}
