//! What a table of items holds, part by part, and what is wrong with it. Reading only.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use serde::Serialize;
use swath_core::TableName;
use swath_core::grid::GridSpec;
use swath_table::keys::RowKey;

use crate::error::LakeError;
use crate::grid;
use crate::lake::{Base, Lake};
use crate::live::LiveFile;

/// Files that are asked for or read at the same time.
const AT_ONCE: usize = 8;

/// The table that is looked at.
const TABLE: TableName = TableName::StacItems;

/// One cell and year of `earthcatalog.stac_items`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The cell's key; absent when the files' partition cannot be told.
    pub cell: Option<String>,
    /// The year; absent likewise.
    pub year: Option<i32>,
    /// Rows in it.
    pub rows: u64,
    /// Data files in it.
    pub files: u64,
    /// Their size together, bytes.
    pub size_bytes: u64,
}

/// What is wrong with a catalog, with figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The table does not say which grid its cells are of, as after `EarthCatalog`'s compaction: its search finds nothing
    /// unless the cells are at resolution 1.
    LostGrid {
        /// The grid that the cells are of, if they tell.
        inferred: Option<String>,
    },
    /// The grid that is noted is not that of the cells, or none that swath knows.
    WrongGrid {
        /// What is noted.
        noted: String,
        /// What the cells say.
        inferred: Option<String>,
    },
    /// Files that the table lists are not there: rows that no reader gets.
    DanglingFiles {
        /// How many.
        files: u64,
        /// Rows that they had.
        rows: u64,
        /// One of them.
        example: String,
    },
    /// Files whose size is not what the table says.
    ChangedFiles {
        /// How many.
        files: u64,
        /// One of them.
        example: String,
    },
    /// Files whose rows cannot be read.
    UnreadableFiles {
        /// How many.
        files: u64,
        /// Why, of one of them.
        example: String,
    },
    /// Files without a year: `EarthCatalog`'s statistics and undated searches fail on them.
    NullYear {
        /// How many.
        files: u64,
        /// Their rows.
        rows: u64,
        /// One of them.
        example: String,
    },
    /// The same item in the same cell more than once.
    DoubledRows {
        /// Rows that are too many.
        rows: u64,
    },
    /// Older versions of items beside newer ones, in other cells.
    OldVersions {
        /// Rows of them.
        rows: u64,
    },
    /// The catalog leads to the table of another lake, as it does after `EarthCatalog` has put the database of one catalog in
    /// the place of another's: nothing of it is read.
    MetadataElsewhere {
        /// Where it leads.
        location: String,
    },
    /// The catalog's database is of an older layout: `PyIceberg` warns, `EarthCatalog` opens it.
    NoTypeColumn,
}

/// A table of items, looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The grid: as noted, else as the cells tell.
    pub grid: Option<String>,
    /// Each cell and year, in order.
    pub parts: Vec<Part>,
    /// Items, each once whatever the number of its cells; of the files that can be read.
    pub items: u64,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

impl Lake {
    /// Returns rows, files and bytes of each cell and year, from the table's metadata alone.
    ///
    /// # Errors
    /// When there is no such table or its metadata cannot be read.
    pub async fn parts(&self) -> Result<Vec<Part>, LakeError> {
        let base = self.base(TABLE).await?;
        Ok(parts(&self.live(&base).await?))
    }

    /// Looks at every file of `earthcatalog.stac_items`: whether it is there, and at the keys of its rows.
    ///
    /// # Errors
    /// When there is no such table, its metadata cannot be read, or the store fails.
    pub async fn examine(&self) -> Result<Examined, LakeError> {
        let location = self.metadata_location(TABLE).await?;
        if let Some(location) = location.filter(|location| self.place.below(location).is_err()) {
            return Ok(Examined {
                grid: None,
                parts: Vec::new(),
                items: 0,
                faults: vec![Fault::MetadataElsewhere { location }],
            });
        }
        let base = self.base(TABLE).await?;
        let files = self.live(&base).await?;
        let mut faults = Vec::new();
        let grid = noted_grid(&base, &files, &mut faults);
        faults.extend(null_years(&files));
        let there = self.there(&files, &mut faults).await?;
        let items = self.rows_fault(&there, &mut faults).await?;
        Ok(Examined {
            grid,
            parts: parts(&files),
            items,
            faults,
        })
    }

    async fn live(&self, base: &Base) -> Result<Vec<LiveFile>, LakeError> {
        let manifests = base.manifests(self).await?;
        let listed = base.files(self, manifests.iter()).await?;
        Ok(listed
            .iter()
            .flat_map(|files| files.iter())
            .cloned()
            .collect())
    }

    /// Returns the files that are there.
    async fn there<'a>(
        &self,
        files: &'a [LiveFile],
        faults: &mut Vec<Fault>,
    ) -> Result<Vec<&'a LiveFile>, LakeError> {
        let asks: Vec<_> = files.iter().map(|file| self.size_of(file)).collect();
        let sizes: Vec<Option<u64>> = {
            let asked = futures::stream::iter(asks).buffered(AT_ONCE);
            asked.try_collect().await?
        };
        let told = || files.iter().zip(&sizes);
        let gone: Vec<_> = told().filter(|(_, size)| size.is_none()).collect();
        if let Some((first, _)) = gone.first() {
            faults.push(Fault::DanglingFiles {
                files: gone.len() as u64,
                rows: gone.iter().map(|(file, _)| file.rows).sum(),
                example: first.location.clone(),
            });
        }
        let changed =
            told().filter(|(file, size)| size.is_some_and(|size| size != file.size_bytes));
        let changed: Vec<_> = changed.collect();
        if let Some((first, _)) = changed.first() {
            faults.push(Fault::ChangedFiles {
                files: changed.len() as u64,
                example: first.location.clone(),
            });
        }
        let there = told().filter(|(_, size)| size.is_some());
        Ok(there.map(|(file, _)| file).collect())
    }

    async fn size_of(&self, file: &LiveFile) -> Result<Option<u64>, LakeError> {
        let path = self.place.path_of(&file.location);
        let path = path.map_err(LakeError::outside(TABLE))?;
        match self.place.store.head(&path).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(LakeError::Store {
                location: file.location.clone(),
                source,
            }),
        }
    }

    /// Reads the keys of all rows; returns how many items there are.
    async fn rows_fault(
        &self,
        files: &[&LiveFile],
        faults: &mut Vec<Fault>,
    ) -> Result<u64, LakeError> {
        let reads: Vec<_> = files
            .iter()
            .map(|file| self.keys(TABLE, &file.location))
            .collect();
        let mut reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        let (mut seen, mut unread) = (Seen::default(), Vec::new());
        while let Some(read) = reads.next().await {
            match read {
                Ok(keys) => seen.add(&keys),
                Err(error @ LakeError::Store { .. }) => return Err(error),
                Err(error) => unread.push(swath_core::chain(&error)),
            }
        }
        if let Some(example) = unread.first() {
            faults.push(Fault::UnreadableFiles {
                files: unread.len() as u64,
                example: example.clone(),
            });
        }
        if seen.doubled > 0 {
            faults.push(Fault::DoubledRows { rows: seen.doubled });
        }
        let old = seen.old_versions();
        if old > 0 {
            faults.push(Fault::OldVersions { rows: old });
        }
        Ok(seen.newest.len() as u64)
    }
}

/// Keys of rows, gathered.
#[derive(Default)]
struct Seen {
    keys: HashSet<u128>,
    /// The newest `updated` of each item, and how many rows have it and how many an older one.
    newest: HashMap<u128, (Option<i64>, u64, u64)>,
    doubled: u64,
}

impl Seen {
    fn add(&mut self, keys: &[RowKey]) {
        for key in keys {
            if !self.keys.insert(key.key) {
                self.doubled += 1;
                continue;
            }
            let item = self.newest.entry(key.item).or_insert((key.updated, 0, 0));
            match key.updated.cmp(&item.0) {
                Ordering::Greater => *item = (key.updated, 1, item.1 + item.2),
                Ordering::Equal => item.1 += 1,
                Ordering::Less => item.2 += 1,
            }
        }
    }

    fn old_versions(&self) -> u64 {
        self.newest.values().map(|(_, _, old)| old).sum()
    }
}

fn parts(files: &[LiveFile]) -> Vec<Part> {
    let mut parts: BTreeMap<(Option<&str>, Option<i32>), Part> = BTreeMap::new();
    for file in files {
        let partition = file.partition.as_ref();
        let cell = partition.map(|partition| partition.cell.as_str());
        let year = partition.map(|partition| partition.year);
        let part = parts.entry((cell, year)).or_insert_with(|| Part {
            cell: cell.map(str::to_owned),
            year,
            rows: 0,
            files: 0,
            size_bytes: 0,
        });
        part.rows += file.rows;
        part.files += 1;
        part.size_bytes += file.size_bytes;
    }
    parts.into_values().collect()
}

fn null_years(files: &[LiveFile]) -> Option<Fault> {
    let without: Vec<_> = files
        .iter()
        .filter(|file| file.partition.is_none())
        .collect();
    let first = without.first()?;
    Some(Fault::NullYear {
        files: without.len() as u64,
        rows: without.iter().map(|file| file.rows).sum(),
        example: first.location.clone(),
    })
}

/// Returns the grid as it is noted, else as the cells tell.
fn noted_grid(base: &Base, files: &[LiveFile], faults: &mut Vec<Fault>) -> Option<String> {
    let cells = files.iter().filter_map(|file| file.partition.as_ref());
    let inferred = GridSpec::infer(cells.map(|partition| partition.cell.as_str()));
    let text = inferred.as_ref().map(GridSpec::to_string);
    match grid::noted(base.metadata.properties()) {
        Ok(Some(noted)) => {
            let is_h3 = matches!(noted, GridSpec::H3 { .. });
            if is_h3 && inferred.as_ref().is_some_and(|found| *found != noted) {
                faults.push(Fault::WrongGrid {
                    noted: noted.to_string(),
                    inferred: text,
                });
            }
            Some(noted.to_string())
        }
        Ok(None) => {
            faults.push(Fault::LostGrid {
                inferred: text.clone(),
            });
            text
        }
        Err(error) => {
            faults.push(Fault::WrongGrid {
                noted: error.to_string(),
                inferred: text.clone(),
            });
            text
        }
    }
}
