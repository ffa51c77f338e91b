//! Everything this function reads from its environment.

use std::num::NonZeroUsize;
use std::time::Duration;

use swath_cloud::sources::BucketAccesses;
use swath_core::intake::Intake;
use swath_lambda::env::{Env, EnvError};

/// The settings of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `SWATH_LAKE`: the lake's base, where runs keep their books: `s3://bucket/prefix` or a folder.
    pub lake: String,
    /// `SWATH_INGEST_QUEUE`: where chunks go: an SQS queue URL or `file:///folder`.
    pub ingest_queue: String,
    /// `SWATH_INTAKE`: what is taken of inventories that arrive by themselves, and how, as JSON.
    pub intake: Intake,
    /// `SWATH_BUCKETS`: how buckets of others are reached: `NAME=unsigned,region:us-west-2;OTHER=requester-pays`.
    pub buckets: BucketAccesses,
    /// `SWATH_ALLOW_HTTP`: whether `http` is fetched beside `https`.
    pub allow_http: bool,
    /// `SWATH_ALLOW_PRIVATE_HOSTS`: whether hosts outside the open internet are fetched from.
    pub allow_private_hosts: bool,
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
            ingest_queue: env.required("SWATH_INGEST_QUEUE")?,
            intake: env.json("SWATH_INTAKE")?.unwrap_or_default(),
            buckets: env.or("SWATH_BUCKETS", BucketAccesses::default())?,
            allow_http: env.or("SWATH_ALLOW_HTTP", false)?,
            allow_private_hosts: env.or("SWATH_ALLOW_PRIVATE_HOSTS", false)?,
            concurrency: env.count("SWATH_CONCURRENCY", 1)?,
            time_needed: env.seconds("SWATH_TIME_NEEDED", 300)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_intake_stops_the_start() {
        let needed = [
            ("SWATH_LAKE", "s3://lake/a"),
            ("SWATH_INGEST_QUEUE", "https://sqs.example/1/ingest"),
        ];
        assert_eq!(
            Config::read(&Env::of(needed)).unwrap().intake,
            Intake::default()
        );
        let wrong = needed
            .into_iter()
            .chain([("SWATH_INTAKE", r#"{"chunksize":5}"#)]);
        let error = Config::read(&Env::of(wrong)).unwrap_err().to_string();
        assert!(error.contains("SWATH_INTAKE"), "{error}");
    }
}
