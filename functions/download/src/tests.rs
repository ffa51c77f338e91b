use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swath_cloud::clock::testing::FakeClock;
use swath_cloud::fetch::testing::{Answer, Request, ScriptedServer, say};
use swath_cloud::fetch::{FetchPolicy, Fetcher, Signers};
use swath_cloud::item::Finder;
use swath_cloud::publish::Staging;
use swath_cloud::queue::{MemoryReceiver, channel};
use swath_cloud::retry::Retryable as _;
use swath_cloud::store::{self, Store};
use swath_core::message::{Body, DownloadAsset, WriteRows};
use swath_core::row::AssetFile;
use swath_core::{Class, Classify as _, Job, Level, RunId, Signing, chain};
use swath_raster::synth::{CogSpec, cog};

use crate::{Context, DownloadError, Fetched, Flights, Outcome, download};

const TAG: &str = "\"v1\"";
const LOGIN: &str = "<!DOCTYPE html><html><head><title>Login</title></head><body>\
                     <form><input type=\"password\"></form></body></html>";

fn tiff() -> Bytes {
    let spec = CogSpec {
        width: 256,
        height: 256,
        tile: 128,
        overviews: 1,
        ..CogSpec::default()
    };
    cog(&spec).into()
}

struct World {
    _folder: tempfile::TempDir,
    out: PathBuf,
    lake: PathBuf,
    clock: Arc<FakeClock>,
    context: Context,
    rows: MemoryReceiver,
    server: ScriptedServer,
}

impl World {
    async fn new(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (out, lake) = (root.join("out"), root.join("lake"));
        let out_store = store::open(out.to_str().unwrap()).unwrap();
        let lake_store = store::open(lake.to_str().unwrap()).unwrap();
        let clock = Arc::new(FakeClock::default());
        let (write, rows) = channel(100);
        let context = Context {
            staging: Staging::open(&out_store, &root).await.unwrap(),
            lake: lake_store,
            out: out_store,
            fetcher: fetcher(local_policy(), &clock),
            write: Arc::new(write),
            clock: Arc::<FakeClock>::clone(&clock),
            finder: None,
            flights: Flights::default(),
            retry_refused: false,
            last_try: true,
            max_receives: NonZeroU32::MIN,
        };
        let server = ScriptedServer::start(script).await.unwrap();
        Self {
            _folder: folder,
            out,
            lake,
            clock,
            context,
            rows,
            server,
        }
    }

    /// Serves one body, whole, to whoever asks.
    async fn serving(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self::new(move |request| Answer::file(request, &body, TAG)).await
    }

    fn asked(&self) -> DownloadAsset {
        DownloadAsset {
            job: Job::new("https://stac.example/v1/".parse().unwrap()),
            collection: Some("sentinel-2".into()),
            item_id: "17/0313".into(),
            asset_name: "B04".into(),
            href: self.server.url("/B04.tif"),
            media_type: Some("image/tiff".into()),
            size_bytes: None,
            checksum: None,
        }
    }

    async fn try_download(&self, asked: &DownloadAsset) -> Result<Fetched, DownloadError> {
        download(&RunId::new("r"), asked, &self.context).await
    }

    /// Downloads, and proves that exactly the outcome's row was told.
    async fn download(&self, asked: &DownloadAsset) -> Fetched {
        let fetched = self.try_download(asked).await.unwrap();
        assert_eq!(self.told().await, fetched.row);
        fetched
    }

    async fn told(&self) -> AssetFile {
        let message = self.rows.recv().await.unwrap();
        let Body::WriteRows(WriteRows::AssetFiles(mut rows)) = message.body else {
            panic!("{message:?}");
        };
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    fn file(&self) -> PathBuf {
        self.out.join("sentinel-2/17%2F0313/B04.tif")
    }

    fn requests(&self) -> usize {
        self.server.seen().len()
    }

    fn receipts(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.lake.join("receipts")];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(folder) else {
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        found
    }

    fn place(&self, bytes: &[u8]) {
        std::fs::create_dir_all(self.file().parent().unwrap()).unwrap();
        std::fs::write(self.file(), bytes).unwrap();
    }

    fn staged(&self) -> usize {
        std::fs::read_dir(self.out.join(".swath-staging"))
            .unwrap()
            .count()
    }
}

fn fetcher(policy: FetchPolicy, clock: &Arc<FakeClock>) -> Fetcher {
    Fetcher::new(policy, Signers::default(), Arc::<FakeClock>::clone(clock)).unwrap()
}

fn local_policy() -> FetchPolicy {
    FetchPolicy {
        allow_http: true,
        allow_private_hosts: true,
        ..FetchPolicy::default()
    }
}

fn verdict(fetched: &Fetched) -> (Outcome, Option<Class>, Option<&str>) {
    (
        fetched.outcome,
        fetched.row.error_class,
        fetched.row.error_code.as_deref(),
    )
}

#[tokio::test]
async fn a_busy_host_and_a_cut_body_still_bring_the_whole_file() {
    let body = tiff();
    let size = body.len();
    let sent = body.clone();
    let world = World::new(move |request| match request.number {
        0 => Answer::new(503, "busy"),
        1 => Answer::file(request, &sent, TAG).cut_at(size / 2),
        _ => Answer::file(request, &sent, TAG),
    })
    .await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(std::fs::read(world.file()).unwrap(), body);
    let row = &fetched.row;
    assert_eq!(verdict(&fetched), (Outcome::Published, None, None));
    assert_eq!(row.out_file_path.as_deref(), world.file().to_str());
    assert_eq!(
        (row.out_file_sz, row.is_out_file_valid),
        (Some(size as u64), true)
    );
    assert_eq!((row.attempts, row.http_status), (3, Some(206)));
    assert_eq!(
        (row.etag.as_deref(), row.validation.as_deref()),
        (Some(TAG), Some("good"))
    );
    assert_eq!(
        (row.catalog.as_str(), row.item_id.as_str()),
        ("https://stac.example/v1/", "17/0313")
    );
    assert_eq!(world.server.seen()[2].from_byte(), Some(size / 2));
    // The busy host's four bytes are no part of the file and were never read.
    assert_eq!(fetched.bytes_fetched, size as u64);
    assert_eq!((world.staged(), world.receipts().len()), (0, 1));
}

#[tokio::test]
async fn a_second_run_fetches_nothing_and_tells_the_same_row() {
    let world = World::serving(tiff()).await;
    let first = world.download(&world.asked()).await;
    world.clock.advance(Duration::from_hours(1));
    let second = world.download(&world.asked()).await;
    assert_eq!(
        (second.outcome, second.bytes_fetched),
        (Outcome::Skipped, 0)
    );
    assert_eq!(second.row, first.row);
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_truncated_tiff_is_refused_and_not_published() {
    let whole = tiff();
    let world = World::serving(whole.slice(..whole.len() - 100)).await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Refused, Some(Class::Invalid), Some("truncated"))
    );
    assert_eq!(world.requests(), 2, "the same bytes twice are final");
    assert!(!fetched.row.is_out_file_valid && fetched.row.out_file_path.is_none());
    assert!(fetched.row.sha256.is_some());
    assert!(!world.file().exists());
    assert_eq!(world.staged(), 0);

    let again = world.download(&world.asked()).await;
    assert_eq!(
        (again.outcome, &again.row),
        (Outcome::Skipped, &fetched.row)
    );
    assert_eq!(world.requests(), 2);

    let retrying = Context {
        retry_refused: true,
        ..world.context.clone()
    };
    let again = download(&RunId::new("r"), &world.asked(), &retrying)
        .await
        .unwrap();
    assert_eq!((again.outcome, world.requests()), (Outcome::Refused, 4));
}

#[tokio::test]
async fn a_file_that_was_cut_once_is_fetched_again() {
    let whole = tiff();
    let sent = whole.clone();
    let world = World::new(move |request| match request.number {
        0 => Answer::new(200, sent.slice(..sent.len() - 100)),
        _ => Answer::new(200, sent.clone()),
    })
    .await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        (fetched.outcome, fetched.row.attempts),
        (Outcome::Published, 2)
    );
    assert_eq!(std::fs::read(world.file()).unwrap(), whole);
}

#[tokio::test]
async fn a_page_that_comes_twice_in_the_files_stead_is_refused_for_good() {
    let world = World::serving("<html><body>We are down for maintenance</body></html>").await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Refused,
            Some(Class::Invalid),
            Some("error_body_html")
        )
    );
    assert_eq!((world.requests(), world.receipts().len()), (2, 1));
    assert!(!world.file().exists());
    let again = world.download(&world.asked()).await;
    assert_eq!((again.outcome, again.row), (Outcome::Skipped, fetched.row));
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_page_that_came_once_does_not_keep_the_file_away() {
    let whole = tiff();
    let world = World::new(move |request| match request.number {
        0 => Answer::new(200, "<html><body>We are down for maintenance</body></html>"),
        _ => Answer::new(200, whole.clone()),
    })
    .await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(fetched.outcome, Outcome::Published);
}

#[tokio::test]
async fn a_busy_hosts_error_as_the_body_fails_today_and_is_asked_for_tomorrow() {
    let whole = tiff();
    let busy = "<?xml version=\"1.0\"?><Error><Code>ServerBusy</Code>\
                <Message>Egress is over the account limit.</Message></Error>";
    let world = World::new(move |request| match request.number {
        0 | 1 => Answer::new(200, busy),
        _ => Answer::new(200, whole.clone()),
    })
    .await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Failed,
            Some(Class::Transient),
            Some("error_body_xml_throttle")
        )
    );
    assert_eq!((world.requests(), world.receipts().len()), (2, 0));
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Published
    );
}

/// A6.
#[tokio::test]
async fn a_login_page_is_a_denial_and_not_data() {
    let world = World::serving(LOGIN).await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Failed,
            Some(Class::Denied),
            Some("error_body_login")
        )
    );
    assert_eq!((world.requests(), world.receipts().len()), (1, 1));
    assert!(!world.file().exists());

    let again = world.download(&world.asked()).await;
    assert_eq!((again.outcome, again.row), (Outcome::Skipped, fetched.row));
    let mut signed = world.asked();
    signed.job.sign = Signing::Bearer;
    let again = world.download(&signed).await;
    assert_eq!((again.outcome, world.requests()), (Outcome::Failed, 1));
    assert_eq!(again.row.error_code.as_deref(), Some("not_signed"));
    say(
        "A6",
        "a login page with status 200",
        "denied, nothing written",
        "denied, nothing written",
    );
}

#[tokio::test]
async fn one_forbidden_asset_is_a_row_and_is_asked_for_again() {
    let world = World::new(|_| Answer::new(403, "no")).await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Failed, Some(Class::Denied), Some("forbidden"))
    );
    assert_eq!(fetched.row.http_status, Some(403));
    world.download(&world.asked()).await;
    assert_eq!((world.requests(), world.receipts().len()), (2, 0));
}

#[tokio::test]
async fn a_missing_asset_is_refused_once_and_for_all_until_its_href_changes() {
    let world = World::new(|_| Answer::new(404, "no")).await;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Refused, Some(Class::Invalid), Some("gone"))
    );
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Skipped
    );
    assert_eq!(world.requests(), 1);
    let moved = DownloadAsset {
        href: world.server.url("/moved/B04.tif"),
        ..world.asked()
    };
    assert_eq!(world.download(&moved).await.outcome, Outcome::Refused);
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_spent_transient_failure_goes_back_unless_it_is_the_last_try() {
    let world = World::new(|_| Answer::new(429, "").header("retry-after", "86400")).await;
    let handing = Context {
        last_try: false,
        ..world.context.clone()
    };
    let error = download(&RunId::new("r"), &world.asked(), &handing)
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert_eq!(error.retry_after(), Some(Duration::from_hours(24)));
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Failed, Some(Class::Transient), Some("throttled"))
    );
    assert_eq!(world.receipts().len(), 0);
}

#[tokio::test]
async fn a_valid_file_in_its_place_is_adopted_and_never_replaced() {
    let world = World::serving("other bytes").await;
    let mine = tiff();
    world.place(&mine);
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        (fetched.outcome, fetched.row.is_out_file_valid),
        (Outcome::Adopted, true)
    );
    assert_eq!(fetched.row.out_file_sz, Some(mine.len() as u64));
    assert_eq!(std::fs::read(world.file()).unwrap(), mine);
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Skipped
    );
    assert_eq!(world.requests(), 0);
}

#[tokio::test]
async fn a_broken_file_in_its_place_is_named_and_left_alone() {
    let world = World::serving(tiff()).await;
    world.place(b"half a file");
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Failed, Some(Class::Conflict), Some("occupied"))
    );
    let error = fetched.row.error.unwrap();
    assert!(error.contains(world.file().to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read(world.file()).unwrap(), b"half a file");
    assert_eq!((world.requests(), world.receipts().len()), (0, 0));

    std::fs::remove_file(world.file()).unwrap();
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Published
    );
}

#[tokio::test]
async fn a_crash_between_publishing_and_the_receipt_costs_no_second_fetch() {
    // The receipt's folder becomes a file while the asset is on its way.
    let blocked = Arc::new(std::sync::OnceLock::<PathBuf>::new());
    let blocking = Arc::clone(&blocked);
    let world = World::new(move |_| {
        let folder = blocking.get().unwrap();
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        std::fs::write(folder, b"not a folder").unwrap();
        Answer::new(200, tiff())
    })
    .await;
    let key = "sentinel-2/17%2F0313/B04.tif";
    let receipt = world
        .lake
        .join(crate::receipt::path(&world.context.out, key));
    let folder = receipt.parent().unwrap().to_owned();
    blocked.set(folder.clone()).unwrap();
    let error = world.try_download(&world.asked()).await.unwrap_err();
    assert!(
        matches!(error, DownloadError::Receipt(_)),
        "{}",
        chain(&error)
    );
    assert_eq!(error.class(), Class::Denied);
    assert!(world.file().exists());

    std::fs::remove_file(folder).unwrap();
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        (fetched.outcome, fetched.bytes_fetched),
        (Outcome::Adopted, 0)
    );
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Skipped
    );
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_crash_between_the_receipt_and_the_row_tells_the_row_again() {
    let mut world = World::serving(tiff()).await;
    let (write, closed) = channel(1);
    drop(closed);
    let open = std::mem::replace(&mut world.context.write, Arc::new(write));
    let error = world.try_download(&world.asked()).await.unwrap_err();
    assert!(matches!(error, DownloadError::Tell(_)), "{error}");
    world.context.write = open;
    let fetched = world.download(&world.asked()).await;
    assert_eq!(
        (fetched.outcome, fetched.row.is_out_file_valid),
        (Outcome::Skipped, true)
    );
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn an_asset_asked_for_by_many_at_once_is_fetched_once() {
    let world = World::serving(tiff()).await;
    let asked = world.asked();
    let all = (0..8).map(|_| {
        tokio::spawn({
            let (asked, context) = (asked.clone(), world.context.clone());
            async move {
                download(&RunId::new("r"), &asked, &context)
                    .await
                    .unwrap()
                    .outcome
            }
        })
    });
    let mut outcomes = Vec::new();
    for task in all.collect::<Vec<_>>() {
        outcomes.push(task.await.unwrap());
    }
    let published = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Published)
        .count();
    let skipped = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Skipped)
        .count();
    assert_eq!((published, skipped, world.requests()), (1, 7, 1));
}

#[tokio::test]
async fn a_private_address_is_refused_by_default_and_nothing_is_sent() {
    let mut world = World::serving(tiff()).await;
    for (policy, code) in [
        (FetchPolicy::default(), "scheme_refused"),
        (
            FetchPolicy {
                allow_http: true,
                ..FetchPolicy::default()
            },
            "private_address",
        ),
    ] {
        world.context.fetcher = fetcher(policy, &world.clock);
        let fetched = world.download(&world.asked()).await;
        assert_eq!(
            verdict(&fetched),
            (Outcome::Refused, Some(Class::Invalid), Some(code))
        );
    }
    assert_eq!((world.requests(), world.receipts().len()), (0, 0));
    world.context.fetcher = fetcher(local_policy(), &world.clock);
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Published
    );
}

#[tokio::test]
async fn a_file_that_breaks_its_promise_is_refused() {
    let body = tiff();
    let world = World::serving(body.clone()).await;
    let (right, wrong) = ("d50110", "00000000000000000000000000000000");
    let asked = DownloadAsset {
        asset_name: "wrong-sum".into(),
        checksum: Some(format!("{right}{wrong}")),
        ..world.asked()
    };
    let fetched = world.download(&asked).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Refused,
            Some(Class::Invalid),
            Some("checksum_mismatch")
        )
    );
    assert_eq!(world.requests(), 2);

    let size_bytes = Some(body.len() as u64 + 1);
    let asked = DownloadAsset {
        asset_name: "wrong-size".into(),
        size_bytes,
        ..world.asked()
    };
    let fetched = world.download(&asked).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Refused,
            Some(Class::Invalid),
            Some("size_mismatch")
        )
    );
}

#[tokio::test]
async fn a_kept_promise_is_good_and_an_unknown_one_is_a_warning() {
    let body = tiff();
    let world = World::serving(body.clone()).await;
    let plain = DownloadAsset {
        asset_name: "plain".into(),
        ..world.asked()
    };
    let sha256 = world.download(&plain).await.row.sha256.unwrap();
    let size_bytes = Some(body.len() as u64);
    let checksum = Some(format!("1220{sha256}"));
    let asked = DownloadAsset {
        asset_name: "right".into(),
        size_bytes,
        checksum,
        ..world.asked()
    };
    let fetched = world.download(&asked).await;
    assert_eq!(
        (fetched.outcome, fetched.warnings.len()),
        (Outcome::Published, 0)
    );

    let checksum = Some("1e20".to_owned() + &sha256);
    let asked = DownloadAsset {
        asset_name: "blake3".into(),
        checksum,
        ..world.asked()
    };
    let fetched = world.download(&asked).await;
    assert_eq!(
        (fetched.outcome, fetched.warnings.as_slice()),
        (Outcome::Published, &["checksum_unverified".to_owned()][..])
    );
}

#[tokio::test]
async fn a_receipt_does_not_outweigh_a_promise_made_since() {
    let world = World::serving(tiff()).await;
    world.download(&world.asked()).await;
    let checksum = Some("1220".to_owned() + &"0".repeat(64));
    let fetched = world
        .download(&DownloadAsset {
            checksum,
            ..world.asked()
        })
        .await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Failed, Some(Class::Conflict), Some("occupied"))
    );
    let size_bytes = Some(1);
    let fetched = world
        .download(&DownloadAsset {
            size_bytes,
            ..world.asked()
        })
        .await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Failed, Some(Class::Conflict), Some("occupied"))
    );
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Skipped
    );
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_deeper_level_looks_again_and_fetches_nothing() {
    let world = World::serving(tiff()).await;
    let at = |level| {
        let mut asked = world.asked();
        asked.job.validate = level;
        asked
    };
    assert_eq!(
        world.download(&at(Level::Size)).await.outcome,
        Outcome::Published
    );
    let deeper = world.download(&at(Level::Full)).await;
    assert_eq!(
        (deeper.outcome, deeper.row.validation_level),
        (Outcome::Adopted, Level::Full)
    );
    assert_eq!(
        world.download(&at(Level::Window)).await.outcome,
        Outcome::Skipped
    );
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_file_that_was_only_touched_is_known_by_its_bytes() {
    let world = World::serving(tiff()).await;
    let first = world.download(&world.asked()).await;
    let bytes = std::fs::read(world.file()).unwrap();
    std::fs::remove_file(world.file()).unwrap();
    world.place(&bytes);
    let second = world.download(&world.asked()).await;
    assert_eq!((second.outcome, second.row), (Outcome::Skipped, first.row));
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_file_that_was_removed_is_fetched_again() {
    let world = World::serving(tiff()).await;
    world.download(&world.asked()).await;
    std::fs::remove_file(world.file()).unwrap();
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Published
    );
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_folder_that_takes_no_file_stops_the_run_with_its_name() {
    let world = World::serving(tiff()).await;
    std::fs::write(
        world.out.join("sentinel-2"),
        b"a file where a folder should be",
    )
    .unwrap();
    let error = world.try_download(&world.asked()).await.unwrap_err();
    assert_eq!(error.class(), Class::Denied);
    assert!(chain(&error).contains("sentinel-2"), "{}", chain(&error));
    assert_eq!(world.staged(), 0);
}

#[tokio::test]
async fn a_bucket_is_filled_and_found_full_like_a_folder() {
    let mut world = World::serving(tiff()).await;
    world.context.out = Store::in_memory();
    let scratch = world.lake.join("scratch");
    world.context.staging = Staging::open(&world.context.out, &scratch).await.unwrap();
    let first = world.download(&world.asked()).await;
    assert_eq!(first.outcome, Outcome::Published);
    assert_eq!(
        first.row.out_file_path.as_deref(),
        Some("memory:/sentinel-2/17%2F0313/B04.tif")
    );
    let key = "sentinel-2/17%2F0313/B04.tif";
    assert_eq!(world.context.out.get(key).await.unwrap(), tiff());
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Skipped
    );

    let other_lake = world.lake.join("another");
    world.context.lake = store::open(other_lake.to_str().unwrap()).unwrap();
    assert_eq!(
        world.download(&world.asked()).await.outcome,
        Outcome::Adopted
    );
    assert_eq!(world.requests(), 1);
    assert_eq!(
        std::fs::read_dir(world.context.staging.folder())
            .unwrap()
            .count(),
        0
    );
}

/// A9.
#[tokio::test]
async fn no_secret_of_an_href_is_written_down() {
    let world = World::new(|request| match request.path.as_str() {
        "/B04.tif?sig=canary" => Answer::new(200, tiff()),
        _ => Answer::new(403, "no"),
    })
    .await;
    for (name, path) in [
        ("good", "/B04.tif?sig=canary"),
        ("bad", "/B05.tif?sig=canary#canary"),
    ] {
        let asked = DownloadAsset {
            asset_name: name.into(),
            href: world.server.url(path),
            ..world.asked()
        };
        let fetched = world.download(&asked).await;
        assert!(!format!("{fetched:?}").contains("canary"), "{fetched:?}");
    }
    let asked = DownloadAsset {
        asset_name: "odd".into(),
        href: "B05.tif?sig=canary".into(),
        ..world.asked()
    };
    let fetched = world.download(&asked).await;
    assert_eq!(
        verdict(&fetched),
        (
            Outcome::Refused,
            Some(Class::Invalid),
            Some("href_malformed")
        )
    );
    assert!(!format!("{fetched:?}").contains("canary"), "{fetched:?}");
    let written: Vec<_> = world
        .receipts()
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert!(
        written.len() == 1 && !written[0].contains("canary"),
        "{written:?}"
    );
    say(
        "A9",
        "signed hrefs, good and bad",
        "0 secrets in rows and receipts",
        0,
    );
}

#[tokio::test]
async fn an_asset_without_a_name_is_a_row_and_not_a_file() {
    let world = World::serving(tiff()).await;
    let fetched = world
        .download(&DownloadAsset {
            item_id: String::new(),
            ..world.asked()
        })
        .await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Refused, Some(Class::Invalid), Some("unnameable"))
    );
    assert_eq!(world.requests(), 0);
}

#[tokio::test]
async fn a_receipt_that_cannot_be_read_is_as_good_as_none() {
    let world = World::serving(tiff()).await;
    world.download(&world.asked()).await;
    for text in ["{", "{\"version\":2}", "null"] {
        std::fs::write(&world.receipts()[0], text).unwrap();
        assert_eq!(
            world.download(&world.asked()).await.outcome,
            Outcome::Adopted,
            "{text}"
        );
    }
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_download_that_is_given_up_halfway_leaves_nothing() {
    let world = World::new(|_| Answer::new(200, tiff()).trickle(Duration::from_millis(1))).await;
    let asked = world.asked();
    let asked_once = async {
        while world.requests() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = world.try_download(&asked) => panic!("{ended:?}"),
        () = asked_once => {}
    }
    assert_eq!(
        (world.requests(), world.staged(), world.receipts().len()),
        (1, 0, 0)
    );
    assert!(!world.out.join("sentinel-2").exists());
}

#[tokio::test]
async fn a_fresh_context_removes_what_a_crashed_run_staged() {
    let world = World::serving(tiff()).await;
    let stale = world.out.join(".swath-staging/asset-1.part");
    let fresh = world.out.join(".swath-staging/asset-2.part");
    std::fs::write(&fresh, b"half").unwrap();
    let file = std::fs::File::create(&stale).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(1);
    file.set_modified(long_ago).unwrap();
    let (write, _rows) = channel(1);
    let (lake, out) = (world.context.lake.clone(), world.context.out.clone());
    Context::open(lake, out, Arc::new(write), local_policy(), &world.lake)
        .await
        .unwrap();
    assert!(!stale.exists() && fresh.exists());
}

/// An API and files on one host; the API says today's href of each asset.
async fn world_with_an_api() -> World {
    let whole = tiff();
    let base = Arc::new(std::sync::OnceLock::<String>::new());
    let own = Arc::clone(&base);
    let mut world = World::new(move |request| match request.path.as_str() {
        "/v1/" => Answer::new(200, r#"{"type":"Catalog","links":[]}"#),
        "/v1/search" => {
            let item = format!(
                r#"{{"type":"Feature","id":"17/0313","collection":"sentinel-2","geometry":null,"properties":{{}},
                   "assets":{{"B04":{{"href":"{}new/B04.tif","type":"image/tiff"}}}}}}"#,
                own.get().unwrap()
            );
            Answer::new(200, format!(r#"{{"type":"FeatureCollection","features":[{item}]}}"#))
        }
        "/new/B04.tif" => Answer::file(request, &whole, TAG),
        _ => Answer::new(404, "gone"),
    })
    .await;
    base.set(world.server.url("/")).unwrap();
    let clock = Arc::<FakeClock>::clone(&world.clock);
    world.context.finder = Some(Finder::new(clock).unwrap());
    world
}

#[tokio::test]
async fn an_href_that_is_gone_or_absent_is_asked_of_the_item() {
    for href in [Some("/old/B04.tif"), None] {
        let world = world_with_an_api().await;
        let mut asked = world.asked();
        asked.job.catalog = world.server.url("/v1/").parse().unwrap();
        asked.href = href.map(|path| world.server.url(path)).unwrap_or_default();
        let fetched = world.download(&asked).await;
        assert_eq!(
            verdict(&fetched),
            (Outcome::Published, None, None),
            "{href:?}"
        );
        let row = &fetched.row;
        assert_eq!(row.source_href, world.server.url("/new/B04.tif"));
        assert_eq!(row.attempts, if href.is_some() { 2 } else { 1 });
        assert!(world.file().exists());
    }
}

#[tokio::test]
async fn an_asset_that_the_item_no_longer_has_is_refused_by_name() {
    let world = world_with_an_api().await;
    let mut asked = world.asked();
    asked.job.catalog = world.server.url("/v1/").parse().unwrap();
    asked.asset_name = "B99".to_owned();
    asked.href = String::new();
    let fetched = world.download(&asked).await;
    assert_eq!(
        verdict(&fetched),
        (Outcome::Refused, Some(Class::Invalid), Some("no_href"))
    );
}

#[tokio::test]
async fn an_asset_can_be_brought_to_a_place_of_the_callers_own() {
    let world = World::serving(tiff()).await;
    let run = RunId::new("r");
    let fetched = crate::download_to(&run, &world.asked(), "x/B04_17.tif", &world.context)
        .await
        .unwrap();
    assert_eq!(fetched.outcome, Outcome::Published);
    assert!(world.out.join("x/B04_17.tif").exists());
}
