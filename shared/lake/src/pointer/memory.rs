//! The pointer in this process's memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use swath_core::TableName;

use super::{Pointed, PointerError, Swap, TablePointer};

/// Pointers that last as long as the process.
#[derive(Debug, Default)]
pub struct MemoryPointer(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tables: HashMap<TableName, Pointed>,
    swaps: u64,
}

impl MemoryPointer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TablePointer for MemoryPointer {
    async fn load(&self, table: TableName) -> Result<Option<Pointed>, PointerError> {
        Ok(self.state().tables.get(&table).cloned())
    }

    async fn swap(
        &self,
        table: TableName,
        expected: Option<&Pointed>,
        location: &str,
    ) -> Result<Swap, PointerError> {
        let mut state = self.state();
        let found = state.tables.get(&table);
        if found.map(|pointed| &pointed.token) != expected.map(|pointed| &pointed.token) {
            return Ok(Swap::Lost);
        }
        state.swaps += 1;
        let pointed = Pointed {
            location: location.to_owned(),
            token: state.swaps.to_string(),
        };
        state.tables.insert(table, pointed);
        Ok(Swap::Swapped)
    }

    async fn remove(&self, table: TableName) -> Result<(), PointerError> {
        self.state().tables.remove(&table);
        Ok(())
    }
}
