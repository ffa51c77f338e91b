//! The table of faults: each prints `ID fault | expected | got`.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

fn told(id: &str, fault: &str, expected: &str, got: &str) {
    println!("{id:<3} {fault} | expected {expected} | got {got}");
    assert_eq!(got, expected, "{id} {fault}");
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "what a page takes, for it may have none"
)]
fn next(href: &str) -> Option<Value> {
    Some(json!({"href": href}))
}

/// Reads all; says items, pages and how it ended.
async fn ending(api: &Api, job: &Job) -> String {
    let mut search = match api.client.search(job, &square()).await {
        Ok(search) => search,
        Err(error) => return format!("{:?}", error.class()),
    };
    let (pages, end) = read(&mut search).await;
    let items = pages.concat().len();
    let end = match (end, search.stopped()) {
        (Err(error), _) => {
            let debug = format!("{error:?}");
            debug
                .split([' ', '('])
                .next()
                .unwrap_or_default()
                .to_owned()
        }
        (Ok(()), Some(stopped)) => format!("{stopped:?}"),
        (Ok(()), None) => "end".to_owned(),
    };
    format!("{items} items, {} pages, {end}", pages.len())
}

#[tokio::test]
async fn sick_paging_gives_the_expected_figures() {
    let itself = Api::start(|_, _| Reply::json(&page(&["1"], next("/v1/search?a=1")))).await;
    told(
        "N1",
        "next is the page itself",
        "1 items, 2 pages, PaginationLoop",
        &ending(&itself, &itself.job()).await,
    );
    let cycle = Api::start(|n, _| {
        Reply::json(&page(
            &[&n.to_string()],
            next(&format!("?t={}", ["a", "b", "c"][n % 3])),
        ))
    })
    .await;
    told(
        "N2",
        "three tokens in a circle",
        "4 items, 4 pages, PaginationLoop",
        &ending(&cycle, &cycle.job()).await,
    );
    let same =
        Api::start(|n, _| Reply::json(&page(&["1", "2"], next(&format!("?page={n}"))))).await;
    told(
        "N3",
        "other tokens, same items",
        "2 items, 2 pages, NoNewItems",
        &ending(&same, &same.job()).await,
    );
    let endless =
        Api::start(|n, _| Reply::json(&page(&[&n.to_string()], next(&format!("?page={n}"))))).await;
    let mut job = endless.job();
    job.max_items = Some(25);
    told(
        "N4",
        "pages without end",
        "25 items, 25 pages, MaxItems",
        &ending(&endless, &job).await,
    );
}

#[tokio::test]
async fn odd_pages_give_the_expected_figures() {
    let empty = Api::start(|n, _| Reply::json(&page(&[], next(&format!("?page={n}"))))).await;
    told(
        "N6",
        "empty pages without end",
        "0 items, 4 pages, EmptyPages(4)",
        &ending(&empty, &empty.job()).await,
    );
    let moved = Api::start(|n, _| {
        let pages = [["1", "2"], ["2", "3"], ["3", "4"]];
        Reply::json(&page(
            &pages[n],
            if n < 2 {
                next(&format!("?page={n}"))
            } else {
                None
            },
        ))
    })
    .await;
    told(
        "N8",
        "items inserted between pages",
        "4 items, 3 pages, end",
        &ending(&moved, &moved.job()).await,
    );
    let away =
        Api::start(|_, _| Reply::json(&page(&["1"], next("https://other.example/search?token=x"))))
            .await;
    told(
        "N9",
        "next on another host",
        "1 items, 1 pages, OtherHost",
        &ending(&away, &away.job()).await,
    );
    assert_eq!(away.searches(), 1);
}

#[tokio::test]
async fn next_links_are_followed_as_the_specification_says() {
    for (id, link, expected) in [
        (
            "merge",
            json!({"href": "/v1/search", "method": "POST", "merge": true, "body": {"token": "t"}, "headers": {"X-T": "1"}}),
            "POST intersects,limit,token x-t:1",
        ),
        (
            "no merge",
            json!({"href": "/v1/search", "method": "POST", "merge": false, "body": {"token": "t"}}),
            "POST token x-t:-",
        ),
        (
            "by GET",
            json!({"href": "/v1/search?token=t", "headers": {"X-T": ["2"]}}),
            "GET  x-t:2",
        ),
    ] {
        let api = Api::start(move |n, _| {
            Reply::json(&page(&[&n.to_string()], (n == 0).then(|| link.clone())))
        })
        .await;
        ending(&api, &api.job()).await;
        let seen = api.seen().pop().unwrap();
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let members: Vec<_> = body
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::keys)
            .cloned()
            .collect();
        let header = seen
            .headers
            .get("x-t")
            .map_or("-", |value| value.to_str().unwrap());
        told(
            "N5",
            id,
            expected,
            &format!("{} {} x-t:{header}", seen.method, members.join(",")),
        );
    }
}

#[tokio::test]
async fn an_api_that_refuses_large_pages_is_asked_for_smaller_ones() {
    let api = Api::start(|_, seen| {
        let limit = seen.json()["limit"].as_u64().unwrap();
        if limit > 300 {
            Reply::text(
                400,
                r#"{"code":"BadRequest","description":"limit must be at most 300"}"#,
            )
        } else {
            Reply::json(&page(&["1"], None))
        }
    })
    .await;
    let mut job = api.job();
    job.limit = 1000;
    let got = format!("{}, {} requests", ending(&api, &job).await, api.searches());
    told(
        "U7",
        "limit over the server's cap is refused",
        "1 items, 1 pages, end, 3 requests",
        &got,
    );
    let whatever = Api::start(|_, _| Reply::text(400, "no limit will do")).await;
    let got = format!(
        "{}, {} requests",
        ending(&whatever, &whatever.job()).await,
        whatever.searches()
    );
    told(
        "U7",
        "any limit is refused",
        "0 items, 0 pages, Status, 5 requests",
        &got,
    );
}

#[tokio::test]
async fn a_key_that_an_api_repeats_in_its_own_words_is_taken_out() {
    for status in [200, 401, 403, 500] {
        let api = Api::start(move |_, seen| {
            let key = seen.headers["x-key"].to_str().unwrap();
            Reply::text(status, &format!("no such key: {key}"))
        })
        .await;
        let mut job = api.job();
        job.headers = swath_core::Headers::new([("X-Key".to_owned(), "canary-5f0c".to_owned())]);
        let mut search = api.client.search(&job, &square()).await.unwrap();
        let error = read(&mut search).await.1.unwrap_err();
        let shown = format!("{} {error:?}", swath_core::chain(&error));
        assert!(
            shown.contains("[redacted]") && !shown.contains("canary"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_page_of_a_gigabyte_stops_at_the_cap() {
    let mut api = Api::start(|_, _| Reply {
        body: vec![b' '; 3 << 20],
        ..Reply::text(200, "")
    })
    .await;
    api.client = api.client.with_limits(Limits {
        page_bytes: 1 << 20,
        ..Limits::default()
    });
    told(
        "N10",
        "a page beyond the cap",
        "0 items, 0 pages, Http",
        &ending(&api, &api.job()).await,
    );
}

#[tokio::test]
async fn a_search_that_dies_at_a_page_finds_the_same_when_it_is_done_again() {
    let serve = |n: usize| {
        let at = n.to_string();
        Reply::json(&page(
            &[&at],
            if n < 5 {
                next(&format!("?page={}", n + 1))
            } else {
                None
            },
        ))
    };
    let api = Api::start(move |_, seen| {
        let at = seen
            .uri
            .query()
            .and_then(|query| query.strip_prefix("page="))
            .map_or(0, |n| n.parse().unwrap());
        serve(at)
    })
    .await;
    let mut dies = api.client.search(&api.job(), &square()).await.unwrap();
    for _ in 0..3 {
        dies.next_page().await.unwrap();
    }
    drop(dies);
    let again = ending(&api, &api.job()).await;
    told(
        "N11",
        "death at page 3, then the message again",
        "6 items, 6 pages, end",
        &again,
    );
}

#[tokio::test]
async fn a_host_in_trouble_is_waited_for_as_it_asks() {
    for (id, form) in [("H1", "7"), ("H2", "Sat, 01 Jun 2024 12:00:07 GMT")] {
        let form = form.to_owned();
        let fault = format!("429 with Retry-After: {form}");
        let api = Api::start(move |n, _| {
            if n == 0 {
                Reply::text(429, "").with("retry-after", form.clone())
            } else {
                Reply::json(&page(&["1"], None))
            }
        })
        .await;
        let end = ending(&api, &api.job()).await;
        let waited = api.clock.waits().iter().sum::<Duration>() >= Duration::from_secs(7);
        told(
            id,
            &fault,
            "1 items, 1 pages, end; 7 s waited: true",
            &format!("{end}; 7 s waited: {waited}"),
        );
    }
    let api = Api::start(|_, _| Reply::text(429, "").with("retry-after", "86400")).await;
    let end = ending(&api, &api.job()).await;
    let got = format!(
        "{end}; {} requests, {} waits",
        api.searches(),
        api.clock.waits().len()
    );
    told(
        "H3",
        "Retry-After of a day",
        "0 items, 0 pages, Status; 1 requests, 0 waits",
        &got,
    );
}

/// Answers every connection by hand: `reply` gets the connection's number, from 0, and returns the bytes to send, how long to
/// wait between them, and whether the connection is cut after them.
async fn by_hand(reply: impl Fn(usize) -> (Vec<u8>, Duration) + Send + Sync + 'static) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (bytes, pause) = reply(number);
            tokio::spawn(async move {
                let mut request = vec![0; 65_536];
                drop(stream.read(&mut request).await);
                if pause.is_zero() {
                    drop(stream.write_all(&bytes).await);
                } else {
                    let mut beat = tokio::time::interval(pause);
                    for byte in bytes {
                        beat.tick().await;
                        if stream.write_all(&[byte]).await.is_err() {
                            return;
                        }
                    }
                }
                drop(stream.shutdown().await);
            });
        }
    });
    format!("http://{address}/").parse().unwrap()
}

fn raw_answer(body: &str, cut_at: Option<usize>) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let mut bytes = head.into_bytes();
    let cut = cut_at.unwrap_or(body.len()).min(body.len());
    bytes.extend_from_slice(&body.as_bytes()[..cut]);
    bytes
}

#[tokio::test]
async fn a_connection_that_breaks_anywhere_is_begun_again() {
    let body = {
        let mut text = page(&["1"], None).to_string();
        text.push_str(&" ".repeat(1 << 20));
        text
    };
    for cut in [0, 1, 512, (1 << 20) - 1] {
        let text = body.clone();
        let landing = by_hand(move |number| match number {
            0 => (raw_answer(r#"{"links":[]}"#, None), Duration::ZERO),
            1 => (raw_answer(&text, Some(cut)), Duration::ZERO),
            _ => (raw_answer(&text, None), Duration::ZERO),
        })
        .await;
        let api = Api::start(|_, _| Reply::text(500, "")).await;
        let end = ending(&api, &Job::new(landing)).await;
        told(
            "H8",
            &format!("connection cut at byte {cut}"),
            "1 items, 1 pages, end",
            &end,
        );
    }
}

#[tokio::test]
async fn a_server_that_drips_is_not_waited_for() {
    let drip = page(&["1"], None).to_string();
    let landing = by_hand(move |number| match number {
        0 => (raw_answer(r#"{"links":[]}"#, None), Duration::ZERO),
        _ => (raw_answer(&drip, None), Duration::from_millis(100)),
    })
    .await;
    let mut api = Api::start(|_, _| Reply::text(500, "")).await;
    let limits = Limits {
        answer: Duration::from_millis(400),
        ..Limits::default()
    };
    api.client = api.client.with_limits(limits).with_policy(Policy::ONCE);
    told(
        "H7",
        "a byte now and then",
        "0 items, 0 pages, Http",
        &ending(&api, &Job::new(landing)).await,
    );
}
