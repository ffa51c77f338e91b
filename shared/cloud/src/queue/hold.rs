//! What may be done with a message that was received and has to wait.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::MessageAttributeValue;
use tokio::sync::OnceCell;

use super::{QueueError, sqs};

/// The attribute of a copy that says when its first forebear was sent, milliseconds since 1970.
pub const FIRST_SENT: &str = "swath-first-sent";

/// The longest delay that SQS takes for a message that is sent.
const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// The longest time that SQS hides a message for, less what it may have been hidden already.
const LONGEST_HIDDEN: Duration = Duration::from_hours(11);

/// A message as its receiver holds it.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// The ARN of its queue.
    pub queue: &'a str,
    /// What the queue gave with this delivery.
    pub receipt: &'a str,
    /// Its body.
    pub body: &'a str,
    /// When it was sent, or that of which it is a copy: milliseconds since 1970.
    pub first_sent_ms: u64,
}

/// Has messages come again later: nobody pays for a process that sleeps.
#[async_trait]
pub trait Hold: Debug + Send + Sync {
    /// Has the queue deliver the message again after so long, at the price of one receive.
    ///
    /// # Errors
    /// When the queue does not take it; the message comes again after the queue's own time then.
    async fn hide(&self, message: Held<'_>, wait: Duration) -> Result<(), QueueError>;

    /// Sends a copy that is delivered after so long and has been received never; the original may be deleted then.
    ///
    /// # Errors
    /// When the queue does not take it.
    async fn send_again(&self, message: Held<'_>, wait: Duration) -> Result<(), QueueError>;
}

/// Amazon SQS, with the credentials, region and endpoint of the environment; they are looked for when first needed.
#[derive(Debug, Default)]
pub struct SqsHold(OnceCell<aws_sdk_sqs::Client>);

impl SqsHold {
    async fn client(&self) -> &aws_sdk_sqs::Client {
        self.0.get_or_init(sqs::client).await
    }
}

#[async_trait]
impl Hold for SqsHold {
    async fn hide(&self, message: Held<'_>, wait: Duration) -> Result<(), QueueError> {
        let queue = url_of(message.queue)?;
        let call = self.client().await.change_message_visibility();
        let call = call.queue_url(&queue).receipt_handle(message.receipt);
        let call = call.visibility_timeout(seconds(wait.min(LONGEST_HIDDEN)));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(queue, error)),
        }
    }

    async fn send_again(&self, message: Held<'_>, wait: Duration) -> Result<(), QueueError> {
        let queue = url_of(message.queue)?;
        let sent = MessageAttributeValue::builder().data_type("Number");
        let sent = sent.string_value(message.first_sent_ms.to_string()).build();
        let sent = sent.map_err(|error| failed(queue.clone(), error))?;
        let call = self.client().await.send_message();
        let call = call.queue_url(&queue).message_body(message.body);
        let call = call.message_attributes(FIRST_SENT, sent);
        let call = call.delay_seconds(seconds(wait.min(LONGEST_DELAY)));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(queue, error)),
        }
    }
}

fn failed(queue: String, error: impl Into<aws_sdk_sqs::Error>) -> QueueError {
    let source = Box::new(error.into());
    QueueError::Hold { queue, source }
}

fn seconds(wait: Duration) -> i32 {
    i32::try_from(wait.as_secs()).unwrap_or(i32::MAX)
}

/// Returns the URL of the queue at `arn:PARTITION:sqs:REGION:ACCOUNT:NAME`.
fn url_of(arn: &str) -> Result<String, QueueError> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        ["arn", partition, "sqs", region, account, name] => {
            let suffix = match *partition {
                "aws-cn" => "amazonaws.com.cn",
                _ => "amazonaws.com",
            };
            Ok(format!("https://sqs.{region}.{suffix}/{account}/{name}"))
        }
        _ => Err(QueueError::Uri(arn.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_found_by_its_arn() {
        let found = |arn| url_of(arn).ok();
        assert_eq!(
            found("arn:aws:sqs:eu-west-1:123456789012:swath-download").as_deref(),
            Some("https://sqs.eu-west-1.amazonaws.com/123456789012/swath-download")
        );
        assert_eq!(
            found("arn:aws-cn:sqs:cn-north-1:123456789012:q").as_deref(),
            Some("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q")
        );
        for none in ["", "arn:aws:s3:::bucket", "https://sqs/1/q"] {
            assert!(found(none).is_none(), "{none}");
        }
    }

    #[test]
    fn no_time_is_longer_than_the_service_takes() {
        assert_eq!(
            seconds(Duration::from_hours(24).min(LONGEST_HIDDEN)),
            39_600
        );
        assert_eq!(seconds(Duration::from_hours(24).min(LONGEST_DELAY)), 900);
    }
}
