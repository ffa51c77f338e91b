//! Searches one area and sends on what it finds, page by page.

use std::time::Duration;

use serde_json::value::RawValue;
use swath_cloud::queue::{LARGEST, QueueError};
use swath_cloud::retry::Retryable;
use swath_cloud::stac::{Page, Search, StacError};
use swath_core::message::{Body, DownloadAsset, Message, SearchArea, WriteItems, WriteRows};
use swath_core::row::{AreaStatus, AssetRow};
use swath_core::{Class, Classify, RunId, fits, redact_url};

use crate::rows::Served;
use crate::{AreaFound, Context, RejectedItem};

/// Bytes of rows or items per message: the largest that a queue takes, less the message's own frame.
const MESSAGE_BYTES: usize = LARGEST - 4 * 1024;

/// A search that did not come to its end; what its earlier pages held was sent on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The API failed or refused.
    #[error("area {row_id}: the search failed after {} pages with {} items", found.pages, found.items)]
    Api {
        /// The area's id.
        row_id: String,
        /// What was found before.
        found: Box<AreaFound>,
        /// Why.
        #[source]
        source: Box<StacError>,
    },
    /// What was found cannot be sent on.
    #[error("area {row_id}: what was found on page {} cannot be sent on", found.pages)]
    Send {
        /// The area's id.
        row_id: String,
        /// What was found before.
        found: Box<AreaFound>,
        /// Why.
        #[source]
        source: Box<QueueError>,
    },
}

impl Classify for SearchError {
    fn class(&self) -> Class {
        match self {
            Self::Api { source, .. } => source.class(),
            Self::Send { source, .. } => source.class(),
        }
    }
}

impl Retryable for SearchError {
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api { source, .. } => source.retry_after(),
            Self::Send { .. } => None,
        }
    }
}

/// Searches an area and sends, per page, its items and asset rows to be written and its wanted assets to be downloaded; in the
/// end, how it ended.
///
/// Sending twice does no harm: items and rows are told apart by their content, downloads by their place.
///
/// # Errors
/// When the API or a queue fails; what earlier pages held stands.
pub async fn search(
    run_id: &RunId,
    request: &SearchArea,
    context: &Context,
) -> Result<AreaFound, SearchError> {
    let start = context.clock.now();
    let mut found = AreaFound::default();
    let ended = read_pages(run_id, request, context, &mut found).await;
    found.elapsed = context.clock.since(start);
    let row_id = &request.area.row_id;
    let ended = ended.map_err(|failure| failure.told(row_id, found.clone()));
    let status = found.row(run_id, request, ended.as_ref().err(), context.clock.now());
    match (ended, tell(run_id, vec![status], context).await) {
        (Ok(()), Ok(())) => Ok(found),
        (Ok(()), Err(source)) => Err(Failure::Send(source).told(row_id, found)),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(source)) => {
            tracing::warn!(row.id = row_id, error = %swath_core::chain(&source), "how the search ended cannot be sent on");
            Err(error)
        }
    }
}

/// Sends on how searches ended.
pub(crate) async fn tell(
    run_id: &RunId,
    ended: Vec<AreaStatus>,
    context: &Context,
) -> Result<(), QueueError> {
    let rows = parts(ended, json_bytes);
    let messages = rows.into_iter().map(|rows| Message {
        run_id: run_id.clone(),
        body: Body::WriteRows(WriteRows::AreaStatus(rows)),
    });
    context.write.send(messages.collect()).await
}

pub(crate) enum Failure {
    Api(StacError),
    Send(QueueError),
}

impl Failure {
    /// Says in which area it happened, and after what.
    pub(crate) fn told(self, row_id: &str, found: AreaFound) -> SearchError {
        let (row_id, found) = (row_id.to_owned(), Box::new(found));
        match self {
            Self::Api(source) => SearchError::Api {
                row_id,
                found,
                source: Box::new(source),
            },
            Self::Send(source) => SearchError::Send {
                row_id,
                found,
                source: Box::new(source),
            },
        }
    }
}

async fn read_pages(
    run_id: &RunId,
    request: &SearchArea,
    context: &Context,
    found: &mut AreaFound,
) -> Result<(), Failure> {
    let mut pages = context
        .api
        .search(&request.job, &request.area)
        .await
        .map_err(Failure::Api)?;
    found.area_cut = pages.is_cut();
    let ended = take_pages(run_id, request, context, (&mut pages, &mut *found)).await;
    found.stopped = pages.stopped();
    found.lightened = pages.lightened();
    found.requests = pages.requests();
    ended
}

async fn take_pages(
    run_id: &RunId,
    request: &SearchArea,
    context: &Context,
    (pages, found): (&mut Search, &mut AreaFound),
) -> Result<(), Failure> {
    while let Some(page) = pages.next_page().await.map_err(Failure::Api)? {
        found.pages = page.number;
        found.matched = found.matched.or(page.matched);
        found.returned += page.served;
        let taken = Taken::from_page(run_id, request, &page, found);
        let sent = taken.send(run_id, request, context).await;
        sent.map_err(Failure::Send)?;
    }
    Ok(())
}

/// What a page holds for others.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) items: Vec<Box<RawValue>>,
    pub(crate) rows: Vec<AssetRow>,
    downloads: Vec<DownloadAsset>,
}

impl Taken {
    /// Takes a page apart; what is no item is counted and named, its neighbours go on.
    fn from_page(run_id: &RunId, request: &SearchArea, page: &Page, found: &mut AreaFound) -> Self {
        let mut taken = Self::default();
        for (place, feature) in page.features.iter().enumerate() {
            match Served::parse(feature.get(), &page.url) {
                Ok(served) => {
                    taken.items.push(feature.clone());
                    taken.take(run_id, request, &served);
                    count_missing(request, &served, found);
                }
                Err(reason) => found.rejected.push(RejectedItem {
                    page: page.number,
                    place,
                    id: id_of(feature),
                    reason,
                }),
            }
        }
        found.items += taken.items.len() as u64;
        found.assets += taken.rows.len() as u64;
        found.downloads += taken.downloads.len() as u64;
        taken
    }

    pub(crate) fn take(&mut self, run_id: &RunId, request: &SearchArea, served: &Served<'_>) {
        for asset in served.wanted(&request.job) {
            self.rows.push(served.row(run_id, request, asset));
            if request.job.download {
                self.downloads.push(served.download(&request.job, asset));
            }
        }
    }

    pub(crate) async fn send(
        self,
        run_id: &RunId,
        request: &SearchArea,
        context: &Context,
    ) -> Result<(), QueueError> {
        let message = |body| Message {
            run_id: run_id.clone(),
            body,
        };
        let source = redact_url(&request.job.catalog);
        // Items of which only some members were asked for are parts, and would stand in the catalog as wholes.
        let whole = if request.job.fields.is_empty() {
            self.items
        } else {
            Vec::new()
        };
        let items = parts(whole, |item| item.get().len())
            .into_iter()
            .map(|items| {
                let source = source.clone();
                message(Body::WriteItems(WriteItems { source, items }))
            });
        let rows = parts(self.rows, json_bytes)
            .into_iter()
            .map(|rows| message(Body::WriteRows(WriteRows::AssetRows(rows))));
        let writes: Vec<_> = items.chain(rows).collect();
        if !writes.is_empty() {
            context.write.send(writes).await?;
        }
        let downloads: Vec<_> = self
            .downloads
            .into_iter()
            .map(|download| message(Body::DownloadAsset(download)))
            .collect();
        if !downloads.is_empty() {
            context.download.send(downloads).await?;
        }
        Ok(())
    }
}

/// Counts the wishes for assets that no asset of the item fits.
pub(crate) fn count_missing(request: &SearchArea, served: &Served<'_>, found: &mut AreaFound) {
    for key in request.job.assets.asked() {
        if !served.item.assets.iter().any(|asset| fits(key, asset)) {
            *found.missing_assets.entry(key.clone()).or_default() += 1;
        }
    }
}

pub(crate) fn id_of(feature: &RawValue) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(feature.get()).ok()?;
    match value.get("id")? {
        serde_json::Value::String(id) => Some(id.clone()),
        other => Some(other.to_string()),
    }
}

fn json_bytes<T: serde::Serialize>(row: &T) -> usize {
    serde_json::to_vec(row).map_or(MESSAGE_BYTES, |json| json.len())
}

/// Deals values out to messages, in order; one that is too large for any message gets its own.
fn parts<T>(values: Vec<T>, bytes: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut parts, mut part, mut filled) = (Vec::new(), Vec::new(), 0);
    for value in values {
        let size = bytes(&value) + 1;
        if filled + size > MESSAGE_BYTES && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            filled = 0;
        }
        filled += size;
        part.push(value);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests;
