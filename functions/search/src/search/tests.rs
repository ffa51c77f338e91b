use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};
use swath_cloud::clock::testing::FakeClock;
use swath_cloud::http::{Timeouts, for_apis};
use swath_cloud::queue::{MemoryReceiver, channel};
use swath_cloud::stac::{Client, Stopped};
use swath_core::aoi::Areas;
use swath_core::row::SearchEnd;
use swath_core::{AssetChoice, Job, RunId};

use swath_cloud::queue::LARGEST;
use swath_core::message::DownloadAsset;
use swath_core::row::{AssetRow, Found, Sought};

use super::*;

mod marks;
mod upstreams;

/// A search API on loopback, and what was sent on from it.
struct World {
    context: Context,
    request: SearchArea,
    write: MemoryReceiver,
    download: MemoryReceiver,
    base: String,
}

/// Serves these pages in order, and an answer of 400 after them.
async fn world(pages: Vec<String>) -> World {
    let pages = Mutex::new(VecDeque::from(pages));
    world_of(move |_| match pages.lock().unwrap().pop_front() {
        Some(text) => (StatusCode::OK, text),
        None => (StatusCode::BAD_REQUEST, "no such page".to_owned()),
    })
    .await
}

/// Serves what `answer` says to a search's address.
async fn world_of(answer: impl Fn(&Uri) -> (StatusCode, String) + Send + Sync + 'static) -> World {
    let answer = Arc::new(answer);
    let router = Router::new().fallback(move |request: Request| {
        let answer = match request.uri().path() {
            "/" => (StatusCode::OK, r#"{"links":[]}"#.to_owned()),
            _ => answer(request.uri()),
        };
        std::future::ready(answer)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let (write, written) = channel(10_000);
    let (download, downloads) = channel(10_000);
    let clock = Arc::new(FakeClock::default());
    let api_clock = Arc::<FakeClock>::clone(&clock);
    let areas = r#"{"type":"Feature","id":"field 7","properties":{"crop":"rye"},"geometry":{"type":"Point","coordinates":[1,2]}}"#;
    World {
        context: Context {
            api: Client::new(for_apis(Timeouts::default()).unwrap(), api_clock),
            clock,
            write: Arc::new(write),
            download: Arc::new(download),
        },
        request: SearchArea {
            job: Job::new(base.parse().unwrap()),
            area: Areas::from_geojson(areas).unwrap().areas.remove(0),
        },
        write: written,
        download: downloads,
        base,
    }
}

/// What was sent on.
#[derive(Debug, Default)]
struct Sent {
    items: Vec<String>,
    rows: Vec<AssetRow>,
    downloads: Vec<DownloadAsset>,
    statuses: Vec<AreaStatus>,
    /// Each message's size on the wire.
    bytes: Vec<usize>,
}

impl World {
    async fn search(&self) -> Result<AreaFound, SearchError> {
        search(&RunId::new("run"), &self.request, &self.context).await
    }

    /// Closes the queues and takes out what they hold.
    async fn sent(self) -> Sent {
        drop(self.context);
        let mut sent = Sent::default();
        for queue in [self.write, self.download] {
            while let Some(message) = queue.recv().await {
                assert_eq!(message.run_id, RunId::new("run"));
                sent.bytes.push(message.to_json().unwrap().len());
                match message.body {
                    Body::WriteItems(body) => {
                        assert_eq!(body.source, self.base);
                        sent.items
                            .extend(body.items.iter().map(|item| item.get().to_owned()));
                    }
                    Body::WriteRows(WriteRows::AssetRows(rows)) => sent.rows.extend(rows),
                    Body::WriteRows(WriteRows::AreaStatus(rows)) => sent.statuses.extend(rows),
                    Body::DownloadAsset(body) => sent.downloads.push(body),
                    other => panic!("{other:?}"),
                }
            }
        }
        sent
    }
}

fn page(features: &[String], next: Option<&str>) -> String {
    let links = next.map(|href| json!({"rel": "next", "href": href}));
    let links = Value::from_iter(links);
    format!(
        r#"{{"type":"FeatureCollection","numberMatched":3,"links":{links},"features":[{}]}}"#,
        features.join(",\n")
    )
}

/// An item with one asset per key.
fn item(id: &str, keys: &[&str]) -> String {
    let assets: serde_json::Map<_, _> = keys
        .iter()
        .map(|key| {
            (
                (*key).to_owned(),
                json!({"href": format!("https://data.example/{id}/{key}.tif")}),
            )
        })
        .collect();
    json!({"type": "Feature", "id": id, "collection": "c", "geometry": null, "properties": {"datetime": "2024-06-01T00:00:00Z"}, "assets": assets}).to_string()
}

const FULL: &str = r#"{ "type":"Feature","id":"a/b","collection":"s2","stac_version":"1.0.0","geometry":null,
    "bbox":[1,2,0,3.5,4,900],
    "properties":{ "datetime":null, "start_datetime":"2024-06-01 10:00:00.040Z","end_datetime":"2024-06-02T10:00:00+02:00","gsd":1.50 },
    "links":[{"rel":"root","href":"/"},{"rel":"self","href":"https://api.example/collections/s2/items/a"}],
    "assets":{"red":{"href":"../data/red band.tif?v=1#x","type":"image/tiff","roles":["data","visual"],"file:size":12,"file:checksum":"1220ab",
                     "alternate":{"s3":{"href":"s3://mirror/red.tif"},"http":{"href":"../data/mirror/red.tif"}}},
              "qa":{"href":"s3://bucket/qa b.tif"}}}"#;

/// The box of [`FULL`].
const BOX: &str =
    r#"{"coordinates":[[[1.0,2.0],[3.5,2.0],[3.5,4.0],[1.0,4.0],[1.0,2.0]]],"type":"Polygon"}"#;

/// Where else its asset `red` lies.
const MIRRORS: [&str; 2] = [
    "https://api.example/collections/s2/data/mirror/red.tif",
    "s3://mirror/red.tif",
];

/// The row of [`FULL`]'s asset `red`.
fn row_of_red(catalog: String) -> AssetRow {
    let date = "2024-06-01 10:00:00.040Z";
    AssetRow {
        sought: Sought {
            run_id: RunId::new("run"),
            row_id: "field 7".to_owned(),
            row_number: 0,
            area: serde_json::Map::from_iter([("crop".to_owned(), json!("rye"))]),
        }
        .into(),
        found: Found {
            catalog,
            collection: Some("s2".to_owned()),
            item_id: "a/b".to_owned(),
            date: Some(date.to_owned()),
            item_bbox: Some(BOX.to_owned()),
            item_properties: r#"{ "datetime":null, "start_datetime":"2024-06-01 10:00:00.040Z","end_datetime":"2024-06-02T10:00:00+02:00","gsd":1.50 }"#
                .to_owned(),
            asset_name: "red".to_owned(),
            href: "https://api.example/collections/s2/data/red%20band.tif?v=1#x".to_owned(),
            asset_type: Some("image/tiff".to_owned()),
            asset_roles: vec!["data".to_owned(), "visual".to_owned()],
            file_size: Some(12),
            file_checksum: Some("1220ab".to_owned()),
            datetime: None,
            start_datetime: swath_core::stac::parse_datetime(date),
            end_datetime: swath_core::stac::parse_datetime("2024-06-02T08:00:00Z"),
            alternate_hrefs: MIRRORS.map(str::to_owned).to_vec(),
        }
        .into(),
    }
}

#[tokio::test]
async fn an_item_becomes_a_row_and_a_download_per_asset() {
    let world = world(vec![page(&[FULL.to_owned()], None)]).await;
    let base = world.base.clone();
    let job = world.request.job.clone();
    let found = world.search().await.unwrap();
    assert_eq!(
        (found.pages, found.matched, found.returned),
        (1, Some(3), 1)
    );
    assert_eq!((found.items, found.assets, found.downloads), (1, 2, 2));
    assert!(found.is_short());
    let sent = world.sent().await;
    let [status] = sent.statuses.as_slice() else {
        panic!("{:?}", sent.statuses)
    };
    assert_eq!(status.status, SearchEnd::Partial, "3 match, 1 was served");
    assert_eq!((status.matched, status.returned), (Some(3), 1));
    assert_eq!((status.row_id.as_str(), status.requests), ("field 7", 2));
    assert_eq!(sent.items, [FULL]);
    let row = row_of_red(base);
    assert!(row.found.start_datetime.is_some());
    assert_eq!(sent.rows[0], row);
    assert_eq!(sent.rows[1].found.href, "s3://bucket/qa b.tif");
    assert_eq!(
        sent.downloads[0],
        DownloadAsset {
            job,
            collection: row.found.collection.clone(),
            item_id: row.found.item_id.clone(),
            asset_name: row.found.asset_name.clone(),
            href: row.found.href.clone(),
            alternate_hrefs: row.found.alternate_hrefs.clone(),
            media_type: row.found.asset_type.clone(),
            size_bytes: row.found.file_size,
            checksum: row.found.file_checksum.clone(),
        }
    );
}

#[tokio::test]
async fn an_href_of_an_item_without_a_self_link_is_relative_to_its_page() {
    let text = r#"{"type":"Feature","id":"i","geometry":null,"properties":null,"assets":{"a":{"href":"x/y.tif"}}}"#;
    let world = world(vec![page(&[text.to_owned()], None)]).await;
    world.search().await.unwrap();
    let expected = format!("{}x/y.tif", world.base);
    let sent = world.sent().await;
    assert_eq!(sent.rows[0].found.href, expected);
    assert_eq!(sent.rows[0].found.collection, None);
    assert_eq!(sent.rows[0].found.item_properties, "{}");
    assert_eq!(
        (&sent.rows[0].found.date, &sent.rows[0].found.item_bbox),
        (&None, &None)
    );
}

#[tokio::test]
async fn only_wanted_assets_are_sent_and_lacking_keys_are_counted() {
    let mut world = world(vec![page(
        &[item("1", &["red", "nir"]), item("2", &["nir", "qa"])],
        None,
    )])
    .await;
    world.request.job.assets = AssetChoice::keys(["red", "nir", "ner"]);
    let found = world.search().await.unwrap();
    let missing: Vec<_> = found
        .missing_assets
        .iter()
        .map(|(key, n)| (key.as_str(), *n))
        .collect();
    assert_eq!(missing, [("ner", 2), ("red", 1)]);
    let sent = world.sent().await;
    let names: Vec<_> = sent
        .downloads
        .iter()
        .map(|asked| (asked.item_id.as_str(), asked.asset_name.as_str()))
        .collect();
    // The keys' order within an item is the order that the item was written in.
    assert_eq!(names, [("1", "nir"), ("1", "red"), ("2", "nir")]);
    assert_eq!(sent.rows.len(), 3);
}

#[tokio::test]
async fn a_job_without_downloads_asks_for_none() {
    let mut world = world(vec![page(&[item("1", &["red"])], None)]).await;
    world.request.job.download = false;
    let found = world.search().await.unwrap();
    assert_eq!((found.assets, found.downloads), (1, 0));
    let sent = world.sent().await;
    assert_eq!(
        (sent.items.len(), sent.rows.len(), sent.downloads.len()),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn what_is_no_item_is_named_and_its_neighbours_go_on() {
    let world = world(vec![page(
        &[
            item("1", &["a"]),
            r#"{"type":"Feature","geometry":null}"#.to_owned(),
            r#"{"type":"Collection","id":"c"}"#.to_owned(),
            r#"{"type":"Feature","id":"2","assets":{"a":{"title":"no href"}}}"#.to_owned(),
            "7".to_owned(),
            item("3", &["a"]),
        ],
        None,
    )])
    .await;
    let found = world.search().await.unwrap();
    assert_eq!((found.returned, found.items, found.assets), (6, 2, 2));
    let rejected: Vec<_> = found
        .rejected
        .iter()
        .map(|item| (item.place, item.id.as_deref()))
        .collect();
    assert_eq!(
        rejected,
        [(1, None), (2, Some("c")), (3, Some("2")), (4, None)]
    );
    assert!(found.rejected[0].reason.contains("missing field `id`"));
    assert!(found.rejected[2].reason.contains("missing field `href`"));
    assert_eq!(
        world.sent().await.items,
        [item("1", &["a"]), item("3", &["a"])]
    );
}

#[tokio::test]
async fn messages_stay_small_but_for_a_single_large_item() {
    let large = |id: &str, kilobytes: usize| {
        item(id, &["a"]).replace("\"c\"", &format!("\"{}\"", "x".repeat(kilobytes * 1024)))
    };
    let mut items: Vec<_> = (0..30).map(|n| large(&n.to_string(), 30)).collect();
    items.insert(7, large("huge", 300));
    let world = world(vec![page(&items, None)]).await;
    world.search().await.unwrap();
    let sent = world.sent().await;
    assert_eq!(sent.items, items);
    assert_eq!((sent.rows.len(), sent.downloads.len()), (31, 31));
    let over: Vec<_> = sent
        .bytes
        .iter()
        .filter(|bytes| **bytes > LARGEST)
        .collect();
    assert_eq!(over.len(), 3, "the item, its row, its download: {over:?}");
}

#[tokio::test]
async fn an_error_on_the_second_page_leaves_the_first_one_sent() {
    let world = world(vec![page(&[item("1", &["a"])], Some("/search?page=2"))]).await;
    let error = world.search().await.unwrap_err();
    assert_eq!(error.class(), Class::Invalid);
    assert_eq!(
        error.to_string(),
        "area field 7: the search failed after 1 pages with 1 items"
    );
    assert!(swath_core::chain(&error).contains("400 Bad Request: no such page"));
    let sent = world.sent().await;
    assert_eq!((sent.items.len(), sent.downloads.len()), (1, 1));
    let [status] = sent.statuses.as_slice() else {
        panic!("{:?}", sent.statuses)
    };
    assert_eq!((status.status, status.items), (SearchEnd::Error, 1));
    assert_eq!((status.pages, status.requests), (1, 3));
    assert_eq!(status.error_class, Some(Class::Invalid));
    assert!(status.error.as_ref().unwrap().contains("no such page"));
}

#[tokio::test]
async fn pages_are_read_until_enough_items_are_found() {
    let two = |a: &str, b: &str, next| page(&[item(a, &["a"]), item(b, &["a"])], Some(next));
    let mut world = world(vec![
        two("1", "2", "?2"),
        two("2", "3", "?3"),
        two("4", "5", "?4"),
    ])
    .await;
    world.request.job.max_items = Some(3);
    let found = world.search().await.unwrap();
    assert_eq!((found.pages, found.returned, found.items), (2, 4, 3));
    assert_eq!(found.stopped, Some(Stopped::MaxItems));
    assert!(!found.is_short());
    assert_eq!(world.sent().await.items.len(), 3);
}

#[tokio::test]
async fn a_queue_that_is_gone_is_an_error_of_its_own() {
    let world = world(vec![page(&[item("1", &["a"])], None)]).await;
    let World {
        context,
        request,
        write,
        ..
    } = world;
    drop(write);
    let error = search(&RunId::new("run"), &request, &context)
        .await
        .unwrap_err();
    assert!(matches!(error, SearchError::Send { .. }), "{error}");
}

#[tokio::test]
async fn a_catalogs_credentials_reach_no_message() {
    let mut world = world(vec![page(&[item("1", &["a"])], None)]).await;
    world.request.job.catalog.set_query(Some("key=canary"));
    world.request.job.download = false;
    world.search().await.unwrap();
    let sent = world.sent().await;
    assert!(!sent.rows[0].found.catalog.contains("canary"));
}

#[tokio::test]
async fn areas_asked_for_together_get_their_own_rows_and_each_item_once() {
    let at = |id: &str, lon: f64| {
        item(id, &["a", "b"]).replace(
            r#""geometry":null"#,
            &format!(r#""geometry":{{"type":"Point","coordinates":[{lon},0.05]}}"#),
        )
    };
    let features = [at("in both", 0.1), at("in one", 0.05), at("in none", 0.25)];
    let mut world = world(vec![page(&features, None)]).await;
    world.request.job.download = false;
    let squares: Vec<_> = [[0.0, 0.1], [0.1, 0.2], [0.0, 0.02], [0.0, 0.03]]
        .iter()
        .map(|[west, east]| {
            let text = format!("[{west},0,{east},0.1]");
            Areas::from_geojson(&text).unwrap().areas.remove(0)
        })
        .collect();
    let run = RunId::new("run");
    let together = crate::Together::new(&run, &world.request.job, &squares).unwrap();
    let cells = together.cells();
    assert_eq!((cells.len(), together.alone().len()), (1, 0));
    together.search(&cells[0], &world.context).await.unwrap();
    together.tell(&world.context).await.unwrap();
    let sent = world.sent().await;
    assert_eq!(
        sent.items,
        features[..2],
        "each item once, and none that lies in no area"
    );
    assert_eq!(sent.rows.len(), 6);
    let told = sent.statuses.iter();
    let told: Vec<_> = told
        .map(|row| (row.status, [row.items, row.assets, row.pages, row.requests]))
        .collect();
    // The landing page and the one search, counted once.
    let expected = [
        (SearchEnd::Ok, [2, 4, 1, 2]),
        (SearchEnd::Ok, [1, 2, 1, 0]),
        (SearchEnd::Empty, [0, 0, 1, 0]),
        (SearchEnd::Empty, [0, 0, 1, 0]),
    ];
    assert_eq!(told, expected);

    let mut capped = Job::new("https://stac.example/".parse().unwrap());
    capped.max_items = Some(1);
    assert!(crate::Together::new(&run, &capped, &squares).is_none());
}

#[tokio::test]
async fn parts_of_items_become_rows_and_are_not_catalogued() {
    let mut world = world(vec![page(&[item("1", &["a"])], None)]).await;
    world.request.job.fields = vec!["id".to_owned()];
    let found = world.search().await.unwrap();
    assert_eq!((found.items, found.assets), (1, 1));
    let sent = world.sent().await;
    assert_eq!((sent.items.len(), sent.rows.len()), (0, 1));
}

#[tokio::test]
async fn a_key_for_the_catalog_does_not_go_with_the_download() {
    let mut world = world(vec![page(&[item("1", &["a"])], None)]).await;
    let header = ("X-Key".to_owned(), "canary".to_owned());
    world.request.job.headers = swath_core::Headers::new([header]);
    world.search().await.unwrap();
    assert!(world.sent().await.downloads[0].job.headers.is_empty());
}
