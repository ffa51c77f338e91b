//! One run: blocks of sorted entries, then a footer that says what is where, then the footer's size.
//!
//! The name of a run holds the checksum of its footer, the footer those of the blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use serde::{Deserialize, Serialize};
use swath_table::keys::Known;

use super::block::{checksum, pack, unpack};
use super::{FOLDER, ItemId};

/// What the names of runs end with.
pub(super) const SUFFIX: &str = ".run";

/// Entries in a block.
const BLOCK: usize = 2048;

/// Bytes at a run's end that are fetched first.
const TAIL: u64 = 64 * 1024;

/// Bytes that say how long the footer is.
const SIZE: usize = 8;

/// The version of the format, part of the name: other versions are as good as absent.
const VERSION: &str = "v1";

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
}

/// What a run covers, and where its blocks are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Footer {
    pub(crate) files: Vec<Covered>,
    pub(crate) rows: u64,
    blocks: Vec<Block>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Block {
    first: ItemId,
    last: ItemId,
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
    files: Vec<Covered>,
    mut entries: Vec<Entry>,
) -> Result<(String, Vec<u8>), Unsound> {
    entries.sort_unstable();
    let (mut bytes, mut blocks) = (Vec::new(), Vec::new());
    for part in entries.chunks(BLOCK) {
        let (Some(first), Some(last)) = (part.first(), part.last()) else {
            continue;
        };
        let packed = pack(&part)?;
        blocks.push(Block {
            first: first.item(),
            last: last.item(),
            at: bytes.len() as u64,
            size_bytes: packed.len() as u64,
            checksum: checksum(&packed),
        });
        bytes.extend(packed);
    }
    let footer = Footer {
        files,
        rows: entries.len() as u64,
        blocks,
    };
    let packed = pack(&footer)?;
    let name = format!("{FOLDER}/{}-{VERSION}{SUFFIX}", checksum(&packed));
    let size = packed.len() as u64;
    bytes.extend(packed);
    bytes.extend(size.to_le_bytes());
    Ok((name, bytes))
}

impl Entry {
    fn item(&self) -> ItemId {
        (self.row.collection.clone(), self.row.id.clone())
    }
}

impl Block {
    fn range(&self) -> Range<u64> {
        self.at..self.at.saturating_add(self.size_bytes)
    }

    fn may_hold(&self, items: &BTreeSet<ItemId>) -> bool {
        let first = items.range(&self.first..).next();
        first.is_some_and(|item| *item <= self.last)
    }
}

/// Returns the checksum of the footer that a run's name promises.
fn promised(path: &Path) -> Result<&str, Unsound> {
    let name = path.filename().unwrap_or_default();
    let stem = name
        .strip_suffix(SUFFIX)
        .and_then(|stem| stem.split_once('-'));
    match stem {
        Some((sum, version)) if version == VERSION => Ok(sum),
        _ => Err(Unsound::Checksum),
    }
}

/// Fetches a run's footer, in one or two calls.
pub(super) async fn footer(
    store: &Arc<dyn ObjectStore>,
    meta: &ObjectMeta,
) -> Result<Footer, Unsound> {
    let sum = promised(&meta.location)?;
    let mut tail = TAIL.min(meta.size);
    loop {
        let bytes = store.get_range(&meta.location, meta.size - tail..meta.size);
        let bytes = bytes.await?;
        let size = footer_size(&bytes)?;
        if size + SIZE as u64 <= tail {
            return parse_footer(&bytes, sum);
        }
        if size + SIZE as u64 > meta.size {
            return Err(Unsound::Checksum);
        }
        tail = size + SIZE as u64;
    }
}

fn footer_size(bytes: &[u8]) -> Result<u64, Unsound> {
    let size = bytes.last_chunk::<SIZE>().ok_or(Unsound::Checksum)?;
    let size = u64::from_le_bytes(*size);
    // One that no run has would overflow sums.
    (size < u64::from(u32::MAX))
        .then_some(size)
        .ok_or(Unsound::Checksum)
}

fn parse_footer(bytes: &[u8], sum: &str) -> Result<Footer, Unsound> {
    let size = usize::try_from(footer_size(bytes)?).map_err(|_| Unsound::Checksum)?;
    let end = bytes.len().saturating_sub(SIZE);
    let start = end.checked_sub(size).ok_or(Unsound::Checksum)?;
    unpack(bytes.get(start..end).unwrap_or_default(), sum)
}

/// Returns the places of the files that hold rows of any of the items; only blocks that could are fetched.
pub(super) async fn find(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    footer: &Footer,
    items: &BTreeSet<ItemId>,
) -> Result<BTreeSet<u32>, Unsound> {
    let blocks: Vec<&Block> = footer.blocks.iter().filter(|b| b.may_hold(items)).collect();
    let ranges: Vec<_> = blocks.iter().map(|block| block.range()).collect();
    let fetched = store.get_ranges(path, &ranges).await?;
    let mut hits = BTreeSet::new();
    for (block, bytes) in blocks.into_iter().zip(fetched) {
        let entries: Vec<Entry> = unpack(&bytes, &block.checksum)?;
        let held = entries.iter().filter(|entry| items.contains(&entry.item()));
        hits.extend(held.map(|entry| entry.file));
    }
    Ok(hits)
}

/// Reads a run that is in memory as a whole, every byte of it checked.
pub(super) fn read(path: &Path, bytes: &Bytes) -> Result<(Footer, Vec<Entry>), Unsound> {
    let footer = parse_footer(bytes, promised(path)?)?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut found: BTreeMap<u32, u64> = BTreeMap::new();
    for block in &footer.blocks {
        let range = block.range();
        let at = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok());
        let part = at.and_then(|(start, end)| bytes.get(start..end));
        let part: Vec<Entry> = unpack(part.unwrap_or_default(), &block.checksum)?;
        for entry in &part {
            *found.entry(entry.file).or_default() += 1;
        }
        entries.extend(part);
    }
    for (at, file) in (0_u32..).zip(&footer.files) {
        let (told, found) = (file.rows, found.get(&at).copied().unwrap_or(0));
        if told != found {
            return Err(Unsound::Rows { told, found });
        }
    }
    Ok((footer, entries))
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
        };
        let (name, bytes) = write(vec![covered], entries.to_vec()).unwrap();
        let path = Path::from(name);
        let whole = Bytes::from(bytes.clone());
        assert_eq!(read(&path, &whole).unwrap().1, entries);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(read(&path, &damaged.into()).is_err(), "byte {at}");
            let cut = whole.slice(..at);
            assert!(read(&path, &cut).is_err(), "cut at {at}");
        }
    }
}
