//! A static catalog, crawled from its root: catalogs are read here, items are left to be fetched.

use std::collections::{BTreeSet, VecDeque};

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use serde::Deserialize;
use swath_cloud::runs::Entry;
use swath_cloud::sources::{SourceError, Sources};
use swath_core::digest_hex;
use url::Url;

use crate::filter::Filter;
use crate::list::ListError;
use crate::out::Out;

/// Bytes of one catalog's document.
const LARGEST: usize = 256 << 20;
/// Catalogs that are read at the same time.
const READS: usize = 16;
/// Catalogs that are read in all.
const CATALOGS: usize = 1_000_000;
/// Links from the root to a catalog.
const DEPTH: u32 = 32;

#[derive(Deserialize)]
struct Catalog {
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
    href: String,
}

/// A crawl under way.
struct Crawl {
    /// Catalogs that were met, by digests of their addresses: links may run in circles.
    met: BTreeSet<String>,
    next: VecDeque<(String, u32)>,
}

impl Crawl {
    fn meet(&mut self, at: String, depth: u32) -> Result<(), ListError> {
        if !self.met.insert(digest_hex(&[at.as_bytes()], 16)) {
            return Ok(());
        }
        if depth > DEPTH || self.met.len() > CATALOGS {
            return Err(ListError::Endless {
                at,
                catalogs: CATALOGS,
                depth: DEPTH,
            });
        }
        self.next.push_back((at, depth));
        Ok(())
    }
}

pub(super) async fn run(
    at: &str,
    filter: &Filter,
    sources: &Sources,
    mut out: Out,
) -> Result<Out, ListError> {
    let root = absolute(at, sources)?;
    let mut crawl = Crawl {
        met: BTreeSet::new(),
        next: VecDeque::new(),
    };
    crawl.meet(root, 0)?;
    let mut items = BTreeSet::new();
    let mut reads = FuturesOrdered::new();
    loop {
        while reads.len() < READS
            && let Some((at, depth)) = crawl.next.pop_front()
        {
            reads.push_back(async move {
                let read = sources.read(&at, LARGEST).await;
                (at, depth, read)
            });
        }
        let Some((at, depth, read)) = reads.next().await else {
            return Ok(out);
        };
        for (rel, href) in links(&at, read)? {
            match rel {
                Rel::Child => crawl.meet(href, depth + 1)?,
                Rel::Item => {
                    out.listed += 1;
                    // Two catalogs may name one item.
                    if filter.fits_key(&href)
                        && items.insert(digest_hex(&[href.as_bytes()], 16))
                        && out.put(Entry::object(href, None, None)).await.is_err()
                    {
                        return Ok(out);
                    }
                }
            }
        }
    }
}

/// Where a link leads to.
enum Rel {
    Child,
    Item,
}

fn links(
    at: &str,
    read: Result<bytes::Bytes, SourceError>,
) -> Result<Vec<(Rel, String)>, ListError> {
    let bytes = read.map_err(ListError::source(at))?;
    let catalog: Catalog = serde_json::from_slice(&bytes).map_err(|source| ListError::NotJson {
        at: at.to_owned(),
        source,
    })?;
    let rel = |link: &Link| match link.rel.as_str() {
        "child" => Some(Rel::Child),
        // `items` leads to an ItemCollection, which is fetched as an item is.
        "item" | "items" => Some(Rel::Item),
        _ => None,
    };
    let links = catalog.links.into_iter();
    let links = links.filter_map(|link| Some((rel(&link)?, joined(at, &link.href)?)));
    Ok(links.collect())
}

fn absolute(at: &str, sources: &Sources) -> Result<String, ListError> {
    if at.starts_with("s3://") || Url::parse(at).is_ok_and(|url| url.has_host()) {
        return Ok(at.to_owned());
    }
    let failed = ListError::source(at);
    let path = sources.file(at).map_err(&failed)?.unwrap_or_default();
    let path = path.canonicalize().map_err(|source| {
        failed(SourceError::File {
            path: path.clone(),
            source,
        })
    })?;
    Ok(Url::from_file_path(&path).map_or_else(|()| at.to_owned(), String::from))
}

/// Follows a link; one that leads to no address is passed over, as an archive of others may have some.
fn joined(at: &str, href: &str) -> Option<String> {
    let base = Url::parse(at).ok()?;
    match base.join(href) {
        Ok(mut url) => {
            url.set_fragment(None);
            Some(url.into())
        }
        Err(error) => {
            tracing::warn!(at, href, reason = %error, "a link leads nowhere");
            None
        }
    }
}
