//! Everything this function reads from its environment.

use std::num::NonZeroUsize;
use std::time::Duration;

use swath_core::grid::GridSpec;
use swath_lake::pointer::PointerKind;
use swath_lambda::env::{Env, EnvError};

/// The settings of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `SWATH_LAKE`: the lake's base, whose tables grow: `s3://bucket/prefix`, or a folder with its catalog in `earthcatalog.db`.
    pub lake: String,
    /// `SWATH_POINTER`: who holds the pointers to the tables: `lake`, or `glue`, or `glue:PREFIX` for databases whose names
    /// begin so.
    pub pointer: PointerKind,
    /// `SWATH_GRID`: the grid that items are filed under, the one that the lake was made with; the file of a `geojson` grid
    /// lies below the lake's base.
    pub grid: GridSpec,
    /// `SWATH_PUBLISH_DB`: whether `earthcatalog.db` is written beside a lake in a bucket after each batch, for `EarthCatalog`
    /// to open.
    pub publish_db: bool,
    /// `SWATH_CONCURRENCY`: large messages fetched at once; the batch is committed as a whole.
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
            pointer: env.or("SWATH_POINTER", PointerKind::default())?,
            grid: env.or("SWATH_GRID", GridSpec::default())?,
            publish_db: env.or("SWATH_PUBLISH_DB", false)?,
            concurrency: env.count("SWATH_CONCURRENCY", 8)?,
            // Longer than a commit goes on trying when others are first.
            time_needed: env.seconds("SWATH_TIME_NEEDED", 80)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_begun_only_with_time_for_all_its_attempts() {
        let config = Config::read(&Env::of([("SWATH_LAKE", "/lake")])).unwrap();
        assert!(config.time_needed > swath_cloud::retry::Policy::CONTENDED.budget);
    }
}
