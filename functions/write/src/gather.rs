//! What the messages of a batch bring, each thing once.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use swath_core::chain;
use swath_core::grid::{CellKey, Grid};
use swath_core::message::{Body, Message, WriteItems, WriteRows};
use swath_core::row::{AreaStatus, AssetFile, AssetRow};
use swath_table::geometry::Geometry;
use swath_table::items::{ItemRow, Placed};
use swath_table::{Admitted, Refusal, Rules};

/// Everything that a batch brings.
#[derive(Debug, Default)]
pub(crate) struct Gathered<'a> {
    pub(crate) items: Vec<Item<'a>>,
    pub(crate) asset_rows: Vec<Brought<&'a AssetRow>>,
    pub(crate) asset_files: Vec<Brought<&'a AssetFile>>,
    pub(crate) area_status: Vec<Brought<&'a AreaStatus>>,
    pub(crate) refused: Vec<Refused<'a>>,
    /// Items as they came, of which a mended text was taken.
    pub(crate) mended: Vec<Refused<'a>>,
    /// Per message.
    pub(crate) counts: Vec<Counts>,
}

/// What one message brought, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) items: usize,
    pub(crate) rows: usize,
    pub(crate) duplicates: usize,
    pub(crate) superseded: usize,
    pub(crate) clashes: usize,
}

/// Something to be written, and the messages that brought it.
#[derive(Debug)]
pub(crate) struct Brought<T> {
    pub(crate) what: T,
    pub(crate) messages: BTreeSet<usize>,
}

/// The newest version of one item of the batch.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) row: ItemRow,
    text: &'a RawValue,
    pub(crate) source: &'a str,
    /// The messages that brought this or an older version.
    pub(crate) messages: BTreeSet<usize>,
    /// The message that brought this version.
    owner: usize,
}

impl<'a> Item<'a> {
    fn refused(self, code: &'static str, reason: String) -> Refused<'a> {
        Refused {
            messages: self.messages,
            item: self.text,
            source: self.source,
            collection: self.row.collection().map(str::to_owned),
            item_id: Some(self.row.id().to_owned()),
            code,
            reason,
        }
    }

    pub(crate) fn placed(&self) -> Placed<'_> {
        Placed {
            row: &self.row,
            source: self.source,
        }
    }
}

/// Text that is no item, or not as it came.
#[derive(Debug)]
pub(crate) struct Refused<'a> {
    /// The messages that brought it.
    pub(crate) messages: BTreeSet<usize>,
    pub(crate) item: &'a RawValue,
    pub(crate) source: &'a str,
    pub(crate) collection: Option<String>,
    pub(crate) item_id: Option<String>,
    /// A short stable code.
    pub(crate) code: &'static str,
    pub(crate) reason: String,
}

type ItemKey = (Option<String>, String);
type RowKey<'a> = [Option<&'a str>; 5];

/// Where each thing lies in [`Gathered`].
#[derive(Default)]
struct Known<'a> {
    items: HashMap<ItemKey, usize>,
    asset_rows: HashMap<RowKey<'a>, usize>,
    asset_files: HashMap<(RowKey<'a>, time::OffsetDateTime), usize>,
    area_status: HashMap<(RowKey<'a>, time::OffsetDateTime), usize>,
}

/// Collects what the messages bring. Of an item that comes in several versions the newest is taken; messages that are
/// not for `write` bring nothing.
pub(crate) fn gather<'a>(batch: &'a [Message], rules: &Rules) -> Gathered<'a> {
    let mut gathered = Gathered {
        counts: vec![Counts::default(); batch.len()],
        ..Gathered::default()
    };
    let mut known = Known::default();
    for (index, message) in batch.iter().enumerate() {
        match &message.body {
            Body::WriteItems(items) => gathered.add_items(index, items, rules, &mut known),
            Body::StageItems(staged) => {
                gathered.add_items(index, &staged.items, rules, &mut known);
            }
            Body::WriteRows(rows) => gathered.add_rows(index, rows, &mut known),
            _ => {}
        }
    }
    gathered
}

fn asset_row_key(row: &AssetRow) -> RowKey<'_> {
    [
        Some(&row.found.catalog),
        Some(&row.sought.row_id),
        row.found.collection.as_deref(),
        Some(&row.found.item_id),
        Some(&row.found.asset_name),
    ]
}

fn asset_file_key(row: &AssetFile) -> RowKey<'_> {
    [
        Some(&row.catalog),
        None,
        row.collection.as_deref(),
        Some(&row.item_id),
        Some(&row.asset_name),
    ]
}

fn area_status_key(row: &AreaStatus) -> RowKey<'_> {
    let names = [row.run_id.as_str(), &row.catalog, &row.row_id];
    let [run_id, catalog, row_id] = names.map(Some);
    [run_id, catalog, row_id, None, None]
}

/// Adds a thing, or only the message when another one brought the thing already; returns whether it was new.
fn add<T, K>(
    into: &mut Vec<Brought<T>>,
    entry: Entry<'_, K, usize>,
    what: T,
    message: usize,
) -> bool {
    match entry {
        Entry::Occupied(known) => {
            if let Some(first) = into.get_mut(*known.get()) {
                first.messages.insert(message);
            }
            false
        }
        Entry::Vacant(place) => {
            place.insert(into.len());
            let messages = BTreeSet::from([message]);
            into.push(Brought { what, messages });
            true
        }
    }
}

impl Counts {
    fn row(&mut self, is_new: bool) {
        self.rows += usize::from(is_new);
        self.duplicates += usize::from(!is_new);
    }
}

impl<'a> Gathered<'a> {
    /// Files every item under its cells, in the order of `items`; what the grid cannot file is refused.
    pub(crate) fn file(&mut self, grid: &mut dyn Grid) -> Vec<Vec<CellKey>> {
        let mut filed = Vec::with_capacity(self.items.len());
        for item in std::mem::take(&mut self.items) {
            let mut cells = Vec::new();
            let geometry = item.row.geometry.as_ref().map(Geometry::to_geo);
            match grid.cover(geometry.as_ref(), &mut cells) {
                Ok(()) => {
                    filed.push(cells);
                    self.items.push(item);
                }
                Err(error) => {
                    self.count(item.owner, |counts| counts.items -= 1);
                    self.refused
                        .push(item.refused("too_many_cells", chain(&error)));
                }
            }
        }
        filed
    }

    fn count(&mut self, message: usize, with: impl FnOnce(&mut Counts)) {
        if let Some(counts) = self.counts.get_mut(message) {
            with(counts);
        }
    }

    fn add_rows(&mut self, message: usize, rows: &'a WriteRows, known: &mut Known<'a>) {
        match rows {
            WriteRows::AssetRows(rows) => {
                for row in rows {
                    let entry = known.asset_rows.entry(asset_row_key(row));
                    let is_new = add(&mut self.asset_rows, entry, row, message);
                    self.count(message, |counts| counts.row(is_new));
                }
            }
            WriteRows::AssetFiles(rows) => {
                for row in rows {
                    let key = (asset_file_key(row), row.last_update);
                    let entry = known.asset_files.entry(key);
                    let is_new = add(&mut self.asset_files, entry, row, message);
                    self.count(message, |counts| counts.row(is_new));
                }
            }
            WriteRows::AreaStatus(rows) => {
                for row in rows {
                    let key = (area_status_key(row), row.finished);
                    let entry = known.area_status.entry(key);
                    let is_new = add(&mut self.area_status, entry, row, message);
                    self.count(message, |counts| counts.row(is_new));
                }
            }
        }
    }

    fn add_items(
        &mut self,
        message: usize,
        items: &'a WriteItems,
        rules: &Rules,
        known: &mut Known<'a>,
    ) {
        for text in &items.items {
            let named = |(collection, item_id), code, reason| Refused {
                messages: BTreeSet::from([message]),
                item: text,
                source: &items.source,
                collection,
                item_id,
                code,
                reason,
            };
            let Admitted { row, repaired } = match rules.admit(text.get()) {
                Ok(admitted) => admitted,
                Err(Refusal { code, reason }) => {
                    self.refused.push(named(names(text.get()), code, reason));
                    continue;
                }
            };
            if let Some(repaired) = repaired {
                let repairs: Vec<_> = repaired.repairs.iter().map(|r| r.as_str()).collect();
                let mended = named(names(text.get()), "repaired", repairs.join(", "));
                self.mended.push(mended);
            }
            let clashes = row.clashes;
            self.count(message, |counts| counts.clashes += clashes);
            let item = Item {
                row,
                text,
                source: &items.source,
                messages: BTreeSet::from([message]),
                owner: message,
            };
            self.add_item(item, known);
        }
    }

    fn add_item(&mut self, mut item: Item<'a>, known: &mut Known<'_>) {
        let key = (
            item.row.collection().map(str::to_owned),
            item.row.id().to_owned(),
        );
        let owner = item.owner;
        let place = match known.items.entry(key) {
            Entry::Vacant(place) => {
                place.insert(self.items.len());
                self.items.push(item);
                self.count(owner, |counts| counts.items += 1);
                return;
            }
            Entry::Occupied(place) => *place.get(),
        };
        let Some(first) = self.items.get_mut(place) else {
            return;
        };
        first.messages.insert(owner);
        if first.row.content == item.row.content {
            self.count(owner, |counts| counts.duplicates += 1);
            return;
        }
        // Of versions equally old the content decides, so that another order of the messages gives the same row.
        let age = |row: &ItemRow| (row.updated(), row.content);
        if age(&item.row) > age(&first.row) {
            item.messages.append(&mut first.messages);
            let older = std::mem::replace(first, item).owner;
            self.count(owner, |counts| counts.items += 1);
            self.count(older, |counts| {
                counts.items -= 1;
                counts.superseded += 1;
            });
        } else {
            self.count(owner, |counts| counts.superseded += 1);
        }
    }
}

/// Reads what names a refused item, as far as it has names.
fn names(text: &str) -> (Option<String>, Option<String>) {
    #[derive(Deserialize)]
    struct Names {
        #[serde(default)]
        collection: Option<Value>,
        #[serde(default)]
        id: Option<Value>,
    }
    let spell = |value: Option<Value>| match value? {
        Value::String(name) => Some(name),
        other => Some(other.to_string()),
    };
    serde_json::from_str::<Names>(text).map_or((None, None), |names| {
        (spell(names.collection), spell(names.id))
    })
}
