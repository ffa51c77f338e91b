//! Rasters become items by their headers, of which a few small ranges are read.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use serde_json::value::to_raw_value;
use swath_cloud::sources::{SourceError, Sources};
use swath_core::intake::Rasters;
use swath_core::{Class, chain};
use swath_raster::geotiff::{DescribeError, GeoTiff, NamePattern, Origin, Ranged, describe};

use crate::document::Document;
use crate::fetch::{Failure, Fetched, failed};

/// Endings of `GeoTIFF` files, in lower case.
const ENDINGS: [&str; 3] = [".tif", ".tiff", ".gtiff"];

/// A header, and what it took to read it.
#[derive(Debug)]
pub struct Header {
    /// What the header says.
    pub raster: GeoTiff,
    /// Ranges that were read.
    pub ranges: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Says whether an address is one of a `GeoTIFF` file, by its ending.
pub fn is_raster(address: &str) -> bool {
    let end = address.rsplit('/').next().unwrap_or_default();
    let end = end.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| end.ends_with(ending))
}

/// Reads a header by ranges, one after the other, until nothing is missing.
///
/// # Errors
/// What `fetch` fails with, or `refused` makes of a file that cannot be described.
pub async fn by_ranges<E, F: Future<Output = Result<Bytes, E>>>(
    size_bytes: u64,
    fetch: impl Fn(Range<u64>) -> F,
    refused: impl Fn(DescribeError) -> E,
) -> Result<Header, E> {
    let mut file = Ranged::new(size_bytes);
    loop {
        match describe(&mut file) {
            Err(DescribeError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                let Some(range) = file.next_range() else {
                    let scattered =
                        io::Error::other("the header is scattered over too many ranges");
                    return Err(refused(scattered.into()));
                };
                let bytes = fetch(range.clone()).await?;
                file.add(range.start, bytes.to_vec());
            }
            other => {
                let raster = other.map_err(refused)?;
                let (ranges, bytes) = file.fetched();
                return Ok(Header {
                    raster,
                    ranges: ranges as u64,
                    bytes,
                });
            }
        }
    }
}

enum Unreadable {
    Source(SourceError),
    Refused(DescribeError),
}

/// What is known of rasters besides their headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// What the addresses of the source's objects begin with: below it an item's id is the way to its file, with `_` for `/`.
    pub(crate) base: String,
    collection: Option<String>,
    pattern: Option<NamePattern>,
}

impl Context {
    /// Takes what is said of the rasters of a source.
    pub(crate) fn new(base: String, said: &Rasters) -> Self {
        let pattern = said.name_pattern.as_deref();
        Self {
            base,
            collection: said.collection.clone(),
            // Whoever said so has checked it; one that is none matches no name, and that is said of each file.
            pattern: pattern.and_then(|pattern| pattern.parse().ok()),
        }
    }
}

/// Makes the item of a raster.
pub(crate) async fn fetch(sources: &Sources, href: &str, known: &Context) -> Fetched {
    let read = async {
        let size = sources.size(href).await.map_err(Unreadable::Source)?;
        let fetch = |range| async {
            let bytes = sources.range(href, range).await;
            bytes.map_err(Unreadable::Source)
        };
        by_ranges(size, fetch, Unreadable::Refused).await
    };
    let header = match read.await {
        Ok(header) => header,
        Err(Unreadable::Source(error)) => return failed(&error),
        Err(Unreadable::Refused(error)) => {
            let code = match &error {
                DescribeError::Refused { code, .. } => code.as_str(),
                _ => "unreadable",
            };
            return unusable(code, chain(&error));
        }
    };
    let name = href.rsplit('/').next().unwrap_or_default();
    let way = href.strip_prefix(&known.base).unwrap_or(name);
    let id = stem(way.trim_start_matches('/')).replace('/', "_");
    let origin = Origin {
        id: &id,
        href,
        name: stem(name),
        collection: known.collection.as_deref(),
        pattern: known.pattern.as_ref(),
        ..Origin::default()
    };
    let item = match header.raster.item(&origin) {
        Ok(item) => item,
        Err(error) => return unusable(error.code(), chain(&error)),
    };
    match to_raw_value(&item) {
        Ok(item) => Fetched::Document(Document::Items(vec![item])),
        Err(error) => unusable("not_json", error.to_string()),
    }
}

fn unusable(code: &str, reason: String) -> Fetched {
    Fetched::Failed(Failure {
        class: Class::Invalid,
        code: code.to_owned(),
        reason,
        bytes: None,
    })
}

/// A name without its last ending.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
