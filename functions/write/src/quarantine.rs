//! What cannot be an item is kept where a person can look.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::value::RawValue;
use swath_core::digest_hex;
use tracing::{info, warn};

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
    /// Why, as a short stable code.
    pub code: &'static str,
    /// Why, in words.
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
                    error.code = rejected.code,
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

/// Keeps items as they came beside those that were refused; what was mended goes on.
pub(crate) async fn keep_originals(
    mended: &[Refused<'_>],
    context: &Context,
    results: &mut [Result<Written, WriteError>],
) {
    let keeping: Vec<_> = mended.iter().map(|item| keep(item, context)).collect();
    let kept: Vec<_> = stream::iter(keeping).buffered(PUTS).collect().await;
    for (item, kept) in mended.iter().zip(kept) {
        match kept {
            Ok(kept) => info!(
                item.id = kept.item_id,
                item.collection = kept.collection,
                item.repairs = kept.reason,
                quarantine.path = kept.path,
                "item mended"
            ),
            Err(error) => fail(results, &item.messages, &error),
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
        code: refused.code,
        reason: &refused.reason,
        item: refused.item,
    };
    // Writing texts as JSON cannot fail.
    let text = serde_json::to_string(&kept).unwrap_or_default();
    put_new(&path, Bytes::from(text), "rejected item", context).await?;
    Ok(Rejected {
        collection: refused.collection.clone(),
        item_id: refused.item_id.clone(),
        code: refused.code,
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
    code: &'a str,
    reason: &'a str,
    item: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use swath_cloud::clock::testing::FakeClock;
    use swath_cloud::queue::channel;
    use swath_cloud::store::Store;
    use swath_core::RunId;
    use swath_core::grid::{GridOptions, GridSpec};
    use swath_core::message::{Body, Message, WriteItems};
    use swath_table::{Repair, Rules, Validation};

    use super::*;
    use crate::write;

    fn item(id: &str, properties: &Value) -> Box<RawValue> {
        let item = json!({"type": "Feature", "stac_version": "1.0.0", "id": id, "geometry": null,
            "properties": properties, "links": [], "assets": {}});
        RawValue::from_string(item.to_string()).unwrap()
    }

    #[tokio::test]
    async fn an_item_against_the_rules_is_kept_with_its_code_and_a_mended_one_as_it_came() {
        let (queue, _told) = channel(10);
        let lake = Store::in_memory();
        let grid = GridSpec::default()
            .open(None, GridOptions::default())
            .unwrap();
        let rules = Rules::new(Validation::Core, &[Repair::DatetimeZone], None).unwrap();
        let clock = Arc::new(FakeClock::default());
        let context = Context::new(lake.clone(), Arc::new(queue), clock, grid).with_rules(rules);
        let items = vec![
            item("good", &json!({"datetime": "2024-01-01T00:00:00Z"})),
            item("bad", &json!({})),
            item("mended", &json!({"datetime": "2024-01-01"})),
        ];
        let body = Body::WriteItems(WriteItems {
            source: "s".to_owned(),
            items: items.clone(),
        });
        let run_id = RunId::new("run");
        let written = write(&[Message { run_id, body }], &context)
            .await
            .remove(0)
            .unwrap();
        assert_eq!(written.items, 2);
        let [rejected] = written.rejected.as_slice() else {
            panic!("{:?}", written.rejected)
        };
        assert_eq!(
            (rejected.item_id.as_deref(), rejected.code),
            (Some("bad"), "no_datetime")
        );
        let kept: Value = serde_json::from_slice(&lake.get(&rejected.path).await.unwrap()).unwrap();
        assert_eq!(
            (&kept["code"], &kept["item"]["id"]),
            (&json!("no_datetime"), &json!("bad"))
        );
        let name = digest_hex(&[b"s", items[2].get().as_bytes()], 16);
        let kept = lake
            .get(&format!("quarantine/items/{name}.json"))
            .await
            .unwrap();
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        assert_eq!(
            (&kept["code"], &kept["reason"]),
            (&json!("repaired"), &json!("datetime-zone"))
        );
        assert_eq!(kept["item"]["properties"]["datetime"], "2024-01-01");
    }
}
