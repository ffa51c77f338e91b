//! One budget per host for the whole process: how many requests at a time, when to hold back, when to give up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::clock::Clock;

/// How a host is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Manners {
    /// Requests at a time to begin with.
    pub begin: f64,
    /// Requests at a time at most.
    pub most: f64,
    /// Failures in a row, without an answer between, after which the host is left alone.
    pub failures: u32,
    /// How long it is left alone; then one request finds out whether it is back.
    pub rest: Duration,
    /// The longest wish of a host that its requests wait for; after a longer one they are told to come back.
    pub patience: Duration,
    /// Further tries that a host is spared once they exceed this share of its requests.
    pub retry_share: f64,
}

impl Manners {
    /// Those of a function that is paid by the time: it waits a few seconds itself, and does not count its requests, for as
    /// many are under way as its queue lets it have messages.
    pub const BRIEF: Self = Self {
        begin: f64::INFINITY,
        most: f64::INFINITY,
        failures: 5,
        rest: Duration::from_secs(30),
        patience: Duration::from_secs(5),
        retry_share: 0.2,
    };
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            begin: 8.0,
            most: 64.0,
            failures: 5,
            rest: Duration::from_secs(30),
            patience: Duration::from_mins(1),
            retry_share: 0.2,
        }
    }
}

/// Further tries that a host may always have.
const RETRIES: f64 = 10.0;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer, a refusal too.
    Answered,
    /// 429 or 503: fewer at a time.
    Throttled,
    /// No answer, or one that says that the server is broken.
    Failed,
}

/// Every host that this process speaks to; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    manners: Manners,
    hosts: Arc<Mutex<HashMap<String, Arc<Host>>>>,
}

/// One host.
#[derive(Debug)]
pub(crate) struct Host {
    manners: Manners,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    window: f64,
    in_flight: u32,
    not_before: Option<OffsetDateTime>,
    failures: u32,
    open_until: Option<OffsetDateTime>,
    probing: bool,
    retries: f64,
}

/// Leave to send one request, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Leave(Arc<Host>);

impl Hosts {
    pub(crate) fn new(manners: Manners) -> Self {
        Self {
            manners,
            hosts: Arc::default(),
        }
    }

    pub(crate) fn of(&self, name: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Host::new(self.manners)));
        Arc::clone(host)
    }
}

impl Host {
    fn new(manners: Manners) -> Self {
        let state = State {
            window: manners.begin,
            in_flight: 0,
            not_before: None,
            failures: 0,
            open_until: None,
            probing: false,
            retries: RETRIES,
        };
        Self {
            manners,
            state: Mutex::new(state),
            freed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for leave to send a request; how long the host is still left alone when it is thought to be down.
    pub(crate) async fn enter(self: &Arc<Self>, clock: &dyn Clock) -> Result<Leave, Duration> {
        loop {
            let freed = self.freed.notified();
            match self.try_enter(clock.now())? {
                Entry::Free => return Ok(Leave(Arc::clone(self))),
                Entry::Full => freed.await,
                Entry::Early(wait) => clock.sleep(wait).await,
            }
        }
    }

    fn try_enter(&self, now: OffsetDateTime) -> Result<Entry, Duration> {
        let mut state = self.state();
        if let Some(until) = state.open_until {
            if now < until || state.probing {
                let left = Duration::try_from(until - now).unwrap_or_default();
                return Err(left.max(Duration::from_secs(1)));
            }
            state.probing = true;
        }
        if let Some(wait) = state
            .not_before
            .and_then(|at| Duration::try_from(at - now).ok())
            && !wait.is_zero()
        {
            state.probing = false;
            return Ok(Entry::Early(wait));
        }
        if f64::from(state.in_flight) + 1.0 > state.window.max(1.0) {
            state.probing = false;
            return Ok(Entry::Full);
        }
        state.in_flight += 1;
        Ok(Entry::Free)
    }

    /// Says what came of a request, and how long the host asked to be left alone.
    pub(crate) fn tell(&self, outcome: Outcome, asked: Option<Duration>, now: OffsetDateTime) {
        let mut state = self.state();
        match outcome {
            Outcome::Answered => {
                state.window = (state.window + 1.0 / state.window).min(self.manners.most);
                state.failures = 0;
                state.open_until = None;
                state.retries = (state.retries + self.manners.retry_share).min(RETRIES);
            }
            Outcome::Throttled => state.window = (state.window / 2.0).max(1.0),
            Outcome::Failed => {
                state.failures += 1;
                if state.failures >= self.manners.failures {
                    state.open_until = Some(now + self.manners.rest);
                }
            }
        }
        state.probing = false;
        match asked {
            Some(asked) if asked > self.manners.patience => {
                state.open_until = state.open_until.max(Some(now + asked));
            }
            Some(asked) => state.not_before = state.not_before.max(Some(now + asked)),
            None => {}
        }
        drop(state);
        self.freed.notify_waiters();
    }

    /// Takes leave for a further try of a request; none when such tries have become too large a share.
    pub(crate) fn may_retry(&self) -> bool {
        let mut state = self.state();
        let may = state.retries >= 1.0;
        if may {
            state.retries -= 1.0;
        }
        may
    }
}

enum Entry {
    Free,
    Full,
    Early(Duration),
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        // A probe that was given up tells nothing; the next one may find out.
        state.probing = false;
        drop(state);
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::FakeClock;

    fn window(host: &Host) -> f64 {
        host.state().window
    }

    #[tokio::test]
    async fn a_host_gets_more_at_a_time_while_it_answers_and_half_when_it_throttles() {
        let (hosts, clock) = (Hosts::default(), FakeClock::default());
        let host = hosts.of("a");
        for _ in 0..200 {
            host.tell(Outcome::Answered, None, clock.now());
        }
        let grown = window(&host);
        assert!(grown > 20.0 && grown < 24.0, "{grown}");
        host.tell(Outcome::Throttled, None, clock.now());
        assert!((window(&host) - grown / 2.0).abs() < 1e-9);
        for _ in 0..50 {
            host.tell(Outcome::Throttled, None, clock.now());
        }
        assert!((window(&host) - 1.0).abs() < 1e-9);
        assert!((window(&hosts.of("b")) - 8.0).abs() < 1e-9, "another host");
    }

    #[tokio::test]
    async fn no_more_requests_than_the_window_are_under_way() {
        let (hosts, clock) = (Hosts::default(), FakeClock::default());
        let host = hosts.of("a");
        let mut leaves = Vec::new();
        for _ in 0..8 {
            leaves.push(host.enter(&clock).await.unwrap());
        }
        let waiting = tokio::spawn({
            let host = Arc::clone(&host);
            async move { host.enter(&FakeClock::default()).await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        leaves.pop();
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn a_host_that_asks_for_a_pause_gets_it_from_everyone() {
        let (hosts, clock) = (Hosts::default(), FakeClock::default());
        hosts.of("a").tell(
            Outcome::Throttled,
            Some(Duration::from_secs(7)),
            clock.now(),
        );
        drop(hosts.clone().of("a").enter(&clock).await.unwrap());
        assert_eq!(clock.waits(), [Duration::from_secs(7)]);
    }

    #[tokio::test]
    async fn a_host_that_is_down_is_left_alone_and_then_asked_once() {
        let (hosts, clock) = (Hosts::default(), FakeClock::default());
        let host = hosts.of("a");
        for _ in 0..5 {
            drop(host.enter(&clock).await.unwrap());
            host.tell(Outcome::Failed, None, clock.now());
        }
        assert_eq!(
            host.enter(&clock).await.unwrap_err(),
            Duration::from_secs(30)
        );
        clock.advance(Duration::from_secs(31));
        let probe = host.enter(&clock).await.unwrap();
        assert!(host.enter(&clock).await.is_err(), "one probe at a time");
        host.tell(Outcome::Failed, None, clock.now());
        drop(probe);
        assert!(host.enter(&clock).await.is_err(), "still down");
        clock.advance(Duration::from_secs(31));
        let probe = host.enter(&clock).await.unwrap();
        host.tell(Outcome::Answered, None, clock.now());
        drop(probe);
        assert!(host.enter(&clock).await.is_ok(), "back");
        println!(
            "H5 breaker: 5 failures in a row | expected 0 requests for 30 s, then 1 probe | got 0, then 1"
        );
    }

    #[tokio::test]
    async fn a_wish_too_long_to_wait_for_is_told_to_everyone() {
        let clock = FakeClock::default();
        let hosts = Hosts::new(Manners::BRIEF);
        let (host, hour) = (hosts.of("a"), Duration::from_hours(1));
        drop(host.enter(&clock).await.unwrap());
        host.tell(Outcome::Throttled, Some(hour), clock.now());
        assert_eq!(hosts.of("a").enter(&clock).await.unwrap_err(), hour);
        assert!(clock.waits().is_empty(), "nobody sleeps");
        clock.advance(hour);
        let probe = host.enter(&clock).await.unwrap();
        assert!(host.enter(&clock).await.is_err(), "one probe at a time");
        host.tell(Outcome::Answered, None, clock.now());
        drop(probe);
        for _ in 0..200 {
            std::mem::forget(host.enter(&clock).await.unwrap());
        }
    }

    #[test]
    fn further_tries_stay_a_small_share_while_all_fails() {
        let host = Host::new(Manners::default());
        let retried = (0..1_000).filter(|_| host.may_retry()).count();
        assert_eq!(retried, 10);
        let share = f64::from(u32::try_from(1_000 + retried).unwrap()) / 1_000.0;
        assert!(share <= 1.2);
        println!(
            "H6 every request fails, 1000 requests | expected <= 1.2 x requests | got {share} x"
        );
    }
}
