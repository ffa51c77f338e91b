//! Headers of rasters, wherever they lie, by a few small ranges.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use sha2::{Digest as _, Sha256};
use swath_cloud::clock::SystemClock;
use swath_cloud::fetch::{FetchPolicy, Fetcher, Signers};
use swath_cloud::http::HttpError;
use swath_core::{chain, hex};
use swath_ingest::raster;
use swath_raster::geotiff::{DescribeError, GeoTiff, describe};
use url::Url;

use super::find::Place;

/// The multihash code of SHA-256 and its length, <https://github.com/multiformats/multicodec>.
const SHA256: &str = "1220";

/// What was read of one file.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) raster: GeoTiff,
    pub(crate) checksum: Option<String>,
    /// Ranges and bytes that were asked of others.
    pub(crate) ranges: u64,
    pub(crate) bytes: u64,
}

/// A file without an item, and why.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) code: String,
    pub(crate) reason: String,
}

/// Reads headers.
#[derive(Debug)]
pub(crate) struct Headers {
    fetcher: Fetcher,
    checksum: bool,
}

impl Headers {
    /// Reads headers, or with `checksum` also what follows.
    pub(crate) fn new(checksum: bool) -> Result<Self, HttpError> {
        // Whoever names an address means it.
        let policy = FetchPolicy {
            allow_http: true,
            allow_private_hosts: true,
            ..FetchPolicy::default()
        };
        let fetcher = Fetcher::new(policy, Signers::default(), Arc::new(SystemClock))?;
        Ok(Self { fetcher, checksum })
    }

    /// Reads the header of one file.
    pub(crate) async fn read(&self, place: &Place) -> Result<Read, Unreadable> {
        let href = place.href();
        let refused = |error: DescribeError| Unreadable {
            code: match &error {
                DescribeError::Refused { code, .. } => code.as_str().to_owned(),
                _ => "unreadable".to_owned(),
            },
            reason: format!("{href}: {}", chain(&error)),
        };
        match place {
            Place::File(path) => {
                let (path, checksum) = (path.clone(), self.checksum);
                let read = tokio::task::spawn_blocking(move || on_disk(&path, checksum)).await;
                read.map_err(|error| refused(io::Error::other(error).into()))?
                    .map_err(refused)
            }
            Place::Object {
                store,
                path,
                size_bytes,
                ..
            } => {
                let fetch = |range| async {
                    let bytes = store.store.get_range(path, range).await;
                    bytes.map_err(|error| unreadable(&href, &error))
                };
                let mut read = by_ranges(*size_bytes, fetch, refused).await?;
                if self.checksum {
                    let sum = sum_of_object(store, path).await;
                    read.checksum = Some(sum.map_err(|error| unreadable(&href, &error))?);
                }
                Ok(read)
            }
            Place::Web(url) => self.on_the_web(url, &href, refused).await,
        }
    }

    async fn on_the_web(
        &self,
        url: &Url,
        href: &str,
        refused: impl Fn(DescribeError) -> Unreadable,
    ) -> Result<Read, Unreadable> {
        let first = self.fetcher.range(url, 0..1).await;
        let first = first.map_err(|error| unreadable(href, &error))?;
        let size = first.size_bytes.ok_or_else(|| Unreadable {
            code: "size_unknown".to_owned(),
            reason: format!("{href}: the host does not say how large the file is"),
        })?;
        let state = first.state;
        let fetch = |range| async {
            let part = self.fetcher.range(url, range).await;
            let part = part.map_err(|error| unreadable(href, &error))?;
            if part.state == state && part.size_bytes.is_none_or(|other| other == size) {
                return Ok(part.bytes);
            }
            Err(Unreadable {
                code: "changed".to_owned(),
                reason: format!("{href}: the file changed while its header was read"),
            })
        };
        by_ranges(size, fetch, refused).await
    }
}

fn unreadable(href: &str, error: &(dyn std::error::Error + 'static)) -> Unreadable {
    Unreadable {
        code: "unreadable".to_owned(),
        reason: format!("{href}: {}", chain(error)),
    }
}

fn on_disk(path: &Path, checksum: bool) -> Result<Read, DescribeError> {
    let mut file = File::open(path)?;
    let raster = describe(&mut file)?;
    let checksum = checksum.then(|| sum_of_file(path)).transpose()?;
    Ok(Read {
        raster,
        checksum,
        ranges: 0,
        bytes: 0,
    })
}

fn sum_of_file(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut block = vec![0; 1 << 20];
    loop {
        match io::Read::read(&mut file, &mut block)? {
            0 => return Ok(format!("{SHA256}{}", hex(&hash.finalize()))),
            read => hash.update(block.get(..read).unwrap_or_default()),
        }
    }
}

async fn sum_of_object(
    store: &swath_cloud::store::Store,
    path: &object_store::path::Path,
) -> object_store::Result<String> {
    let mut hash = Sha256::new();
    let mut body = store.store.get(path).await?.into_stream();
    while let Some(bytes) = body.try_next().await? {
        hash.update(&bytes);
    }
    Ok(format!("{SHA256}{}", hex(&hash.finalize())))
}

/// Reads on until nothing is missing, one range after the other.
async fn by_ranges<F: Future<Output = Result<bytes::Bytes, Unreadable>>>(
    size: u64,
    fetch: impl Fn(std::ops::Range<u64>) -> F,
    refused: impl Fn(DescribeError) -> Unreadable,
) -> Result<Read, Unreadable> {
    let header = raster::by_ranges(size, fetch, refused).await?;
    Ok(Read {
        raster: header.raster,
        checksum: None,
        ranges: header.ranges,
        bytes: header.bytes,
    })
}
