//! The second half of encoding: records read again in the order of the files, and the files.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use swath_core::message::Partition;
use swath_core::{TableName, digest_hex};
use swath_table::items::{ItemReader, Placed, batch};
use swath_table::json::canonical;
use swath_table::layout::{WAREHOUSE, data_path};
use swath_table::stac_geoparquet::Layout;
use swath_table::{Effort, Expected, FileWriter, ItemRow, TableError};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::EncodeError;
use super::index::{Entry, Group};
use super::spool::Records;

/// Bytes of records that are put into columns at a time.
const BATCH: usize = 8 << 20;
/// Bytes of records in one file of a partition; it is encoded in memory.
const PART: usize = 64 << 20;

const TABLE: TableName = TableName::StacItems;

/// All that the files are made from.
pub(super) struct Plan {
    /// The columns of the one file, unless it is of the table.
    pub(super) layout: Option<Layout>,
    pub(super) records: Records,
    pub(super) entries: Vec<Entry>,
    pub(super) groups: Vec<Group>,
    pub(super) sources: Vec<Arc<str>>,
    pub(super) effort: Effort,
    /// Whether files are read back and compared.
    pub(super) check: bool,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub(super) files: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Rows that were read back and are the items that came in.
    pub(super) checked: u64,
    /// Values that their columns do not give back; they are kept beside them.
    pub(super) kept: u64,
}

impl Written {
    pub(super) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.checked += other.checked;
        self.kept += other.kept;
    }
}

/// Hashes of items in the order in which they were written.
#[derive(Default)]
pub(super) struct Sequence(Xxh3);

impl Plan {
    /// Writes partitions, by turns with other threads, until none is left.
    pub(super) fn write_parts(
        &self,
        folder: &Path,
        next: &AtomicUsize,
    ) -> Result<Written, EncodeError> {
        let mut written = Written::default();
        while let Some(group) = self.groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            let entries = self.in_order(group.rows.clone())?;
            for part in parts(&entries) {
                let result = self.write_part(folder, group, part);
                if result.is_err() {
                    next.store(self.groups.len(), Ordering::Relaxed);
                }
                written.add(result?);
            }
        }
        Ok(written)
    }

    fn write_part(
        &self,
        folder: &Path,
        group: &Group,
        part: &[Entry],
    ) -> Result<Written, EncodeError> {
        let cell = group.cell.as_ref().map(|cell| cell.as_str().to_owned());
        let mut sequence = Sequence::default();
        let (bytes, rows) = self.encode(part, cell.as_deref(), Vec::new(), &mut sequence)?;
        let bytes = Bytes::from(bytes);
        let name = format!("part_{}.parquet", digest_hex(&[&bytes], 8));
        let partition = Partition {
            cell: cell.unwrap_or_default(),
            year: group.year,
        };
        let below = data_path(TABLE, Some(&partition), &name);
        let below = below
            .strip_prefix(WAREHOUSE)
            .unwrap_or(&below)
            .trim_start_matches('/');
        let path = folder.join(below);
        let failed = |source| EncodeError::Write {
            path: path.clone(),
            source,
        };
        publish(&path, &bytes).map_err(failed)?;
        let mut checked = 0;
        if self.check {
            checked = sequence.check(&path, bytes.clone())?;
        }
        Ok(Written {
            files: 1,
            rows,
            bytes: bytes.len() as u64,
            checked,
            kept: 0,
        })
    }

    /// Writes all rows as one file, which appears when it is whole.
    pub(super) fn write_one(&self, path: &Path) -> Result<Written, EncodeError> {
        let failed = |source| EncodeError::Write {
            path: path.to_owned(),
            source,
        };
        let partial = beside(path);
        let mut sequence = Sequence::default();
        let entries = self.in_order(0..self.entries.len())?;
        let open = || {
            let file = File::create(&partial).map_err(failed)?;
            Ok(BufWriter::with_capacity(1 << 20, file))
        };
        let written = match &self.layout {
            Some(layout) => self.encode_items(layout, &entries, open, &mut sequence),
            None => open().and_then(|output| {
                let (output, rows) = self.encode(&entries, None, output, &mut sequence)?;
                Ok((output, rows, 0))
            }),
        };
        let written = written.and_then(|(mut output, rows, kept)| {
            output.flush().map_err(failed)?;
            fs::rename(&partial, path).map_err(failed)?;
            Ok((rows, kept))
        });
        if written.is_err() {
            // The first failure is the one to tell of.
            let _ignored = fs::remove_file(&partial);
        }
        let (rows, kept) = written?;
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut checked = 0;
        if self.check {
            checked = sequence.check(path, file)?;
        }
        Ok(Written {
            files: 1,
            rows,
            bytes,
            checked,
            kept,
        })
    }

    fn encode<W: Write + Send>(
        &self,
        entries: &[Entry],
        cell: Option<&str>,
        output: W,
        sequence: &mut Sequence,
    ) -> Result<(W, u64), EncodeError> {
        let expected = expected(entries);
        let mut writer =
            FileWriter::new(TABLE, output, self.effort, expected).map_err(EncodeError::table)?;
        let mut buffer = Vec::new();
        let mut rest = entries;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest, BATCH));
            rest = later;
            let mut rows = Vec::with_capacity(now.len());
            for entry in now {
                let (row, source) = self.row(entry, &mut buffer)?;
                sequence.add(row.content);
                rows.push((row, source));
            }
            let placed: Vec<_> = rows
                .iter()
                .map(|(row, source)| Placed { row, source })
                .collect();
            let batch = batch(cell, &placed).map_err(EncodeError::table)?;
            drop(rows);
            writer.write(&batch).map_err(EncodeError::table)?;
        }
        writer.finish().map_err(EncodeError::table)
    }

    fn row(&self, entry: &Entry, buffer: &mut Vec<u8>) -> Result<(ItemRow, &str), EncodeError> {
        let record = self.records.read(entry.at, buffer);
        let record = record.map_err(EncodeError::Spool)?;
        let read = || {
            let (source, record) = record.split_first_chunk()?;
            let source = self.sources.get(u32::from_le_bytes(*source) as usize)?;
            Some((ItemRow::from_record(record)?, source.as_ref()))
        };
        read().ok_or(EncodeError::Record { at: entry.at })
    }

    /// Returns rows in the order in which they are written: those that the index cannot tell apart are looked at.
    fn in_order(&self, range: Range<usize>) -> Result<Vec<Entry>, EncodeError> {
        let entries = self.entries.get(range).unwrap_or_default();
        let mut sorted = Vec::with_capacity(entries.len());
        let mut buffer = Vec::new();
        for level in entries.chunk_by(Entry::is_level_with) {
            if level.len() == 1 {
                sorted.extend_from_slice(level);
                continue;
            }
            let mut keyed = Vec::with_capacity(level.len());
            for entry in level {
                let (row, source) = self.row(entry, &mut buffer)?;
                let collection = row.collection().map(str::to_owned);
                keyed.push((
                    (row.id().to_owned(), collection, row.content, source),
                    *entry,
                ));
            }
            keyed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            sorted.extend(keyed.into_iter().map(|(_, entry)| entry));
        }
        Ok(sorted)
    }
}

pub(super) fn expected(entries: &[Entry]) -> Expected {
    Expected {
        rows: entries.len(),
        bytes: entries.iter().map(|entry| entry.size as usize).sum(),
    }
}

/// Returns how many entries, one at least, have records of no more than these bytes.
fn fitting(entries: &[Entry], bytes: usize) -> usize {
    let mut sum = 0;
    let fitting = entries.iter().take_while(|entry| {
        sum += entry.size as usize;
        sum <= bytes
    });
    fitting.count().max(1).min(entries.len())
}

fn parts(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, later) = rest.split_at(fitting(rest, PART));
        rest = later;
        Some(part)
    })
}

/// Returns the name that a file has until it is whole; no reader looks for it.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial"))
}

/// Writes a file that appears when it is whole, with the folders it lies in.
fn publish(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = beside(path);
    let mut file = match File::create(&partial) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            File::create(&partial)?
        }
        Err(error) => return Err(error),
    };
    file.write_all(bytes)?;
    fs::rename(&partial, path)
}

impl Sequence {
    /// Takes the hash of the next item's canonical text.
    pub(super) fn add(&mut self, content: u128) {
        self.0.update(&content.to_le_bytes());
    }

    /// Reads a file back and compares its items with those that were written; returns how many there are.
    fn check<R: swath_table::reader::ChunkReader + 'static>(
        self,
        path: &Path,
        file: R,
    ) -> Result<u64, EncodeError> {
        let failed = |source: TableError| EncodeError::Table {
            source: Box::new(source),
        };
        let mut read = Self::default();
        let mut rows = 0;
        for item in ItemReader::open(file).map_err(failed)? {
            let (text, _) = item.map_err(failed)?;
            let content = canonical(&text).map(|text| xxh3_128(text.as_bytes()));
            // A text that is no item cannot have the hash of one.
            read.add(content.unwrap_or_default());
            rows += 1;
        }
        if read.0.digest128() == self.0.digest128() {
            return Ok(rows);
        }
        Err(EncodeError::Differs {
            path: path.to_owned(),
        })
    }
}
