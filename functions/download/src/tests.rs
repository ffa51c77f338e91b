use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swath_cloud::clock::testing::FakeClock;
use swath_cloud::fetch::testing::{Answer, Request, ScriptedServer, say};
use swath_cloud::fetch::{FetchPolicy, Fetcher, Signers};
use swath_cloud::item::Finder;
use swath_cloud::publish::{Copier, Staging};
use swath_cloud::queue::{MemoryReceiver, channel};
use swath_cloud::retry::Retryable as _;
use swath_cloud::store::{self, Store};
use swath_core::message::{Body, DownloadAsset, WriteRows};
use swath_core::row::AssetFile;
use swath_core::{Class, Classify as _, Job, Level, RunId, Signing, chain};
use swath_raster::synth::{CogSpec, cog};

use crate::{Context, DownloadError, Fetched, Flights, Outcome, download};

mod hosts;
mod kept;
mod places;

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
            copier: Copier::default(),
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
            alternate_hrefs: Vec::new(),
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
