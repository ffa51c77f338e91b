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
