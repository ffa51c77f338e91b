//! What a page holds for others, and how it is sent on.

use serde_json::value::RawValue;
use swath_cloud::queue::{LARGEST, QueueError};
use swath_cloud::stac::Page;
use swath_core::message::{Body, DownloadAsset, Message, SearchArea, WriteItems, WriteRows};
use swath_core::row::{AssetRow, Found, Sought};
use swath_core::{Job, RunId, Shared, fits, redact_url};

use crate::rows::{Served, sought};
use crate::{AreaFound, Context, RejectedItem};

/// Bytes of rows or items per message: the largest that a queue takes, less the message's own frame.
const MESSAGE_BYTES: usize = LARGEST - 4 * 1024;

/// What a page holds for others.
#[derive(Default)]
pub(crate) struct Taken {
    items: Vec<Box<RawValue>>,
    rows: Vec<AssetRow>,
    downloads: Vec<DownloadAsset>,
}

impl Taken {
    /// Takes a page apart; what is no item is counted and named, its neighbours go on.
    pub(crate) fn from_page(
        run_id: &RunId,
        request: &SearchArea,
        page: &Page,
        found: &mut AreaFound,
    ) -> Self {
        let mut taken = Self::default();
        let sought = sought(run_id, request);
        for (place, feature) in page.features.iter().enumerate() {
            match Served::parse(feature.get(), &page.url) {
                Ok(served) => {
                    taken.take_item(feature, &served, &request.job);
                    taken.take_rows(&sought, &served.found(&request.job));
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

    /// Adds an item, and a download per wanted asset if the job asks for them.
    pub(crate) fn take_item(&mut self, feature: &RawValue, served: &Served<'_>, job: &Job) {
        self.items.push(feature.to_owned());
        if job.download {
            let wanted = served.wanted(job);
            self.downloads
                .extend(wanted.map(|asset| served.download(job, asset)));
        }
    }

    /// Adds a row per asset.
    pub(crate) fn take_rows(&mut self, sought: &Shared<Sought>, found: &[Shared<Found>]) {
        let rows = found.iter().map(|found| AssetRow {
            sought: sought.clone(),
            found: found.clone(),
        });
        self.rows.extend(rows);
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
        let rows = parts(self.rows, |row| row.json_bytes().unwrap_or(MESSAGE_BYTES))
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

pub(crate) fn json_bytes<T: serde::Serialize>(row: &T) -> usize {
    serde_json::to_vec(row).map_or(MESSAGE_BYTES, |json| json.len())
}

/// Deals values out to messages, in order; one that is too large for any message gets its own.
pub(crate) fn parts<T>(values: Vec<T>, bytes: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
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
