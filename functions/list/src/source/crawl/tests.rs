//! Crawls that are cut short, again and again.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use serde_json::{Value, json};
use swath_cloud::clock::testing::FakeClock;
use swath_cloud::fetch::FetchPolicy;
use swath_cloud::fetch::testing::{Answer, ScriptedServer};
use swath_cloud::queue::channel;
use swath_cloud::runs::read_chunk;
use swath_cloud::sources::{BucketAccesses, Sources};
use swath_cloud::store::Store;
use swath_core::intake::{Intake, ListSource};
use tokio::sync::Notify;

use crate::{Context, ListError, Planned, list};

/// Catalogs below the root, and below each of those.
const WIDE: usize = 14;

/// A server of a catalog of catalogs, three items in each, that tells when it has had so many requests.
struct World {
    server: ScriptedServer,
    left: Arc<AtomicUsize>,
    enough: Arc<Notify>,
    lake: Store,
}

fn document(path: &str) -> Value {
    let link = |rel: &str, href: String| json!({"rel": rel, "href": href});
    let mut links = vec![link("child", "/catalog.json".to_owned())];
    let depth = path.matches('/').count();
    if depth < 3 {
        let folder = path.trim_end_matches("catalog.json");
        links.extend(
            (0..WIDE).map(|number| link("child", format!("{folder}{number}/catalog.json"))),
        );
    }
    links.extend((0..3).map(|number| link("item", format!("./{number}.json"))));
    // Links of others that lead nowhere.
    links.extend([json!({"rel": "item"}), json!({"href": "./0.json"})]);
    // The same item, named by every catalog.
    links.push(link("item", "/same.json".to_owned()));
    let kind = if depth == 3 { "Collection" } else { "Catalog" };
    json!({"type": kind, "id": path, "description": "", "stac_version": "1.0.0", "links": links})
}

impl World {
    async fn new() -> Self {
        let (left, enough) = (
            Arc::new(AtomicUsize::new(usize::MAX)),
            Arc::new(Notify::new()),
        );
        let (count, tell) = (Arc::clone(&left), Arc::clone(&enough));
        let server = ScriptedServer::start(move |request| {
            if count.fetch_sub(1, Ordering::SeqCst) == 1 {
                tell.notify_one();
            }
            Answer::new(200, document(&request.path).to_string())
        });
        Self {
            server: server.await.unwrap(),
            left,
            enough,
            lake: Store::in_memory(),
        }
    }

    /// Lists the catalog, or stops after so many requests.
    async fn list(&self, requests: usize) -> Option<Result<Planned, ListError>> {
        self.left.store(requests, Ordering::SeqCst);
        let policy = FetchPolicy {
            allow_http: true,
            allow_private_hosts: true,
            ..FetchPolicy::default()
        };
        let clock = Arc::new(FakeClock::default());
        let sources = Sources::new(
            BucketAccesses::default(),
            policy,
            Arc::<FakeClock>::clone(&clock),
        );
        let (queue, chunks) = channel(1000);
        let context = Context {
            lake: self.lake.clone(),
            sources: sources.unwrap(),
            ingest: Arc::new(queue),
            clock,
            intake: Intake::default(),
        };
        let ask = ListSource {
            source: self.server.url("/catalog.json"),
            intake: Intake::default(),
            retry_pending: false,
            against: None,
            staging_prefix: None,
        };
        let listed = tokio::select! {
            planned = list(&ask, &context) => Some(planned),
            () = self.enough.notified() => None,
        };
        drop(chunks);
        listed
    }

    /// Returns the paths of the documents that the journal has.
    async fn noted(&self) -> BTreeSet<String> {
        let mut noted = BTreeSet::new();
        let folder = self.lake.path("runs");
        let mut pages = self.lake.store.list(Some(&folder));
        while let Some(page) = pages.next().await {
            let path = page.unwrap().location;
            if !path.as_ref().contains("/journal/") {
                continue;
            }
            let page = self.lake.get(path.as_ref()).await.unwrap();
            let page: Value = serde_json::from_slice(&page).unwrap();
            let readings = page["readings"].as_array().unwrap();
            noted.extend(readings.iter().map(|reading| {
                let at = reading["at"].as_str().unwrap();
                at.strip_prefix(&self.server.url("")).unwrap().to_owned()
            }));
        }
        noted
    }

    async fn entries(&self, planned: &Planned) -> BTreeSet<String> {
        let mut entries = BTreeSet::new();
        for chunk in &planned.plan.chunks {
            for entry in read_chunk(&self.lake, &chunk.at).await.unwrap() {
                let path = entry.href.replace(&self.server.url(""), "");
                assert!(entries.insert(path.clone()), "{path} is there twice");
            }
        }
        entries
    }
}

#[tokio::test]
async fn a_crawl_that_is_cut_short_goes_on_where_it_was() {
    let calm = World::new().await;
    let planned = calm.list(usize::MAX).await.unwrap().unwrap();
    let expected = calm.entries(&planned).await;
    let catalogs = 1 + WIDE + WIDE * WIDE;
    assert_eq!(
        expected.len(),
        3 * catalogs + 1 + WIDE * WIDE,
        "items, and collections"
    );
    assert_eq!(
        calm.noted().await.len(),
        0,
        "what is planned is not kept twice"
    );

    let world = World::new().await;
    let mut kills = 0;
    let mut asked = 0;
    let planned = loop {
        let noted = world.noted().await;
        // Enough to fill a page at times, and too few at others.
        let random = RandomState::new().hash_one(kills) % 120;
        let requests = 20 + usize::try_from(random).unwrap();
        let listed = world.list(requests).await;
        let seen = world.server.seen();
        for request in seen.iter().skip(asked) {
            // What the root is, each listing asks first.
            let again = noted.contains(&request.path) && request.path != "/catalog.json";
            assert!(!again, "{} was read before, kill {kills}", request.path);
        }
        asked = seen.len();
        match listed {
            Some(planned) => break planned.unwrap(),
            None => kills += 1,
        }
    };
    assert_eq!(
        world.entries(&planned).await,
        expected,
        "after {kills} kills"
    );
    assert!(kills > 0, "{asked} requests");
    assert_eq!(world.noted().await.len(), 0);
    let before = world.server.seen().len();
    let again = world.list(usize::MAX).await.unwrap().unwrap();
    assert!(again.was_planned && again.run_id == planned.run_id);
    assert_eq!(
        world.server.seen().len() - before,
        catalogs + 1,
        "listed anew"
    );
}
