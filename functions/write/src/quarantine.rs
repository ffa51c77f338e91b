//! What cannot be an item is kept where a person can look.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::value::RawValue;
use swath_core::digest_hex;
use tracing::warn;

use crate::gather::Refused;
use crate::put::put_new;
use crate::write::{PUTS, fail};
use crate::{Context, WriteError, Written};

/// Something that was to be an item and cannot be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its collection, as far as it has one.
    pub collection: Option<String>,
    /// Its id, as far as it has one.
    pub item_id: Option<String>,
    /// Why.
    pub reason: String,
    /// Where it is kept, below the lake's base.
    pub path: String,
}

/// Keeps what is no item where a person can look; only then it may leave the queue.
pub(crate) async fn quarantine(
    refused: &[Refused<'_>],
    context: &Context,
    results: &mut [Result<Written, WriteError>],
) {
    // Collected first: a closure over borrowed values would make this future one that cannot move between threads.
    let keeping: Vec<_> = refused
        .iter()
        .map(|refused| keep(refused, context))
        .collect();
    let kept: Vec<_> = stream::iter(keeping).buffered(PUTS).collect().await;
    for (refused, kept) in refused.iter().zip(kept) {
        match kept {
            Ok(rejected) => {
                warn!(
                    item.id = rejected.item_id,
                    item.collection = rejected.collection,
                    error = rejected.reason,
                    quarantine.path = rejected.path,
                    "item rejected"
                );
                let first = refused
                    .messages
                    .first()
                    .and_then(|first| results.get_mut(*first));
                if let Some(Ok(written)) = first {
                    written.rejected.push(rejected);
                }
            }
            Err(error) => fail(results, &refused.messages, &error),
        }
    }
}

async fn keep(refused: &Refused<'_>, context: &Context) -> Result<Rejected, WriteError> {
    // Named by what it is: the same text from the same place is kept once, however often it comes.
    let name = digest_hex(
        &[refused.source.as_bytes(), refused.item.get().as_bytes()],
        16,
    );
    let path = format!("quarantine/items/{name}.json");
    let kept = Kept {
        source: refused.source,
        collection: refused.collection.as_deref(),
        id: refused.item_id.as_deref(),
        reason: &refused.reason,
        item: refused.item,
    };
    // Writing texts as JSON cannot fail.
    let text = serde_json::to_string(&kept).unwrap_or_default();
    put_new(&path, Bytes::from(text), "rejected item", context).await?;
    Ok(Rejected {
        collection: refused.collection.clone(),
        item_id: refused.item_id.clone(),
        reason: refused.reason.clone(),
        path,
    })
}

/// A rejected item as it lies in quarantine.
#[derive(Serialize)]
struct Kept<'a> {
    source: &'a str,
    collection: Option<&'a str>,
    id: Option<&'a str>,
    reason: &'a str,
    item: &'a RawValue,
}
