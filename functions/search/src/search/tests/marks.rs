//! Searches that are cut off and gone on with.

use std::sync::atomic::{AtomicUsize, Ordering};

use swath_cloud::retry::Policy;
use swath_cloud::store::Store;

use super::*;

const PAGES: usize = 50;

/// The page that a request asks for, from 0.
fn number(uri: &Uri) -> usize {
    let query = uri.query().unwrap_or_default();
    query
        .strip_prefix("page=")
        .map_or(0, |n| n.parse().unwrap())
}

/// One of [`PAGES`] pages of one item each.
fn numbered(at: usize) -> String {
    let next = (at + 1 < PAGES).then(|| format!("/search?page={}", at + 1));
    page(&[item(&at.to_string(), &["data"])], next.as_deref())
}

/// A world of [`PAGES`] pages, and every page that was asked for; `fails` says what page fails, at what request of all, and how.
async fn long(
    fails: impl Fn(usize, usize) -> Option<StatusCode> + Send + Sync + 'static,
) -> (World, Arc<Mutex<Vec<usize>>>) {
    let asked: Arc<Mutex<Vec<usize>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let mut world = world_of(move |uri| {
        let at = number(uri);
        let mut seen = seen.lock().unwrap();
        seen.push(at);
        match fails(at, seen.len()) {
            Some(status) => (status, String::new()),
            None => (StatusCode::OK, numbered(at)),
        }
    })
    .await;
    world.context.api = world.context.api.with_policy(Policy::ONCE);
    world.request.job.headers =
        swath_core::Headers::new([("X-Key".to_owned(), "canary".to_owned())]);
    (world, asked)
}

async fn deliver(
    world: &World,
    lake: &Store,
    may_go_on: &(dyn Fn() -> bool + Sync),
) -> Result<AreaFound, SearchError> {
    let run = RunId::new("run");
    let marks = Marks::of(lake, &run, &world.request, may_go_on);
    search_on(&run, &world.request, &world.context, Some(&marks)).await
}

fn ids(sent: &Sent) -> Vec<usize> {
    let ids = sent
        .rows
        .iter()
        .map(|row| row.found.item_id.parse().unwrap());
    let mut ids: Vec<usize> = ids.collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_search_that_fails_at_a_page_goes_on_there_at_the_next_delivery() {
    let down = |at, request| (at == 7 && request == 8).then_some(StatusCode::SERVICE_UNAVAILABLE);
    let (world, asked) = long(down).await;
    let lake = Store::in_memory();
    let error = deliver(&world, &lake, &|| true).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    let found = deliver(&world, &lake, &|| true).await.unwrap();
    assert_eq!((found.pages, found.items, found.returned), (50, 50, 50));
    let expected: Vec<usize> = (0..=7).chain(7..PAGES).collect();
    assert_eq!(*asked.lock().unwrap(), expected);
    let sent = world.sent().await;
    assert_eq!(ids(&sent), (0..PAGES).collect::<Vec<_>>());
    let ended: Vec<_> = sent
        .statuses
        .iter()
        .map(|row| (row.status, row.items))
        .collect();
    assert_eq!(ended, [(SearchEnd::Error, 7), (SearchEnd::Ok, 50)]);
    println!(
        "N11 API down at page 8 of 50 | expected 51 requests, 50 items once | got {}",
        expected.len()
    );
}

#[tokio::test]
async fn a_search_longer_than_an_invocation_ends_after_some() {
    let (world, asked) = long(|_, _| None).await;
    let lake = Store::in_memory();
    let mut deliveries = 0;
    let found = loop {
        deliveries += 1;
        // Time for nine pages.
        let pages = AtomicUsize::new(0);
        let may_go_on = move || pages.fetch_add(1, Ordering::Relaxed) < 8;
        match deliver(&world, &lake, &may_go_on).await {
            Ok(found) => break found,
            Err(error) => {
                assert!(matches!(error, SearchError::TimeIsUp { .. }), "{error:?}");
                assert_eq!(error.retry_after(), Some(Duration::ZERO));
            }
        }
    };
    assert_eq!((deliveries, found.pages, found.items), (6, 50, 50));
    assert_eq!(*asked.lock().unwrap(), (0..PAGES).collect::<Vec<_>>());
    let sent = world.sent().await;
    assert_eq!(ids(&sent), (0..PAGES).collect::<Vec<_>>());
    assert_eq!(sent.statuses.len(), 1, "told once, at the end");
    println!(
        "N4  time for 9 of 50 pages | expected 50 items in 6 deliveries | got 50 items in {deliveries} deliveries"
    );
}

#[tokio::test]
async fn a_search_that_is_killed_goes_on_at_its_last_mark() {
    let (killed, kill) = (Arc::new(tokio::sync::Notify::new()), AtomicUsize::new(0));
    let (world, asked) = long({
        let killed = Arc::clone(&killed);
        move |at, _| {
            if at == 33 && kill.fetch_add(1, Ordering::Relaxed) == 0 {
                killed.notify_one();
            }
            None
        }
    })
    .await;
    let lake = Store::in_memory();
    tokio::select! {
        biased;
        () = killed.notified() => {}
        ended = deliver(&world, &lake, &|| true) => panic!("{ended:?}"),
    }
    let found = deliver(&world, &lake, &|| true).await.unwrap();
    assert_eq!(found.items, 50);
    let expected: Vec<usize> = (0..=33).chain(20..PAGES).collect();
    assert_eq!(*asked.lock().unwrap(), expected);
    let mut ids = ids(&world.sent().await);
    ids.dedup();
    assert_eq!(ids, (0..PAGES).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_that_the_api_has_forgotten_is_not_waited_for() {
    let forgets = |at, request| match (at, request) {
        (5, 6) => Some(StatusCode::SERVICE_UNAVAILABLE),
        (5, 7) => Some(StatusCode::BAD_REQUEST),
        _ => None,
    };
    let (world, asked) = long(forgets).await;
    let lake = Store::in_memory();
    deliver(&world, &lake, &|| true).await.unwrap_err();
    let found = deliver(&world, &lake, &|| true).await.unwrap();
    assert_eq!((found.pages, found.items), (50, 50));
    assert_eq!(asked.lock().unwrap().len(), 6 + 1 + PAGES);
}

#[tokio::test]
async fn a_search_that_is_done_begins_anew_when_it_is_asked_for_again() {
    let down = |at, request| (at == 3 && request == 4).then_some(StatusCode::SERVICE_UNAVAILABLE);
    let (world, asked) = long(down).await;
    let lake = Store::in_memory();
    deliver(&world, &lake, &|| true).await.unwrap_err();
    for _ in 0..2 {
        let found = deliver(&world, &lake, &|| true).await.unwrap();
        assert_eq!(found.items, 50);
    }
    assert_eq!(asked.lock().unwrap().len(), 4 + 47 + PAGES);
}

#[tokio::test]
async fn a_mark_holds_no_credentials_and_another_job_does_not_follow_it() {
    let down = |at, _| (at == 3).then_some(StatusCode::SERVICE_UNAVAILABLE);
    let (mut world, asked) = long(down).await;
    let lake = Store::in_memory();
    deliver(&world, &lake, &|| true).await.unwrap_err();
    let marks = lake
        .store
        .list_with_delimiter(Some(&"receipts/runs".into()))
        .await
        .unwrap();
    let folder = marks.common_prefixes[0].clone().join("marks");
    let marks = lake.store.list_with_delimiter(Some(&folder)).await.unwrap();
    let text = lake.get(marks.objects[0].location.as_ref()).await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(
        text.contains("page=3") && !text.contains("canary"),
        "{text}"
    );
    world.request.job.datetime = Some("2024".to_owned());
    deliver(&world, &lake, &|| true).await.unwrap_err();
    assert_eq!(*asked.lock().unwrap(), [0, 1, 2, 3, 0, 1, 2, 3]);
}
