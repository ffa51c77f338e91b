//! One fetch per file at a time, however many ask for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

type Gates = HashMap<String, Weak<tokio::sync::Mutex<()>>>;

/// Lets one task at a time work on a file; those that waited find it done.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    gates: Arc<Mutex<Gates>>,
}

/// A task's turn; ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    flights: Flights,
    place: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Flights {
    /// Waits until nobody else works on the file at `place`.
    pub(crate) async fn enter(&self, place: &str) -> Turn {
        let gate = self.gate(place);
        Turn {
            guard: Some(gate.lock_owned().await),
            flights: self.clone(),
            place: place.to_owned(),
        }
    }

    fn gate(&self, place: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(place).and_then(Weak::upgrade) {
            return gate;
        }
        let gate = Arc::new(tokio::sync::Mutex::new(()));
        gates.insert(place.to_owned(), Arc::downgrade(&gate));
        gate
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.guard.take());
        let gates = self.flights.gates.lock();
        let mut gates = gates.unwrap_or_else(PoisonError::into_inner);
        if gates
            .get(&self.place)
            .is_some_and(|gate| gate.strong_count() == 0)
        {
            gates.remove(&self.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_task_at_a_time_works_on_a_file_and_nothing_is_remembered_after() {
        let flights = Flights::default();
        let inside = Arc::new(AtomicUsize::new(0));
        let tasks = (0..40).map(|n| {
            let (flights, inside) = (flights.clone(), Arc::clone(&inside));
            tokio::spawn(async move {
                let place = format!("place {}", n % 2);
                let turn = flights.enter(&place).await;
                if n % 2 == 0 {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
                drop(turn);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert!(flights.gates.lock().unwrap().is_empty());
    }
}
