//! Which rows of new files are new, which are known, and which replace an older version.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use swath_table::keys::RowKey;

/// A live file as a decision sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) keys: &'a [RowKey],
    /// Whether rows cannot be taken out of it.
    pub(crate) frozen: bool,
}

/// What becomes of one row of a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays: there was none with its key.
    Added,
    /// It stays, and an older version leaves the table.
    Replacing,
    /// The table or the batch has it already, with the same content.
    Known,
    /// It is older than what the table or the batch has, or newer than what cannot be taken out.
    KeptOut,
    /// The batch says that its item is gone, and it is no newer than that.
    Gone,
}

impl Fate {
    pub(crate) fn stays(self) -> bool {
        matches!(self, Self::Added | Self::Replacing)
    }
}

/// What becomes of all rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The fates of the rows of each new file.
    pub(crate) fates: Vec<Vec<Fate>>,
    /// Which rows of live files must leave, by the file's place.
    pub(crate) remove: BTreeMap<usize, BTreeSet<usize>>,
    /// What became of the rows of items that are gone.
    pub(crate) removed: BTreeMap<u128, Removed>,
}

/// Items that are gone, by [`RowKey::item`], and since when, microseconds since 1970.
pub(crate) type Gone = BTreeMap<u128, i64>;

/// What became of the rows of one item that is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Rows that left the table.
    pub rows: u64,
    /// Rows of a newer version, which stays.
    pub rows_newer: u64,
    /// Rows in files of others that cannot be written anew.
    pub rows_stuck: u64,
}

impl std::ops::AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.rows_newer += other.rows_newer;
        self.rows_stuck += other.rows_stuck;
    }
}

fn is_gone(gone: &Gone, key: &RowKey) -> bool {
    let as_of = gone.get(&key.item);
    as_of.is_some_and(|as_of| key.updated.is_none_or(|updated| updated <= *as_of))
}

/// One item, or one row of a table without items: its newest version, and where it lies.
struct Found {
    /// The version that the table is to have.
    newest: RowKey,
    /// Live rows of any version, wherever they lie: file, row and key.
    live: Vec<(usize, usize, RowKey)>,
    /// Keys of rows of the newest version that the table has or gets.
    taken: HashSet<u128>,
    /// Whether an older version leaves the table.
    replaces: bool,
}

/// Decides on the rows of new files, in their order, against the rows of live files.
///
/// Which version stays does not depend on the order in which versions arrive: it is the newest. The rows of older versions
/// leave every cell and year that they lie in.
///
/// Items that are gone leave likewise, unless what is there is newer.
pub(crate) fn decide(new: &[&[RowKey]], live: &[Rows<'_>], gone: &Gone) -> Decision {
    let mut found = among(new, live, gone);
    let mut decision = Decision::default();
    for item in found.values_mut() {
        item.settle(live, &mut decision.remove);
    }
    decision.clear(live, gone);
    for keys in new {
        let fates = keys.iter().map(|key| match found.get_mut(&key.item) {
            _ if is_gone(gone, key) => Fate::Gone,
            Some(item) => item.take(key),
            None => Fate::Added,
        });
        decision.fates.push(fates.collect());
    }
    decision
}

impl Decision {
    /// Takes the rows of items that are gone out of live files.
    fn clear(&mut self, live: &[Rows<'_>], gone: &Gone) {
        if gone.is_empty() {
            return;
        }
        self.removed = gone
            .keys()
            .map(|item| (*item, Removed::default()))
            .collect();
        for (file, rows) in live.iter().enumerate() {
            for (row, key) in rows.keys.iter().enumerate() {
                let Some(removed) = self.removed.get_mut(&key.item) else {
                    continue;
                };
                if !is_gone(gone, key) {
                    removed.rows_newer += 1;
                } else if rows.frozen {
                    removed.rows_stuck += 1;
                } else {
                    removed.rows += 1;
                    self.remove.entry(file).or_default().insert(row);
                }
            }
        }
    }
}

/// Finds the newest version of everything that the new files have, and the live rows of any version.
fn among(new: &[&[RowKey]], live: &[Rows<'_>], gone: &Gone) -> HashMap<u128, Found> {
    let mut found: HashMap<u128, Found> = HashMap::new();
    let mut add = |key: &RowKey, live: Option<(usize, usize)>, wanted: bool| {
        if !wanted && !found.contains_key(&key.item) {
            return;
        }
        let item = found.entry(key.item).or_insert_with(|| Found {
            newest: *key,
            live: Vec::new(),
            taken: HashSet::new(),
            replaces: false,
        });
        let same = is_same(key, &item.newest) && key.updated > item.newest.updated;
        if same || age(key, &item.newest) == Ordering::Greater {
            item.newest = *key;
        }
        item.live.extend(live.map(|(file, row)| (file, row, *key)));
    };
    let new = new.iter().flat_map(|keys| keys.iter());
    for key in new.filter(|key| !is_gone(gone, key)) {
        add(key, None, true);
    }
    for (file, rows) in live.iter().enumerate() {
        for (row, key) in rows.keys.iter().enumerate() {
            add(key, Some((file, row)), false);
        }
    }
    found
}

/// Returns whether two versions say the same, whenever they were made.
///
/// Of an item they are then as old: its content has its `updated`. How a search of one run ended can be told again with
/// a later `finished`; the row keeps the first, since nothing but a rewriting of rows that say the same could tell.
fn is_same(one: &RowKey, other: &RowKey) -> bool {
    one.content.is_some() && one.content == other.content
}

/// Orders versions of one row: by `updated`, then, for lack of anything better, by content, so that every writer comes to
/// the same order. Versions that say the same are equal; rows of others, which have no content hash, are as good as ours.
fn age(one: &RowKey, other: &RowKey) -> Ordering {
    if is_same(one, other) {
        return Ordering::Equal;
    }
    one.updated
        .cmp(&other.updated)
        .then_with(|| match (one.content, other.content) {
            (Some(one), Some(other)) => one.cmp(&other),
            _ => Ordering::Equal,
        })
}

impl Found {
    /// Takes older versions out of the table, unless one lies where nothing can be taken out: then what the table has
    /// stays the newest.
    fn settle(&mut self, live: &[Rows<'_>], remove: &mut BTreeMap<usize, BTreeSet<usize>>) {
        let is_frozen = |file: usize| live.get(file).is_some_and(|rows| rows.frozen);
        let newest = self.newest;
        let is_old = |key: &RowKey| age(key, &newest) == Ordering::Less;
        let stuck = |(file, _, key): &(usize, usize, RowKey)| is_frozen(*file) && is_old(key);
        if self.live.iter().any(stuck) {
            let known = self.live.iter().map(|(_, _, key)| *key);
            let known = known.max_by(age);
            self.newest = known.unwrap_or(newest);
        }
        for (file, row, key) in &self.live {
            if age(key, &self.newest) != Ordering::Less {
                self.taken.insert(key.key);
            } else if !is_frozen(*file) {
                self.replaces = true;
                remove.entry(*file).or_default().insert(*row);
            }
        }
    }

    fn take(&mut self, key: &RowKey) -> Fate {
        if age(key, &self.newest) != Ordering::Equal {
            Fate::KeptOut
        } else if !self.taken.insert(key.key) {
            Fate::Known
        } else if self.replaces {
            Fate::Replacing
        } else {
            Fate::Added
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fate::{Added, KeptOut, Known, Replacing};
    use super::*;

    fn row(key: u128, updated: impl Into<Option<i64>>, content: u128) -> RowKey {
        RowKey {
            key,
            item: key,
            content: Some(content),
            updated: updated.into(),
        }
    }

    fn live(keys: &[RowKey]) -> Rows<'_> {
        Rows {
            keys,
            frozen: false,
        }
    }

    #[test]
    fn rows_that_are_known_are_dropped_and_the_rest_stays() {
        let (a, b, c) = (row(1, 5, 1), row(2, None, 1), row(3, 5, 1));
        let decision = decide(&[&[a, b], &[b, c]], &[live(&[c])], &Gone::new());
        assert_eq!(decision.fates, [vec![Added, Added], vec![Known, Known]]);
        assert!(decision.remove.is_empty());
    }

    #[test]
    fn a_newer_version_takes_the_place_of_every_older_one() {
        let decision = decide(
            &[&[row(1, 7, 1)]],
            &[live(&[row(9, 0, 0), row(1, 5, 9)]), live(&[row(1, 5, 9)])],
            &Gone::new(),
        );
        assert_eq!(decision.fates, [vec![Replacing]]);
        let expected = BTreeMap::from([(0, BTreeSet::from([1])), (1, BTreeSet::from([0]))]);
        assert_eq!(decision.remove, expected);
    }

    #[test]
    fn what_says_the_same_is_known_however_new_and_counts_as_the_newest() {
        let decision = decide(
            &[&[row(1, 9, 4)]],
            &[live(&[row(1, 5, 4)])],
            &Gone::default(),
        );
        assert_eq!(decision.fates, [vec![Known]]);
        assert!(decision.remove.is_empty());
        // The same was said again after something else: that is the last word, and it is in the table.
        let decision = decide(
            &[&[row(1, 7, 2)], &[row(1, 9, 4)]],
            &[live(&[row(1, 5, 4)])],
            &Gone::default(),
        );
        assert_eq!(decision.fates, [vec![KeptOut], vec![Known]]);
        assert!(decision.remove.is_empty());
    }

    #[test]
    fn an_older_version_stays_out() {
        let decision = decide(&[&[row(1, 4, 1)]], &[live(&[row(1, 5, 9)])], &Gone::new());
        assert_eq!(decision.fates, [vec![KeptOut]]);
        assert!(decision.remove.is_empty());
    }

    #[test]
    fn of_versions_in_one_batch_the_newest_stays_whatever_their_order() {
        let versions = [row(1, None, 3), row(1, 2, 1), row(1, 2, 8), row(1, 1, 9)];
        let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
        for order in orders {
            let files: Vec<[RowKey; 1]> = order.iter().map(|at| [versions[*at]]).collect();
            let new: Vec<&[RowKey]> = files.iter().map(<[_; 1]>::as_slice).collect();
            for live in [&[][..], &[live(&[row(1, None, 1)])]] {
                let decision = decide(&new, live, &Gone::new());
                let fates = order.iter().zip(&decision.fates);
                let stay: Vec<_> = fates.filter(|(_, fates)| fates[0].stays()).collect();
                let fate = if live.is_empty() { Added } else { Replacing };
                assert_eq!(stay, [(&2, &vec![fate])], "{order:?}");
                assert_eq!(decision.remove.len(), live.len());
            }
        }
    }

    #[test]
    fn a_row_of_others_without_content_is_known_unless_it_is_older() {
        let theirs = RowKey {
            key: 1,
            item: 1,
            content: None,
            updated: Some(5),
        };
        let decision = decide(&[&[row(1, 5, 1)]], &[live(&[theirs])], &Gone::new());
        assert_eq!(decision.fates, [vec![Known]]);
        let decision = decide(&[&[row(1, 6, 1)]], &[live(&[theirs])], &Gone::new());
        assert_eq!(decision.fates, [vec![Replacing]]);
    }

    #[test]
    fn nothing_leaves_a_frozen_file_and_that_is_counted() {
        let old = [row(1, 5, 9)];
        let frozen = Rows {
            keys: &old,
            frozen: true,
        };
        let decision = decide(&[&[row(1, 6, 1), row(2, 6, 1)]], &[frozen], &Gone::new());
        assert_eq!(decision.fates, [vec![KeptOut, Added]]);
        assert!(decision.remove.is_empty());
    }

    #[test]
    fn a_version_leaves_every_cell_that_the_newer_one_is_not_in() {
        let in_cell = |cell: u128, updated: i64| RowKey {
            key: 100 + cell,
            ..row(1, updated, updated.unsigned_abs().into())
        };
        let old = [in_cell(1, 5), in_cell(2, 5), in_cell(3, 5)];
        let decision = decide(
            &[&[in_cell(2, 6)], &[in_cell(4, 6)]],
            &[live(&old)],
            &Gone::new(),
        );
        assert_eq!(decision.fates, [vec![Replacing], vec![Replacing]]);
        let all = BTreeMap::from([(0, BTreeSet::from([0, 1, 2]))]);
        assert_eq!(decision.remove, all);
        // The rest of a version whose other rows are in the table already.
        let decision = decide(
            &[&[in_cell(2, 5), in_cell(9, 5)]],
            &[live(&old)],
            &Gone::new(),
        );
        assert_eq!(decision.fates, [vec![Known, Added]]);
        // The old version, in a cell that the new one has left.
        let decision = decide(&[&[in_cell(1, 5)]], &[live(&[in_cell(4, 6)])], &Gone::new());
        assert_eq!(decision.fates, [vec![KeptOut]]);
        assert!(decision.remove.is_empty());
    }

    #[test]
    fn an_item_that_is_gone_leaves_every_cell_unless_it_is_newer() {
        let in_cell = |cell: u128, updated: Option<i64>| RowKey {
            key: 100 + cell,
            ..row(1, updated, 1)
        };
        let old = [in_cell(1, Some(5)), row(2, 5, 1), in_cell(2, None)];
        let gone = Gone::from([(1, 5), (3, 5)]);
        let decision = decide(&[], &[live(&old)], &gone);
        assert_eq!(
            decision.remove,
            BTreeMap::from([(0, BTreeSet::from([0, 2]))])
        );
        assert_eq!(decision.removed[&1].rows, 2);
        assert_eq!(decision.removed[&3], Removed::default());

        let newer = [in_cell(1, Some(6))];
        let decision = decide(&[], &[live(&newer)], &gone);
        assert!(decision.remove.is_empty());
        assert_eq!(decision.removed[&1].rows_newer, 1);

        let frozen = Rows {
            keys: &old,
            frozen: true,
        };
        let decision = decide(&[], &[frozen], &gone);
        assert!(decision.remove.is_empty());
        assert_eq!(decision.removed[&1].rows_stuck, 2);
    }

    #[test]
    fn what_one_batch_adds_and_removes_is_told_apart_by_its_time() {
        let gone = Gone::from([(1, 5), (2, 5)]);
        let new = [row(1, 5, 5), row(2, 6, 6), row(2, 4, 4)];
        let decision = decide(&[&new], &[live(&[row(2, 3, 3)])], &gone);
        assert_eq!(decision.fates, [vec![Fate::Gone, Replacing, Fate::Gone]]);
        assert_eq!(decision.remove, BTreeMap::from([(0, BTreeSet::from([0]))]));
    }
}
