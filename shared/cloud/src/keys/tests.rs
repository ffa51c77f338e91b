//! Lists against the plain way: maps in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use time::macros::datetime;

use super::*;

fn entry(key: &str, etag: &str) -> Entry {
    Entry {
        key: key.to_owned(),
        last_modified: None,
        etag: Some(etag.to_owned()),
        size: Some(1),
    }
}

fn sorted(entries: &[Entry], limit: usize) -> Sorted {
    let mut sorter = Sorter::new(limit);
    for entry in entries {
        sorter.push(entry.clone()).unwrap();
    }
    sorter.finish().unwrap()
}

/// The changes as one letter and the key.
fn told(old: &[Entry], new: &[Entry], limit: usize) -> Vec<(char, String)> {
    let changes = diff(sorted(old, limit), sorted(new, limit));
    let tell = |change: Result<Change, KeysError>| match change.unwrap() {
        Change::New(entry) => ('n', entry.key),
        Change::Changed { new, .. } => ('c', new.key),
        Change::Deleted(entry) => ('d', entry.key),
        Change::Same(entry) => ('s', entry.key),
    };
    changes.map(tell).collect()
}

proptest! {
    #[test]
    fn changes_are_those_of_two_maps_whatever_is_kept_in_memory(
        old in prop::collection::btree_map("[ -~é\u{1f600}]{0,6}", "[ab]", 0..60),
        new in prop::collection::btree_map("[ -~é\u{1f600}]{0,6}", "[ab]", 0..60),
        limit in 1_usize..4000,
    ) {
        let list = |map: &BTreeMap<String, String>| -> Vec<Entry> {
            map.iter().rev().map(|(key, etag)| entry(key, etag)).collect()
        };
        let mut expected = Vec::new();
        let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            expected.push((match (old.get(key), new.get(key)) {
                (None, _) => 'n',
                (_, None) => 'd',
                (one, other) if one == other => 's',
                _ => 'c',
            }, key.clone()));
        }
        prop_assert_eq!(told(&list(&old), &list(&new), limit), expected);
    }
}

#[test]
fn more_runs_than_are_merged_at_once_are_merged_in_steps() {
    let entries: Vec<Entry> = (0..500_u32)
        .map(|number| entry(&format!("{:04}", number * 7919 % 500), "a"))
        .collect();
    let keys: Vec<String> = sorted(&entries, 1)
        .map(|entry| entry.unwrap().key)
        .collect();
    let expected: Vec<String> = (0..500).map(|number| format!("{number:04}")).collect();
    assert_eq!(keys, expected);
}

#[test]
fn of_a_key_that_comes_twice_the_last_modified_state_counts() {
    let at = |moment, etag: &str| Entry {
        last_modified: Some(moment),
        ..entry("k", etag)
    };
    let newer = at(datetime!(2024-01-02 00:00 UTC), "new");
    let older = at(datetime!(2024-01-01 00:00 UTC), "old");
    for order in [[newer.clone(), older.clone()], [older, newer.clone()]] {
        for limit in [1, 1 << 20] {
            let found: Vec<Entry> = sorted(&order, limit).map(Result::unwrap).collect();
            assert_eq!(found, std::slice::from_ref(&newer));
        }
    }
}

#[test]
fn lists_that_tell_less_are_compared_by_what_they_tell() {
    let full = Entry {
        last_modified: Some(datetime!(2024-01-01 00:00 UTC)),
        ..entry("k", "\"a\"")
    };
    let plain = Entry {
        etag: Some("a".to_owned()),
        ..full.clone()
    };
    assert!(!full.differs(&plain), "quotes are no difference");
    let without = Entry {
        etag: None,
        ..full.clone()
    };
    assert!(!full.differs(&without));
    assert!(full.differs(&Entry {
        size: Some(2),
        ..without.clone()
    }));
    let later = Entry {
        last_modified: Some(datetime!(2024-01-02 00:00 UTC)),
        ..without.clone()
    };
    assert!(full.differs(&later));
    assert!(!full.differs(&Entry {
        size: None,
        last_modified: None,
        ..without
    }));
}
