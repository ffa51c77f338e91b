//! What immutable files said, kept so that a long run reads each of them once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iceberg::spec::TableMetadata;
use swath_core::TableName;
use swath_table::keys::RowKey;

use crate::index::Footer;
use crate::live::LiveFile;

/// Row keys that are kept, 64 bytes each.
const ROWS: usize = 2_000_000;

/// Live files that are kept, about 1 KiB each.
const FILES: usize = 100_000;

/// What runs of the id index cover is kept of this many.
const RUNS: usize = 64;

/// Shared by all calls to one lake.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    metadata: HashMap<TableName, (String, Arc<TableMetadata>)>,
    manifests: Kept<LiveFile>,
    keys: Kept<RowKey>,
    footers: HashMap<String, Arc<Footer>>,
}

impl Cache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a table's metadata, if the file that was kept last is this one.
    pub(crate) fn metadata(&self, table: TableName, location: &str) -> Option<Arc<TableMetadata>> {
        let state = self.state();
        let (kept, metadata) = state.metadata.get(&table)?;
        (kept == location).then(|| Arc::clone(metadata))
    }

    pub(crate) fn keep_metadata(
        &self,
        table: TableName,
        location: &str,
        metadata: &Arc<TableMetadata>,
    ) {
        let kept = (location.to_owned(), Arc::clone(metadata));
        self.state().metadata.insert(table, kept);
    }

    /// Returns the live files of a manifest.
    pub(crate) fn manifest(&self, location: &str) -> Option<Arc<[LiveFile]>> {
        self.state().manifests.get(location)
    }

    pub(crate) fn keep_manifest(&self, location: &str, files: &Arc<[LiveFile]>) {
        self.state().manifests.keep(location, files, FILES);
    }

    /// Returns what a run of the id index covers.
    pub(crate) fn footer(&self, run: &str) -> Option<Arc<Footer>> {
        self.state().footers.get(run).map(Arc::clone)
    }

    pub(crate) fn keep_footer(&self, run: &str, footer: &Arc<Footer>) {
        let footers = &mut self.state().footers;
        if footers.len() >= RUNS {
            footers.clear();
        }
        footers.insert(run.to_owned(), Arc::clone(footer));
    }

    /// Returns the keys of a data file's rows.
    pub(crate) fn keys(&self, location: &str) -> Option<Arc<[RowKey]>> {
        self.state().keys.get(location)
    }

    pub(crate) fn keep_keys(&self, location: &str, keys: &Arc<[RowKey]>) {
        self.state().keys.keep(location, keys, ROWS);
    }
}

/// Lists by location, the oldest forgotten first.
#[derive(Debug)]
struct Kept<T> {
    lists: HashMap<String, Arc<[T]>>,
    order: VecDeque<String>,
    entries: usize,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            lists: HashMap::new(),
            order: VecDeque::new(),
            entries: 0,
        }
    }
}

impl<T> Kept<T> {
    fn get(&self, location: &str) -> Option<Arc<[T]>> {
        self.lists.get(location).map(Arc::clone)
    }

    fn keep(&mut self, location: &str, list: &Arc<[T]>, most: usize) {
        if self.lists.contains_key(location) || list.len() > most {
            return;
        }
        while self.entries + list.len() > most
            && let Some(oldest) = self.order.pop_front()
        {
            let forgotten = self.lists.remove(&oldest);
            self.entries -= forgotten.map_or(0, |list| list.len());
        }
        self.entries += list.len();
        self.order.push_back(location.to_owned());
        self.lists.insert(location.to_owned(), Arc::clone(list));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_list_makes_room() {
        let mut kept = Kept::<u8>::default();
        for name in ["a", "b", "a", "c"] {
            kept.keep(name, &Arc::from([1, 2, 3]), 7);
        }
        assert!(kept.get("a").is_none());
        assert!(kept.get("b").is_some() && kept.get("c").is_some());
        assert_eq!(kept.entries, 6);
        kept.keep("too large", &Arc::from([0; 8]), 7);
        assert_eq!((kept.entries, kept.lists.len()), (6, 2));
    }
}
