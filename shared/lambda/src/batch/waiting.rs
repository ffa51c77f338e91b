//! When a message comes again that failed for now.

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use rand::Rng as _;
use swath_cloud::queue::{FIRST_SENT, Held, Hold};
use swath_core::chain;
use time::OffsetDateTime;
use tracing::warn;

use super::failure::Failure;
use super::tally::Outcome;
use super::{id_of, receives_of};

/// The wait after the first delivery; each further one doubles it.
const FIRST: Duration = Duration::from_secs(30);

/// The longest wait of our own choosing.
const LONGEST: Duration = Duration::from_mins(15);

/// How long a message may be put off for the sake of its host; then it goes the way of every other failure.
const PATIENCE: Duration = Duration::from_hours(24);

/// A message that failed for now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting<'a> {
    pub(super) record: &'a SqsMessage,
    /// When its batch was received.
    pub(super) now: OffsetDateTime,
}

impl Waiting<'_> {
    /// Has the message come again, later each time, and logs its failure once.
    ///
    /// A delivery is one of a few that a queue makes before it gives a message up. A host that rests for an hour must not use
    /// them up: before the last one a copy takes the message's place, which has been delivered never.
    pub(super) async fn settle(
        self,
        mut failure: Failure,
        hold: &dyn Hold,
        most: std::num::NonZeroU32,
        function: &str,
    ) -> Outcome {
        let receives = receives_of(self.record);
        let wait = back_off(receives, failure.retry_after);
        let near_the_end = receives.saturating_add(1) >= most.get();
        let message = self.held();
        let mut arranged = None;
        if near_the_end && failure.retry_after.is_some() && self.age() < PATIENCE {
            match hold.send_again(message, wait).await {
                Ok(()) => {
                    failure.outcome = Outcome::PutOff;
                    arranged = Some(wait);
                }
                Err(error) => self.warn(function, &error),
            }
        }
        if arranged.is_none() {
            match hold.hide(message, wait).await {
                Ok(()) => arranged = Some(wait),
                Err(error) => self.warn(function, &error),
            }
        }
        failure.log_held(function, id_of(self.record), arranged);
        failure.outcome
    }

    /// Says that the message comes again when its queue shows it again, and not as was asked.
    fn warn(&self, function: &str, error: &swath_cloud::queue::QueueError) {
        let cause = chain(error);
        warn!(
            function,
            message.id = id_of(self.record),
            queue.error = cause,
            "the wait could not be arranged"
        );
    }

    fn held(&self) -> Held<'_> {
        Held {
            queue: self.record.event_source_arn.as_deref().unwrap_or_default(),
            receipt: self.record.receipt_handle.as_deref().unwrap_or_default(),
            body: self.record.body.as_deref().unwrap_or_default(),
            first_sent_ms: first_sent_ms(self.record).unwrap_or_else(|| millis(self.now)),
        }
    }

    fn age(&self) -> Duration {
        let sent = first_sent_ms(self.record).unwrap_or_else(|| millis(self.now));
        Duration::from_millis(millis(self.now).saturating_sub(sent))
    }
}

/// Returns how long a message waits: as was asked at least, and longer after each delivery, with some jitter so that many do
/// not come back together.
fn back_off(receives: u32, asked: Option<Duration>) -> Duration {
    let doublings = receives.saturating_sub(1).min(16);
    let own = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    let wait = asked.unwrap_or_default().max(own);
    wait + rand::rng().random_range(Duration::ZERO..=wait / 4)
}

/// Returns when a message was sent, or that of which it is a copy.
pub(super) fn first_sent_ms(record: &SqsMessage) -> Option<u64> {
    let copied = record.message_attributes.get(FIRST_SENT);
    let copied = copied.and_then(|attribute| attribute.string_value.as_ref());
    let sent = record.attributes.get("SentTimestamp");
    copied.or(sent)?.parse().ok()
}

pub(super) fn millis(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use aws_lambda_events::sqs::SqsMessageAttribute;
    use swath_cloud::queue::QueueError;
    use swath_core::Class;
    use time::macros::datetime;

    use super::*;
    use crate::telemetry::testing::caught;

    const NOW: OffsetDateTime = datetime!(2024-06-02 12:00 UTC);

    /// Writes down what it is asked; refuses what it is told to.
    #[derive(Debug, Default)]
    struct Notes {
        asked: Mutex<Vec<(&'static str, u64, u64)>>,
        refused: &'static [&'static str],
    }

    impl Notes {
        fn take(
            &self,
            what: &'static str,
            held: Held<'_>,
            wait: Duration,
        ) -> Result<(), QueueError> {
            assert_eq!(
                (held.queue, held.receipt, held.body),
                ("arn", "receipt", "body")
            );
            if self.refused.contains(&what) {
                return Err(QueueError::Closed);
            }
            let mut asked = self.asked.lock().unwrap();
            asked.push((what, wait.as_secs(), held.first_sent_ms));
            Ok(())
        }
    }

    #[async_trait]
    impl Hold for Notes {
        async fn hide(&self, held: Held<'_>, wait: Duration) -> Result<(), QueueError> {
            self.take("hide", held, wait)
        }

        async fn send_again(&self, held: Held<'_>, wait: Duration) -> Result<(), QueueError> {
            self.take("send again", held, wait)
        }
    }

    fn record(receives: u32, sent: OffsetDateTime) -> SqsMessage {
        let mut record = SqsMessage::default();
        record.message_id = Some("m".to_owned());
        record.event_source_arn = Some("arn".to_owned());
        record.receipt_handle = Some("receipt".to_owned());
        record.body = Some("body".to_owned());
        let sent = millis(sent).to_string();
        let receives = receives.to_string();
        let attributes = [
            ("SentTimestamp", sent),
            ("ApproximateReceiveCount", receives),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
        record.attributes = attributes.into();
        record
    }

    async fn settled(record: &SqsMessage, asked: Option<Duration>, hold: &Notes) -> Outcome {
        let failure = Failure {
            class: Class::Transient,
            code: "work",
            reason: "down".to_owned(),
            outcome: Outcome::HandedBack,
            retry_after: asked,
        };
        let most = NonZeroU32::new(8).unwrap();
        let waiting = Waiting { record, now: NOW };
        waiting.settle(failure, hold, most, "weigh").await
    }

    #[tokio::test]
    async fn a_message_comes_again_when_it_was_asked_to() {
        let (hold, hour) = (Notes::default(), Duration::from_hours(1));
        let (lines, _guard) = caught();
        let outcome = settled(&record(1, NOW), Some(hour), &hold).await;
        assert_eq!(outcome, Outcome::HandedBack);
        let (what, wait, _) = hold.asked.lock().unwrap()[0];
        assert!(what == "hide" && wait >= 3_600, "{what} {wait}");
        let lines = lines.json();
        assert_eq!(lines.len(), 1, "one line a failure");
        assert_eq!(lines[0]["wait_s"], wait);
    }

    #[tokio::test]
    async fn a_host_that_rests_for_long_uses_up_no_message() {
        let (hold, minute) = (Notes::default(), Some(Duration::from_mins(1)));
        let sent = NOW - Duration::from_hours(5);
        let outcome = settled(&record(7, sent), minute, &hold).await;
        assert_eq!(outcome, Outcome::PutOff);
        // The copy remembers when its first forebear was sent.
        let mut copy = record(7, NOW);
        let mut first = SqsMessageAttribute::default();
        first.string_value = Some(millis(sent).to_string());
        copy.message_attributes.insert(FIRST_SENT.to_owned(), first);
        assert_eq!(settled(&copy, minute, &hold).await, Outcome::PutOff);
        let asked = hold.asked.lock().unwrap();
        let both = asked
            .iter()
            .all(|(what, _, first)| *what == "send again" && *first == millis(sent));
        assert!(both && asked.len() == 2, "{asked:?}");
    }

    #[tokio::test]
    async fn what_no_rest_of_a_host_explains_or_lasts_too_long_is_given_up_like_all_else() {
        let (hold, minute) = (Notes::default(), Some(Duration::from_mins(1)));
        let old = record(7, NOW - Duration::from_hours(25));
        for (record, asked) in [(&record(7, NOW), None), (&old, minute)] {
            assert_eq!(settled(record, asked, &hold).await, Outcome::HandedBack);
        }
        let asked = hold.asked.lock().unwrap();
        assert!(asked.iter().all(|(what, ..)| *what == "hide"), "{asked:?}");
    }

    #[tokio::test]
    async fn a_wait_that_cannot_be_arranged_loses_nothing() {
        let minute = Some(Duration::from_mins(1));
        let cases: [(&[&str], usize); 2] = [(&["send again"], 1), (&["hide", "send again"], 0)];
        for (refused, asked) in cases {
            let hold = Notes {
                refused,
                ..Notes::default()
            };
            let (lines, _guard) = caught();
            let outcome = settled(&record(7, NOW), minute, &hold).await;
            assert_eq!(outcome, Outcome::HandedBack);
            assert_eq!(hold.asked.lock().unwrap().len(), asked);
            let lines = lines.json();
            assert_eq!(lines.last().unwrap()["wait_s"].is_null(), asked == 0);
        }
    }

    #[test]
    fn each_wait_is_longer_than_the_one_before_and_none_shorter_than_asked() {
        for (receives, least) in [(0, 30), (1, 30), (2, 60), (3, 120), (6, 900), (99, 900)] {
            let least = Duration::from_secs(least);
            let wait = back_off(receives, None);
            assert!(
                wait >= least && wait <= least * 5 / 4,
                "{receives}: {wait:?}"
            );
        }
        let hour = Duration::from_hours(1);
        assert!(back_off(1, Some(hour)) >= hour);
        assert!(back_off(2, Some(Duration::from_secs(1))) >= Duration::from_mins(1));
    }
}
