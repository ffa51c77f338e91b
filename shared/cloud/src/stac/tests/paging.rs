//! Next links as the specification has them and as sick servers have them.

use super::*;
use crate::stac::call::check_same_server;

/// Plays these pages in order, the last one for ever.
async fn play(pages: Vec<Value>) -> Api {
    Api::start(move |n, _| Reply::json(pages.get(n).or(pages.last()).unwrap())).await
}

async fn search(api: &Api) -> Search {
    api.client.search(&api.job(), &square()).await.unwrap()
}

#[tokio::test]
async fn a_link_that_merges_adds_to_the_first_request() {
    let next =
        |body: Value| json!({"href": "/v1/search", "method": "POST", "merge": true, "body": body});
    let api = play(vec![
        page(&["1"], Some(next(json!({"token": "a", "page": 2})))),
        page(&["2"], Some(next(json!({"token": "b", "limit": 7})))),
        page(&["3"], None),
    ])
    .await;
    let (pages, end) = read(&mut search(&api).await).await;
    end.unwrap();
    assert_eq!(pages, [["1"], ["2"], ["3"]]);
    let seen = api.seen();
    let first = seen[1].json();
    let with = |changes: Value| {
        let mut body = first.clone();
        body.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        body
    };
    assert_eq!(seen[2].json(), with(json!({"token": "a", "page": 2})));
    assert_eq!(seen[3].json(), with(json!({"token": "b", "limit": 7})));
}

#[tokio::test]
async fn a_link_that_does_not_merge_sends_its_own_body_alone() {
    let body = json!({"token": "next:1", "collections": ["c"]});
    let next = json!({"href": "/v1/search", "method": "POST", "merge": false, "body": body});
    let api = play(vec![page(&["1"], Some(next)), page(&["2"], None)]).await;
    read(&mut search(&api).await).await.1.unwrap();
    assert_eq!(api.seen()[2].json(), body);
}

#[tokio::test]
async fn a_post_link_without_a_body_repeats_what_was_searched_for() {
    let next = json!({"href": "search?page=2", "method": "POST"});
    let api = play(vec![page(&["1"], Some(next)), page(&["2"], None)]).await;
    read(&mut search(&api).await).await.1.unwrap();
    let seen = api.seen();
    assert_eq!(seen[2].line(), "POST /v1/search?page=2");
    assert_eq!(seen[2].json(), seen[1].json());
}

#[tokio::test]
async fn a_get_link_is_followed_as_it_stands_with_its_headers() {
    let next = json!({
        "href": "/v1/search?token=x%2Fy&limit=1",
        "headers": {"X-Page": "2", "x-many": ["a", "b"], "Host": "evil.example", "x-number": 3}
    });
    let api = play(vec![page(&["1"], Some(next)), page(&["2"], None)]).await;
    read(&mut search(&api).await).await.1.unwrap();
    let seen = &api.seen()[2];
    assert_eq!(seen.line(), "GET /v1/search?token=x%2Fy&limit=1");
    assert_eq!(seen.body, "");
    assert_eq!(seen.headers["x-page"], "2");
    assert_eq!(seen.headers["x-number"], "3");
    let many: Vec<_> = seen.headers.get_all("x-many").iter().collect();
    assert_eq!(many, ["a", "b"]);
    assert_eq!(seen.headers["host"], api.address.to_string());
}

#[tokio::test]
async fn the_link_by_post_is_taken_when_there_are_two() {
    let mut first = page(&["1"], Some(json!({"href": "/v1/search?by=get"})));
    let post = json!({"rel": "next", "href": "/v1/search", "method": "post", "body": {"token": "t"}, "merge": true});
    first["links"].as_array_mut().unwrap().push(post);
    let api = play(vec![first, page(&["2"], None)]).await;
    read(&mut search(&api).await).await.1.unwrap();
    assert_eq!(api.seen()[2].line(), "POST /v1/search");
}

#[tokio::test]
async fn a_next_page_that_is_the_page_itself_is_a_loop() {
    let next = json!({"href": "/v1/search", "method": "POST", "merge": true, "body": {}});
    let api = play(vec![page(&["1"], Some(next))]).await;
    let (pages, end) = read(&mut search(&api).await).await;
    assert_eq!(pages, [["1"]]);
    let error = end.unwrap_err();
    assert!(
        matches!(error, StacError::PaginationLoop { page: 1, .. }),
        "{error}"
    );
    assert_eq!(error.class(), Class::Invalid);
    assert_eq!(api.searches(), 1);
}

#[tokio::test]
async fn a_cycle_of_three_tokens_is_a_loop() {
    let api = Api::start(|n, _| {
        let token = ["a", "b", "c"][n % 3];
        let id = n.to_string();
        Reply::json(&page(
            &[&id],
            Some(json!({"href": format!("?token={token}")})),
        ))
    })
    .await;
    let (pages, end) = read(&mut search(&api).await).await;
    assert_eq!(pages, [["0"], ["1"], ["2"], ["3"]]);
    assert!(matches!(
        end,
        Err(StacError::PaginationLoop { page: 4, .. })
    ));
}

#[tokio::test]
async fn pages_that_serve_the_same_items_under_new_tokens_are_an_error() {
    let api = Api::start(|n, _| {
        Reply::json(&page(
            &["1", "2"],
            Some(json!({"href": format!("?page={n}")})),
        ))
    })
    .await;
    let (pages, end) = read(&mut search(&api).await).await;
    assert_eq!(pages, [vec!["1", "2"], vec![]]);
    assert!(matches!(end, Err(StacError::NoNewItems { page: 3, .. })));
}

#[tokio::test]
async fn an_item_that_moves_to_a_later_page_is_taken_once() {
    let next = |n: u8| Some(json!({"href": format!("?page={n}")}));
    let api = play(vec![
        page(&["1", "2"], next(2)),
        page(&["2", "3"], next(3)),
        page(&["3", "4"], None),
    ])
    .await;
    let (pages, end) = read(&mut search(&api).await).await;
    end.unwrap();
    assert_eq!(pages, [vec!["1", "2"], vec!["3"], vec!["4"]]);
}

#[tokio::test]
async fn equal_ids_in_two_collections_are_two_items() {
    let mut both = page(&["1", "1"], None);
    both["features"][1]["collection"] = json!("d");
    let api = play(vec![both]).await;
    let (pages, _) = read(&mut search(&api).await).await;
    assert_eq!(pages, [["1", "1"]]);
}

#[tokio::test]
async fn three_empty_pages_are_read_over_and_the_fourth_ends_the_search() {
    let next = |n: usize| Some(json!({"href": format!("?page={n}")}));
    let mut pages: Vec<_> = (0..3).map(|n| page(&[], next(n))).collect();
    pages.push(page(&["1"], None));
    let api = play(pages).await;
    let mut going = search(&api).await;
    let (pages, end) = read(&mut going).await;
    end.unwrap();
    assert_eq!(
        (pages.concat(), going.stopped()),
        (vec!["1".to_owned()], None)
    );

    let api = Api::start(move |n, _| Reply::json(&page(&[], next(n)))).await;
    let mut endless = search(&api).await;
    read(&mut endless).await.1.unwrap();
    assert_eq!(endless.stopped(), Some(Stopped::EmptyPages(4)));
    assert_eq!(api.searches(), 4);
}

fn endless(n: usize) -> Reply {
    let ids = [format!("{n}a"), format!("{n}b")];
    let next = json!({"href": format!("?page={n}")});
    Reply::json(&page(&[&ids[0], &ids[1]], Some(next)))
}

#[tokio::test]
async fn pages_without_end_stop_at_the_cap() {
    let api = Api::start(|n, _| endless(n)).await;
    let limits = Limits {
        pages: 5,
        ..Limits::default()
    };
    let client = api.client.clone().with_limits(limits);
    let mut search = client.search(&api.job(), &square()).await.unwrap();
    let (pages, end) = read(&mut search).await;
    end.unwrap();
    assert_eq!(
        (pages.len(), search.stopped()),
        (5, Some(Stopped::PageCap(5)))
    );
}

#[tokio::test]
async fn no_more_items_are_taken_than_asked_for() {
    let api = Api::start(|n, _| endless(n)).await;
    let mut job = api.job();
    job.max_items = Some(5);
    let mut search = api.client.search(&job, &square()).await.unwrap();
    let (pages, end) = read(&mut search).await;
    end.unwrap();
    assert_eq!(pages, [vec!["0a", "0b"], vec!["1a", "1b"], vec!["2a"]]);
    assert_eq!(search.stopped(), Some(Stopped::MaxItems));
    assert_eq!(api.seen()[1].json()["limit"], 5);
    job.max_items = Some(0);
    let mut none = api.client.search(&job, &square()).await.unwrap();
    assert!(read(&mut none).await.0.is_empty());
    assert_eq!(api.searches(), 3);
}

#[tokio::test]
async fn a_next_page_on_another_host_is_refused_after_its_page_was_read() {
    for (href, named) in [
        ("http://other.example/search?token=secret", "other.example"),
        ("http://127.0.0.1:9/search?token=secret", "127.0.0.1:9"),
    ] {
        let api = play(vec![page(&["1"], Some(json!({"href": href})))]).await;
        let (pages, end) = read(&mut search(&api).await).await;
        assert_eq!(pages, [["1"]]);
        let error = end.unwrap_err();
        assert!(matches!(error, StacError::OtherHost { .. }), "{error}");
        let shown = error.to_string();
        assert!(
            shown.contains(named) && !shown.contains("secret"),
            "{shown}"
        );
        assert_eq!(api.searches(), 1);
    }
}

#[test]
fn encryption_is_not_given_up_and_may_be_taken_up() {
    let check =
        |from: &str, to: &str| check_same_server(&from.parse().unwrap(), &to.parse().unwrap());
    assert!(matches!(
        check("https://a.example/", "http://a.example/"),
        Err(StacError::Downgrade { .. })
    ));
    assert!(check("http://a.example/", "https://a.example/x").is_ok());
    assert!(check("https://a.example/", "https://a.example:443/x").is_ok());
    assert!(matches!(
        check("https://a.example/", "https://a.example:8443/"),
        Err(StacError::OtherHost { .. })
    ));
    assert!(matches!(
        check("https://a.example/", "https://a.example.evil/"),
        Err(StacError::OtherHost { .. })
    ));
}

#[tokio::test]
async fn a_broken_next_link_is_named_and_a_broken_other_link_is_not() {
    let mut odd = page(&["1"], None);
    let links = odd["links"].as_array_mut().unwrap();
    links.extend([
        json!(null),
        json!({"rel": 5}),
        json!({"rel": "root", "href": null}),
    ]);
    let api = play(vec![odd]).await;
    read(&mut search(&api).await).await.1.unwrap();

    for next in [
        json!({"href": null}),
        json!({"href": "?x", "method": "DELETE"}),
        json!({"href": "?x", "headers": {"a b": "c"}}),
        json!({"href": "http://[", "method": "GET"}),
    ] {
        let api = play(vec![page(&["1"], Some(next.clone()))]).await;
        let (_, end) = read(&mut search(&api).await).await;
        let error = end.unwrap_err();
        assert!(
            matches!(error, StacError::NextLink { page: 1, .. }),
            "{next}: {error}"
        );
    }
}
