mod attempts;
mod parts;
mod places;
mod resume;

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolving};
use swath_core::{Class, Classify as _};
use time::macros::datetime;

use super::testing::{Answer, Request, ScriptedServer, say};
use super::*;
use crate::clock::testing::FakeClock;
use crate::digest::Hashing;
use crate::publish::{Content, StagedFile, Staging};
use crate::retry::Retryable as _;

const TAG: &str = "\"v1\"";

/// Bytes in which every place differs from its neighbours.
fn file(size: usize) -> Bytes {
    (0..size)
        .map(|n| u8::try_from((n * 31 + n / 251) % 256).unwrap())
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    let mut hashing = Hashing::new(None);
    hashing.update(bytes);
    hashing.digests().sha256
}

fn local_policy() -> FetchPolicy {
    FetchPolicy {
        allow_http: true,
        allow_private_hosts: true,
        ..FetchPolicy::default()
    }
}

struct World {
    folder: tempfile::TempDir,
    clock: Arc<FakeClock>,
    fetcher: Fetcher,
    staged: StagedFile,
}

impl World {
    async fn new(policy: FetchPolicy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(FakeClock::default());
        let fetcher =
            Fetcher::new(policy, Signers::default(), Arc::<FakeClock>::clone(&clock)).unwrap();
        let store = crate::store::open(folder.path().to_str().unwrap()).unwrap();
        let staging = Staging::open(&store, Path::new("unused")).await.unwrap();
        let staged = staging.create();
        Self {
            folder,
            clock,
            fetcher,
            staged,
        }
    }

    async fn fetch(&mut self, href: &str) -> Result<Body, FetchError> {
        let mut transfer = self
            .fetcher
            .transfer(href.parse().unwrap(), Signing::None, None);
        transfer.run(&mut self.staged).await
    }

    async fn bytes(&mut self) -> Vec<u8> {
        let read = |content: &mut Content<'_>| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map(|_| bytes)
        };
        self.staged.read(read).await.unwrap().unwrap()
    }
}

async fn fetched_from(
    script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> (Result<Body, FetchError>, World, ScriptedServer) {
    let server = ScriptedServer::start(script).await.unwrap();
    let mut world = World::new(local_policy()).await;
    let body = world.fetch(&server.url("/a.tif")).await;
    (body, world, server)
}
