//! Runs the messages of one SQS batch and answers with those to hand back.
//!
//! The queue deletes every message that the answer does not name. So a message leaves the queue only when its work is
//! done, or when it is kept in quarantine because it can never succeed; all else is named.

mod each;
mod failure;
mod tally;
mod waiting;
mod whole;

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::FutureExt as _;
use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::store::Store;
use swath_core::{Class, Classify, Disposition};
use tracing::{Span, info_span};

use crate::deadline::Invocation;
use crate::incoming::{Incoming, Parsed, Refused};
use crate::quarantine::{KeepError, Record};
use crate::shell::Shell;
use failure::Failure;
use tally::{Outcome, Tally};
use waiting::Waiting;

/// The messages of one invocation.
#[derive(Debug)]
pub struct Batch {
    records: Vec<SqsMessage>,
    shell: Arc<Shell>,
    invocation: Invocation,
    stopped: AtomicBool,
}

/// A batch that cannot be answered message by message; as an answer it hands every message back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// A message that the answer could not name.
    #[error("message {position} of {messages} has no id")]
    Unnamed {
        /// Its place in the batch, from 0.
        position: usize,
        /// How many messages there are.
        messages: usize,
    },
}

impl Batch {
    /// Takes the messages of one invocation.
    pub fn new(event: SqsEvent, shell: Arc<Shell>, invocation: Invocation) -> Self {
        Self {
            records: event.records,
            shell,
            invocation,
            stopped: AtomicBool::new(false),
        }
    }

    /// Returns the lake that the function works for.
    pub fn lake(&self) -> &Store {
        &self.shell.lake
    }

    /// Returns what says whether there is time for another part of a message's work: half of what a whole message needs.
    pub fn time_left(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let (deadline, needed) = (self.invocation.deadline, self.shell.needed / 2);
        move || deadline.leaves(needed)
    }

    /// Checks that every message can be named in the answer. An id that the queue does not know makes it take the whole
    /// answer for a failure, so nothing may be started before this is known.
    fn check_names(&self) -> Result<(), BatchError> {
        let messages = self.records.len();
        match self
            .records
            .iter()
            .position(|record| id_of(record).is_empty())
        {
            Some(position) => Err(BatchError::Unnamed { position, messages }),
            None => Ok(()),
        }
    }

    /// Returns whether another message may be started.
    fn may_start(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed) && self.invocation.deadline.leaves(self.shell.needed)
    }

    /// Reads one message as far as what it asks of this function; `None` asks nothing.
    async fn read<M>(
        &self,
        record: &SqsMessage,
        take: &impl Fn(Incoming) -> Result<M, Refused>,
    ) -> Result<Option<M>, Failure> {
        let parsed = Parsed::of(record.body.as_deref());
        let incoming = match parsed.map_err(|error| Failure::of("malformed", &error))? {
            Parsed::TestEvent => return Ok(None),
            Parsed::Ready(incoming) => incoming,
            Parsed::ByReference(pending) => {
                let whole = self.shell.make_whole(pending).await;
                let whole = whole.map_err(|error| Failure::of("body", &error))?;
                Incoming::Message(Box::new(whole))
            }
        };
        if let Incoming::Message(message) = &incoming {
            Span::current().record("run.id", message.run_id.as_str());
        }
        let taken = take(incoming).map_err(|error| Failure::of("refused", &error))?;
        Ok(Some(taken))
    }

    /// Runs an attempt at one message until it ends, panics or runs out of time, and settles its failure.
    async fn guarded<T>(
        &self,
        record: &SqsMessage,
        attempt: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Outcome> {
        // Nothing outlives a panic but the message itself, which is only read.
        let attempt = AssertUnwindSafe(self.invocation.deadline.cut(attempt)).catch_unwind();
        let failure = match attempt.await {
            Ok(Some(Ok(done))) => return Ok(done),
            Ok(Some(Err(failure))) => failure,
            Ok(None) => Failure::cut_off(),
            Err(payload) => Failure::panic(payload.as_ref()),
        };
        Err(self.settle(record, failure).await)
    }

    /// Does with a failed message what its class asks for, and logs it once.
    async fn settle(&self, record: &SqsMessage, failure: Failure) -> Outcome {
        if failure.class == Class::Transient
            && let Some((hold, most)) = &self.shell.hold
        {
            let now = self.invocation.received;
            return Waiting { record, now }
                .settle(failure, hold.as_ref(), *most, self.shell.function)
                .await;
        }
        let mut quarantine_error = None;
        let mut outcome = failure.outcome;
        match failure.class.disposition() {
            Disposition::Retry => {}
            Disposition::StopBatch => self.stopped.store(true, Ordering::Relaxed),
            Disposition::Quarantine => {
                quarantine_error = self.quarantine(record, &failure).await.err();
                if quarantine_error.is_none() {
                    outcome = Outcome::Quarantined;
                }
            }
        }
        let (function, id) = (self.shell.function, id_of(record));
        failure.log(function, id, quarantine_error.as_ref());
        outcome
    }

    async fn quarantine(&self, record: &SqsMessage, why: &Failure) -> Result<(), KeepError> {
        let kept = Record {
            function: self.shell.function.to_owned(),
            message_id: id_of(record).to_owned(),
            class: why.class,
            code: why.code.to_owned(),
            reason: why.reason.clone(),
            received: self.invocation.received,
            receive_count: None,
            queue: None,
            body: None,
        };
        self.shell.quarantine(&kept.with_origin(record)).await
    }

    /// Closes the books: one metric record, and the answer.
    fn answer(&self, mut outcomes: Vec<(usize, Outcome)>, tally: &Tally) -> SqsBatchResponse {
        outcomes.sort_unstable_by_key(|(position, _)| *position);
        let mut answer = SqsBatchResponse::default();
        for (position, outcome) in &outcomes {
            if outcome.goes_back()
                && let Some(record) = self.records.get(*position)
            {
                answer.add_failure(id_of(record));
            }
        }
        tally.log(self.shell.function, &outcomes, self.lag(&outcomes));
        answer
    }
}

impl Batch {
    /// Returns how long ago the oldest message was sent whose work is done.
    fn lag(&self, outcomes: &[(usize, Outcome)]) -> Option<Duration> {
        let done = outcomes.iter().filter(|(_, one)| *one == Outcome::Done);
        let sent = done.filter_map(|(at, _)| waiting::first_sent_ms(self.records.get(*at)?));
        let now = waiting::millis(SystemClock.now());
        Some(Duration::from_millis(now.saturating_sub(sent.min()?)))
    }
}

fn id_of(record: &SqsMessage) -> &str {
    record.message_id.as_deref().unwrap_or_default()
}

/// Returns how often the queue has delivered a message; a queue that does not say has done so once.
fn receives_of(record: &SqsMessage) -> u32 {
    let count = record.attributes.get("ApproximateReceiveCount");
    count.and_then(|count| count.parse().ok()).unwrap_or(1)
}

fn span_of(record: &SqsMessage) -> Span {
    let count = record.attributes.get("ApproximateReceiveCount");
    let queue = record.event_source_arn.as_deref();
    info_span!(
        "message",
        message.id = id_of(record),
        message.receive_count = count.map(String::as_str),
        message.queue = queue.and_then(|arn| arn.rsplit(':').next()),
        run.id = tracing::field::Empty,
    )
}

/// Takes what a use case says about one message.
fn verdict<E: Classify>(answer: Result<(), E>) -> Result<(), Failure> {
    answer.map_err(|error| Failure::of("work", &error))
}
