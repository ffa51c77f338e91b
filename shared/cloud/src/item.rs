//! Asking a STAC API for one item again: hrefs come to an end, items give new ones.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use swath_core::message::DownloadAsset;
use swath_core::stac::Item;
use swath_core::{Class, Classify, redact_url};
use url::Url;

use crate::http::{self, HttpError, Timeouts, read_body};
use crate::retry::{Policy, Retryable};
use crate::stac::{Client, StacError};

const LARGEST_ANSWER: usize = 16 << 20;

/// Finds assets in the items that they belong to.
#[derive(Clone, Debug)]
pub struct Finder {
    http: reqwest::Client,
    api: Client,
}

/// What an item says of an asset today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundAsset {
    /// Where it lies, absolute.
    pub href: String,
    /// Where else it lies, absolute: what anyone can fetch first.
    pub alternate_hrefs: Vec<String>,
    /// Its media type.
    pub media_type: Option<String>,
    /// `file:size`, bytes.
    pub size_bytes: Option<u64>,
    /// `file:checksum`, a multihash in hex.
    pub checksum: Option<String>,
}

/// An item as its catalog has it today.
#[derive(Clone, Debug)]
pub struct FoundItem {
    /// Its JSON.
    pub text: Box<RawValue>,
    /// What its relative hrefs are relative to.
    pub base: Url,
}

/// An item that could not be asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The catalog is no web address.
    #[error("{catalog} is no STAC API that could be asked")]
    NoApi {
        /// The catalog.
        catalog: String,
    },
    /// The API cannot be used.
    #[error("the catalog cannot be asked")]
    Api(#[from] StacError),
    /// The exchange failed.
    #[error("the catalog cannot be asked")]
    Http(#[from] HttpError),
    /// The API refuses.
    #[error("{url}: answered with status {status}")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// The answer is none.
    #[error("{url}: the answer is no page of items")]
    NotAPage {
        /// The address.
        url: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The catalog does not have the asset.
    #[error("the catalog has no asset {asset_name:?} of item {item_id:?}")]
    Unknown {
        /// The item.
        item_id: String,
        /// The asset's key.
        asset_name: String,
    },
}

impl Classify for FindError {
    fn class(&self) -> Class {
        match self {
            Self::Api(error) => error.class(),
            Self::Http(error) => error.class(),
            Self::Status {
                status: 429 | 500..=599,
                ..
            } => Class::Transient,
            Self::Status {
                status: 401 | 403, ..
            } => Class::Denied,
            _ => Class::Invalid,
        }
    }
}

impl Retryable for FindError {}

#[derive(Deserialize)]
struct Page {
    features: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Links {
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
    href: String,
}

impl Finder {
    /// Speaks to APIs over a client of its own.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(clock: std::sync::Arc<dyn crate::clock::Clock>) -> Result<Self, HttpError> {
        let http = http::for_apis(Timeouts::default())?;
        let api = Client::new(http.clone(), clock).with_policy(Policy::ONCE);
        Ok(Self { http, api })
    }

    /// Asks the asset's catalog for what its item says of it today.
    ///
    /// # Errors
    /// When the catalog is no API, cannot be asked, or does not have the asset.
    pub async fn find(&self, asked: &DownloadAsset) -> Result<FoundAsset, FindError> {
        let found = self.item(asked).await?;
        let asset = Item::parse(found.text.get())
            .ok()
            .and_then(|item| asset_of(item, &found.base, &asked.asset_name));
        asset.ok_or_else(|| unknown(asked))
    }

    /// Asks the asset's catalog for its item, by a search for its id, since ids may contain slashes.
    ///
    /// # Errors
    /// When the catalog is no API, cannot be asked, or has no such item with the asset.
    pub async fn item(&self, asked: &DownloadAsset) -> Result<FoundItem, FindError> {
        let catalog = &asked.job.catalog;
        if !matches!(catalog.scheme(), "https" | "http") {
            let catalog = catalog.to_string();
            return Err(FindError::NoApi { catalog });
        }
        let url = self.api.search_url(catalog).await?;
        let page = self.page(&url, asked).await?;
        let found = page.features.into_iter().find(|feature| {
            Item::parse(feature.get()).is_ok_and(|item| {
                item.id == asked.item_id
                    && (asked.collection.is_none() || item.collection == asked.collection)
                    && item
                        .assets
                        .iter()
                        .any(|asset| asset.key == asked.asset_name)
            })
        });
        let text = found.ok_or_else(|| unknown(asked))?;
        let base = base_of(&text, &url);
        Ok(FoundItem { text, base })
    }

    async fn page(&self, url: &Url, asked: &DownloadAsset) -> Result<Page, FindError> {
        let mut body = json!({"ids": [asked.item_id], "limit": 10});
        if let (Some(collection), Some(body)) = (&asked.collection, body.as_object_mut()) {
            body.insert("collections".to_owned(), json!([collection]));
        }
        let mut request = self.http.post(url.clone());
        for (name, value) in asked.job.headers.expose() {
            request = request.header(name, value);
        }
        let sent = request
            .header("content-type", "application/json")
            .body(body.to_string())
            .send();
        let response = sent
            .await
            .map_err(|error| HttpError::from_call(url, error))?;
        let status = response.status().as_u16();
        let shown = redact_url(url);
        if status != 200 {
            let url = shown;
            return Err(FindError::Status { url, status });
        }
        let bytes = read_body(response, LARGEST_ANSWER).await?;
        serde_json::from_slice(&bytes).map_err(|source| FindError::NotAPage { url: shown, source })
    }
}

fn unknown(asked: &DownloadAsset) -> FindError {
    FindError::Unknown {
        item_id: asked.item_id.clone(),
        asset_name: asked.asset_name.clone(),
    }
}

/// Returns what an item's relative hrefs are relative to: its own address, else the page it came on.
fn base_of(feature: &RawValue, page: &Url) -> Url {
    let links = serde_json::from_str::<Links>(feature.get()).ok();
    let own = links.and_then(|links| links.links.into_iter().find(|link| link.rel == "self"));
    let base = own.and_then(|own| page.join(&own.href).ok());
    base.unwrap_or_else(|| page.clone())
}

fn asset_of(item: Item, base: &Url, name: &str) -> Option<FoundAsset> {
    let asset = item.assets.into_iter().find(|asset| asset.key == name)?;
    let absolute = |href: String| match Url::parse(&href) {
        Err(_) => base.join(&href).ok().map(String::from),
        Ok(_) => Some(href),
    };
    Some(FoundAsset {
        href: absolute(asset.href)?,
        alternate_hrefs: asset.alternates.into_iter().filter_map(absolute).collect(),
        media_type: asset.media_type,
        size_bytes: asset.size_bytes,
        checksum: asset.checksum,
    })
}
