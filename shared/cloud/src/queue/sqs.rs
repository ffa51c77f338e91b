//! Amazon SQS.

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sqs::operation::send_message_batch::{SendMessageBatchError, SendMessageBatchOutput};
use aws_sdk_sqs::types::{BatchResultErrorEntry, SendMessageBatchRequestEntry};
use aws_smithy_http_client::tls;
use futures::{StreamExt as _, TryStreamExt as _};
use swath_core::message::Message;
use swath_core::{Class, redact_url};
use url::Url;

use super::body::wire_text;
use super::{Queue, QueueError};
use crate::clock::{Clock, SystemClock};
use crate::retry::Policy;
use crate::store::Store;

/// Why a call to SQS failed.
pub type CallError = SdkError<SendMessageBatchError>;

/// Messages in one call, by the service's limit.
const BATCH_MESSAGES: usize = 10;
/// Bytes in one call, by the service's limit of 1 MiB with some room.
const BATCH_BYTES: usize = 1_040_000;
/// Calls under way at once.
const CALLS: usize = 4;

/// One SQS queue.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: aws_sdk_sqs::Client,
    url: Url,
    lake: Store,
    clock: Arc<dyn Clock>,
    policy: Policy,
}

/// Opens the queue with the credentials, region and endpoint of the environment; large bodies go through `lake`.
pub async fn open(url: &Url, lake: Store) -> SqsQueue {
    let shared = environment().await;
    let host = url.host_str().unwrap_or_default();
    let mut config = aws_sdk_sqs::config::Builder::from(&shared);
    if shared.region().is_none() {
        config = config.region(Region::new(region_of(host).to_owned()));
    }
    if shared.endpoint_url().is_none() && !is_aws(host) {
        config = config.endpoint_url(url.origin().ascii_serialization());
    }
    let client = aws_sdk_sqs::Client::from_conf(config.build());
    SqsQueue::new(client, url.clone(), lake, Arc::new(SystemClock))
}

/// Makes a client with the credentials, region and endpoint of the environment.
pub(super) async fn client() -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(&environment().await)
}

async fn environment() -> aws_config::SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    let defaults = aws_config::defaults(BehaviorVersion::latest());
    defaults.http_client(http).load().await
}

fn is_aws(host: &str) -> bool {
    host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
}

/// Reads the region off `sqs.REGION.amazonaws.com`; emulators take any.
fn region_of(host: &str) -> &str {
    match host.split('.').collect::<Vec<_>>().as_slice() {
        ["sqs", region, "amazonaws", ..] => region,
        _ => "us-east-1",
    }
}

impl SqsQueue {
    /// Takes a client that was made elsewhere.
    pub fn new(client: aws_sdk_sqs::Client, url: Url, lake: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            url,
            lake,
            clock,
            policy: Policy::default(),
        }
    }

    /// Sends one batch; what SQS hands back in a successful answer is sent again, alone.
    async fn send_batch(&self, mut texts: Vec<String>) -> Result<(), QueueError> {
        let (mut attempt, mut waited) = (1, std::time::Duration::ZERO);
        loop {
            let answer = self.call(&texts).await?;
            let Some(refusal) = self.refusal(answer.failed()) else {
                return Ok(());
            };
            let Some(wait) = self.policy.wait_after(attempt, waited, &refusal) else {
                return Err(refusal);
            };
            texts = again(texts, answer.failed());
            tracing::debug!(left = texts.len(), error = %refusal, "sending again");
            self.clock.sleep(wait).await;
            waited += wait;
            attempt += 1;
        }
    }

    async fn call(&self, texts: &[String]) -> Result<SendMessageBatchOutput, QueueError> {
        let mut request = self
            .client
            .send_message_batch()
            .queue_url(self.url.as_str());
        for (place, text) in texts.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .message_body(text)
                .build()
                .map_err(|error| self.failure(error.into()))?;
            request = request.entries(entry);
        }
        request.send().await.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: CallError) -> QueueError {
        QueueError::Call {
            queue: redact_url(&self.url),
            class: class_of(&error),
            source: Box::new(error),
        }
    }

    fn refusal(&self, failed: &[BatchResultErrorEntry]) -> Option<QueueError> {
        let worst = failed
            .iter()
            .find(|entry| is_ours(entry))
            .or_else(|| failed.first())?;
        Some(QueueError::Refused {
            queue: redact_url(&self.url),
            refused: failed.len(),
            code: worst.code().to_owned(),
            reason: worst.message().unwrap_or("no reason given").to_owned(),
            ours: is_ours(worst),
        })
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, messages: Vec<Message>) -> Result<(), QueueError> {
        let mut texts = Vec::with_capacity(messages.len());
        for message in &messages {
            texts.push(wire_text(message, &self.lake).await?);
        }
        futures::stream::iter(batches(texts))
            .map(|batch| self.send_batch(batch))
            .buffer_unordered(CALLS)
            .try_collect()
            .await
    }
}

/// Fills batches in order, each within both limits of the service.
fn batches(texts: Vec<String>) -> Vec<Vec<String>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for text in texts {
        if batch.len() == BATCH_MESSAGES || (bytes + text.len() > BATCH_BYTES && bytes > 0) {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += text.len();
        batch.push(text);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

/// Keeps the messages that were handed back; an answer that names none of ours sends all again, for delivery twice does no harm.
fn again(texts: Vec<String>, failed: &[BatchResultErrorEntry]) -> Vec<String> {
    let places: Vec<usize> = failed
        .iter()
        .filter_map(|entry| entry.id().parse().ok())
        .filter(|place| *place < texts.len())
        .collect();
    if places.is_empty() {
        return texts;
    }
    texts
        .into_iter()
        .enumerate()
        .filter_map(|(place, text)| places.contains(&place).then_some(text))
        .collect()
}

/// SQS calls some throttling the sender's fault; only what no waiting helps is ours.
fn is_ours(entry: &BatchResultErrorEntry) -> bool {
    entry.sender_fault() && !entry.code().to_ascii_lowercase().contains("throttl")
}

fn class_of(error: &CallError) -> Class {
    match error {
        SdkError::ConstructionFailure(_) => Class::Denied,
        // Anything but I/O and time here is credentials that cannot be had.
        SdkError::DispatchFailure(failure) if failure.is_other() => Class::Denied,
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            class_of_code(code, service.raw().status().as_u16())
        }
        _ => Class::Transient,
    }
}

fn class_of_code(code: &str, status: u16) -> Class {
    let is = |part: &str| code.contains(part);
    if is("Throttl") || is("OverLimit") || status >= 500 {
        Class::Transient
    } else if is("BatchRequestTooLong") || is("InvalidMessageContents") || is("BatchEntry") {
        Class::Bug
    } else if is("NonExistentQueue")
        || is("QueueDoesNotExist")
        || is("Denied")
        || matches!(status, 400..=404)
    {
        Class::Denied
    } else {
        Class::Transient
    }
}

#[cfg(test)]
mod tests;
