//! How long a commit goes on when others are first.

use std::sync::Arc;

use async_trait::async_trait;
use swath_cloud::clock::Clock;
use swath_cloud::retry::Policy;
use swath_lake::Pace;
use time::OffsetDateTime;

/// Waits until a moment is reached, after which no further attempt begins.
#[derive(Debug)]
pub(crate) struct Patience {
    clock: Arc<dyn Clock>,
    until: OffsetDateTime,
}

impl Patience {
    /// Begins now.
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self {
            until: clock.now() + Policy::CONTENDED.budget,
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
        let clock = self.clock.as_ref();
        Policy::CONTENDED
            .wait_until(self.until, attempts, clock)
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let Policy {
            base, cap, budget, ..
        } = Policy::CONTENDED;
        assert!(waits.iter().sum::<Duration>() <= budget);
        assert!(waits[0] <= base && waits.iter().all(|wait| *wait <= cap));
        assert!(waits.len() > 30, "{} waits", waits.len());
    }
}
