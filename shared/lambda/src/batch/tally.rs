//! What became of the messages of a batch.

use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use crate::measure::{self, Count, Measure};

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its work is done.
    Done,
    /// It can never succeed and is kept elsewhere.
    Quarantined,
    /// It failed and goes back to the queue.
    HandedBack,
    /// It failed, and a copy of it comes later.
    PutOff,
    /// Its work panicked; it goes back too.
    Panicked,
    /// It was not started and goes back.
    Untouched,
}

impl Outcome {
    pub(super) fn goes_back(self) -> bool {
        match self {
            Self::Done | Self::Quarantined | Self::PutOff => false,
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

    /// Writes the batch's one line and its figures; `lag` is how long the oldest message that was done took since it was sent.
    /// `handed_back` counts all that go back, so that
    /// received = ok + quarantined + `put_off` + `handed_back`.
    pub(super) fn log(&self, function: &str, outcomes: &[(usize, Outcome)], lag: Option<Duration>) {
        let count = |wanted: Outcome| outcomes.iter().filter(|(_, one)| *one == wanted).count();
        let back = outcomes.iter().filter(|(_, one)| one.goes_back()).count();
        let elapsed_ms = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(
            function,
            batch.received = outcomes.len(),
            batch.ok = count(Outcome::Done),
            batch.quarantined = count(Outcome::Quarantined),
            batch.put_off = count(Outcome::PutOff),
            batch.handed_back = back,
            batch.panicked = count(Outcome::Panicked),
            batch.untouched = count(Outcome::Untouched),
            elapsed_ms,
            "batch"
        );
        let add = |what: Count, number: usize| what.add(number as u64);
        add(Count::Received, outcomes.len());
        add(Count::Succeeded, count(Outcome::Done));
        add(Count::Quarantined, count(Outcome::Quarantined));
        add(Count::PutOff, count(Outcome::PutOff));
        add(Count::HandedBack, back);
        add(Count::Panicked, count(Outcome::Panicked));
        Measure::BatchDuration.take(self.begin.elapsed().as_secs_f64() * 1e3);
        if let Some(lag) = lag {
            Measure::Lag.take(lag.as_secs_f64());
        }
        measure::flush();
    }
}
