//! The parts of a deployment, found by its name.

use std::collections::HashMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use futures::future::try_join_all;
use swath_cloud::aws;
use swath_cloud::store::{self, Store};
use swath_lake::pointer::S3Pointer;
use swath_lake::{Lake, Place};

use super::arguments::{DeploymentArgs, Function};
use super::error::AwsError;

/// A deployment: its queues and buckets.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    pub(super) name: String,
    pub(super) sqs: aws_sdk_sqs::Client,
    /// The emulator's address; AWS itself when absent.
    pub(super) endpoint: Option<String>,
    pub(super) region: String,
    /// What signs calls of services that have no client here.
    pub(super) shared: SdkConfig,
    account: String,
    pub(super) queues: Vec<Queues>,
}

/// The two queues of a function.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    pub(super) function: Function,
    /// The function's name, of an upstream's own queue its number behind it.
    pub(super) label: String,
    /// Where its messages wait.
    pub(super) work: String,
    /// Where those end that it has given up on.
    pub(super) dead: String,
}

/// What is in a queue, about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Depth {
    pub(super) waiting: u64,
    pub(super) under_way: u64,
}

/// Upstreams that the template has places for.
const UPSTREAMS: u8 = 4;

impl Deployment {
    /// Looks up the queues of a deployment with the environment's credentials and region.
    pub(super) async fn find(arguments: &DeploymentArgs) -> Result<Self, AwsError> {
        let shared = aws::load().await;
        let region = shared.region().ok_or(AwsError::Region)?.to_string();
        let sqs = aws_sdk_sqs::Client::new(&shared);
        let name = &arguments.name;
        let queues = Function::ALL.map(|function| find_queues(&sqs, name, function));
        let mut queues = try_join_all(queues).await?;
        let upstreams = (1..=UPSTREAMS).map(|number| find_upstream(&sqs, name, number));
        queues.extend(try_join_all(upstreams).await?.into_iter().flatten());
        let account = queues.first().and_then(|queues| account_of(&queues.work));
        let account = account.ok_or_else(|| AwsError::QueueUrl {
            url: queues
                .first()
                .map(|queues| queues.work.clone())
                .unwrap_or_default(),
        })?;
        Ok(Self {
            name: name.clone(),
            account: account.to_owned(),
            endpoint: shared.endpoint_url().map(str::to_owned),
            sqs,
            region,
            shared,
            queues,
        })
    }

    /// Opens the bucket that uploads go to.
    pub(super) fn inbox(&self) -> Result<Store, AwsError> {
        self.bucket("inbox")
    }

    /// Opens the bucket that the lake lies in.
    pub(super) fn lake_bucket(&self) -> Result<Store, AwsError> {
        self.bucket("lake")
    }

    fn bucket(&self, what: &str) -> Result<Store, AwsError> {
        let Self {
            name,
            account,
            region,
            ..
        } = self;
        let uri = format!("s3://{name}-{what}-{account}-{region}");
        store::open_existing(&uri).map_err(AwsError::Store)
    }

    /// Returns the pointers to the lake's tables, and the lake for reading.
    pub(super) fn lake(&self) -> Result<(S3Pointer, Lake), AwsError> {
        let store = self.lake_bucket()?;
        let place = Place::new(store.store, store.prefix, &store.uri);
        let pointer = S3Pointer::new(place.clone());
        let lake = Lake::existing(place, Arc::new(pointer.clone()));
        Ok((pointer, lake))
    }

    /// Counts the messages of a queue; the service's figures lag behind by seconds.
    pub(super) async fn depth(&self, queue: &str) -> Result<Depth, AwsError> {
        use QueueAttributeName as Name;
        let names = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesDelayed,
            Name::ApproximateNumberOfMessagesNotVisible,
        ];
        let asked = self
            .sqs
            .get_queue_attributes()
            .queue_url(queue)
            .set_attribute_names(Some(names.to_vec()));
        let found = asked
            .send()
            .await
            .map_err(|error| failed(queue, "counting its messages", error))?;
        let found = found.attributes.unwrap_or_default();
        let [waiting, delayed, under_way] = names.map(|name| number(&found, &name));
        Ok(Depth {
            waiting: waiting + delayed,
            under_way,
        })
    }

    /// Counts the messages that wait for functions or are worked on.
    pub(super) async fn messages(&self) -> Result<u64, AwsError> {
        let depths = self.queues.iter().map(|queues| self.depth(&queues.work));
        let depths = try_join_all(depths).await?;
        let messages = depths.iter().map(|depth| depth.waiting + depth.under_way);
        Ok(messages.sum())
    }
}

/// Tells of a failed call to a queue.
pub(super) fn failed(
    queue: &str,
    doing: &'static str,
    error: impl Into<aws_sdk_sqs::Error>,
) -> AwsError {
    AwsError::Queue {
        queue: queue.to_owned(),
        doing,
        source: Box::new(error.into()),
    }
}

fn number(found: &HashMap<QueueAttributeName, String>, name: &QueueAttributeName) -> u64 {
    let text = found.get(name);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

async fn find_queues(
    sqs: &aws_sdk_sqs::Client,
    name: &str,
    function: Function,
) -> Result<Queues, AwsError> {
    let work = format!("{name}-{}", function.name());
    let dead = format!("{work}-dead");
    Ok(Queues {
        function,
        label: function.name().to_owned(),
        work: find_queue(sqs, name, work).await?,
        dead: find_queue(sqs, name, dead).await?,
    })
}

/// Finds the queues of the downloads from an upstream, if it has queues of its own.
async fn find_upstream(
    sqs: &aws_sdk_sqs::Client,
    name: &str,
    number: u8,
) -> Result<Option<Queues>, AwsError> {
    let label = format!("{}-{number}", Function::Download.name());
    let work = format!("{name}-{label}");
    let found = match find_queue(sqs, name, work.clone()).await {
        Ok(found) => found,
        Err(AwsError::NoQueue { source, .. }) if is_missing(&source) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(Queues {
        function: Function::Download,
        label,
        work: found,
        dead: find_queue(sqs, name, format!("{work}-dead")).await?,
    }))
}

fn is_missing(error: &aws_sdk_sqs::Error) -> bool {
    matches!(error, aws_sdk_sqs::Error::QueueDoesNotExist(_))
}

async fn find_queue(
    sqs: &aws_sdk_sqs::Client,
    name: &str,
    queue: String,
) -> Result<String, AwsError> {
    match sqs.get_queue_url().queue_name(&queue).send().await {
        Ok(found) => Ok(found.queue_url.unwrap_or_default()),
        Err(error) => Err(AwsError::NoQueue {
            name: name.to_owned(),
            queue,
            source: Box::new(error.into()),
        }),
    }
}

/// Returns the account in `https://sqs.region.amazonaws.com/account/queue`.
fn account_of(url: &str) -> Option<&str> {
    let account = url.rsplit('/').nth(1)?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account.then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_stands_before_the_queues_name() {
        let aws = "https://sqs.eu-west-1.amazonaws.com/123456789012/swath-plan";
        assert_eq!(account_of(aws), Some("123456789012"));
        let emulator = "http://localhost:4566/000000000000/swath-plan";
        assert_eq!(account_of(emulator), Some("000000000000"));
        for url in ["", "swath-plan", "http://localhost:4566/swath-plan"] {
            assert_eq!(account_of(url), None, "{url}");
        }
    }
}
