//! Searches that are too much for an API.

use asked_for::{limit, time, west};

use super::*;

/// Reads what a request asks for.
mod asked_for {
    use super::server::Seen;

    pub(super) fn limit(seen: &Seen) -> u64 {
        seen.json()["limit"].as_u64().unwrap()
    }

    pub(super) fn time(seen: &Seen) -> String {
        seen.json()["datetime"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The westernmost and easternmost longitude of the area.
    pub(super) fn west(seen: &Seen) -> (f64, f64) {
        let mut all = Vec::new();
        collect(&seen.json()["intersects"]["coordinates"], &mut all);
        let lons = || all.iter().map(|at: &Vec<f64>| at[0]);
        (
            lons().fold(f64::INFINITY, f64::min),
            lons().fold(f64::NEG_INFINITY, f64::max),
        )
    }

    fn collect(value: &serde_json::Value, all: &mut Vec<Vec<f64>>) {
        if let Ok(at) = serde_json::from_value::<Vec<f64>>(value.clone()) {
            all.push(at);
        } else {
            value
                .as_array()
                .unwrap()
                .iter()
                .for_each(|part| collect(part, all));
        }
    }
}

#[tokio::test]
async fn an_api_that_fails_on_large_pages_is_asked_for_smaller_ones() {
    for status in [413, 502, 504] {
        let api = Api::start(move |_, seen| {
            if limit(seen) > 30 {
                Reply::text(status, "")
            } else {
                Reply::json(&page(&["1", "2"], None))
            }
        })
        .await;
        let mut search = api.client.search(&api.job(), &square()).await.unwrap();
        let (pages, end) = read(&mut search).await;
        end.unwrap();
        assert_eq!(pages, [["1", "2"]]);
        assert_eq!(search.lightened(), 2);
        let mut limits: Vec<_> = api.seen().iter().skip(1).map(limit).collect();
        // 413 will not pass by waiting.
        assert_eq!(limits.len(), if status == 413 { 3 } else { 7 });
        limits.dedup();
        assert_eq!(limits, [100, 50, 25]);
    }
}

#[tokio::test]
async fn a_later_page_that_is_too_large_costs_no_item_and_doubles_none() {
    let api = Api::start(|_, seen| {
        let asked = seen.json();
        let token = asked["token"].as_u64().unwrap_or(0);
        if limit(seen) == 100 && token == 1 {
            return Reply::text(502, "");
        }
        let ids = [format!("{token}a"), format!("{token}b")];
        let next = json!({"href": "/v1/search", "method": "POST", "merge": true, "body": {"token": token + 1}});
        Reply::json(&page(&[&ids[0], &ids[1]], (token < 4).then_some(next)))
    })
    .await;
    let mut search = api.client.search(&api.job(), &square()).await.unwrap();
    let (pages, end) = read(&mut search).await;
    end.unwrap();
    let ids: Vec<_> = pages.concat();
    assert_eq!(
        ids,
        ["0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b", "4a", "4b"]
    );
}

#[tokio::test]
async fn a_time_and_then_an_area_that_are_too_much_are_asked_for_in_halves() {
    // Too much: the whole year, and more than 0.6 degrees.
    let api = Api::start(|_, seen| {
        let long = time(seen).starts_with("2024-01-01") && time(seen).ends_with("12-31T23:59:59Z");
        let (west, east) = west(seen);
        if long || east - west > 0.6 {
            return Reply::text(413, "");
        }
        // The item at the joints is found by every part.
        Reply::json(&page(&["joint", &format!("{}{west:.1}", time(seen))], None))
    })
    .await;
    let mut job = api.job();
    job.datetime = Some("2024".to_owned());
    job.limit = 10;
    let mut search = api.client.search(&job, &square()).await.unwrap();
    let (pages, end) = read(&mut search).await;
    end.unwrap();
    let ids = pages.concat();
    let joints = ids.iter().filter(|id| *id == "joint").count();
    assert_eq!(joints, 1);
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    // 2^4 parts of time, each in four parts of an area that is a degree and a half wide.
    assert_eq!(ids.len(), 1 + 64);
}

#[tokio::test]
async fn an_api_that_is_down_is_not_cut_to_pieces_without_end() {
    let api = Api::start(|_, _| Reply::text(502, "down")).await;
    let mut job = api.job();
    job.datetime = Some("2020/2024".to_owned());
    let mut search = api.client.search(&job, &square()).await.unwrap();
    let error = read(&mut search).await.1.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert!(api.searches() <= 35, "{} requests", api.searches());
    assert!(search.next_page().await.unwrap().is_none());
}
