//! Which items were served before, in a memory that does not grow with their number.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash, RandomState};

/// Items remembered per generation; two generations are kept.
const GENERATION: usize = 900_000;

/// Remembers items by a hash of 128 bits under keys of its own, the latest 900,000 at least.
#[derive(Debug)]
pub(super) struct Seen {
    keys: [RandomState; 2],
    young: HashSet<u128>,
    old: HashSet<u128>,
    generation: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self::of(GENERATION)
    }
}

impl Seen {
    fn of(generation: usize) -> Self {
        Self {
            keys: [RandomState::new(), RandomState::new()],
            young: HashSet::new(),
            old: HashSet::new(),
            generation,
        }
    }

    /// Remembers something; returns whether it is new.
    pub(super) fn insert(&mut self, what: &impl Hash) -> bool {
        let [high, low] = self
            .keys
            .each_ref()
            .map(|key| u128::from(key.hash_one(what)));
        let hash = (high << 64) | low;
        if self.young.contains(&hash) || self.old.contains(&hash) {
            return false;
        }
        if self.young.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered_and_the_memory_does_not_grow() {
        let mut seen = Seen::of(100);
        assert!((0..1_000).all(|n| seen.insert(&n)));
        assert!((900..1_000).all(|n| !seen.insert(&n)));
        assert!(seen.young.len() + seen.old.len() <= 200);
        assert!(seen.insert(&0), "long forgotten");
    }
}
