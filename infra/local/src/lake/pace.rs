//! How long a command goes on when others commit first.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;
use swath_cloud::clock::{Clock, SystemClock};
use swath_lake::Pace;
use time::OffsetDateTime;

/// Waits of random length that grow to two seconds, for a minute.
#[derive(Debug)]
pub(super) struct Patience {
    clock: Arc<dyn Clock>,
    until: OffsetDateTime,
}

impl Patience {
    /// Begins now.
    pub(super) fn new() -> Self {
        let clock = SystemClock;
        Self {
            until: clock.now() + Duration::from_mins(1),
            clock: Arc::new(clock),
        }
    }
}

#[async_trait]
impl Pace for Patience {
    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    async fn again(&self, attempts: u32) -> bool {
        let bound = Duration::from_millis(50)
            .saturating_mul(1 << attempts.saturating_sub(1).min(16))
            .min(Duration::from_secs(2));
        let wait = rand::rng().random_range(Duration::ZERO..=bound);
        if self.clock.now() + wait > self.until {
            return false;
        }
        self.clock.sleep(wait).await;
        true
    }
}
