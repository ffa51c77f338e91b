//! Everything this function reads from its environment.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use swath_cloud::queue::Upstreams;
use swath_cloud::sign::Hosts;
use swath_lambda::MAX_RECEIVES;
use swath_lambda::env::{Env, EnvError};

/// The settings of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `SWATH_LAKE`: the lake's base, for large messages and quarantine: `s3://bucket/prefix` or a folder.
    pub lake: String,
    /// `SWATH_WRITE_QUEUE`: where items and rows go: an SQS queue URL or `file:///folder`.
    pub write_queue: String,
    /// `SWATH_DOWNLOAD_QUEUE`: where assets to be downloaded go: an SQS queue URL or `file:///folder`.
    pub download_queue: String,
    /// `SWATH_UPSTREAM_QUEUES`: the downloads of which hosts go to queues of their own, as `HOST,HOST=QUEUE`, spaces between.
    pub upstream_queues: Upstreams,
    /// `SWATH_MAX_RECEIVES`: deliveries of one message, after which its queue gives it up.
    pub max_receives: NonZeroU32,
    /// `SWATH_ALLOW_HTTP`: whether APIs are asked over `http` beside `https`.
    pub allow_http: bool,
    /// `SWATH_ALLOW_PRIVATE_HOSTS`: whether APIs outside the open internet, and at ports other than the web's, are asked.
    pub allow_private_hosts: bool,
    /// `SWATH_CATALOG_HOSTS`: the only hosts whose APIs are asked, separated by commas; any when there are none.
    pub catalog_hosts: Hosts,
    /// `SWATH_CONCURRENCY`: messages worked on at once.
    pub concurrency: NonZeroUsize,
    /// `SWATH_TIME_NEEDED`: no message is started with fewer seconds left.
    pub time_needed: Duration,
}

impl Config {
    /// Reads the environment, once, at cold start.
    ///
    /// # Errors
    /// When a setting is missing or makes no sense.
    pub fn from_env() -> Result<Self, EnvError> {
        Self::read(&Env::of_process())
    }

    fn read(env: &Env) -> Result<Self, EnvError> {
        Ok(Self {
            lake: env.required("SWATH_LAKE")?,
            write_queue: env.required("SWATH_WRITE_QUEUE")?,
            download_queue: env.required("SWATH_DOWNLOAD_QUEUE")?,
            upstream_queues: env.or("SWATH_UPSTREAM_QUEUES", Upstreams::default())?,
            max_receives: env.or("SWATH_MAX_RECEIVES", MAX_RECEIVES)?,
            allow_http: env.or("SWATH_ALLOW_HTTP", false)?,
            allow_private_hosts: env.or("SWATH_ALLOW_PRIVATE_HOSTS", false)?,
            catalog_hosts: Hosts::new(env.or("SWATH_CATALOG_HOSTS", String::new())?.split(',')),
            concurrency: env.count("SWATH_CONCURRENCY", 4)?,
            time_needed: env.seconds("SWATH_TIME_NEEDED", 60)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_is_needed() {
        let all = [
            ("SWATH_LAKE", "s3://lake/a"),
            ("SWATH_WRITE_QUEUE", "https://sqs.example/1/write"),
            ("SWATH_DOWNLOAD_QUEUE", "https://sqs.example/1/download"),
        ];
        let config = Config::read(&Env::of(all)).unwrap();
        assert!(!config.allow_http && !config.allow_private_hosts);
        for (left_out, _) in all {
            let some = all.into_iter().filter(|(name, _)| *name != left_out);
            let error = Config::read(&Env::of(some)).unwrap_err();
            assert_eq!(error, EnvError::Missing { name: left_out });
        }
    }
}
