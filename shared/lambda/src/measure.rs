//! Figures for `CloudWatch`: counted while a batch runs, written after it as one line in its embedded metric format.

use std::io;
use std::sync::OnceLock;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};

use crate::env::Env;

/// What the figures are filed under.
const NAMESPACE: &str = "swath";

static COLLECTOR: OnceLock<&'static Collector> = OnceLock::new();

/// What is counted; `infra/docs/functions.md` says more of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Count {
    /// Messages that came.
    Received,
    /// Messages whose work was done.
    Succeeded,
    /// Messages that can never succeed.
    Quarantined,
    /// Messages of which a copy comes later.
    PutOff,
    /// Messages that go back.
    HandedBack,
    /// Messages whose work panicked.
    Panicked,
    /// Items that searches found.
    ItemsFound,
    /// Assets that were fetched, proven and published, or found in their place.
    AssetsGood,
    /// Assets that can never be had.
    AssetsRefused,
    /// Assets that were given up this time.
    AssetsFailed,
    /// Bytes that came over the wire.
    BytesFetched,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// Milliseconds that a batch took.
    BatchDuration,
    /// Seconds from the sending of a batch's oldest message that was done to the end of the batch.
    Lag,
}

impl Count {
    /// All that is counted.
    pub const ALL: [Self; 11] = [
        Self::Received,
        Self::Succeeded,
        Self::Quarantined,
        Self::PutOff,
        Self::HandedBack,
        Self::Panicked,
        Self::ItemsFound,
        Self::AssetsGood,
        Self::AssetsRefused,
        Self::AssetsFailed,
        Self::BytesFetched,
    ];

    /// Returns the metric's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "Received",
            Self::Succeeded => "Succeeded",
            Self::Quarantined => "Quarantined",
            Self::PutOff => "PutOff",
            Self::HandedBack => "HandedBack",
            Self::Panicked => "Panicked",
            Self::ItemsFound => "ItemsFound",
            Self::AssetsGood => "AssetsGood",
            Self::AssetsRefused => "AssetsRefused",
            Self::AssetsFailed => "AssetsFailed",
            Self::BytesFetched => "BytesFetched",
        }
    }

    /// Adds to it; nothing happens where nobody collects.
    pub fn add(self, more: u64) {
        counter!(self.name()).increment(more);
    }
}

impl Measure {
    /// All that is measured.
    pub const ALL: [Self; 2] = [Self::BatchDuration, Self::Lag];

    /// Returns the metric's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::BatchDuration => "BatchDuration",
            Self::Lag => "Lag",
        }
    }

    /// Takes one value; nothing happens where nobody collects.
    pub fn take(self, value: f64) {
        histogram!(self.name()).record(value);
    }
}

/// Begins to collect for the whole process, under the function's name.
pub(crate) fn init() {
    let name = Env::of_process().optional("AWS_LAMBDA_FUNCTION_NAME");
    let name: String = name.ok().flatten().unwrap_or_else(|| "none".to_owned());
    let builder = Builder::new().cloudwatch_namespace(NAMESPACE);
    // Fails when it was done before.
    if let Ok(collector) = builder.with_dimension("Function", name).init() {
        COLLECTOR.get_or_init(|| collector);
        describe();
    }
}

fn describe() {
    for count in Count::ALL {
        let unit = match count {
            Count::BytesFetched => Unit::Bytes,
            _ => Unit::Count,
        };
        describe_counter!(count.name(), unit, "");
    }
    describe_histogram!(Measure::BatchDuration.name(), Unit::Milliseconds, "");
    describe_histogram!(Measure::Lag.name(), Unit::Seconds, "");
}

/// Writes what was collected since the last time as one line on standard output.
pub(crate) fn flush() {
    if let Some(collector) = COLLECTOR.get()
        && let Err(error) = collector.flush(io::stdout().lock())
    {
        tracing::warn!(error = %error, "the figures of a batch could not be written");
    }
}

#[cfg(test)]
mod tests {
    use metrics_cloudwatch_embedded::Collector;

    use super::*;

    #[test]
    fn figures_are_one_line_that_cloudwatch_reads() {
        let builder = Builder::new().cloudwatch_namespace(NAMESPACE);
        let collector: &'static Collector = builder.with_dimension("Function", "f").init().unwrap();
        describe();
        Count::AssetsGood.add(2);
        Count::AssetsGood.add(1);
        Measure::Lag.take(1.5);
        let mut line = Vec::new();
        collector.flush(&mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&line["Function"], &line["AssetsGood"]),
            (&"f".into(), &3.into())
        );
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "swath");
        assert_eq!(directive["Dimensions"], serde_json::json!([["Function"]]));
        let units: Vec<_> = directive["Metrics"].as_array().unwrap().iter().collect();
        let lag = serde_json::json!({"Name": "Lag", "Unit": "Seconds"});
        assert!(units.contains(&&lag), "{units:?}");
        let mut nothing = Vec::new();
        collector.flush(&mut nothing).unwrap();
        assert!(nothing.is_empty(), "an idle function writes nothing");
    }
}
