//! Trying again: how often, after how long, and only when the error says it helps.

use std::time::Duration;

use rand::Rng as _;
use swath_core::{Class, Classify};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::clock::Clock;

/// An error that may carry the server's own wish about when to come back.
pub trait Retryable: Classify {
    /// Returns how long the server asked to be left alone.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// How often and after how long a call is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Calls in all, the first one included; 0 counts as 1.
    pub attempts: u32,
    /// The first wait's upper bound; each further one doubles it.
    pub base: Duration,
    /// The upper bound of any wait of our own choosing.
    pub cap: Duration,
    /// The longest wait that a server may ask for; a longer one ends the tries.
    pub longest: Duration,
    /// All waits together; a wait that would exceed it ends the tries.
    pub budget: Duration,
}

impl Default for Policy {
    /// Five calls, waits of up to 0.5, 1, 2, 4 s, a server's wish up to 60 s, two minutes of waiting in all.
    fn default() -> Self {
        Self {
            attempts: 5,
            base: Duration::from_millis(500),
            cap: Duration::from_mins(1),
            longest: Duration::from_mins(1),
            budget: Duration::from_mins(2),
        }
    }
}

impl Policy {
    /// Calls once and never again.
    pub const ONCE: Self = Self {
        attempts: 1,
        base: Duration::ZERO,
        cap: Duration::ZERO,
        longest: Duration::ZERO,
        budget: Duration::ZERO,
    };

    /// What a function that is paid by the time waits itself: a few seconds. A longer wait is its queue's.
    pub const BRIEF: Self = Self {
        attempts: 4,
        base: Duration::from_millis(500),
        cap: Duration::from_secs(5),
        longest: Duration::from_secs(5),
        budget: Duration::from_secs(15),
    };

    /// What writers of one table wait when others were first: well within what a queue waits before it delivers again.
    pub const CONTENDED: Self = Self {
        attempts: u32::MAX,
        base: Duration::from_millis(50),
        cap: Duration::from_secs(2),
        longest: Duration::ZERO,
        budget: Duration::from_mins(1),
    };

    /// Waits before the next call, after `attempts` of them; answers false, without a wait, when it would last beyond `until`.
    pub async fn wait_until(
        &self,
        until: OffsetDateTime,
        attempts: u32,
        clock: &dyn Clock,
    ) -> bool {
        let wait = self.jitter(attempts, false);
        if clock.now() + wait > until {
            return false;
        }
        clock.sleep(wait).await;
        true
    }

    /// Runs `call` (which gets the attempt's number, from 1) until it succeeds or trying again is of no use.
    ///
    /// # Errors
    /// The last call's error.
    pub async fn run<T, E, F>(
        &self,
        clock: &dyn Clock,
        mut call: impl FnMut(u32) -> F + Send,
    ) -> Result<T, E>
    where
        E: Retryable,
        F: Future<Output = Result<T, E>> + Send,
    {
        let (mut attempt, mut waited) = (1, Duration::ZERO);
        loop {
            let error = match call(attempt).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(wait) = self.wait_after(attempt, waited, &error) else {
                return Err(error);
            };
            tracing::debug!(
                attempt,
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                error = %swath_core::chain(&error),
                "trying again"
            );
            clock.sleep(wait).await;
            waited += wait;
            attempt += 1;
        }
    }

    /// Returns the wait before the next call, after `attempt` calls and `waited` in all; `None` when there is to be none.
    pub fn wait_after<E: Retryable>(
        &self,
        attempt: u32,
        waited: Duration,
        error: &E,
    ) -> Option<Duration> {
        if attempt >= self.attempts || error.class() != Class::Transient {
            return None;
        }
        let asked = error.retry_after();
        if asked.is_some_and(|asked| asked > self.longest) {
            return None;
        }
        let wait = asked.unwrap_or_default() + self.jitter(attempt, asked.is_some());
        (waited + wait <= self.budget).then_some(wait)
    }

    /// Full jitter: anything from nothing to the doubled base, so that many clients do not come back together.
    fn jitter(&self, attempt: u32, asked: bool) -> Duration {
        let doublings = if asked {
            0
        } else {
            attempt.saturating_sub(1).min(16)
        };
        let bound = self.base.saturating_mul(1 << doublings).min(self.cap);
        rand::rng().random_range(Duration::ZERO..=bound)
    }
}

/// Reads a `Retry-After` header: seconds, or an HTTP date (RFC 9110 §10.2.3); a date gone by asks for no wait.
pub fn parse_retry_after(value: &str, now: OffsetDateTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = OffsetDateTime::parse(value, &Rfc2822).ok()?;
    Some(Duration::try_from(date - now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::FakeClock;
    use time::macros::datetime;

    #[derive(Debug, thiserror::Error)]
    #[error("{class}")]
    struct Failure {
        class: Class,
        after: Option<Duration>,
    }

    impl Classify for Failure {
        fn class(&self) -> Class {
            self.class
        }
    }

    impl Retryable for Failure {
        fn retry_after(&self) -> Option<Duration> {
            self.after
        }
    }

    async fn calls(
        class: Class,
        after: Option<Duration>,
        fails: u32,
    ) -> (u32, bool, Vec<Duration>) {
        let clock = FakeClock::default();
        let mut made = 0;
        let result = Policy::default()
            .run(&clock, |attempt| {
                made = attempt;
                std::future::ready(if attempt > fails {
                    Ok(())
                } else {
                    Err(Failure { class, after })
                })
            })
            .await;
        (made, result.is_ok(), clock.waits())
    }

    #[tokio::test]
    async fn a_transient_failure_is_tried_again_until_it_succeeds() {
        let (made, ok, waits) = calls(Class::Transient, None, 2).await;
        assert_eq!((made, ok, waits.len()), (3, true, 2));
        assert!(waits[0] <= Duration::from_millis(500) && waits[1] <= Duration::from_secs(1));
    }

    #[tokio::test]
    async fn the_tries_end_after_the_last_attempt() {
        let (made, ok, _) = calls(Class::Transient, None, u32::MAX).await;
        assert_eq!((made, ok), (5, false));
    }

    #[tokio::test]
    async fn only_a_transient_failure_is_tried_again() {
        for class in [
            Class::Conflict,
            Class::Uncertain,
            Class::Invalid,
            Class::Denied,
            Class::Bug,
        ] {
            assert_eq!(calls(class, None, 1).await.0, 1, "{class}");
        }
    }

    #[tokio::test]
    async fn no_wait_is_shorter_than_the_server_asked() {
        let asked = Duration::from_secs(7);
        let (_, ok, waits) = calls(Class::Transient, Some(asked), 1).await;
        assert!(ok && waits.len() == 1 && waits[0] >= asked, "{waits:?}");
    }

    #[tokio::test]
    async fn a_day_asked_for_is_not_waited() {
        let (made, ok, waits) = calls(Class::Transient, Some(Duration::from_hours(24)), 1).await;
        assert_eq!((made, ok, waits.len()), (1, false, 0));
    }

    #[tokio::test]
    async fn all_waits_together_stay_within_the_budget() {
        let (made, ok, waits) = calls(Class::Transient, Some(Duration::from_secs(55)), 9).await;
        assert!(!ok && made == 3, "{made} calls");
        assert!(waits.iter().sum::<Duration>() <= Duration::from_mins(2));
    }

    /// H4.
    #[test]
    fn many_clients_do_not_come_back_together() {
        let policy = Policy::default();
        let error = Failure {
            class: Class::Transient,
            after: None,
        };
        let mut bins = [0_u32; 8];
        for _ in 0..1_000 {
            let wait = policy.wait_after(4, Duration::ZERO, &error).unwrap();
            let bin = usize::try_from(wait.as_millis() / 500).unwrap();
            bins[bin.min(7)] += 1;
        }
        assert!(bins.iter().all(|count| *count < 250), "{bins:?}");
        let most = bins.iter().max().unwrap();
        crate::fetch::testing::say("H4", "1000 clients in 8 bins", "each < 250", most);
    }

    #[test]
    fn a_wish_is_read_in_both_forms() {
        let now = datetime!(2024-06-01 12:00 UTC);
        let cases = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sat, 01 Jun 2024 12:00:30 GMT", Some(30)),
            ("Sat, 01 Jun 2024 11:00:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(
                parse_retry_after(text, now),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
    }
}
