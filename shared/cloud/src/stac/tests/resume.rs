//! Searches that are gone on with by another process.

use super::server::Seen;
use super::*;
use crate::stac::Checkpoint;

/// Pages 0 to 5 of two items; the API chokes on pages of more than 30 items from page 2 on, and wants a header of its own back.
fn reply(_: usize, seen: &Seen) -> Reply {
    let asked = seen.json();
    let token = asked["token"].as_u64().unwrap_or(0);
    if asked["limit"].as_u64().unwrap() > 30 && token == 2 {
        return Reply::text(413, "");
    }
    let ids = [format!("{token}a"), format!("{token}b")];
    let next = json!({
        "href": "/v1/search", "method": "POST", "merge": true, "headers": {"X-Session": token}, "body": {"token": token + 1}
    });
    Reply::json(&page(&[&ids[0], &ids[1]], (token < 5).then_some(next)))
}

/// What was asked, but for the landing page.
fn asked(api: &Api) -> Vec<(String, Option<String>, Option<String>, String)> {
    let header =
        |seen: &Seen, name: &str| Some(seen.headers.get(name)?.to_str().unwrap().to_owned());
    let searches = api.seen().into_iter().filter(|seen| !seen.body.is_empty());
    searches
        .map(|seen| {
            (
                seen.line(),
                header(&seen, "x-session"),
                header(&seen, "x-key"),
                seen.body,
            )
        })
        .collect()
}

fn job(api: &Api) -> Job {
    let mut job = api.job();
    job.headers = swath_core::Headers::new([("X-Key".to_owned(), "canary".to_owned())]);
    job
}

#[tokio::test]
async fn a_search_that_is_gone_on_with_at_every_page_asks_what_one_in_one_go_asks() {
    let whole = Api::start(reply).await;
    let mut search = whole.client.search(&job(&whole), &square()).await.unwrap();
    let (pages, end) = read(&mut search).await;
    end.unwrap();
    assert_eq!(search.lightened(), 2);

    let parts = Api::start(reply).await;
    let job = job(&parts);
    let mut search = parts.client.search(&job, &square()).await.unwrap();
    let mut found = Vec::new();
    while let Some(page) = search.next_page().await.unwrap() {
        found.extend(page.features.iter().map(|item| id(item.get())));
        let Some(mark) = search.checkpoint() else {
            break;
        };
        assert_eq!(mark.pages(), page.number);
        let text = serde_json::to_string(&mark).unwrap();
        assert!(!text.contains("canary"), "{text}");
        let mark: Checkpoint = serde_json::from_str(&text).unwrap();
        search = parts.client.resume(&job, &square(), mark).await.unwrap();
    }
    assert!(search.is_at_end());
    assert_eq!(asked(&parts), asked(&whole));
    // What was handed out before is not remembered; nothing is lost.
    found.dedup();
    let mut expected = pages.concat();
    for all in [&mut found, &mut expected] {
        all.sort();
        all.dedup();
    }
    assert_eq!(found, expected);
    println!(
        "N11 gone on with at each of 8 pages | expected 12 items, same requests | got {} items",
        found.len()
    );
}

#[tokio::test]
async fn a_checkpoint_that_leads_to_another_server_is_refused() {
    let api = Api::start(reply).await;
    let mut search = api.client.search(&job(&api), &square()).await.unwrap();
    search.next_page().await.unwrap();
    let text = serde_json::to_string(&search.checkpoint().unwrap()).unwrap();
    let text = text.replace(&format!("http://{}", api.address), "https://evil.example");
    let mark = serde_json::from_str(&text).unwrap();
    let error = api
        .client
        .resume(&job(&api), &square(), mark)
        .await
        .unwrap_err();
    assert!(matches!(error, StacError::OtherHost { .. }), "{error:?}");
}

#[tokio::test]
async fn a_search_at_its_end_leaves_nothing_to_go_on_with() {
    let api = Api::start(|_, _| Reply::json(&page(&["1"], None))).await;
    let mut search = api.client.search(&api.job(), &square()).await.unwrap();
    assert!(search.checkpoint().is_some(), "all of it is left");
    search.next_page().await.unwrap();
    assert!(search.checkpoint().is_none());
}
