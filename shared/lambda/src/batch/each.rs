//! Messages that are worked on one by one.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsMessage};
use futures::StreamExt as _;
use swath_cloud::retry::Retryable;
use swath_core::Classify;
use tracing::Instrument as _;

use super::{Batch, BatchError, Failure, Outcome, Tally, receives_of, span_of, verdict};
use crate::incoming::{Incoming, Refused};

impl Batch {
    /// Works on each message by itself, as many at once as the shell allows.
    ///
    /// `take` says what a message asks of this function; `work` does it.
    ///
    /// # Errors
    /// When a message has no id: nothing has been started then, and the queue keeps the whole batch.
    pub async fn each<M, E, Take, Work, Running>(
        self,
        take: Take,
        work: Work,
    ) -> Result<SqsBatchResponse, BatchError>
    where
        E: Classify,
        Take: Fn(Incoming) -> Result<M, Refused>,
        Work: Fn(M) -> Running,
        Running: Future<Output = Result<(), E>>,
    {
        let work = &work;
        let work = |asked| async move { verdict(work(asked).await) };
        self.run(|incoming, _| take(incoming), work).await
    }

    /// Works on each message by itself, as [`Batch::each`]; `take` also gets how often the queue has delivered the message,
    /// this time included; and what fails
    /// for now comes again as the failure asks.
    ///
    /// # Errors
    /// As [`Batch::each`].
    pub async fn each_counted<M, E, Take, Work, Running>(
        self,
        take: Take,
        work: Work,
    ) -> Result<SqsBatchResponse, BatchError>
    where
        E: Retryable,
        Take: Fn(Incoming, u32) -> Result<M, Refused>,
        Work: Fn(M) -> Running,
        Running: Future<Output = Result<(), E>>,
    {
        let work = &work;
        let work = |asked| async move {
            work(asked).await.map_err(|error| Failure {
                retry_after: error.retry_after(),
                ..Failure::of("work", &error)
            })
        };
        self.run(take, work).await
    }

    async fn run<M, Take, Work, Running>(
        self,
        take: Take,
        work: Work,
    ) -> Result<SqsBatchResponse, BatchError>
    where
        Take: Fn(Incoming, u32) -> Result<M, Refused>,
        Work: Fn(M) -> Running,
        Running: Future<Output = Result<(), Failure>>,
    {
        self.check_names()?;
        let tally = Tally::begin();
        let (this, take, work) = (&self, &take, &work);
        let outcomes = futures::stream::iter(self.records.iter().enumerate())
            .map(|(position, record)| async move {
                let take = |incoming| take(incoming, receives_of(record));
                let outcome = this.one(record, &take, work).instrument(span_of(record));
                (position, outcome.await)
            })
            .buffer_unordered(self.shell.concurrency.get())
            .collect()
            .await;
        Ok(self.answer(outcomes, &tally))
    }

    /// Reads one message and does its work.
    pub(super) async fn one<M, Running>(
        &self,
        record: &SqsMessage,
        take: &impl Fn(Incoming) -> Result<M, Refused>,
        work: &impl Fn(M) -> Running,
    ) -> Outcome
    where
        Running: Future<Output = Result<(), Failure>>,
    {
        if !self.may_start() {
            return Outcome::Untouched;
        }
        let attempt = async {
            match self.read(record, take).await? {
                Some(asked) => work(asked).await,
                None => Ok(()),
            }
        };
        let done = self.guarded(record, attempt).await;
        done.err().unwrap_or(Outcome::Done)
    }
}
