//! What a job asks for, in a POST body and in a GET query.

use std::collections::HashMap;

use super::*;

fn job_in_full(api: &Api) -> Job {
    let landing = api.job().catalog;
    let asked = json!({
        "catalog": landing, "collections": ["a", "b"], "ids": ["x/1", "y,2"], "datetime": "2024-06",
        "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 10]},
        "query": {"gsd": {"eq": 10}}, "sortby": ["-properties.datetime", "+id"],
        "fields": ["properties.gsd", "-links", "-geometry"], "headers": {"X-Key": "canary"}, "limit": 7
    });
    serde_json::from_value(asked).unwrap()
}

fn query_of(seen: &server::Seen) -> HashMap<String, String> {
    let url = Url::parse(&format!("http://h{}", seen.uri)).unwrap();
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn all_that_a_job_asks_for_goes_into_the_body_of_a_post() {
    let api = Api::start(|_, _| Reply::json(&page(&[], None))).await;
    let mut search = api
        .client
        .search(&job_in_full(&api), &square())
        .await
        .unwrap();
    read(&mut search).await.1.unwrap();
    let seen = api.seen();
    assert!(seen.iter().all(|seen| seen.headers["x-key"] == "canary"));
    let mut sent = seen[1].json();
    sent.as_object_mut().unwrap().remove("intersects").unwrap();
    assert_eq!(
        sent,
        json!({
            "collections": ["a", "b"], "ids": ["x/1", "y,2"],
            "datetime": "2024-06-01T00:00:00Z/2024-06-30T23:59:59Z",
            "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 10]}, "filter-lang": "cql2-json",
            "query": {"gsd": {"eq": 10}},
            "sortby": [{"field": "properties.datetime", "direction": "desc"}, {"field": "id", "direction": "asc"}],
            "fields": {"include": ["properties.gsd", "type", "id", "collection", "bbox", "links", "assets"],
                "exclude": ["geometry"]},
            "limit": 7
        })
    );
}

#[tokio::test]
async fn an_api_that_takes_no_post_is_asked_by_get_from_then_on() {
    for status in [404, 405, 501] {
        let api = Api::start(move |_, seen| {
            if seen.method == "POST" {
                return Reply::text(status, "no POST here");
            }
            let second = seen.uri.to_string().contains("token");
            let next = (!second).then(|| json!({"href": format!("{}&token=2", seen.uri)}));
            Reply::json(&page(&[if second { "2" } else { "1" }], next))
        })
        .await;
        for _ in 0..2 {
            let mut search = api
                .client
                .search(&job_in_full(&api), &square())
                .await
                .unwrap();
            let (pages, end) = read(&mut search).await;
            end.unwrap();
            assert_eq!(pages, [["1"], ["2"]]);
        }
        let methods: Vec<_> = api
            .seen()
            .iter()
            .skip(1)
            .map(|seen| seen.method.to_string())
            .collect();
        assert_eq!(methods, ["POST", "GET", "GET", "GET", "GET"], "{status}");
        let asked = query_of(&api.seen()[2]);
        let area: Value = serde_json::from_str(&asked["intersects"]).unwrap();
        assert_eq!(area["type"], "Polygon");
        for (name, value) in [
            ("collections", "a,b"),
            ("ids", "x/1,y,2"),
            ("datetime", "2024-06-01T00:00:00Z/2024-06-30T23:59:59Z"),
            ("filter", "(eo:cloud_cover < 10)"),
            ("filter-lang", "cql2-text"),
            ("query", r#"{"gsd":{"eq":10}}"#),
            ("sortby", "-properties.datetime,+id"),
            ("limit", "7"),
        ] {
            assert_eq!(asked[name], value, "{name}");
        }
        assert!(
            api.seen()
                .iter()
                .all(|seen| seen.headers["x-key"] == "canary")
        );
    }
}

#[tokio::test]
async fn a_filter_in_text_goes_by_get() {
    let api = Api::start(|_, _| Reply::json(&page(&[], None))).await;
    let mut job = api.job();
    job.filter = Some(json!("eo:cloud_cover < 10 AND id LIKE '%a&b%'"));
    read(&mut api.client.search(&job, &square()).await.unwrap())
        .await
        .1
        .unwrap();
    let seen = &api.seen()[1];
    assert_eq!(seen.method, "GET");
    assert_eq!(
        query_of(seen)["filter"],
        "eo:cloud_cover < 10 AND id LIKE '%a&b%'"
    );
    assert_eq!(query_of(seen)["filter-lang"], "cql2-text");
}

#[tokio::test]
async fn a_landing_page_that_names_get_alone_is_taken_at_its_word() {
    let api = Api::start(|_, _| Reply::json(&page(&[], None)))
        .await
        .with_landing(json!({"links": [{"rel": "search", "href": "find?v=1", "method": "GET"}]}));
    read(&mut api.client.search(&api.job(), &square()).await.unwrap())
        .await
        .1
        .unwrap();
    let line = api.seen()[1].line();
    assert!(line.starts_with("GET /find?v=1&intersects="), "{line}");
}

#[tokio::test]
async fn everywhere_asks_for_no_place() {
    let api = Api::start(|_, _| Reply::json(&page(&[], None))).await;
    let mut job = api.job();
    job.ids = vec!["x".to_owned()];
    read(&mut api.client.search(&job, &area("null")).await.unwrap())
        .await
        .1
        .unwrap();
    assert_eq!(api.seen()[1].json(), json!({"ids": ["x"], "limit": 100}));
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_named_without_its_value() {
    let api = Api::start(|_, _| Reply::json(&page(&[], None))).await;
    let mut job = api.job();
    job.headers = swath_core::Headers::new([("X-Key".to_owned(), "can\nary".to_owned())]);
    let error = api.client.search(&job, &square()).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("X-Key") && !shown.contains("nary"),
        "{shown}"
    );
    assert_eq!(error.class(), Class::Invalid);
}

#[tokio::test]
async fn a_filter_in_text_that_is_too_long_for_an_address_goes_by_post() {
    let api = Api::start(|_, _| Reply::json(&page(&[], None))).await;
    let filter = format!("id IN ({})", vec!["'S2A_32UPU'"; 1_000].join(","));
    let mut job = api.job();
    job.filter = Some(json!(filter));
    let mut search = api.client.search(&job, &square()).await.unwrap();
    read(&mut search).await.1.unwrap();
    let sent = api.seen()[1].json();
    assert_eq!(sent["filter"], json!(filter));
    assert_eq!(sent["filter-lang"], "cql2-text");
}
