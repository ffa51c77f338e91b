//! Where messages go that can never succeed.

use aws_lambda_events::sqs::SqsMessage;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use swath_cloud::store::StoreError;
use swath_core::{Class, redact_message};
use time::OffsetDateTime;

use crate::shell::Shell;

/// A message that can never succeed, as it is kept at `quarantine/<function>/<date>/<message id>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The function that could do nothing with it.
    pub function: String,
    /// The queue's id of the message.
    pub message_id: String,
    /// What the failure asks for.
    pub class: Class,
    /// Where it failed: `malformed`, `body`, `refused` or `work`.
    pub code: String,
    /// The failure and each of its causes, without secrets.
    pub reason: String,
    /// When the function received it.
    #[serde(with = "time::serde::rfc3339")]
    pub received: OffsetDateTime,
    /// How often the queue has delivered it, when it says so.
    pub receive_count: Option<u32>,
    /// The ARN of the queue it came from.
    pub queue: Option<String>,
    /// The body as it came, but for the values of headers and the credentials of addresses: whoever sends it again puts them in.
    pub body: Option<String>,
}

/// A message that could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error("the record cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    #[error("the lake did not take the record")]
    Store(#[source] StoreError),
}

impl Record {
    /// Fills in what the queue says about a message.
    pub(crate) fn with_origin(self, message: &SqsMessage) -> Self {
        let count = message.attributes.get("ApproximateReceiveCount");
        let body = message.body.as_deref();
        Self {
            receive_count: count.and_then(|count| count.parse().ok()),
            queue: message.event_source_arn.clone(),
            body: body.map(|body| redact_message(body).into_owned()),
            ..self
        }
    }

    /// Returns where it is kept; a second delivery on the same day replaces the first record.
    fn path(&self) -> String {
        let Self { function, .. } = self;
        let id = utf8_percent_encode(&self.message_id, UNSAFE);
        format!("quarantine/{function}/{}/{id}.json", self.received.date())
    }
}

/// What a file's name should not hold; queues' ids are UUIDs and have none of it.
const UNSAFE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

impl Shell {
    /// Keeps a message where a person can look at it.
    pub(crate) async fn quarantine(&self, record: &Record) -> Result<(), KeepError> {
        let bytes = serde_json::to_vec_pretty(record).map_err(KeepError::Json)?;
        let kept = self.lake.put(&record.path(), bytes.into()).await;
        kept.map_err(KeepError::Store)
    }
}
