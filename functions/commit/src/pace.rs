//! How long a commit goes on when others are first.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;
use swath_cloud::clock::Clock;
use swath_lake::Pace;
use time::OffsetDateTime;

/// The first wait's upper bound; each further one doubles it.
const BASE: Duration = Duration::from_millis(50);

/// The upper bound of any wait.
const CAP: Duration = Duration::from_secs(2);

/// The time after which no further attempt begins: well within what a queue waits before it delivers again.
pub(crate) const BUDGET: Duration = Duration::from_mins(1);

/// Waits of random length, so that writers that met do not meet again, until a moment is reached.
#[derive(Debug)]
pub(crate) struct Patience {
    clock: Arc<dyn Clock>,
    until: OffsetDateTime,
}

impl Patience {
    /// Begins now.
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self {
            until: clock.now() + BUDGET,
            clock: Arc::clone(clock),
        }
    }
}

#[async_trait]
impl Pace for Patience {
    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    async fn again(&self, attempts: u32) -> bool {
        let bound = BASE
            .saturating_mul(1 << attempts.saturating_sub(1).min(16))
            .min(CAP);
        let wait = rand::rng().random_range(Duration::ZERO..=bound);
        if self.clock.now() + wait > self.until {
            return false;
        }
        self.clock.sleep(wait).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use swath_cloud::clock::testing::FakeClock;

    use super::*;

    #[tokio::test]
    async fn waits_grow_to_a_bound_and_end_with_the_budget() {
        let fake = Arc::new(FakeClock::default());
        let clock: Arc<dyn Clock> = Arc::clone(&fake) as _;
        let patience = Patience::new(&clock);
        let mut attempts = 1;
        while patience.again(attempts).await {
            attempts += 1;
        }
        let waits = fake.waits();
        assert!(waits.iter().sum::<Duration>() <= BUDGET);
        assert!(waits[0] <= BASE && waits.iter().all(|wait| *wait <= CAP));
        assert!(waits.len() > 30, "{} waits", waits.len());
    }
}
