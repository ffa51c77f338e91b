//! Objects that are gone: their items leave the catalog.

use std::collections::HashMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use swath_cloud::runs::{
    Entry, GONE, ItemName, LedgerError, Origin, find_origins, read_upload, write_upload,
};
use swath_cloud::store::Store;
use swath_core::message::{Body, RemoveItems, RemovedItem};
use swath_core::stac::parse_datetime;
use time::OffsetDateTime;

/// Uploads that are looked for at the same time.
const READS: usize = 32;
/// Items of one message.
const TOGETHER: usize = 1000;

/// What was found of objects that are gone.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// The objects as they were, marked as gone.
    pub(crate) origins: Vec<Origin>,
    /// Their items.
    pub(crate) items: Vec<RemovedItem>,
    /// Objects of which nothing was taken in.
    pub(crate) unknown: u64,
}

/// Finds the items of objects that are gone, in the books of the runs that took them in and in what is known of uploads.
///
/// An object may have been taken in more than once: all of its versions' items are gone.
pub(crate) async fn find(
    lake: &Store,
    known: &[String],
    entries: Vec<Entry>,
) -> Result<Gone, LedgerError> {
    let mut found: HashMap<String, (OffsetDateTime, Vec<Origin>)> = HashMap::new();
    for entry in &entries {
        let since = entry.gone.map_or(0, i128::from) * 1000;
        let since = OffsetDateTime::from_unix_timestamp_nanos(since);
        let since = since.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        found.insert(entry.href.clone(), (since, Vec::new()));
    }
    for marks in known.iter().filter(|at| !at.ends_with(GONE)) {
        let at = marks.strip_suffix(".bin").unwrap_or(marks);
        let at = format!("{at}.jsonl.gz");
        for origin in find_origins(lake, &at, |href| found.contains_key(href)).await? {
            if let Some((_, origins)) = found.get_mut(&origin.href) {
                origins.push(origin);
            }
        }
    }
    let uploads: Vec<_> = found
        .keys()
        .cloned()
        .map(|href| async move {
            let origin = forget_upload(lake, &href).await;
            origin.map(|origin| (href, origin))
        })
        .collect();
    let mut uploads = stream::iter(uploads).buffer_unordered(READS);
    while let Some((href, origin)) = uploads.try_next().await? {
        if let Some((_, origins)) = found.get_mut(&href) {
            origins.extend(origin);
        }
    }
    drop(uploads);
    let mut gone = Gone::default();
    for (since, origins) in found.into_values() {
        gone.unknown += u64::from(origins.is_empty());
        for origin in origins {
            let items = origin.items.iter();
            gone.items.extend(items.map(|item| removed(item, since)));
            gone.origins.push(Origin {
                gone: true,
                ..origin
            });
        }
    }
    gone.origins.sort_unstable();
    gone.origins.dedup();
    gone.items.sort_unstable();
    gone.items.dedup();
    Ok(gone)
}

/// Notes of an upload that it is gone; returns what was known of it.
async fn forget_upload(lake: &Store, href: &str) -> Result<Option<Origin>, LedgerError> {
    loop {
        let upload = read_upload(lake, href).await?;
        let Some(origin) = upload.origin.clone() else {
            return Ok(None);
        };
        let now = Origin {
            gone: true,
            ..origin.clone()
        };
        if origin.gone || write_upload(lake, upload, &now).await? {
            return Ok(Some(origin));
        }
    }
}

/// Names an item that is gone since a moment, or since it was last updated, if it says that that was later.
pub(crate) fn removed(item: &ItemName, since: OffsetDateTime) -> RemovedItem {
    let updated = item.updated.as_deref().and_then(parse_datetime);
    RemovedItem {
        collection: item.collection.clone(),
        id: item.id.clone(),
        as_of: updated.map_or(since, |updated| updated.max(since)),
    }
}

/// Puts items into messages.
pub(crate) fn bodies(source: &str, why: &str, items: &[RemovedItem]) -> Vec<Body> {
    let together = items.chunks(TOGETHER);
    together
        .map(|items| {
            Body::RemoveItems(RemoveItems {
                source: source.to_owned(),
                why: Some(why.to_owned()),
                items: items.to_vec(),
            })
        })
        .collect()
}
