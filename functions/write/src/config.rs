//! Everything this function reads from its environment.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use swath_core::grid::GridSpec;
use swath_lambda::env::{Env, EnvError};
use swath_table::rules::{Repairs, Validation};

/// The settings of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `SWATH_LAKE`: the lake's base, where data files lie: `s3://bucket/prefix` or a folder.
    pub lake: String,
    /// `SWATH_COMMIT_QUEUE`: where written files are told: an SQS queue URL or `file:///folder`.
    pub commit_queue: String,
    /// `SWATH_WRITE_QUEUE`: this function's own queue, where the merges of bulk runs go; without it there are none.
    pub write_queue: Option<String>,
    /// `SWATH_GRID`: the grid that items are filed under, the one that the lake was made with; the file of a `geojson` grid
    /// lies below the lake's base.
    pub grid: GridSpec,
    /// `SWATH_VALIDATE`: what is asked of an item: `none`, `core` or `schema`.
    pub validation: Validation,
    /// `SWATH_REPAIR`: what of an item may be mended, separated by commas.
    pub repairs: Repairs,
    /// `SWATH_SCHEMAS`: the folder of the published JSON schemas, as a layer brings it.
    pub schemas: Option<PathBuf>,
    /// `SWATH_CONCURRENCY`: large messages fetched at once; the batch is written as a whole.
    pub concurrency: NonZeroUsize,
    /// `SWATH_TIME_NEEDED`: no batch is started with fewer seconds left.
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
            commit_queue: env.required("SWATH_COMMIT_QUEUE")?,
            write_queue: env.optional("SWATH_WRITE_QUEUE")?,
            grid: env.or("SWATH_GRID", GridSpec::default())?,
            validation: env.or("SWATH_VALIDATE", Validation::None)?,
            repairs: env.or("SWATH_REPAIR", Repairs::default())?,
            schemas: env.optional("SWATH_SCHEMAS")?,
            concurrency: env.count("SWATH_CONCURRENCY", 8)?,
            time_needed: env.seconds("SWATH_TIME_NEEDED", 60)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use swath_table::Repair;

    use super::*;

    #[test]
    fn a_grid_that_does_not_exist_stops_the_start() {
        let needed = [
            ("SWATH_LAKE", "s3://lake/a"),
            ("SWATH_COMMIT_QUEUE", "https://sqs.example/1/commit"),
        ];
        let config = Config::read(&Env::of(needed)).unwrap();
        assert_eq!(config.grid.to_string(), "h3:1");
        let wrong = needed.into_iter().chain([("SWATH_GRID", "h3:16")]);
        let error = Config::read(&Env::of(wrong)).unwrap_err().to_string();
        assert!(error.contains("SWATH_GRID"), "{error}");
        assert_eq!(config.validation, Validation::None);
        let asked = [
            ("SWATH_VALIDATE", "core"),
            ("SWATH_REPAIR", "bbox-order, lists-missing"),
        ];
        let config = Config::read(&Env::of(needed.into_iter().chain(asked))).unwrap();
        assert_eq!(config.validation, Validation::Core);
        assert_eq!(config.repairs.0, [Repair::BboxOrder, Repair::ListsMissing]);
        let wrong = needed.into_iter().chain([("SWATH_REPAIR", "all")]);
        let error = Config::read(&Env::of(wrong)).unwrap_err().to_string();
        assert!(error.contains("SWATH_REPAIR"), "{error}");
    }
}
