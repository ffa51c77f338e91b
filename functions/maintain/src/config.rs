//! Everything this function reads from its environment.

use std::num::NonZeroUsize;
use std::time::Duration;

use swath_lake::pointer::PointerKind;
use swath_lambda::env::{Env, EnvError};

/// The settings of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `SWATH_LAKE`: the lake's base: `s3://bucket/prefix`, or a folder with its catalog in `earthcatalog.db`.
    pub lake: String,
    /// `SWATH_POINTER`: who holds the pointers to the tables, as for `commit`.
    pub pointer: PointerKind,
    /// `SWATH_PUBLISH_DB`: whether `earthcatalog.db` is written beside a lake in a bucket at the end, for `EarthCatalog` to
    /// open.
    pub publish_db: bool,
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
            publish_db: env.or("SWATH_PUBLISH_DB", false)?,
            concurrency: env.count("SWATH_CONCURRENCY", 1)?,
            time_needed: env.seconds("SWATH_TIME_NEEDED", 60)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lake_is_needed() {
        assert!(Config::read(&Env::of([("SWATH_LAKE", "s3://lake/a")])).is_ok());
        let error = Config::read(&Env::of([])).unwrap_err();
        assert_eq!(error, EnvError::Missing { name: "SWATH_LAKE" });
    }
}
