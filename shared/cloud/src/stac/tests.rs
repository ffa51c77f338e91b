//! Plays STAC APIs, healthy and sick, on loopback.

mod asked;
mod faults;
mod lighter;
mod paging;
mod reach;
mod resume;
mod server;
mod table;

use std::time::Duration;

use serde_json::{Value, json};
use swath_core::aoi::Areas;
use swath_core::{Class, Classify as _};

use super::*;
use crate::http::{HttpError, Timeouts, for_apis};
use server::{Api, Reply};

/// A square of one degree.
fn square() -> Area {
    area(r#"{"type":"Polygon","coordinates":[[[0,0],[1.50,0],[1,1],[0,1],[0,0]]]}"#)
}

fn area(geometry: &str) -> Area {
    Areas::from_geojson(geometry).unwrap().areas.remove(0)
}

/// A page of items with these ids and this next link.
fn page(ids: &[&str], next: Option<Value>) -> Value {
    let features: Vec<_> = ids
        .iter()
        .map(|id| json!({"type": "Feature", "id": id, "collection": "c", "geometry": null}))
        .collect();
    let mut link: Vec<Value> = vec![json!({"rel": "self", "href": "/search"})];
    link.extend(next.map(|mut next| {
        next["rel"] = json!("next");
        next
    }));
    json!({"type": "FeatureCollection", "features": features, "links": link})
}

fn client_with(timeouts: Timeouts, clock: Arc<dyn Clock>) -> Client {
    Client::new(for_apis(timeouts).unwrap(), clock)
}

/// Reads a search to its end: the ids of each page, and how it ended.
async fn read(search: &mut Search) -> (Vec<Vec<String>>, Result<(), StacError>) {
    let mut pages = Vec::new();
    loop {
        match search.next_page().await {
            Ok(Some(page)) => pages.push(page.features.iter().map(|item| id(item.get())).collect()),
            Ok(None) => return (pages, Ok(())),
            Err(error) => return (pages, Err(error)),
        }
    }
}

fn id(item: &str) -> String {
    let item: Value = serde_json::from_str(item).unwrap();
    item["id"].as_str().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn a_search_asks_for_what_the_job_says() {
    let api = Api::start(|_, _| Reply::json(&page(&[], None))).await;
    let mut job = api.job();
    job.collections = vec!["a".to_owned(), "b".to_owned()];
    job.datetime = Some("2024-06/2024-08".to_owned());
    job.limit = 50;
    let mut search = api.client.search(&job, &square()).await.unwrap();
    read(&mut search).await.1.unwrap();
    let seen = api.seen();
    assert_eq!(seen[0].line(), "GET /v1");
    assert_eq!(seen[1].line(), "POST /v1/search");
    assert_eq!(seen[1].headers["content-type"], "application/json");
    assert!(
        seen[1].headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("swath/")
    );
    assert_eq!(
        seen[1].json(),
        json!({
            "collections": ["a", "b"],
            "datetime": "2024-06-01T00:00:00Z/2024-08-31T23:59:59Z",
            "intersects": {"type": "Polygon", "coordinates": [[[0, 0], [1.5, 0], [1, 1], [0, 1], [0, 0]]]},
            "limit": 50
        })
    );
    assert!(seen[1].body.contains("[1.50,0]"), "{}", seen[1].body);
}

#[tokio::test]
async fn the_landing_page_says_where_to_search_and_is_read_once() {
    let api = Api::start(|_, _| Reply::json(&page(&[], None)))
        .await
        .with_landing(json!({"links": [
            {"rel": "search", "href": "/by-get"},
            {"rel": "search", "href": "elsewhere/search", "method": "POST"}
        ]}));
    for _ in 0..2 {
        let mut search = api.client.search(&api.job(), &square()).await.unwrap();
        read(&mut search).await.1.unwrap();
    }
    let lines: Vec<_> = api.seen().iter().map(server::Seen::line).collect();
    assert_eq!(
        lines,
        [
            "GET /v1",
            "POST /elsewhere/search",
            "POST /elsewhere/search"
        ]
    );
}

#[tokio::test]
async fn an_area_across_the_antimeridian_is_sent_in_two_parts() {
    let api = Api::start(|_, _| Reply::json(&page(&[], None))).await;
    let area = area(
        r#"{"type":"Polygon","coordinates":[[[170,-50],[-170,-50],[-170,70],[170,70],[170,-50]]]}"#,
    );
    let mut search = api.client.search(&api.job(), &area).await.unwrap();
    assert!(search.is_cut());
    read(&mut search).await.1.unwrap();
    let sent = api.seen()[1].json();
    assert_eq!(sent["intersects"]["type"], "MultiPolygon");
    assert_eq!(
        sent["intersects"]["coordinates"].as_array().unwrap().len(),
        2
    );
    assert!(sent.get("bbox").is_none());
}

#[tokio::test]
async fn items_come_byte_for_byte_with_the_apis_own_counts() {
    let odd = r#"{ "id":"x", "type":"Feature",  "n": 1.50, "big": 12345678901234567890123, "u": "\u00e9" }"#;
    let cases = [
        (r#""numberMatched":7,"numberReturned":1"#, Some(7), Some(1)),
        (r#""context":{"matched":9,"returned":1}"#, Some(9), Some(1)),
        (r#""numberMatched":null"#, None, None),
        (r#""numberMatched":"many","links":null"#, None, None),
    ];
    for (counts, matched, returned) in cases {
        let text = format!(r#"{{"type":"FeatureCollection",{counts},"features":[ {odd} ]}}"#);
        let api = Api::start(move |_, _| Reply::text(200, &text)).await;
        let mut search = api.client.search(&api.job(), &square()).await.unwrap();
        let page = search.next_page().await.unwrap().unwrap();
        assert_eq!(page.features[0].get(), odd);
        assert_eq!((page.matched, page.returned), (matched, returned));
        assert!(search.next_page().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_datetime_that_is_none_is_invalid_before_anything_is_sent() {
    let api = Api::start(|_, _| Reply::json(&page(&[], None))).await;
    let mut job = api.job();
    job.datetime = Some("summer".to_owned());
    let error = api.client.search(&job, &square()).await.unwrap_err();
    assert_eq!(error.class(), Class::Invalid);
    assert!(swath_core::chain(&error).contains("summer"));
    assert!(api.seen().is_empty());
}
