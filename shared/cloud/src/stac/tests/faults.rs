//! Answers that are none.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn good() -> Reply {
    Reply::json(&page(&["1"], None))
}

/// Answers with these in order, then well.
async fn play(replies: Vec<Reply>) -> Api {
    Api::start(move |n, _| replies.get(n).cloned().unwrap_or_else(good)).await
}

async fn outcome(api: &Api) -> Result<(), StacError> {
    let mut search = api.client.search(&api.job(), &square()).await?;
    read(&mut search).await.1
}

#[tokio::test]
async fn an_api_that_is_down_twice_is_asked_a_third_time() {
    let api = play(vec![Reply::text(503, "busy"), Reply::text(502, "")]).await;
    outcome(&api).await.unwrap();
    assert_eq!(api.searches(), 3);
    let bodies: Vec<_> = api
        .seen()
        .into_iter()
        .skip(1)
        .map(|seen| seen.body)
        .collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(api.clock.waits().len(), 2);
}

#[tokio::test]
async fn a_throttling_api_is_left_alone_for_as_long_as_it_asks() {
    for after in ["7", "Sat, 01 Jun 2024 12:00:07 GMT"] {
        let api = play(vec![Reply::text(429, "").with("retry-after", after)]).await;
        outcome(&api).await.unwrap();
        let waits = api.clock.waits();
        assert!(
            waits.len() == 1
                && waits[0] >= Duration::from_secs(7)
                && waits[0] < Duration::from_secs(9),
            "{waits:?}"
        );
    }
}

#[tokio::test]
async fn a_wait_of_a_day_is_handed_to_the_caller() {
    let api = play(vec![Reply::text(429, "").with("retry-after", "86400")]).await;
    let error = outcome(&api).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert_eq!(
        crate::retry::Retryable::retry_after(&error),
        Some(Duration::from_hours(24))
    );
    assert!(api.clock.waits().is_empty() && api.searches() == 1);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_apis_own_words_and_not_repeated() {
    let cases = [
        (
            400,
            r#"{"code":"InvalidQuery","description":"ring is not closed"}"#,
            "400 Bad Request: InvalidQuery: ring is not closed",
            Class::Invalid,
        ),
        (
            422,
            r#"{"detail":[{"msg":"sortby"}]}"#,
            r#"422 Unprocessable Entity: [{"msg":"sortby"}]"#,
            Class::Invalid,
        ),
        (
            404,
            "<html>\n  not here\n</html>",
            "404 Not Found: <html> not here </html>",
            Class::Invalid,
        ),
        (
            401,
            r#"{"message":"who are you"}"#,
            "401 Unauthorized: who are you",
            Class::Denied,
        ),
        (403, "", "403 Forbidden", Class::Denied),
    ];
    for (status, body, words, class) in cases {
        let api = play(vec![Reply::text(status, body); 2]).await;
        let error = outcome(&api).await.unwrap_err();
        let shown = error.to_string();
        assert_eq!(shown, format!("http://{}/v1/search: {words}", api.address));
        assert_eq!(error.class(), class, "{shown}");
        // A server that knows no POST there may know GET.
        let expected = if status == 404 { 2 } else { 1 };
        assert_eq!(api.searches(), expected, "{shown}");
    }
}

#[tokio::test]
async fn an_error_page_with_status_200_is_asked_again_and_then_named() {
    let pages = [
        "<?xml version=\"1.0\"?><Error><Code>ServerBusy</Code></Error>",
        r#"{"message":"Internal server error"}"#,
        "",
    ];
    for text in pages {
        let api = play(vec![Reply::text(200, text)]).await;
        outcome(&api).await.unwrap();
        assert_eq!(api.searches(), 2);
        let api = play(vec![Reply::text(200, text); 9]).await;
        let error = outcome(&api).await.unwrap_err();
        assert!(matches!(error, StacError::ErrorPage { .. }), "{error}");
        assert_eq!((error.class(), api.searches()), (Class::Transient, 5));
    }
}

#[tokio::test]
async fn json_that_is_no_page_of_items_is_invalid() {
    for text in [
        r#"{"type":"Catalog","links":[]}"#,
        r#"{"type":"FeatureCollection","features":{}}"#,
    ] {
        let api = play(vec![Reply::text(200, text)]).await;
        let error = outcome(&api).await.unwrap_err();
        assert!(matches!(error, StacError::NotAPage { .. }), "{error}");
        assert_eq!((error.class(), api.searches()), (Class::Invalid, 1));
    }
}

#[tokio::test]
async fn a_website_is_no_api_and_is_asked_once() {
    let api = play(vec![]).await.with_landing(json!("<html>"));
    let error = outcome(&api).await.unwrap_err();
    assert!(matches!(error, StacError::NotAnApi { .. }), "{error}");
    assert_eq!((error.class(), api.seen().len()), (Class::Invalid, 1));
}

#[tokio::test]
async fn a_page_past_the_limit_ends_the_search_before_it_fills_the_memory() {
    let limit = 100_000;
    let limits = Limits {
        page_bytes: limit,
        ..Limits::default()
    };
    let plain = vec![b' '; limit + 1];
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 100 * limit]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < limit);
    for (body, encoding) in [(plain, None), (bomb, Some("gzip"))] {
        let mut reply = Reply {
            body,
            ..Reply::text(200, "")
        };
        if let Some(encoding) = encoding {
            reply = reply.with("content-encoding", encoding);
        }
        let mut api = play(vec![reply]).await;
        api.client = api.client.with_limits(limits);
        let error = outcome(&api).await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("the answer is larger than 100000 bytes"),
            "{error}"
        );
        assert_eq!((error.class(), api.searches()), (Class::Invalid, 1));
    }
}

#[tokio::test]
async fn a_compressed_page_is_read() {
    let mut body = GzEncoder::new(Vec::new(), Compression::fast());
    body.write_all(&good().body).unwrap();
    let reply = Reply {
        body: body.finish().unwrap(),
        ..Reply::text(200, "")
    };
    let api = play(vec![reply.with("content-encoding", "gzip")]).await;
    outcome(&api).await.unwrap();
    assert!(
        api.seen()[1].headers["accept-encoding"]
            .to_str()
            .unwrap()
            .contains("gzip")
    );
}

#[tokio::test]
async fn a_port_that_nobody_listens_at_is_a_refused_connection() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let api = play(vec![]).await;
    let mut job = api.job();
    job.catalog = format!("http://user:canary@{address}/v1?key=canary")
        .parse()
        .unwrap();
    let error = api.client.search(&job, &square()).await.unwrap_err();
    assert!(
        matches!(error, StacError::Http(HttpError::Refused { .. })),
        "{error}"
    );
    assert_eq!(error.class(), Class::Transient);
    let shown = format!("{} {error:?}", swath_core::chain(&error));
    assert!(
        shown.contains("connection refused") && !shown.contains("canary"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_silent_api_is_not_waited_for_without_end() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = play(vec![]).await;
    let timeouts = Timeouts {
        idle: Duration::from_millis(100),
        ..Timeouts::default()
    };
    let clock: Arc<dyn Clock> = Arc::<crate::clock::testing::FakeClock>::clone(&api.clock);
    let client = client_with(timeouts, clock).with_policy(Policy::ONCE);
    let mut job = api.job();
    job.catalog = format!("http://{address}/").parse().unwrap();
    let error = client.search(&job, &square()).await.unwrap_err();
    assert!(
        matches!(error, StacError::Http(HttpError::Timeout { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_redirect_on_the_same_host_keeps_what_was_searched_for() {
    for status in [301, 302, 307, 308] {
        let api = play(vec![Reply::text(status, "").with("location", "/v2/search")]).await;
        outcome(&api).await.unwrap();
        let seen = api.seen();
        assert_eq!(seen[2].line(), "POST /v2/search");
        assert_eq!(seen[2].body, seen[1].body);
    }
}

#[tokio::test]
async fn a_redirect_elsewhere_or_without_end_is_refused() {
    let away = Reply::text(307, "").with("location", "http://169.254.169.254/latest");
    let api = play(vec![away]).await;
    let error = outcome(&api).await.unwrap_err();
    assert!(matches!(error, StacError::OtherHost { .. }), "{error}");

    let round = Reply::text(307, "").with("location", "/v1/search");
    let api = play(vec![round; 20]).await;
    let error = outcome(&api).await.unwrap_err();
    assert!(matches!(error, StacError::Redirect { .. }), "{error}");
    assert_eq!(api.searches(), 6);

    let other_method = Reply::text(303, "").with("location", "/v1/search");
    let error = outcome(&play(vec![other_method]).await).await.unwrap_err();
    assert!(matches!(error, StacError::Redirect { .. }), "{error}");
}

#[tokio::test]
async fn an_error_on_a_later_page_leaves_the_earlier_ones() {
    let api = Api::start(|n, _| match n {
        0 | 1 => {
            let next = json!({"href": format!("?page={n}")});
            Reply::json(&page(&[&n.to_string()], Some(next)))
        }
        _ => Reply::text(400, r#"{"code":"BadToken","description":"no such token"}"#),
    })
    .await;
    let mut search = api.client.search(&api.job(), &square()).await.unwrap();
    let (pages, end) = read(&mut search).await;
    assert_eq!(pages, [["0"], ["1"]]);
    assert!(end.unwrap_err().to_string().contains("BadToken"));
    assert!(search.next_page().await.unwrap().is_none());
}
