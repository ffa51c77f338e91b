//! How much time an invocation has.

use std::time::Duration;

use swath_cloud::clock::{Clock as _, SystemClock};
use time::OffsetDateTime;
use tokio::time::Instant;

/// Work is cut off this long before the end, so that the answer still gets out.
const ANSWER: Duration = Duration::from_secs(1);

/// No invocation lasts longer; an end that lies further off was made up by an emulator.
const LONGEST: Duration = Duration::from_mins(15);

/// The end of an invocation, if it has one.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Ends never.
    pub fn none() -> Self {
        Self(None)
    }

    /// Ends when this much time has passed.
    pub fn after(left: Duration) -> Self {
        Self(Some(Instant::now() + left))
    }

    /// Returns whether work that needs this much time may still be started.
    pub fn leaves(self, needed: Duration) -> bool {
        self.0.is_none_or(|end| Instant::now() + needed <= end)
    }

    /// Runs work until it is done or the time is up; `None` when it was cut off.
    pub(crate) async fn cut<F: Future>(self, work: F) -> Option<F::Output> {
        match self.0 {
            None => Some(work.await),
            Some(end) => {
                let end = end.checked_sub(ANSWER).unwrap_or(end);
                tokio::time::timeout_at(end, work).await.ok()
            }
        }
    }

    /// Reads the end from Lambda's word for it: milliseconds since 1970.
    fn from_millis(end: u64, now: OffsetDateTime) -> Self {
        let now = u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let left = Duration::from_millis(end.saturating_sub(now));
        let past = Duration::from_millis(now.saturating_sub(end));
        // cargo-lambda sends 600000, ten minutes after 1970.
        if left > LONGEST || past > LONGEST {
            return Self::none();
        }
        Self::after(left)
    }
}

/// One call of the function.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Lambda's id of the call.
    pub request_id: String,
    /// When it began.
    pub received: OffsetDateTime,
    /// When it ends.
    pub deadline: Deadline,
}

impl Invocation {
    /// Reads Lambda's context, now.
    pub(crate) fn of(context: &lambda_runtime::Context) -> Self {
        let received = SystemClock.now();
        Self {
            request_id: context.request_id.clone(),
            received,
            deadline: Deadline::from_millis(context.deadline, received),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2024-06-01 12:00 UTC);
    const NOW_MS: u64 = 1_717_243_200_000;

    #[tokio::test(start_paused = true)]
    async fn time_left_counts_down() {
        let deadline = Deadline::from_millis(NOW_MS + 30_000, NOW);
        assert!(deadline.leaves(Duration::from_secs(30)));
        assert!(!deadline.leaves(Duration::from_secs(31)));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(deadline.leaves(Duration::from_secs(20)));
        assert!(!deadline.leaves(Duration::from_secs(21)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_has_just_passed_leaves_nothing() {
        assert!(!Deadline::from_millis(NOW_MS - 1, NOW).leaves(Duration::from_millis(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_emulators_made_up_deadline_is_none() {
        for made_up in [0, 600_000, NOW_MS + 3_600_000] {
            assert!(Deadline::from_millis(made_up, NOW).leaves(Duration::from_hours(1)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_cut_off_while_there_is_time_to_answer() {
        let begin = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(10));
        assert_eq!(deadline.cut(std::future::pending::<()>()).await, None);
        assert_eq!(begin.elapsed(), Duration::from_secs(9));
        assert_eq!(deadline.cut(std::future::ready(1)).await, Some(1));
    }
}
