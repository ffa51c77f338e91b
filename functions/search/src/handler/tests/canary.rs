//! A secret in every slot for credentials, and where it may not turn up: L1 of this function.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use futures::TryStreamExt as _;
use serde_json::json;
use swath_cloud::http::{Timeouts, for_apis};
use swath_cloud::queue::MemoryReceiver;
use swath_core::aoi::Areas;
use swath_core::message::Message;
use swath_core::{Headers, Job};
use swath_lambda::SqsEvent;
use swath_lambda::telemetry::testing::caught_from;

use super::*;

const CANARY: &str = "canary-5f0c91";

/// How an API can answer; each repeats what it was asked.
const WAYS: [&str; 5] = ["items", "refuses", "denies", "fails", "errs"];

fn item(n: u8) -> serde_json::Value {
    json!({"type": "Feature", "id": format!("i{n}"), "collection": "c", "geometry": null, "properties": {},
        "assets": {"a": {"href": "https://data.example/a.tif"}}})
}

/// An API that repeats the key it was given in all that it says but items.
async fn api(way: &'static str) -> String {
    let router = Router::new().fallback(move |request: Request| {
        let key = request.headers().get("x-key").map_or("none", |value| value.to_str().unwrap());
        let echo = format!("your key {key} at {}", request.uri());
        let answer = match (request.uri().path(), way) {
            ("/", _) => (StatusCode::OK, r#"{"links":[]}"#.to_owned()),
            (_, "items") => {
                let second = request.uri().query().unwrap_or_default().contains("page=2");
                let links = if second { json!([]) } else { json!([{"rel": "next", "href": format!("?page=2&token={key}")}]) };
                let page = json!({"type": "FeatureCollection", "features": [item(u8::from(second))], "links": links});
                (StatusCode::OK, page.to_string())
            }
            (_, "refuses") => (StatusCode::BAD_REQUEST, echo),
            (_, "denies") => (StatusCode::FORBIDDEN, json!({"code": key, "description": echo}).to_string()),
            (_, "fails") => (StatusCode::INTERNAL_SERVER_ERROR, echo),
            _ => (StatusCode::OK, echo),
        };
        std::future::ready(answer)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://user:{CANARY}@{address}/?key={CANARY}")
}

fn message(catalog: &str) -> String {
    let mut job = Job::new(catalog.parse().unwrap());
    job.headers = Headers::new([("X-Key".to_owned(), CANARY.to_owned())]);
    let area = Areas::from_geojson(r#"{"type":"Point","coordinates":[1,2]}"#)
        .unwrap()
        .areas
        .remove(0);
    let message = Message {
        run_id: RunId::new("run"),
        body: Body::SearchArea(SearchArea { job, area }),
    };
    message.to_json().unwrap()
}

/// What was sent on, as it goes over the wire.
async fn wire(queue: MemoryReceiver) -> String {
    let mut all = String::new();
    while let Some(message) = queue.recv().await {
        all.push_str(&message.to_json().unwrap());
    }
    all
}

/// What lies in the lake, what is in quarantine too.
async fn kept(lake: &Store) -> String {
    let objects: Vec<_> = lake.store.list(None).try_collect().await.unwrap();
    let mut all = String::new();
    for object in objects {
        let bytes = lake.get(object.location.as_ref()).await.unwrap();
        all.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    all
}

async fn searched(way: &'static str) -> (String, usize) {
    let (write, written) = channel(100);
    let (download, downloads) = channel(100);
    let clock = Arc::new(FakeClock::default());
    let port: Arc<FakeClock> = Arc::clone(&clock);
    let context = Context {
        api: Client::new(for_apis(Timeouts::default()).unwrap(), port).with_policy(Policy::ONCE),
        clock: Arc::<FakeClock>::clone(&clock),
        write: Arc::new(write),
        download: Arc::new(download),
    };
    let lake = Store::in_memory();
    let event = json!({"Records": [{"messageId": "m", "body": message(&api(way).await), "eventSource": "aws:sqs"}]});
    let event: SqsEvent = serde_json::from_value(event).unwrap();
    let invocation = Invocation {
        request_id: String::new(),
        received: clock.now(),
        deadline: Deadline::none(),
    };
    let shell = Arc::new(Shell::new("search", lake.clone()));
    let answer = handle(Batch::new(event, shell, invocation), &context)
        .await
        .unwrap();
    drop(context);
    let told = [
        serde_json::to_string(&answer).unwrap(),
        wire(written).await,
        wire(downloads).await,
        kept(&lake).await,
    ];
    (told.join("\n"), answer.batch_item_failures.len())
}

#[tokio::test]
async fn a_secret_in_every_slot_reaches_nothing_that_is_kept_or_told() {
    for way in WAYS {
        let (lines, guard) = caught_from("trace");
        let (told, back) = searched(way).await;
        drop(guard);
        let logged = lines.text();
        assert!(logged.contains("search"), "{way}: nothing is logged");
        assert_eq!(
            back > 0,
            matches!(way, "denies" | "fails" | "errs"),
            "{way}"
        );
        for (where_, text) in [
            ("logs", &logged),
            ("rows, items, downloads, receipts, quarantine", &told),
        ] {
            let hits = text.matches(CANARY).count();
            assert_eq!(hits, 0, "{way}: {where_}: {text}");
            println!("L1  an API that {way}: {where_} at TRACE | expected 0 hits | got {hits}");
        }
    }
}
