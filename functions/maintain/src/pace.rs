//! How long a step goes on when others commit first.

use async_trait::async_trait;
use swath_cloud::retry::Policy;
use swath_lake::Pace;
use time::OffsetDateTime;

use crate::Terms;

/// Waits as commits do, and begins no part of a work that there is no time for.
#[derive(Debug)]
pub struct Patience<'a> {
    terms: Terms<'a>,
    until: OffsetDateTime,
}

impl<'a> Patience<'a> {
    /// Begins now.
    pub fn new(terms: Terms<'a>) -> Self {
        Self {
            until: terms.clock.now() + Policy::CONTENDED.budget,
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
        let clock = self.terms.clock;
        Policy::CONTENDED
            .wait_until(self.until, attempts, clock)
            .await
    }

    fn may_go_on(&self) -> bool {
        (self.terms.may_go_on)()
    }
}
