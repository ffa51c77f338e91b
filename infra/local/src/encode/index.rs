//! Which rows go into which partition, and in which order: some tens of bytes per row.

use std::collections::HashMap;
use std::ops::Range;

use swath_core::grid::CellKey;

/// One row to be written, in the order of the files: cell, year, platform, instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    cell: u32,
    year: i32,
    platform: u32,
    datetime: i64,
    /// Where the row's record lies.
    pub(super) at: u64,
    /// Its record's length.
    pub(super) size: u32,
}

/// The rows of one partition.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The cell; `None` in a file without a grid.
    pub(super) cell: Option<CellKey>,
    /// The calendar year.
    pub(super) year: i32,
    /// Where its rows lie in [`Index::entries`].
    pub(super) rows: Range<usize>,
}

/// What an item is filed under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filing<'a> {
    pub(super) year: i32,
    pub(super) platform: Option<&'a str>,
    pub(super) datetime: Option<i64>,
    pub(super) at: u64,
    pub(super) size: u32,
}

/// The rows that were met.
#[derive(Debug, Default)]
pub(super) struct Index {
    cells: Names<Option<CellKey>>,
    platforms: Names<Option<String>>,
    entries: Vec<Entry>,
}

/// Names by number, numbers by name.
#[derive(Debug)]
struct Names<T> {
    numbers: HashMap<T, u32>,
    names: Vec<T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            names: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + std::hash::Hash + Ord> Names<T> {
    fn add(&mut self, name: T) -> u32 {
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let names = &mut self.names;
        *self.numbers.entry(name.clone()).or_insert_with(|| {
            names.push(name);
            next
        })
    }

    /// Returns for each number the place of its name in order.
    fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..).take(self.names.len()).collect();
        order.sort_by_key(|number| self.names.get(*number as usize));
        let mut ranks = vec![0; order.len()];
        for (rank, number) in (0..).zip(order) {
            if let Some(place) = ranks.get_mut(number as usize) {
                *place = rank;
            }
        }
        ranks
    }
}

impl Index {
    /// Files a row in a cell.
    pub(super) fn add(&mut self, cell: Option<&CellKey>, filing: Filing<'_>) {
        let known = self.platforms.names.last();
        let platform = if known.is_some_and(|last| last.as_deref() == filing.platform) {
            u32::try_from(self.platforms.names.len() - 1).unwrap_or(u32::MAX)
        } else {
            self.platforms.add(filing.platform.map(str::to_owned))
        };
        self.entries.push(Entry {
            cell: self.cells.add(cell.cloned()),
            year: filing.year,
            platform,
            datetime: filing.datetime.unwrap_or(i64::MIN),
            at: filing.at,
            size: filing.size,
        });
    }

    /// Returns the rows in their order and the partitions, cells in the order of their names.
    pub(super) fn finish(mut self) -> (Vec<Entry>, Vec<Group>) {
        let cells = self.cells.ranks();
        let platforms = self.platforms.ranks();
        let rank = |ranks: &[u32], number: u32| ranks.get(number as usize).copied().unwrap_or(0);
        for entry in &mut self.entries {
            entry.cell = rank(&cells, entry.cell);
            entry.platform = rank(&platforms, entry.platform);
        }
        self.entries.sort_unstable();
        self.cells.names.sort();
        let mut groups = Vec::new();
        let mut begin = 0;
        for rows in self.entries.chunk_by(|a, b| a.group() == b.group()) {
            let (cell, year) = rows.first().map_or((0, 0), Entry::group);
            let end = begin + rows.len();
            groups.push(Group {
                cell: self.cells.names.get(cell as usize).cloned().flatten(),
                year,
                rows: begin..end,
            });
            begin = end;
        }
        (self.entries, groups)
    }
}

impl Entry {
    fn group(&self) -> (u32, i32) {
        (self.cell, self.year)
    }

    /// Says whether only what lies in the rows themselves can tell which of two comes first.
    pub(super) fn is_level_with(&self, other: &Self) -> bool {
        (self.group(), self.platform, self.datetime)
            == (other.group(), other.platform, other.datetime)
    }
}
