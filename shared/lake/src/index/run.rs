//! One run: blocks of sorted entries, a filter in parts, blocks of the files that the entries are of, then a footer that says
//! what is where.
//!
//! The name of a run holds the checksum and the size of its footer, the footer those of all else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, coalesce_ranges};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use swath_core::message::Partition;
use swath_table::keys::Known;

use super::block::{checksum, pack, unpack};
use super::{FOLDER, ItemId, filter};

/// What the names of runs end with.
pub(super) const SUFFIX: &str = ".run";

/// Entries in a block, in the smallest runs and in the largest: what is read of a run, its footer and a few blocks, grows
/// with the square root of its size.
const BLOCK: (usize, usize) = (128, 2048);

/// Files in a block.
const FILES: usize = 256;

/// Bytes between blocks that are fetched with them rather than by a call of their own.
const GAP: u64 = 2 * 1024;

/// The version of the format, part of the name: other versions are as good as absent.
const VERSION: &str = "v2";

/// A row, and in which of a run's files it lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) row: Known,
    pub(crate) file: u32,
}

/// A data file, all rows of which are in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Covered {
    /// Its path below the lake's base.
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) size_bytes: u64,
    /// The partition that it is listed in.
    pub(crate) partition: Option<Partition>,
}

impl Covered {
    /// Returns rows and bytes, by which files of one path are told apart.
    pub(crate) fn told(&self) -> (u64, u64) {
        (self.rows, self.size_bytes)
    }
}

/// Where the blocks of a run are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Footer {
    pub(crate) rows: u64,
    entries: Vec<Block>,
    filter: Vec<Stored>,
    files: Vec<Stored>,
    /// All files, once they have been read.
    #[serde(skip)]
    whole: OnceLock<Vec<Covered>>,
}

/// Entries from one item to another.
#[derive(Debug, Serialize, Deserialize)]
struct Block {
    first: ItemId,
    last: ItemId,
    stored: Stored,
}

/// Where packed bytes lie in a run, and what they must be.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    at: u64,
    size_bytes: u64,
    checksum: String,
}

/// Why a run is left out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsound {
    #[error("the store's call failed")]
    Store(#[from] object_store::Error),
    #[error("its checksum is another")]
    Checksum,
    #[error("it is not what is written there")]
    Json(#[source] serde_json::Error),
    #[error("it cannot be unfolded")]
    Compression(#[source] std::io::Error),
    #[error("it covers {told} rows of a file and has {found}")]
    Rows { told: u64, found: u64 },
}

/// Writes rows of files as one run: its name and bytes.
pub(super) fn write(
    files: &[Covered],
    mut entries: Vec<Entry>,
) -> Result<(String, Vec<u8>), Unsound> {
    entries.sort_unstable();
    let (mut bytes, mut blocks) = (Vec::new(), Vec::new());
    let size = (2 * entries.len().isqrt()).clamp(BLOCK.0, BLOCK.1);
    for part in entries.chunks(size) {
        if let (Some(first), Some(last)) = (part.first(), part.last()) {
            blocks.push(Block {
                first: first.item(),
                last: last.item(),
                stored: Stored::append(&mut bytes, &part)?,
            });
        }
    }
    let items: BTreeSet<ItemId> = entries.iter().map(Entry::item).collect();
    let filter = filter::build(items.iter()).into_iter();
    let filter = filter.map(|part| Stored::put(&mut bytes, part)).collect();
    let files = files
        .chunks(FILES)
        .map(|part| Stored::append(&mut bytes, &part));
    let footer = Footer {
        filter,
        files: files.collect::<Result<_, _>>()?,
        rows: entries.len() as u64,
        entries: blocks,
        whole: OnceLock::new(),
    };
    let packed = pack(&footer)?;
    let (sum, size) = (checksum(&packed), packed.len());
    bytes.extend(packed);
    Ok((format!("{FOLDER}/{sum}-{size}-{VERSION}{SUFFIX}"), bytes))
}

impl Stored {
    fn append<T: Serialize>(bytes: &mut Vec<u8>, value: &T) -> Result<Self, Unsound> {
        Ok(Self::put(bytes, pack(value)?))
    }

    fn put(bytes: &mut Vec<u8>, part: Vec<u8>) -> Self {
        let stored = Self {
            at: bytes.len() as u64,
            size_bytes: part.len() as u64,
            checksum: checksum(&part),
        };
        bytes.extend(part);
        stored
    }

    fn range(&self) -> Range<u64> {
        self.at..self.at.saturating_add(self.size_bytes)
    }

    /// Takes its bytes out of those of a whole run.
    fn of<'a>(&self, run: &'a Bytes) -> Result<&'a [u8], Unsound> {
        let range = self.range();
        let ends = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok());
        let part = ends.and_then(|(start, end)| run.get(start..end));
        let part = part.unwrap_or_default();
        let is_sound = checksum(part) == self.checksum;
        is_sound.then_some(part).ok_or(Unsound::Checksum)
    }

    fn unpack<T: DeserializeOwned>(&self, run: &Bytes) -> Result<T, Unsound> {
        unpack(self.of(run)?, &self.checksum)
    }
}

impl Entry {
    fn item(&self) -> ItemId {
        (self.row.collection.clone(), self.row.id.clone())
    }
}

impl Block {
    fn may_hold(&self, items: &BTreeSet<ItemId>) -> bool {
        let first = items.range(&self.first..).next();
        first.is_some_and(|item| *item <= self.last)
    }
}

/// Returns the footer that a run's name promises, in a run of so many bytes.
fn promised(path: &Path, size_bytes: u64) -> Option<Stored> {
    let stem = path.filename()?.strip_suffix(SUFFIX)?;
    let (sum, rest) = stem.split_once('-')?;
    let (footer, version) = rest.split_once('-')?;
    let footer = footer.parse().ok().filter(|_| version == VERSION)?;
    Some(Stored {
        at: size_bytes.checked_sub(footer)?,
        size_bytes: footer,
        checksum: sum.to_owned(),
    })
}

/// Fetches a run's footer.
pub(super) async fn footer(
    store: &Arc<dyn ObjectStore>,
    meta: &ObjectMeta,
) -> Result<Footer, Unsound> {
    let stored = promised(&meta.location, meta.size).ok_or(Unsound::Checksum)?;
    let bytes = store.get_range(&meta.location, stored.range()).await?;
    unpack(&bytes, &stored.checksum)
}

/// Fetches some parts.
async fn fetch(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    parts: &[&Stored],
) -> Result<Vec<Bytes>, Unsound> {
    let ranges: Vec<_> = parts.iter().map(|part| part.range()).collect();
    let fetch = |range| store.get_range(path, range);
    let fetched = coalesce_ranges(&ranges, fetch, GAP).await?;
    let sound = parts.iter().zip(&fetched);
    let mut sound = sound.map(|(part, bytes)| checksum(bytes) == part.checksum);
    let all = sound.all(|is_sound| is_sound);
    all.then_some(fetched).ok_or(Unsound::Checksum)
}

/// Fetches the values of some blocks.
async fn fetch_values<T: DeserializeOwned>(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    blocks: &[&Stored],
) -> Result<Vec<T>, Unsound> {
    let fetched = fetch(store, path, blocks).await?;
    let blocks = blocks.iter().zip(fetched);
    blocks
        .map(|(block, bytes)| unpack(&bytes, &block.checksum))
        .collect()
}

/// Returns those of the items that a run seems to hold.
async fn filtered(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    footer: &Footer,
    items: &BTreeSet<ItemId>,
) -> Result<BTreeSet<ItemId>, Unsound> {
    let blocks = footer.entries.iter();
    let within = blocks.flat_map(|block| items.range(&block.first..=&block.last));
    let within: BTreeSet<&ItemId> = within.collect();
    let parts = footer.filter.len();
    let wanted = within.iter().map(|item| filter::part_of(item, parts));
    let wanted: BTreeSet<usize> = wanted.collect();
    let stored = wanted.iter().filter_map(|part| footer.filter.get(*part));
    let fetched = fetch(store, path, &stored.collect::<Vec<_>>()).await?;
    let fetched: BTreeMap<usize, Bytes> = wanted.into_iter().zip(fetched).collect();
    let seems = |item: &&ItemId| {
        let part = fetched.get(&filter::part_of(item, parts));
        // Without its part, it could be there.
        part.is_none_or(|part| filter::may_hold(part, item))
    };
    Ok(within.into_iter().filter(seems).cloned().collect())
}

/// Returns the files that hold rows of any of the items; only blocks that could are fetched.
pub(super) async fn find(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    footer: &Footer,
    items: &BTreeSet<ItemId>,
) -> Result<Vec<Covered>, Unsound> {
    let items = &filtered(store, path, footer, items).await?;
    let blocks = footer.entries.iter().filter(|block| block.may_hold(items));
    let blocks: Vec<&Stored> = blocks.map(|block| &block.stored).collect();
    let entries: Vec<Vec<Entry>> = fetch_values(store, path, &blocks).await?;
    let held = entries.iter().flatten();
    let held = held.filter(|entry| items.contains(&entry.item()));
    let hits: BTreeSet<usize> = held.map(|entry| entry.file as usize).collect();

    let wanted: BTreeSet<usize> = hits.iter().map(|file| file / FILES).collect();
    let blocks = wanted.iter().map(|block| footer.files.get(*block));
    let blocks = blocks.collect::<Option<Vec<&Stored>>>();
    let blocks = blocks.ok_or(Unsound::Checksum)?;
    let files: Vec<Vec<Covered>> = fetch_values(store, path, &blocks).await?;
    let files: BTreeMap<usize, Vec<Covered>> = wanted.into_iter().zip(files).collect();
    let file = |at: usize| files.get(&(at / FILES))?.get(at % FILES).cloned();
    let found = hits.into_iter().map(file).collect::<Option<_>>();
    found.ok_or(Unsound::Checksum)
}

/// Returns all files of a run, fetched once.
pub(super) async fn files<'a>(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    footer: &'a Footer,
) -> Result<&'a [Covered], Unsound> {
    if footer.whole.get().is_none() {
        let blocks: Vec<&Stored> = footer.files.iter().collect();
        let files: Vec<Vec<Covered>> = fetch_values(store, path, &blocks).await?;
        footer.whole.get_or_init(|| files.concat());
    }
    Ok(footer.whole.get().map_or(&[], Vec::as_slice))
}

/// What a run says: how many rows it has, its files, and their rows.
pub(super) struct Whole {
    pub(super) rows: u64,
    pub(super) files: Vec<Covered>,
    pub(super) entries: Vec<Entry>,
}

/// Reads a run that is in memory as a whole, every byte of it checked.
pub(super) fn read(path: &Path, bytes: &Bytes) -> Result<Whole, Unsound> {
    let promised = promised(path, bytes.len() as u64).ok_or(Unsound::Checksum)?;
    let footer: Footer = promised.unpack(bytes)?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut found: BTreeMap<u32, u64> = BTreeMap::new();
    for block in &footer.entries {
        let part: Vec<Entry> = block.stored.unpack(bytes)?;
        for entry in &part {
            *found.entry(entry.file).or_default() += 1;
        }
        entries.extend(part);
    }
    for part in &footer.filter {
        part.of(bytes)?;
    }
    let files = footer.files.iter().map(|block| block.unpack(bytes));
    let files = files.collect::<Result<Vec<Vec<Covered>>, _>>()?.concat();
    for (at, file) in (0_u32..).zip(&files) {
        let (told, found) = (file.rows, found.get(&at).copied().unwrap_or(0));
        if told != found {
            return Err(Unsound::Rows { told, found });
        }
    }
    Ok(Whole {
        rows: footer.rows,
        files,
        entries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_more_or_less_anywhere_is_found_out() {
        let known = |id: &str| Known {
            collection: None,
            id: id.to_owned(),
            cell: None,
            content_hash: None,
            updated: None,
        };
        let entries = ["a", "b", "c"].map(|id| Entry {
            row: known(id),
            file: 0,
        });
        let covered = Covered {
            path: "warehouse/part_0123456789abcdef.parquet".to_owned(),
            rows: 3,
            size_bytes: 1,
            partition: None,
        };
        let (name, bytes) = write(&[covered], entries.to_vec()).unwrap();
        let path = Path::from(name);
        let whole = Bytes::from(bytes.clone());
        assert_eq!(read(&path, &whole).unwrap().entries, entries);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(read(&path, &damaged.into()).is_err(), "byte {at}");
            let cut = whole.slice(..at);
            assert!(read(&path, &cut).is_err(), "cut at {at}");
        }
    }
}
