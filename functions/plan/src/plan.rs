//! The use case: one search per area.

use swath_cloud::queue::QueueError;
use swath_core::aoi::{AoiError, Areas, RejectedArea};
use swath_core::message::{Body, Message, PlanAreas, SearchArea};
use swath_core::{Class, Classify, Job, RunId};

use crate::Context;

/// Searches handed to the queue in one call.
const CHUNK: usize = 200;

/// What became of a file of areas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Areas that are now searched.
    pub areas: u64,
    /// Rows that cannot be searched, in the order of the file.
    pub rejected: Vec<RejectedArea>,
}

/// Why a file of areas could not be planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The file is no GeoJSON.
    #[error("the areas cannot be read")]
    Areas(#[source] AoiError),
    /// The queue took no more; the searches before these are under way.
    #[error("{sent} of {areas} searches were sent")]
    Send {
        /// Searches that the queue took.
        sent: usize,
        /// Searches to be sent.
        areas: usize,
        /// Why.
        #[source]
        source: QueueError,
    },
}

impl Classify for PlanError {
    fn class(&self) -> Class {
        match self {
            Self::Areas(_) => Class::Invalid,
            // A second try sends them all again: searching twice finds the same items and rows once.
            Self::Send { source, .. } => source.class(),
        }
    }
}

/// Sends one search per area; rows that cannot be searched are returned with their reasons.
///
/// # Errors
/// When the document is no GeoJSON, or the queue takes no more.
pub async fn plan(
    request: &PlanAreas,
    run_id: &RunId,
    context: &Context,
) -> Result<Planned, PlanError> {
    let areas = Areas::from_geojson(request.areas.get()).map_err(PlanError::Areas)?;
    plan_areas(&request.job, areas, run_id, context).await
}

/// Sends one search per area that was read; the rows that cannot be searched are handed through.
///
/// # Errors
/// When the queue takes no more.
pub async fn plan_areas(
    job: &Job,
    Areas { areas, rejected }: Areas,
    run_id: &RunId,
    context: &Context,
) -> Result<Planned, PlanError> {
    let count = areas.len();
    let mut searches = areas.into_iter().map(|area| Message {
        run_id: run_id.clone(),
        body: Body::SearchArea(SearchArea {
            job: job.clone(),
            area,
        }),
    });
    let mut sent = 0;
    loop {
        let chunk: Vec<_> = searches.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            break;
        }
        let length = chunk.len();
        if let Err(source) = context.search_queue.send(chunk).await {
            let areas = count;
            return Err(PlanError::Send {
                sent,
                areas,
                source,
            });
        }
        sent += length;
    }
    Ok(Planned {
        areas: sent as u64,
        rejected,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::value::RawValue;
    use swath_cloud::queue::channel;
    use swath_core::Job;

    use super::*;

    fn request(features: usize) -> PlanAreas {
        let feature = |n: usize| {
            let lon = if n == 1 { 999 } else { n % 90 };
            format!(
                r#"{{"type":"Feature","id":"{n}","properties":{{}},"geometry":{{"type":"Point","coordinates":[{lon},1.50]}}}}"#
            )
        };
        let features: Vec<_> = (0..features).map(feature).collect();
        let text = format!(
            r#"{{"type":"FeatureCollection","features":[{}]}}"#,
            features.join(",")
        );
        PlanAreas {
            job: Job::new("https://stac.example/".parse().unwrap()),
            areas: RawValue::from_string(text).unwrap(),
        }
    }

    #[tokio::test]
    async fn every_good_row_becomes_a_search_and_bad_rows_are_named() {
        let (queue, receiver) = channel(2 * CHUNK);
        let context = Context::new(Arc::new(queue));
        let run = RunId::new("r");
        let planned = plan(&request(CHUNK + 2), &run, &context).await.unwrap();
        drop(context);
        assert_eq!(planned.areas, CHUNK as u64 + 1);
        assert_eq!(planned.rejected.len(), 1);
        assert_eq!(planned.rejected[0].row_number, 1);
        let mut numbers = Vec::new();
        while let Some(message) = receiver.recv().await {
            assert_eq!(message.run_id, run);
            let Body::SearchArea(search) = message.body else {
                panic!("another message");
            };
            assert_eq!(search.job, request(1).job);
            assert!(
                search.area.geometry.get().contains("1.50"),
                "geometry was rewritten"
            );
            numbers.push(search.area.row_number);
        }
        let expected: Vec<_> = (0..CHUNK as u64 + 2).filter(|n| *n != 1).collect();
        assert_eq!(numbers, expected);
    }

    #[tokio::test]
    async fn a_queue_that_is_gone_is_no_fault_of_the_file() {
        let (queue, receiver) = channel(1);
        drop(receiver);
        let context = Context::new(Arc::new(queue));
        let error = plan(&request(1), &RunId::new("r"), &context)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "0 of 1 searches were sent");
        assert_ne!(error.class(), Class::Invalid);
    }

    #[tokio::test]
    async fn what_is_no_geojson_is_invalid() {
        let (queue, _receiver) = channel(1);
        let context = Context::new(Arc::new(queue));
        let mut request = request(1);
        request.areas = RawValue::from_string(r#"{"type":"Topology"}"#.to_owned()).unwrap();
        let error = plan(&request, &RunId::new("r"), &context)
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Invalid);
    }
}
