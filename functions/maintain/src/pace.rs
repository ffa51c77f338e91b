//! How long a step goes on when others commit first.

use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;
use swath_lake::Pace;
use time::OffsetDateTime;

use crate::Terms;

/// Waits of random length that grow to two seconds, for a minute.
#[derive(Debug)]
pub struct Patience<'a> {
    terms: Terms<'a>,
    until: OffsetDateTime,
}

impl<'a> Patience<'a> {
    /// Begins now.
    pub fn new(terms: Terms<'a>) -> Self {
        Self {
            until: terms.clock.now() + Duration::from_mins(1),
            terms,
        }
    }
}

#[async_trait]
impl Pace for Patience<'_> {
    fn now(&self) -> OffsetDateTime {
        self.terms.clock.now()
    }

    async fn again(&self, attempts: u32) -> bool {
        let bound = Duration::from_millis(50)
            .saturating_mul(1 << attempts.saturating_sub(1).min(16))
            .min(Duration::from_secs(2));
        let wait = rand::rng().random_range(Duration::ZERO..=bound);
        if self.terms.clock.now() + wait > self.until {
            return false;
        }
        self.terms.clock.sleep(wait).await;
        true
    }

    fn may_go_on(&self) -> bool {
        (self.terms.may_go_on)()
    }
}
