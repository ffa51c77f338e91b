//! An API mirrored twice: what is new and changed since, and nothing lost between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use swath_cloud::clock::testing::FakeClock;
use swath_cloud::fetch::FetchPolicy;
use swath_cloud::fetch::testing::{Answer, ScriptedServer};
use swath_cloud::queue::channel;
use swath_cloud::runs::{Ledger, read_chunk};
use swath_cloud::sources::{BucketAccesses, Sources};
use swath_cloud::store::Store;
use swath_core::intake::{Intake, ListSource};
use time::macros::datetime;
use url::Url;

use super::{is_later, sure};
use crate::{Context, list};

/// Items by id, each with the moment of its last update.
type Items = Arc<Mutex<BTreeMap<String, String>>>;

/// A STAC API that is searched by GET and knows `updated >= TIMESTAMP(...)`.
async fn api(items: &Items) -> ScriptedServer {
    let items = Arc::clone(items);
    let server = ScriptedServer::start(move |request| {
        let url = Url::parse(&format!("http://api{}", request.path)).unwrap();
        if url.path() != "/search" {
            let search = json!({"rel": "search", "href": "/search", "method": "GET", "type": "application/geo+json"});
            let landing = json!({"type": "Catalog", "id": "api", "description": "", "stac_version": "1.0.0",
                "conformsTo": ["https://api.stacspec.org/v1.0.0/item-search"], "links": [search]});
            return Answer::new(200, landing.to_string());
        }
        let since = url.query_pairs().find(|(name, _)| name == "filter");
        let since = since.map(|(_, filter)| filter.split('\'').nth(1).unwrap().to_owned());
        let items = items.lock().unwrap();
        let met = items
            .iter()
            .filter(|(_, updated)| since.as_ref().is_none_or(|since| *updated >= since));
        let features: Vec<Value> = met
            .map(|(id, updated)| json!({"type": "Feature", "id": id, "properties": {"updated": updated}}))
            .collect();
        let answer = json!({"type": "FeatureCollection", "features": features, "links": []});
        Answer::new(200, answer.to_string()).header("content-type", "application/geo+json")
    });
    server.await.unwrap()
}

/// Mirrors the API; returns the ids that it brought.
async fn mirror(server: &ScriptedServer, lake: &Store) -> BTreeSet<String> {
    mirror_some(server, lake, None).await
}

async fn mirror_some(
    server: &ScriptedServer,
    lake: &Store,
    limit: Option<u64>,
) -> BTreeSet<String> {
    let clock = Arc::new(FakeClock::default());
    let policy = FetchPolicy {
        allow_http: true,
        allow_private_hosts: true,
        ..FetchPolicy::default()
    };
    let sources = Sources::new(
        BucketAccesses::default(),
        policy,
        Arc::<FakeClock>::clone(&clock),
    );
    let (queue, _chunks) = channel(100);
    let context = Context {
        lake: lake.clone(),
        sources: sources.unwrap(),
        ingest: Arc::new(queue),
        clock,
        intake: Intake::default(),
    };
    let ask = ListSource {
        source: server.url("/"),
        intake: Intake {
            limit,
            ..Intake::default()
        },
        retry_pending: false,
        against: None,
        staging_prefix: None,
    };
    let planned = list(&ask, &context).await.unwrap();
    let mut ids = BTreeSet::new();
    for chunk in &planned.plan.chunks {
        for entry in read_chunk(lake, &chunk.at).await.unwrap() {
            let item: Value = serde_json::from_str(entry.item.unwrap().get()).unwrap();
            ids.insert(item["id"].as_str().unwrap().to_owned());
        }
    }
    Ledger::new(lake.clone(), planned.run_id)
        .put_done()
        .await
        .unwrap();
    ids
}

fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn the_second_mirror_brings_what_is_new_and_changed_and_loses_nothing_of_the_same_moment() {
    let items = Items::default();
    let put = |id: &str, updated: &str| {
        items
            .lock()
            .unwrap()
            .insert(id.to_owned(), updated.to_owned())
    };
    for (id, day) in [("a", 1), ("b", 2), ("c", 3), ("d", 3)] {
        put(id, &format!("2024-01-{day:02}T00:00:00Z"));
    }
    let (server, lake) = (api(&items).await, Store::in_memory());
    assert_eq!(mirror(&server, &lake).await, ids(&["a", "b", "c", "d"]));
    put("a", "2024-01-04T00:00:00Z");
    put("e", "2024-01-05T00:00:00Z");
    // Of the very moment that the first mirror saw last.
    put("f", "2024-01-03T00:00:00Z");
    let second = mirror(&server, &lake).await;
    assert_eq!(second, ids(&["a", "c", "d", "e", "f"]), "b is as it was");
    assert_eq!(
        mirror(&server, &lake).await,
        ids(&["e"]),
        "only the latest moment again"
    );
}

#[tokio::test]
async fn a_mirror_that_ends_at_its_limit_does_not_say_where_to_go_on() {
    let items = Items::default();
    for (id, day) in [("a", 1), ("b", 3), ("c", 2)] {
        let updated = format!("2024-01-{day:02}T00:00:00Z");
        items.lock().unwrap().insert(id.to_owned(), updated);
    }
    let (server, lake) = (api(&items).await, Store::in_memory());
    for _ in 0..2 {
        let limited = mirror_some(&server, &lake, Some(3)).await;
        assert_eq!(limited, ids(&["a", "b", "c"]));
    }
}

#[test]
fn a_cursor_is_a_moment_and_none_that_a_listing_may_not_have_seen() {
    assert!(is_later(
        Some("2024-01-01T00:00:00.5Z"),
        Some("2024-01-01T00:00:00Z")
    ));
    assert!(is_later(
        Some("2024-01-01T00:00:00Z"),
        Some("2024-01-01T01:00:00+02:00")
    ));
    assert!(is_later(Some("2024-01-01T00:00:00Z"), None) && !is_later(None, None));
    let begun = datetime!(2024-01-01 12:00 UTC);
    let cursor = |latest: &str| sure(latest.to_owned(), begun);
    assert_eq!(cursor("2024-01-01T11:00:00.0Z"), "2024-01-01T11:00:00.0Z");
    assert_eq!(cursor("2024-01-01T12:00:01Z"), "2024-01-01T11:55:00Z");
    assert_eq!(cursor("2999-01-01T00:00:00Z"), "2024-01-01T11:55:00Z");
}
