//! What became of the messages of a batch.

use tokio::time::Instant;
use tracing::info;

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its work is done.
    Done,
    /// It can never succeed and is kept elsewhere.
    Quarantined,
    /// It failed and goes back to the queue.
    HandedBack,
    /// Its work panicked; it goes back too.
    Panicked,
    /// It was not started and goes back.
    Untouched,
}

impl Outcome {
    pub(super) fn goes_back(self) -> bool {
        match self {
            Self::Done | Self::Quarantined => false,
            Self::HandedBack | Self::Panicked | Self::Untouched => true,
        }
    }
}

/// The stopwatch of a batch.
#[derive(Debug)]
pub(super) struct Tally {
    begin: Instant,
}

impl Tally {
    pub(super) fn begin() -> Self {
        Self {
            begin: Instant::now(),
        }
    }

    /// Writes the batch's one metric record. `handed_back` counts all that go back, so that
    /// received = ok + quarantined + `handed_back`.
    pub(super) fn log(&self, function: &str, outcomes: &[(usize, Outcome)]) {
        let count = |wanted: Outcome| outcomes.iter().filter(|(_, one)| *one == wanted).count();
        let back = outcomes.iter().filter(|(_, one)| one.goes_back()).count();
        let elapsed_ms = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(
            function,
            batch.received = outcomes.len(),
            batch.ok = count(Outcome::Done),
            batch.quarantined = count(Outcome::Quarantined),
            batch.handed_back = back,
            batch.panicked = count(Outcome::Panicked),
            batch.untouched = count(Outcome::Untouched),
            elapsed_ms,
            "batch"
        );
    }
}
