//! Messages that are worked on together.

use std::panic::AssertUnwindSafe;

use aws_lambda_events::sqs::SqsBatchResponse;
use futures::{FutureExt as _, StreamExt as _};
use swath_core::Classify;
use tracing::Instrument as _;

use super::{Batch, BatchError, Failure, Outcome, Tally, span_of, verdict};
use crate::incoming::{Incoming, Refused};

impl Batch {
    /// Works on all messages together: `work` takes what they ask, in order, and answers in the same order.
    ///
    /// When the work on all panics it is tried on each message alone, so that a sick one does not hold up the others.
    ///
    /// # Errors
    /// When a message has no id: nothing has been started then, and the queue keeps the whole batch.
    pub async fn whole<M, E, Take, Work, Running>(
        self,
        take: Take,
        work: Work,
    ) -> Result<SqsBatchResponse, BatchError>
    where
        E: Classify,
        Take: Fn(Incoming) -> Result<M, Refused>,
        Work: Fn(Vec<M>) -> Running,
        Running: Future<Output = Vec<Result<(), E>>>,
    {
        self.check_names()?;
        let tally = Tally::begin();
        let (positions, asked, mut outcomes) = self.read_all(&take).await;
        match self.together(asked, &work).await {
            Together::Untouched => {
                outcomes.extend(positions.into_iter().map(|at| (at, Outcome::Untouched)));
            }
            Together::Answered(answers) => {
                for (position, answer) in positions.into_iter().zip(answers) {
                    outcomes.push((position, self.settle_at(position, answer).await));
                }
            }
            Together::Panicked => {
                for position in positions {
                    outcomes.push((position, self.alone(position, &take, &work).await));
                }
            }
        }
        Ok(self.answer(outcomes, &tally))
    }

    /// Reads every message; returns the places and contents of those that ask something, and what became of the others.
    async fn read_all<M>(
        &self,
        take: &impl Fn(Incoming) -> Result<M, Refused>,
    ) -> (Vec<usize>, Vec<M>, Vec<(usize, Outcome)>) {
        let mut read: Vec<_> = futures::stream::iter(self.records.iter().enumerate())
            .map(|(position, record)| async move {
                let read = async {
                    if !self.may_start() {
                        return Err(Outcome::Untouched);
                    }
                    self.guarded(record, self.read(record, take)).await
                };
                (position, read.instrument(span_of(record)).await)
            })
            .buffer_unordered(self.shell.concurrency.get())
            .collect()
            .await;
        read.sort_unstable_by_key(|(position, _)| *position);
        let (mut positions, mut asked, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        for (position, read) in read {
            match read {
                Ok(Some(message)) => {
                    positions.push(position);
                    asked.push(message);
                }
                Ok(None) => outcomes.push((position, Outcome::Done)),
                Err(outcome) => outcomes.push((position, outcome)),
            }
        }
        (positions, asked, outcomes)
    }

    async fn together<M, E, Running>(
        &self,
        asked: Vec<M>,
        work: &impl Fn(Vec<M>) -> Running,
    ) -> Together
    where
        E: Classify,
        Running: Future<Output = Vec<Result<(), E>>>,
    {
        let count = asked.len();
        if count == 0 || !self.may_start() {
            return Together::Untouched;
        }
        let attempt = async { work(asked).await };
        let attempt = AssertUnwindSafe(self.invocation.deadline.cut(attempt)).catch_unwind();
        let answers = match attempt.await {
            Err(_) => return Together::Panicked,
            Ok(None) => (0..count).map(|_| Err(Failure::cut_off())).collect(),
            Ok(Some(answers)) if answers.len() != count => (0..count)
                .map(|_| Err(Failure::miscounted(answers.len(), count)))
                .collect(),
            Ok(Some(answers)) => answers.into_iter().map(verdict).collect(),
        };
        Together::Answered(answers)
    }

    /// Works on one message alone, read anew.
    async fn alone<M, E, Running>(
        &self,
        position: usize,
        take: &impl Fn(Incoming) -> Result<M, Refused>,
        work: &impl Fn(Vec<M>) -> Running,
    ) -> Outcome
    where
        E: Classify,
        Running: Future<Output = Vec<Result<(), E>>>,
    {
        let Some(record) = self.records.get(position) else {
            return Outcome::Untouched;
        };
        let work = |asked| async {
            let mut answers = work(vec![asked]).await;
            match (answers.pop(), answers.len()) {
                (Some(answer), 0) => verdict(answer),
                (last, others) => Err(Failure::miscounted(others + usize::from(last.is_some()), 1)),
            }
        };
        let outcome = self.one(record, take, &work);
        outcome.instrument(span_of(record)).await
    }

    async fn settle_at(&self, position: usize, answer: Result<(), Failure>) -> Outcome {
        match (answer, self.records.get(position)) {
            (Ok(()), _) => Outcome::Done,
            (Err(_), None) => Outcome::Untouched,
            (Err(failure), Some(record)) => {
                let settled = self.settle(record, failure);
                settled.instrument(span_of(record)).await
            }
        }
    }
}

/// How the work on all messages ended.
enum Together {
    /// It was not begun.
    Untouched,
    /// One answer per message.
    Answered(Vec<Result<(), Failure>>),
    /// No answer at all.
    Panicked,
}
