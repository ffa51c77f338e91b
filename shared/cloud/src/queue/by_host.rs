//! One queue of downloads per upstream: each is read at its own pace, so that no host is asked more than it likes, and none
//! waits behind another.

use std::sync::Arc;

use async_trait::async_trait;
use swath_core::message::{Body, DownloadAsset, Message};
use url::Url;

use super::{Queue, QueueError, open};
use crate::sign::Hosts;
use crate::store::Store;

/// Deals downloads out to queues by the host that serves them; what is for no named host goes to the rest's queue.
#[derive(Clone, Debug)]
pub struct ByHost {
    upstreams: Vec<(Hosts, Arc<dyn Queue>)>,
    rest: Arc<dyn Queue>,
}

/// The text of an upstream that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no upstream: write HOST,HOST=QUEUE, with spaces between upstreams")]
pub struct UpstreamError(String);

/// Hosts and the queue of their downloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstreams(Vec<(Hosts, String)>);

impl std::str::FromStr for Upstreams {
    type Err = UpstreamError;

    /// Reads `HOST,HOST=QUEUE` as often as it stands there, with spaces between; `.example.com` means every host below it.
    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let upstream = |word: &str| {
            let wrong = || UpstreamError(word.to_owned());
            let (hosts, queue) = word.split_once('=').ok_or_else(wrong)?;
            let hosts = Hosts::new(hosts.split(','));
            if hosts.is_empty() || queue.is_empty() {
                return Err(wrong());
            }
            Ok((hosts, queue.to_owned()))
        };
        let words = text.split_whitespace();
        Ok(Self(words.map(upstream).collect::<Result<_, _>>()?))
    }
}

impl ByHost {
    /// Opens the queues of some upstreams, and takes that of the rest.
    ///
    /// # Errors
    /// When a queue cannot be opened.
    pub async fn open(
        upstreams: &Upstreams,
        rest: Arc<dyn Queue>,
        lake: &Store,
    ) -> Result<Self, QueueError> {
        let mut opened = Vec::new();
        for (hosts, queue) in &upstreams.0 {
            opened.push((hosts.clone(), open(queue, lake).await?));
        }
        let upstreams = opened;
        Ok(Self { upstreams, rest })
    }

    /// Returns the place of a message's queue among the upstreams; none is the rest's.
    fn place(&self, message: &Message) -> Option<usize> {
        let Body::DownloadAsset(asked) = &message.body else {
            return None;
        };
        let place = |host: &str| {
            self.upstreams
                .iter()
                .position(|(hosts, _)| hosts.have(host))
        };
        hosts_of(asked).iter().find_map(|host| place(host))
    }
}

/// Returns who is asked for an asset: the href's host (of an `s3` href its bucket), then the catalog's.
fn hosts_of(asked: &DownloadAsset) -> Vec<String> {
    let href = Url::parse(&asked.href).ok();
    let urls = href.iter().chain([&asked.job.catalog]);
    urls.filter_map(|url| url.host_str().map(str::to_owned))
        .collect()
}

#[async_trait]
impl Queue for ByHost {
    async fn send(&self, messages: Vec<Message>) -> Result<(), QueueError> {
        let mut dealt: Vec<Vec<Message>> = self.upstreams.iter().map(|_| Vec::new()).collect();
        let mut rest = Vec::new();
        for message in messages {
            let place = self.place(&message);
            match place.and_then(|place| dealt.get_mut(place)) {
                Some(queue) => queue.push(message),
                None => rest.push(message),
            }
        }
        let queues = self.upstreams.iter().map(|(_, queue)| queue);
        for (queue, messages) in queues.zip(dealt).chain([(&self.rest, rest)]) {
            if !messages.is_empty() {
                queue.send(messages).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use swath_core::{Job, RunId};

    use super::super::{MemoryReceiver, channel};
    use super::*;

    fn download(catalog: &str, href: &str) -> Message {
        Message {
            run_id: RunId::new(href),
            body: Body::DownloadAsset(DownloadAsset {
                job: Job::new(Url::parse(catalog).unwrap()),
                collection: None,
                item_id: "i".to_owned(),
                asset_name: "a".to_owned(),
                href: href.to_owned(),
                alternate_hrefs: Vec::new(),
                media_type: None,
                size_bytes: None,
                checksum: None,
            }),
        }
    }

    async fn hrefs(receiver: MemoryReceiver) -> Vec<String> {
        let mut hrefs = Vec::new();
        while let Some(message) = receiver.recv().await {
            hrefs.push(message.run_id.to_string());
        }
        hrefs
    }

    #[tokio::test]
    async fn each_download_goes_to_the_queue_of_its_host() {
        let (azure, to_azure) = channel(10);
        let (api, to_api) = channel(10);
        let (rest, to_rest) = channel(10);
        let upstreams: Upstreams = ".blob.core.windows.net=a api.example,sentinel-cogs=b"
            .parse()
            .unwrap();
        let queues: [Arc<dyn Queue>; 2] = [Arc::new(azure), Arc::new(api)];
        let hosts = upstreams.0.into_iter().map(|(hosts, _)| hosts);
        let by_host = ByHost {
            upstreams: hosts.zip(queues).collect(),
            rest: Arc::new(rest),
        };
        let sent = [
            (
                "https://other.example/",
                "https://x.blob.core.windows.net/a.tif",
            ),
            // The href's host goes before the catalog's.
            (
                "https://api.example/",
                "https://Y.blob.core.windows.net/b.tif",
            ),
            ("https://api.example/", "https://elsewhere.example/c.tif"),
            ("https://api.example/", ""),
            ("https://other.example/", "s3://sentinel-cogs/d.tif"),
            ("https://other.example/", "https://elsewhere.example/e.tif"),
            ("https://other.example/", "no address"),
        ];
        let messages = sent.map(|(catalog, href)| download(catalog, href));
        by_host.send(messages.into()).await.unwrap();
        drop(by_host);
        let [azure, api, rest] = [to_azure, to_api, to_rest].map(hrefs);
        assert_eq!(
            azure.await,
            [
                "https://x.blob.core.windows.net/a.tif",
                "https://Y.blob.core.windows.net/b.tif"
            ]
        );
        assert_eq!(
            api.await,
            [
                "https://elsewhere.example/c.tif",
                "",
                "s3://sentinel-cogs/d.tif"
            ]
        );
        assert_eq!(
            rest.await,
            ["https://elsewhere.example/e.tif", "no address"]
        );
    }

    #[test]
    fn an_upstream_without_hosts_or_queue_is_named() {
        assert_eq!("  ".parse(), Ok(Upstreams::default()));
        for text in ["a.example", "=queue", "a.example= b.example=c", ",=q"] {
            let error = text.parse::<Upstreams>().unwrap_err().to_string();
            assert!(error.contains("HOST,HOST=QUEUE"), "{error}");
        }
    }
}
