//! A static catalog, crawled from its root: catalogs and collections are read here, items are left to be fetched.
//!
//! A crawl goes breadth first, in the order of the links. What it has read is noted in the lake, so that one that is cut
//! short goes on where it was.

#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use swath_cloud::runs::{Entry, Journal};
use swath_cloud::sources::{SourceError, Sources};
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
/// Items that are known to have been met.
const MET: usize = 2_000_000;

#[derive(Deserialize)]
struct Catalog {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    links: Vec<Link>,
}

/// A link; one that lacks a part leads nowhere.
#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    pub(super) rel: String,
    #[serde(default)]
    pub(super) href: String,
}

/// A document of a catalog: where it leads to, and itself where it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reading {
    at: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    children: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    items: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    collection: Option<Box<RawValue>>,
}

/// A crawl under way.
struct Crawl<'a> {
    filter: &'a Filter,
    out: Out,
    /// Catalogs that were met, by digests of their addresses: links may run in circles.
    met: HashSet<[u8; 16]>,
    next: VecDeque<(String, u32)>,
    /// Items that were met of late.
    items: Recent,
}

impl Crawl<'_> {
    fn meet(&mut self, at: String, depth: u32) -> Result<(), ListError> {
        if !self.met.insert(digest(&at)) {
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

    /// Takes what a document leads to; says whether more is wanted.
    async fn take(&mut self, reading: Reading, depth: u32) -> Result<bool, ListError> {
        for child in reading.children {
            self.meet(child, depth + 1)?;
        }
        for href in reading.items {
            self.out.listed += 1;
            // Two catalogs may name one item.
            if self.filter.fits_key(&href)
                && self.items.insert(digest(&href))
                && self.out.put(Entry::object(href, None, None)).await.is_err()
            {
                return Ok(false);
            }
        }
        if let Some(collection) = reading.collection
            && self.filter.fits_key(&reading.at)
        {
            self.out.listed += 1;
            let entry = Entry {
                item: Some(collection),
                ..Entry::object(reading.at, None, None)
            };
            return Ok(self.out.put(entry).await.is_ok());
        }
        Ok(!self.out.is_full())
    }
}

/// Digests that came of late: as many as [`MET`] are known for sure, twice as many at most. What is met again after that is
/// listed again, and taken in once.
#[derive(Default)]
struct Recent {
    now: HashSet<[u8; 16]>,
    before: HashSet<[u8; 16]>,
}

impl Recent {
    /// Says whether a digest is new.
    fn insert(&mut self, digest: [u8; 16]) -> bool {
        if self.before.contains(&digest) || !self.now.insert(digest) {
            return false;
        }
        if self.now.len() >= MET {
            self.before = std::mem::take(&mut self.now);
        }
        true
    }
}

fn digest(text: &str) -> [u8; 16] {
    Md5::digest(text.as_bytes()).into()
}

/// Crawls a catalog to its end. What a crawl before this one has read, and `journal` has kept, is not read again.
pub(super) async fn run(
    at: &str,
    filter: &Filter,
    (sources, mut journal): (&Sources, Option<&mut Journal<Reading>>),
    out: Out,
) -> Result<Out, ListError> {
    let mut crawl = Crawl {
        filter,
        out,
        met: HashSet::new(),
        next: VecDeque::new(),
        items: Recent::default(),
    };
    crawl.meet(absolute(at, sources)?, 0)?;
    if let Some(journal) = &mut journal {
        while let Some((at, depth)) = crawl.next.front().cloned()
            && let Some(reading) = journal.next(|before| before.at == at).await?
        {
            crawl.next.pop_front();
            if !crawl.take(reading, depth).await? {
                return Ok(crawl.out);
            }
        }
    }
    let done = go_on(&mut crawl, sources, journal.as_deref_mut()).await;
    if let (Err(_), Some(journal)) = (&done, journal) {
        // Why the crawl ends is what is to be told; without this, a few documents are read again.
        drop(journal.flush().await);
    }
    done.map(|()| crawl.out)
}

async fn go_on(
    crawl: &mut Crawl<'_>,
    sources: &Sources,
    mut journal: Option<&mut Journal<Reading>>,
) -> Result<(), ListError> {
    // In their order: the next crawl meets them in the same one.
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
            return Ok(());
        };
        let bytes = read.map_err(ListError::source(&at))?;
        let reading = reading(at, &bytes)?;
        if let Some(journal) = &mut journal {
            let links = reading.children.iter().chain(&reading.items);
            let size = links.map(String::len).sum::<usize>();
            let kept = reading
                .collection
                .as_ref()
                .map_or(0, |text| text.get().len());
            journal.put(reading.clone(), size + kept).await?;
        }
        if !crawl.take(reading, depth).await? {
            return Ok(());
        }
    }
}

fn reading(at: String, bytes: &[u8]) -> Result<Reading, ListError> {
    let failed = |source| ListError::NotJson {
        at: at.clone(),
        source,
    };
    let catalog: Catalog = serde_json::from_slice(bytes).map_err(failed)?;
    let is_collection = catalog.kind.as_deref() == Some("Collection");
    let collection = is_collection.then(|| serde_json::from_slice(bytes));
    let collection = collection.transpose().map_err(failed)?;
    let (mut children, mut items) = (Vec::new(), Vec::new());
    for link in catalog.links {
        let into = match link.rel.as_str() {
            "child" => &mut children,
            // `items` leads to an ItemCollection, which is fetched as an item is.
            "item" | "items" => &mut items,
            _ => continue,
        };
        into.extend(joined(&at, &link.href));
    }
    Ok(Reading {
        at,
        children,
        items,
        collection,
    })
}

/// Returns the address of a document, of a file with its whole path.
pub(super) fn absolute(at: &str, sources: &Sources) -> Result<String, ListError> {
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
pub(super) fn joined(at: &str, href: &str) -> Option<String> {
    let base = Url::parse(at).ok().filter(|_| !href.is_empty())?;
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
