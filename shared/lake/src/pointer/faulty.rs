//! A pointer that fails when told to, before or after the effect.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use swath_core::TableName;

use super::{Effect, Pointed, PointerError, Swap, TablePointer};

/// What happens to one swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It works.
    None,
    /// It is refused, as if others had been first.
    Refused,
    /// It fails without an effect, and says so.
    Before,
    /// It fails without an effect, and cannot say so.
    BeforeUnknown,
    /// It takes effect, but its answer is lost.
    LostReply,
    /// It takes effect, its answer is lost, and until [`FaultyPointer::recover`] every call fails.
    LostReplyThenDown,
    /// It takes effect, its answer is lost, and the second try by the client is refused.
    RefusedReply,
}

/// A pointer whose swaps meet faults, in order; those after the last one work.
#[derive(Debug)]
pub struct FaultyPointer {
    inner: Arc<dyn TablePointer>,
    faults: Mutex<VecDeque<Fault>>,
    down: AtomicBool,
}

impl FaultyPointer {
    /// Puts faults before a pointer.
    pub fn new(inner: Arc<dyn TablePointer>) -> Self {
        Self {
            inner,
            faults: Mutex::default(),
            down: AtomicBool::new(false),
        }
    }

    /// Has the next swaps meet these faults.
    pub fn meet(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut waiting = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(faults);
    }

    /// Ends the time in which every call fails.
    pub fn recover(&self) {
        self.down.store(false, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), PointerError> {
        if self.down.load(Ordering::SeqCst) {
            let effect = Effect::None;
            return Err(PointerError::Asked { effect });
        }
        Ok(())
    }

    fn next(&self) -> Fault {
        let mut waiting = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front().unwrap_or(Fault::None)
    }
}

#[async_trait]
impl TablePointer for FaultyPointer {
    async fn load(&self, table: TableName) -> Result<Option<Pointed>, PointerError> {
        self.check()?;
        self.inner.load(table).await
    }

    async fn swap(
        &self,
        table: TableName,
        expected: Option<&Pointed>,
        location: &str,
    ) -> Result<Swap, PointerError> {
        self.check()?;
        let asked = |effect| Err(PointerError::Asked { effect });
        match self.next() {
            Fault::None => self.inner.swap(table, expected, location).await,
            Fault::Refused => Ok(Swap::Lost),
            Fault::Before => asked(Effect::None),
            Fault::BeforeUnknown => asked(Effect::Unknown),
            Fault::LostReply => {
                self.inner.swap(table, expected, location).await?;
                asked(Effect::Unknown)
            }
            Fault::LostReplyThenDown => {
                self.inner.swap(table, expected, location).await?;
                self.down.store(true, Ordering::SeqCst);
                asked(Effect::Unknown)
            }
            Fault::RefusedReply => {
                self.inner.swap(table, expected, location).await?;
                self.inner.swap(table, expected, location).await
            }
        }
    }

    async fn remove(&self, table: TableName) -> Result<(), PointerError> {
        self.check()?;
        self.inner.remove(table).await
    }
}
