//! Time as a port: what time it is, and waiting.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;

/// Tells the time and waits.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// Returns the time now, in UTC.
    fn now(&self) -> OffsetDateTime;

    /// Waits for as long as asked.
    async fn sleep(&self, duration: Duration);

    /// Returns the time since an earlier moment; none when the clock was set back meanwhile.
    fn since(&self, earlier: OffsetDateTime) -> Duration {
        Duration::try_from(self.now() - earlier).unwrap_or_default()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where time comes in"
    )]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where waiting is real"
    )]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock for tests: waiting takes no time and is recorded.
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::{Clock, Debug, Duration, OffsetDateTime, async_trait};

    /// A clock that stands still but for the waits asked of it, which pass at once.
    #[derive(Debug)]
    pub struct FakeClock(Mutex<State>);

    #[derive(Debug)]
    struct State {
        now: OffsetDateTime,
        waits: Vec<Duration>,
    }

    impl FakeClock {
        /// Starts at the given moment.
        pub fn at(now: OffsetDateTime) -> Self {
            let waits = Vec::new();
            Self(Mutex::new(State { now, waits }))
        }

        /// Moves the time forward without a wait.
        pub fn advance(&self, duration: Duration) {
            self.state().now += duration;
        }

        /// Returns every wait asked for so far, in order.
        pub fn waits(&self) -> Vec<Duration> {
            self.state().waits.clone()
        }

        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Default for FakeClock {
        /// Starts at 2024-06-01T12:00:00Z.
        fn default() -> Self {
            Self::at(time::macros::datetime!(2024-06-01 12:00 UTC))
        }
    }

    #[async_trait]
    impl Clock for FakeClock {
        fn now(&self) -> OffsetDateTime {
            self.state().now
        }

        async fn sleep(&self, duration: Duration) {
            {
                let mut state = self.state();
                state.now += duration;
                state.waits.push(duration);
            }
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::FakeClock;
    use super::*;

    #[tokio::test]
    async fn waiting_on_a_fake_clock_moves_its_time() {
        let clock = FakeClock::default();
        let start = clock.now();
        clock.sleep(Duration::from_secs(7)).await;
        assert_eq!(clock.since(start), Duration::from_secs(7));
        assert_eq!(clock.waits(), [Duration::from_secs(7)]);
    }

    #[test]
    fn a_clock_that_was_set_back_says_no_time_has_passed() {
        let clock = FakeClock::default();
        let later = clock.now() + Duration::from_secs(5);
        assert_eq!(clock.since(later), Duration::ZERO);
    }
}
