//! From a queue's words to searches, and back.

use std::time::Duration;

use swath_cloud::progress::Searched;
use swath_cloud::retry::Retryable;
use swath_cloud::store::{Store, StoreError};
use swath_core::message::{Body, SearchArea};
use swath_core::{Class, Classify, RunId};
use swath_lambda::measure::Count;
use swath_lambda::{Batch, BatchError, Incoming, Refused, SqsBatchResponse};
use tracing::{info, warn};

use crate::{AreaFound, Context, Marks, SearchError, search_on};

/// Features that are not items and get a log line each; the rest is counted.
const LOGGED: usize = 100;

/// Searches the areas of a batch; returns the messages to hand back.
///
/// # Errors
/// When a message has no id.
pub async fn handle(batch: Batch, context: &Context) -> Result<SqsBatchResponse, BatchError> {
    let lake = &batch.lake().clone();
    let may_go_on = &batch.time_left();
    let work = |(run_id, area)| search_and_tell(run_id, area, context, (lake, may_go_on));
    batch.each_counted(|incoming, _| take(incoming), work).await
}

fn take(incoming: Incoming) -> Result<(RunId, Box<SearchArea>), Refused> {
    let message = incoming.message()?;
    match message.body {
        Body::SearchArea(area) => Ok((message.run_id, Box::new(area))),
        other => Err(Refused::kind(other.kind())),
    }
}

async fn search_and_tell(
    run_id: RunId,
    area: Box<SearchArea>,
    context: &Context,
    (lake, may_go_on): (&Store, &(dyn Fn() -> bool + Sync)),
) -> Result<(), WorkError> {
    let marks = Marks::of(lake, &run_id, &area, may_go_on);
    let found = search_on(&run_id, &area, context, Some(&marks)).await?;
    for item in found.rejected.iter().take(LOGGED) {
        warn!(run.id = %run_id, item.id = item.id, item.reason = item.reason, page = item.page, "item rejected");
    }
    Count::ItemsFound.add(found.items);
    tell(&run_id, &area, &found);
    let searched = Searched {
        row_id: area.area.row_id.clone(),
        items: found.items,
        assets: found.assets,
        downloads: found.downloads,
        status: found.status(),
    };
    let kept = searched.keep(lake, &run_id, area.area.row_number).await;
    Ok(kept?)
}

#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error("what was found cannot be written down")]
    Keep(#[from] StoreError),
}

impl Classify for WorkError {
    fn class(&self) -> Class {
        match self {
            Self::Search(error) => error.class(),
            Self::Keep(error) => error.class(),
        }
    }
}

impl Retryable for WorkError {
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Search(error) => error.retry_after(),
            Self::Keep(_) => None,
        }
    }
}

fn tell(run_id: &RunId, area: &SearchArea, found: &AreaFound) {
    info!(
        run.id = %run_id,
        row.id = area.area.row_id,
        search.status = found.status().as_str(),
        search.requests = found.requests,
        search.pages = found.pages,
        search.matched = found.matched,
        search.items = found.items,
        search.assets = found.assets,
        search.downloads = found.downloads,
        search.rejected = found.rejected.len(),
        search.stopped = found.stopped.map(tracing::field::debug),
        search.is_short = found.is_short(),
        elapsed_ms = u64::try_from(found.elapsed.as_millis()).unwrap_or(u64::MAX),
        "searched"
    );
}

#[cfg(test)]
mod tests;
