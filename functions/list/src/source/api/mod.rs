//! A STAC API, mirrored page by page; the next time from the latest `updated` on.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::http::{self, Timeouts};
use swath_cloud::stac::Client;
use swath_core::Job;
use swath_core::aoi::Area;
use swath_core::stac::parse_datetime;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use url::Url;

use super::items::entry;
use crate::filter::Filter;
use crate::list::ListError;
use crate::out::Out;
use swath_table::input::Spot;

/// Items of one page.
const PAGE: u32 = 250;
/// What was updated so shortly before a listing began, or since, may not have been on its pages: it comes again.
const UNSURE: Duration = Duration::minutes(5);

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    properties: Option<Times>,
}

#[derive(Deserialize)]
struct Times {
    #[serde(default)]
    updated: Option<String>,
}

fn everywhere() -> Area {
    Area {
        row_number: 0,
        row_id: String::new(),
        geometry: RawValue::NULL.to_owned(),
        columns: serde_json::Map::new(),
    }
}

pub(super) async fn run(
    landing: Url,
    filter: &Filter,
    cursor: Option<String>,
    mut out: Out,
) -> Result<Out, ListError> {
    let failed = |source| ListError::Api(Box::new(source));
    let begun = SystemClock.now();
    let http =
        http::for_apis(Timeouts::default()).map_err(|error| ListError::Http(Box::new(error)))?;
    let client = Client::new(http, Arc::new(SystemClock));
    let at = landing.to_string();
    let mut job = Job::new(landing);
    job.limit = PAGE;
    if let Some(since) = &cursor {
        // The items of that very moment come again: others may have got the same one since.
        let filter = json!({"op": ">=", "args": [{"property": "updated"}, {"timestamp": since}]});
        job.filter = Some(filter);
    }
    let mut search = client.search(&job, &everywhere()).await.map_err(failed)?;
    let mut latest = cursor;
    let mut number = 0;
    while let Some(page) = search.next_page().await.map_err(failed)? {
        for feature in page.features {
            number += 1;
            out.listed += 1;
            let head = serde_json::from_str::<Head>(feature.get()).ok();
            let updated = head.and_then(|head| head.properties?.updated);
            if is_later(updated.as_deref(), latest.as_deref()) {
                latest = updated;
            }
            let spot = Spot {
                unit: "item",
                number,
            };
            if let Some(entry) = entry(&at, spot, feature.get().as_bytes(), filter)
                && out.put(entry).await.is_err()
            {
                return Ok(out);
            }
        }
        if out.is_full() {
            // Pages are in no order of time: what was not seen may be older than what was.
            return Ok(out);
        }
    }
    if let Some(stopped) = search.stopped() {
        return Err(ListError::Stopped {
            at,
            reason: stopped.to_string(),
        });
    }
    out.cursor = latest.map(|latest| sure(latest, begun));
    Ok(out)
}

/// Says whether one moment is later than another, however they are spelled; no moment is the earliest.
pub(crate) fn is_later(one: Option<&str>, other: Option<&str>) -> bool {
    one.and_then(parse_datetime) > other.and_then(parse_datetime)
}

/// Returns a cursor up to which a listing that began then has seen everything.
fn sure(latest: String, begun: OffsetDateTime) -> String {
    let sure = begun - UNSURE;
    match parse_datetime(&latest) {
        Some(moment) if moment > sure => sure.format(&Rfc3339).unwrap_or(latest),
        _ => latest,
    }
}

#[cfg(test)]
mod tests;
