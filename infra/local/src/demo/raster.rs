//! The demo's rasters over HTTP: most are whole, some are not, some answer only at the second try.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use swath_raster::synth::{self, CogSpec};

use super::scene::{BANDS, Scene};

/// What the server does to an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The whole file, at once.
    None,
    /// 503 at the first request, then the whole file.
    BusyOnce,
    /// The file lacks its last part, and the headers agree.
    Truncated,
    /// An error page with status 200.
    ErrorPage,
    /// Nothing, with status 200.
    Empty,
}

impl Fault {
    /// Deals the faults out by number, so that every run meets the same ones.
    fn of(number: u64) -> Self {
        match number % 16 {
            3 => Self::Truncated,
            7 => Self::ErrorPage,
            1 | 9 => Self::BusyOnce,
            15 if number % 32 == 15 => Self::Empty,
            _ => Self::None,
        }
    }

    /// Returns whether a whole file can be had in the end.
    pub(super) fn is_good(self) -> bool {
        matches!(self, Self::None | Self::BusyOnce)
    }
}

/// Every raster of the demo by its path below `/assets/`.
#[derive(Debug, Default)]
pub(super) struct Rasters {
    by_path: BTreeMap<String, Raster>,
}

#[derive(Debug)]
struct Raster {
    seed: u64,
    fault: Fault,
    requests: Mutex<u32>,
    bytes: OnceLock<Bytes>,
}

impl Rasters {
    /// Prepares two bands of every scene; bytes are made when first asked for.
    pub(super) fn of(scenes: &[Scene]) -> Self {
        let each = scenes.iter().flat_map(|scene| {
            (0_u64..)
                .zip(BANDS)
                .map(move |(band, key)| (scene, band, key))
        });
        let by_path = each
            .map(|(scene, band, key)| {
                let seed = scene.number * BANDS.len() as u64 + band;
                let raster = Raster {
                    seed,
                    fault: Fault::of(seed),
                    requests: Mutex::new(0),
                    bytes: OnceLock::new(),
                };
                (format!("{}/{key}.tif", scene.id()), raster)
            })
            .collect();
        Self { by_path }
    }

    /// Returns path, fault and SHA-256 (hex) of the whole file of every raster.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, Fault, String)> {
        self.by_path.iter().map(|(path, raster)| {
            let digest = Sha256::digest(raster.whole());
            (path.clone(), raster.fault, swath_core::hex(&digest))
        })
    }

    /// Returns the routes that serve them.
    pub(super) fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/assets/{*path}", get(serve))
            .with_state(Arc::clone(self))
    }
}

impl Raster {
    fn whole(&self) -> Bytes {
        self.bytes
            .get_or_init(|| {
                Bytes::from(synth::cog(&CogSpec {
                    width: 1024,
                    height: 1024,
                    tile: 256,
                    overviews: 2,
                    seed: self.seed,
                    predictor: true,
                }))
            })
            .clone()
    }

    fn is_first_request(&self) -> bool {
        let mut requests = self
            .requests
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *requests += 1;
        *requests == 1
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let tiff = [(header::CONTENT_TYPE, "image/tiff")];
        match self.fault {
            Fault::BusyOnce if self.is_first_request() => {
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
            Fault::None | Fault::BusyOnce => ranged(&self.whole(), headers),
            Fault::Truncated => {
                let whole = self.whole();
                (tiff, whole.slice(..whole.len() / 5 * 4)).into_response()
            }
            Fault::ErrorPage => {
                let page = "<!DOCTYPE html><html><body><h1>Service temporarily unavailable</h1></body></html>";
                ([(header::CONTENT_TYPE, "text/html")], page).into_response()
            }
            Fault::Empty => (tiff, Body::empty()).into_response(),
        }
    }
}

/// Answers `Range: bytes=N-`, which is how a cut transfer goes on.
fn ranged(whole: &Bytes, headers: &HeaderMap) -> Response {
    let tiff = (header::CONTENT_TYPE, "image/tiff".to_owned());
    let from = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok())
        .and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse::<usize>()
                .ok()
        });
    match from {
        Some(from) if from < whole.len() => {
            let said = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
            (
                StatusCode::PARTIAL_CONTENT,
                [tiff, (header::CONTENT_RANGE, said)],
                whole.slice(from..),
            )
                .into_response()
        }
        Some(_) => StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
        None => ([tiff], whole.clone()).into_response(),
    }
}

async fn serve(
    State(rasters): State<Arc<Rasters>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    let answered =
        tokio::task::spawn_blocking(move || rasters.by_path.get(&path).map(|r| r.answer(&headers)))
            .await;
    match answered {
        Ok(Some(response)) => response,
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
