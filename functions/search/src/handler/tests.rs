//! Messages as the queue brings them.

use std::sync::Arc;

use swath_cloud::clock::{Clock as _, SystemClock, testing::FakeClock};
use swath_cloud::http;
use swath_cloud::queue::channel;
use swath_cloud::retry::Policy;
use swath_cloud::stac::Client;
use swath_cloud::store::Store;
use swath_lambda::{Deadline, Invocation, Shell};

use super::*;

mod canary;

/// Handles an event of `events/search` with no API to search; returns how many messages went back, and quarantine's
/// reasons.
async fn handled(event: &str, lake: &Store) -> (usize, Vec<String>) {
    let http = http::for_apis(http::Timeouts::default()).unwrap();
    let context = Context {
        api: Client::new(http, Arc::new(SystemClock)).with_policy(Policy::ONCE),
        clock: Arc::new(SystemClock),
        write: Arc::new(channel(1).0),
        download: Arc::new(channel(1).0),
    };
    let shell = Arc::new(Shell::new("search", lake.clone()));
    let invocation = Invocation {
        request_id: String::new(),
        received: FakeClock::default().now(),
        deadline: Deadline::none(),
    };
    // A port where nobody answers.
    let event = event.replace("127.0.0.1:4580", "127.0.0.1:9");
    let event = serde_json::from_str(&event).unwrap();
    let answer = handle(Batch::new(event, shell, invocation), &context).await;
    let folder = "quarantine/search/2024-06-01".into();
    let kept = lake.store.list_with_delimiter(Some(&folder)).await.unwrap();
    let mut reasons = Vec::new();
    for object in kept.objects {
        let bytes = lake.get(object.location.as_ref()).await.unwrap();
        let record: swath_lambda::Record = serde_json::from_slice(&bytes).unwrap();
        reasons.push(record.reason);
    }
    (answer.unwrap().batch_item_failures.len(), reasons)
}

#[tokio::test]
async fn an_api_that_is_down_hands_the_area_back() {
    let event = include_str!("../../../../events/search/one-area.finds-items.json");
    let (back, kept) = handled(event, &Store::in_memory()).await;
    assert_eq!((back, kept), (1, vec![]));
}

#[tokio::test]
async fn what_can_never_be_searched_is_quarantined() {
    for (event, word) in [
        (
            include_str!("../../../../events/search/wrong-kind.quarantines-one.json"),
            "PlanAreas",
        ),
        (
            include_str!("../../../../events/search/body-gone.quarantines-one.json"),
            "messages/0",
        ),
    ] {
        let (back, kept) = handled(event, &Store::in_memory()).await;
        assert_eq!((back, kept.len()), (0, 1), "{word}");
        assert!(kept[0].contains(word), "{kept:?}");
    }
}

#[tokio::test]
async fn an_area_by_reference_is_searched_all_the_same() {
    let whole = include_str!("../../../../events/search/one-area.finds-items.json");
    let whole: serde_json::Value = serde_json::from_str(whole).unwrap();
    let text = whole["Records"][0]["body"].as_str().unwrap();
    let body = &text[text.find(r#""body":"#).unwrap() + 7..text.len() - 1];
    let digest = swath_core::digest_hex(&[b"SearchArea", body.as_bytes()], 16);
    let lake = Store::in_memory();
    let path = format!("messages/{digest}.json");
    lake.put(&path, body.to_owned().into()).await.unwrap();
    let event = include_str!("../../../../events/search/body-by-reference.finds-items.json");
    assert!(event.contains(&path), "the event names another body");
    // It came as far as the API, which is down.
    assert_eq!(handled(event, &lake).await, (1, vec![]));
}
