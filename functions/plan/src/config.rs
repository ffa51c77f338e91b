//! Everything this function reads from its environment.

use std::num::NonZeroUsize;
use std::time::Duration;

use swath_core::Job;
use swath_lambda::env::{Env, EnvError};

/// The settings of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `SWATH_INBOX`: where files of areas are uploaded, below `aois/`: `s3://bucket` or a folder.
    pub inbox: String,
    /// `SWATH_LAKE`: the lake's base, for large messages and quarantine: `s3://bucket/prefix` or a folder.
    pub lake: String,
    /// `SWATH_SEARCH_QUEUE`: where searches go: an SQS queue URL or `file:///folder`.
    pub search_queue: String,
    /// `SWATH_DEFAULT_JOB`: the job, as JSON, of uploads that name none.
    pub default_job: Option<Job>,
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
            inbox: env.required("SWATH_INBOX")?,
            lake: env.required("SWATH_LAKE")?,
            search_queue: env.required("SWATH_SEARCH_QUEUE")?,
            default_job: env.json("SWATH_DEFAULT_JOB")?,
            concurrency: env.count("SWATH_CONCURRENCY", 2)?,
            time_needed: env.seconds("SWATH_TIME_NEEDED", 10)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_default_job_stops_the_start() {
        let mut pairs = vec![
            ("SWATH_INBOX", "s3://inbox"),
            ("SWATH_LAKE", "s3://lake/a"),
            ("SWATH_SEARCH_QUEUE", "https://sqs.example/1/search"),
        ];
        let config = Config::read(&Env::of(pairs.clone())).unwrap();
        assert_eq!(config.default_job, None);
        pairs.push((
            "SWATH_DEFAULT_JOB",
            r#"{"catalog":"https://stac.example/","colections":[]}"#,
        ));
        let error = Config::read(&Env::of(pairs)).unwrap_err().to_string();
        assert!(
            error.contains("SWATH_DEFAULT_JOB") && error.contains("colections"),
            "{error}"
        );
    }
}
