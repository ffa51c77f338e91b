//! The first half of encoding: every item read once, filed under its cells, and kept aside as a record.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use swath_core::chain;
use swath_core::grid::{CellKey, Grid};
use swath_table::geometry::Geometry;
use swath_table::stac_geoparquet::Inference;
use swath_table::{Refusal, Repair, Repaired, Rules};

use super::index::{Filing, Index};
use super::input::{Input, Next, Spot};
use super::quarantine::{Quarantine, Rejected};
use super::spool::Spool;
use super::{EncodeError, FileForm};

/// Bytes of texts that one thread takes at a time.
const BATCH: usize = 1 << 20;

/// The input files, from which threads take texts in turn.
pub(super) struct Feed {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<(u32, Input)>,
    next: u32,
    batches: i64,
}

/// Some texts of one file.
#[derive(Default)]
struct Batch {
    /// Which one of all.
    number: i64,
    source: u32,
    bytes: Vec<u8>,
    texts: Vec<(Range<usize>, Spot, Option<Flaw>)>,
}

/// What is known to be wrong with a text before it is read.
#[derive(Clone, Copy)]
enum Flaw {
    TooLong,
    Broken(&'static str),
}

/// An item on its way into the index; places count from the begin of its batch's records.
struct Filed {
    cells: Vec<CellKey>,
    year: i32,
    platform: Option<String>,
    /// Microseconds since 1970, or whatever else rows are sorted by.
    datetime: Option<i64>,
    at: usize,
    size: usize,
}

/// What all threads add to.
pub(super) struct Gathered {
    pub(super) spool: Spool,
    /// What items have in common, for a file of stac-geoparquet.
    pub(super) inference: Inference,
    pub(super) index: Index,
    pub(super) quarantine: Quarantine,
    pub(super) items: u64,
    pub(super) clashes: u64,
    pub(super) rejected: BTreeMap<&'static str, u64>,
    /// Repairs that were made, by name.
    pub(super) repaired: BTreeMap<&'static str, u64>,
}

impl Feed {
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        Self {
            files: files.into_iter(),
            current: None,
            next: 0,
            batches: 0,
        }
    }

    /// Leaves no more to take.
    fn stop(&mut self) {
        self.files = Vec::new().into_iter();
        self.current = None;
    }

    /// Takes the next texts, in place of those that the batch had; returns whether there were any.
    fn batch(&mut self, batch: &mut Batch) -> Result<bool, EncodeError> {
        loop {
            let Some((source, input)) = &mut self.current else {
                let Some(path) = self.files.next() else {
                    return Ok(false);
                };
                self.current = Some((self.next, Input::open(&path)?));
                self.next += 1;
                continue;
            };
            self.batches += 1;
            batch.number = self.batches;
            batch.source = *source;
            batch.bytes.clear();
            batch.bytes.reserve(BATCH + (BATCH >> 2));
            batch.texts.clear();
            let is_over = batch.fill(input)?;
            if is_over {
                self.current = None;
            }
            if !batch.texts.is_empty() {
                return Ok(true);
            }
        }
    }
}

impl Batch {
    /// Takes texts until there are enough; returns whether the file has no more.
    fn fill(&mut self, input: &mut Input) -> Result<bool, EncodeError> {
        while self.bytes.len() < BATCH {
            let begin = self.bytes.len();
            let (spot, flaw) = match input.next(&mut self.bytes)? {
                Next::End => return Ok(true),
                Next::Text(spot) => (spot, None),
                Next::TooLong(spot) => (spot, Some(Flaw::TooLong)),
                Next::Broken(spot, reason) => (spot, Some(Flaw::Broken(reason))),
            };
            self.texts.push((begin..self.bytes.len(), spot, flaw));
        }
        Ok(false)
    }
}

/// One thread's means.
pub(super) struct Worker<'a> {
    pub(super) feed: &'a Mutex<Feed>,
    pub(super) gathered: &'a Mutex<Gathered>,
    /// `None` files every item once, in no cell.
    pub(super) grid: Option<Box<dyn Grid>>,
    pub(super) sources: &'a [Arc<str>],
    pub(super) rules: &'a Rules,
    pub(super) form: FileForm,
    pub(super) inference: Inference,
}

/// What became of one batch.
#[derive(Default)]
struct Done {
    records: Vec<u8>,
    filed: Vec<Filed>,
    clashes: usize,
    rejected: Vec<Rejected>,
    /// Items as they came, of which a mended text was taken, each with its repairs.
    repaired: Vec<(Rejected, Vec<&'static str>)>,
}

impl Worker<'_> {
    /// Takes batches until there are no more.
    pub(super) fn run(mut self) -> Result<(), EncodeError> {
        let result = self.work();
        if result.is_err() {
            lock(self.feed).stop();
        }
        lock(self.gathered).inference.merge(self.inference);
        result
    }

    fn work(&mut self) -> Result<(), EncodeError> {
        // One of each, used again and again: new memory costs as much as reading does.
        let (mut batch, mut done) = (Batch::default(), Done::default());
        loop {
            let is_over = !lock(self.feed).batch(&mut batch)?;
            if is_over {
                return Ok(());
            }
            done.clear();
            self.read(&batch, &mut done);
            lock(self.gathered).add(&done)?;
        }
    }

    fn read(&mut self, batch: &Batch, done: &mut Done) {
        for (range, spot, flaw) in &batch.texts {
            let text = batch.bytes.get(range.clone()).unwrap_or_default();
            let taken = match flaw {
                Some(Flaw::TooLong) => Err(refusal("too_long", &"longer than an item may be")),
                Some(Flaw::Broken(reason)) => Err(refusal("not_json", reason)),
                None => match self.form {
                    FileForm::Table => self.item(text, batch.source, done),
                    FileForm::StacGeoparquet => self.text(text, batch, done),
                },
            };
            let keep = |code, reason| Rejected {
                source: self.source(batch.source),
                spot: *spot,
                code,
                reason,
                text: text.to_vec(),
            };
            match taken {
                Ok(names) if names.is_empty() => {}
                Ok(names) => {
                    let kept = keep("repaired", names.join(", "));
                    done.repaired.push((kept, names));
                }
                Err(Refusal { code, reason }) => done.rejected.push(keep(code, reason)),
            }
        }
    }

    fn source(&self, number: u32) -> Arc<str> {
        let source = self.sources.get(number as usize);
        source.map(Arc::clone).unwrap_or_default()
    }

    /// Takes an item; returns the names of the repairs that it needed.
    fn item(
        &mut self,
        text: &[u8],
        source: u32,
        done: &mut Done,
    ) -> Result<Vec<&'static str>, Refusal> {
        let text = std::str::from_utf8(text).map_err(|error| refusal("not_utf8", &error))?;
        let admitted = self.rules.admit(text)?;
        let row = admitted.row;
        let mut cells = Vec::new();
        if let Some(grid) = &mut self.grid {
            let geometry = row.geometry.as_ref().map(Geometry::to_geo);
            grid.cover(geometry.as_ref(), &mut cells)
                .map_err(|error| refusal("too_many_cells", &chain(&error)))?;
        }
        let (at, size) = done.record(source, |into| row.write_record(into));
        done.clashes += row.clashes;
        done.filed.push(Filed {
            cells,
            year: row.year(),
            platform: row.platform().map(str::to_owned),
            datetime: row.datetime(),
            at,
            size,
        });
        Ok(names_of(admitted.repaired))
    }

    /// Takes an item as text, for a file whose columns are known when all items are.
    fn text(
        &mut self,
        text: &[u8],
        batch: &Batch,
        done: &mut Done,
    ) -> Result<Vec<&'static str>, Refusal> {
        let text = std::str::from_utf8(text).map_err(|error| refusal("not_utf8", &error))?;
        let (canonical, repaired) = self.rules.admit_text(text)?;
        self.inference.learn(&canonical);
        let (at, size) = done.record(batch.source, |into| {
            into.extend_from_slice(canonical.as_bytes());
        });
        let place = i64::try_from(done.filed.len()).unwrap_or(i64::MAX);
        done.filed.push(Filed {
            cells: Vec::new(),
            year: 0,
            platform: None,
            // Rows keep the order of the input.
            datetime: Some((batch.number << 32) + place),
            at,
            size,
        });
        Ok(names_of(repaired))
    }
}

impl Done {
    fn clear(&mut self) {
        self.records.clear();
        self.filed.clear();
        self.clashes = 0;
        self.rejected.clear();
        self.repaired.clear();
    }

    /// Appends a record; returns where it begins and how long it is.
    fn record(&mut self, source: u32, write: impl FnOnce(&mut Vec<u8>)) -> (usize, usize) {
        let at = self.records.len();
        self.records.extend_from_slice(&[0; 4]);
        self.records.extend_from_slice(&source.to_le_bytes());
        write(&mut self.records);
        let size = self.records.len() - at - 4;
        if let Some(length) = self.records.get_mut(at..at + 4) {
            // An item is some MiB at most.
            length.copy_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
        }
        (at, size)
    }
}

fn names_of(repaired: Option<Repaired>) -> Vec<&'static str> {
    let repairs = repaired.map(|repaired| repaired.repairs);
    repairs.into_iter().flatten().map(Repair::as_str).collect()
}

fn refusal(code: &'static str, reason: &impl ToString) -> Refusal {
    Refusal {
        code,
        reason: reason.to_string(),
    }
}

impl Gathered {
    fn add(&mut self, done: &Done) -> Result<(), EncodeError> {
        let begin = self
            .spool
            .append(&done.records)
            .map_err(EncodeError::Spool)?;
        for filed in &done.filed {
            let filing = Filing {
                year: filed.year,
                platform: filed.platform.as_deref(),
                datetime: filed.datetime,
                at: begin + filed.at as u64,
                size: u32::try_from(filed.size).unwrap_or(u32::MAX),
            };
            if filed.cells.is_empty() {
                self.index.add(None, filing);
            }
            for cell in &filed.cells {
                self.index.add(Some(cell), filing);
            }
        }
        self.items += done.filed.len() as u64;
        self.clashes += done.clashes as u64;
        for rejected in &done.rejected {
            *self.rejected.entry(rejected.code).or_default() += 1;
            Quarantine::tell(rejected);
            self.quarantine.keep(rejected)?;
        }
        for (kept, repairs) in &done.repaired {
            for name in repairs {
                *self.repaired.entry(name).or_default() += 1;
            }
            self.quarantine.keep(kept)?;
        }
        Ok(())
    }
}

/// What a thread left behind before it panicked is still what it says.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
