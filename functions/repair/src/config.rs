//! Everything this function reads from its environment.

use std::num::NonZeroUsize;
use std::time::Duration;

use swath_cloud::queue::Upstreams;
use swath_lake::pointer::PointerKind;
use swath_lambda::env::{Env, EnvError};

/// The settings of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `SWATH_LAKE`: the lake's base, whose rows are read: `s3://bucket/prefix`, or a folder with its catalog in `earthcatalog.db`.
    pub lake: String,
    /// `SWATH_POINTER`: who holds the pointers to the tables, as for `commit`.
    pub pointer: PointerKind,
    /// `SWATH_OUT`: where assets are published, to look at their files: `s3://bucket/prefix` or a folder.
    pub out: String,
    /// `SWATH_DOWNLOAD_QUEUE`: where assets to be downloaded go: an SQS queue URL or `file:///folder`.
    pub download_queue: String,
    /// `SWATH_UPSTREAM_QUEUES`: the downloads of which hosts go to queues of their own, as `HOST,HOST=QUEUE`, spaces between.
    pub upstream_queues: Upstreams,
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
            pointer: env.or("SWATH_POINTER", PointerKind::default())?,
            out: env.required("SWATH_OUT")?,
            download_queue: env.required("SWATH_DOWNLOAD_QUEUE")?,
            upstream_queues: env.or("SWATH_UPSTREAM_QUEUES", Upstreams::default())?,
            concurrency: env.count("SWATH_CONCURRENCY", 1)?,
            time_needed: env.seconds("SWATH_TIME_NEEDED", 60)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lake_files_and_queue_are_needed() {
        let all = [
            ("SWATH_LAKE", "s3://lake/a"),
            ("SWATH_OUT", "s3://lake/assets"),
            ("SWATH_DOWNLOAD_QUEUE", "https://sqs.example/1/download"),
        ];
        assert!(Config::read(&Env::of(all)).is_ok());
        for (left_out, _) in all {
            let some = all.into_iter().filter(|(name, _)| *name != left_out);
            let error = Config::read(&Env::of(some)).unwrap_err();
            assert_eq!(error, EnvError::Missing { name: left_out });
        }
    }
}
