//! The kinds of sources, told apart by their address and by what lies there.

mod api;
mod collections;
mod crawl;
mod hrefs;
mod items;
mod prefix;

use serde_json::Value;
use swath_cloud::sources::Sources;
use swath_core::intake::Intake;
use url::Url;

use crate::filter::Filter;
use crate::inventory::{self, Manifest};
use crate::list::ListError;
use crate::out::{Out, Seen};
pub(crate) use api::is_later;
pub(crate) use crawl::Reading;
use swath_cloud::runs::Journal;

/// Bytes of the document at a catalog's or API's address.
const LARGEST: usize = 64 << 20;

/// What a source is.
#[derive(Debug)]
pub(crate) enum Source {
    /// An S3 Inventory with its manifest.
    Inventory(Box<Manifest>),
    /// Files of an inventory without a manifest.
    InventoryFile(String),
    /// All objects below a prefix.
    Prefix(String),
    /// A list of addresses, one a line.
    Hrefs(String),
    /// Items: NDJSON, a collection, a document, a table.
    Items(String),
    /// A static catalog, by its address.
    Catalog(String),
    /// What an API says of its collections.
    Collections(String),
    /// A STAC API's landing page.
    Api(Url),
}

impl Source {
    /// Finds out what lies at an address.
    pub(crate) async fn find(address: &str, sources: &Sources) -> Result<Self, ListError> {
        let name = address.rsplit(['/', '\\']).next().unwrap_or_default();
        let name = name.to_ascii_lowercase();
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        if address == "-" || ends(&[".ndjson", ".jsonl", ".ndgeojson", ".geojsonl"]) {
            return Ok(Self::Items(address.to_owned()));
        }
        if ends(&[".txt"]) {
            return Ok(Self::Hrefs(address.to_owned()));
        }
        if ends(&[".csv", ".csv.gz", ".orc"]) {
            return Ok(Self::InventoryFile(address.to_owned()));
        }
        if ends(&[".parquet"]) {
            return inventory::parquet_kind(address, sources).await;
        }
        let is_web = address.starts_with("http://") || address.starts_with("https://");
        if !is_web && !ends(&[".json", ".geojson"]) {
            return Self::folder(address, sources).await;
        }
        Self::document(address, sources).await
    }

    /// A folder is a prefix of objects, or the home of an inventory: of its dated folders the newest is taken.
    async fn folder(address: &str, sources: &Sources) -> Result<Self, ListError> {
        let base = address.trim_end_matches('/');
        let names = sources
            .names(base)
            .await
            .map_err(ListError::source(address))?;
        if names.iter().any(|name| name == "manifest.json") {
            return Self::document(&format!("{base}/manifest.json"), sources).await;
        }
        let dated = names.iter().filter(|name| inventory::is_dated(name)).max();
        let Some(newest) = dated else {
            return Ok(Self::Prefix(address.to_owned()));
        };
        Self::document(&format!("{base}/{newest}/manifest.json"), sources).await
    }

    async fn document(address: &str, sources: &Sources) -> Result<Self, ListError> {
        let is_file = sources.file(address).map_err(ListError::source(address))?;
        if let Some(path) = is_file
            && std::fs::metadata(&path).is_ok_and(|facts| facts.len() > LARGEST as u64)
        {
            // Nothing but items is so large.
            return Ok(Self::Items(address.to_owned()));
        }
        let read = sources.read(address, LARGEST).await;
        let bytes = read.map_err(ListError::source(address))?;
        let Ok(value) = serde_json::from_slice::<Value>(&bytes) else {
            // Lines of JSON, or something broken that is named when it is read.
            return Ok(Self::Items(address.to_owned()));
        };
        let is_list = |name| value.get(name).is_some_and(Value::is_array);
        let text = |name| value.get(name).and_then(Value::as_str);
        if text("fileFormat").is_some() && is_list("files") {
            let manifest = Manifest::open(address, &bytes, sources).await?;
            return Ok(Self::Inventory(Box::new(manifest)));
        }
        let is_api = is_list("conformsTo") || has_link(&value, "search");
        match (text("type"), Url::parse(address)) {
            (Some("Catalog") | None, Ok(url)) if is_api => Ok(Self::Api(url)),
            (Some("Catalog" | "Collection"), _) => Ok(Self::Catalog(address.to_owned())),
            (None, _) if is_list("collections") => Ok(Self::Collections(address.to_owned())),
            _ => Ok(Self::Items(address.to_owned())),
        }
    }

    /// Returns the globs that are meant when none are given.
    pub(crate) fn usual(&self) -> &'static [&'static str] {
        match self {
            Self::Inventory(_) | Self::InventoryFile(_) => &["*.stac.json"],
            Self::Prefix(_) => &["*.json", "*.geojson"],
            _ => &[],
        }
    }

    /// Returns what the addresses of all objects of a folder or prefix begin with, whatever lies there now.
    pub(crate) fn prefix(&self, sources: &Sources) -> Result<Option<String>, ListError> {
        match self {
            Self::Prefix(at) => Ok(Some(sources.below(at).map_err(ListError::source(at))?)),
            _ => Ok(None),
        }
    }

    /// Lists everything that is asked for.
    pub(crate) async fn run(
        self,
        asked: (&Intake, Option<String>),
        (sources, journal): (&Sources, Option<&mut Journal<Reading>>),
        out: Out,
    ) -> Result<Seen, ListError> {
        let (intake, cursor) = asked;
        let filter = Filter::new(intake, self.usual())?;
        let out = match self {
            Self::Inventory(manifest) => inventory::run(*manifest, filter, sources, out).await?,
            Self::InventoryFile(at) => inventory::run_file(&at, filter, sources, out).await?,
            Self::Prefix(at) => prefix::run(&at, &filter, sources, out).await?,
            Self::Hrefs(at) => hrefs::run(&at, &filter, sources, out).await?,
            Self::Items(at) => items::run(&at, filter, sources, out).await?,
            Self::Catalog(at) => crawl::run(&at, &filter, (sources, journal), out).await?,
            Self::Collections(at) => collections::run(&at, &filter, sources, out).await?,
            Self::Api(landing) => api::run(landing, &filter, cursor, out).await?,
        };
        Ok(out.finish().await)
    }
}

fn has_link(value: &Value, rel: &str) -> bool {
    let links = value["links"].as_array();
    links.is_some_and(|links| links.iter().any(|link| link["rel"] == rel))
}
