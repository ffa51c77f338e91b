//! Rows and download requests, one per wanted asset of an item.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use swath_core::message::{DownloadAsset, SearchArea};
use swath_core::row::AssetRow;
use swath_core::stac::{Asset, Item};
use swath_core::{Headers, Job, RunId, redact_url};
use url::Url;

/// An item and what is needed of it that [`Item`] does not keep.
#[derive(Debug)]
pub(crate) struct Served<'a> {
    pub(crate) item: Item,
    /// Its properties' JSON text, as served.
    properties: &'a str,
    /// What relative hrefs are relative to.
    base: Url,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    properties: Option<&'a RawValue>,
    #[serde(borrow, default)]
    links: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    rel: Option<String>,
    #[serde(default)]
    href: Option<String>,
}

impl<'a> Served<'a> {
    /// Reads an item off a page.
    pub(crate) fn parse(text: &'a str, page: &Url) -> Result<Self, String> {
        let item = Item::parse(text).map_err(|error| swath_core::chain(&error))?;
        let raw: Raw<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let base = raw.links.and_then(self_href);
        let base = base.and_then(|href| page.join(&href).ok());
        Ok(Self {
            item,
            properties: raw.properties.map_or("{}", RawValue::get),
            base: base.unwrap_or_else(|| page.clone()),
        })
    }

    /// Returns the wanted assets, in the item's order.
    pub(crate) fn wanted(&self, job: &Job) -> impl Iterator<Item = &Asset> {
        let assets = self.item.assets.iter();
        assets.filter(|asset| job.assets.wants(asset))
    }

    pub(crate) fn row(&self, run_id: &RunId, request: &SearchArea, asset: &Asset) -> AssetRow {
        let (item, area) = (&self.item, &request.area);
        let text = |property: &str| item.properties.get(property)?.as_str().map(str::to_owned);
        AssetRow {
            run_id: run_id.clone(),
            row_id: area.row_id.clone(),
            row_number: area.row_number,
            area: area.columns.clone(),
            catalog: redact_url(&request.job.catalog),
            collection: item.collection.clone(),
            item_id: item.id.clone(),
            date: text("datetime").or_else(|| text("start_datetime")),
            item_bbox: item.bbox.map(polygon),
            item_properties: self.properties.to_owned(),
            asset_name: asset.key.clone(),
            href: self.absolute(&asset.href),
            asset_type: asset.media_type.clone(),
            asset_roles: asset.roles.clone(),
            file_size: asset.size_bytes,
            file_checksum: asset.checksum.clone(),
            datetime: item.instant("datetime"),
            start_datetime: item.instant("start_datetime"),
            end_datetime: item.instant("end_datetime"),
            alternate_hrefs: asset
                .alternates
                .iter()
                .map(|href| self.absolute(href))
                .collect(),
        }
    }

    pub(crate) fn download(&self, job: &Job, asset: &Asset) -> DownloadAsset {
        // What the catalog's server is told, a key perhaps, is none of the file server's business.
        let catalog = Url::parse(&redact_url(&job.catalog));
        let job = Job {
            catalog: catalog.unwrap_or_else(|_| job.catalog.clone()),
            headers: Headers::default(),
            filter: None,
            query: None,
            ids: Vec::new(),
            ..job.clone()
        };
        DownloadAsset {
            job,
            collection: self.item.collection.clone(),
            item_id: self.item.id.clone(),
            asset_name: asset.key.clone(),
            href: self.absolute(&asset.href),
            media_type: asset.media_type.clone(),
            size_bytes: asset.size_bytes,
            checksum: asset.checksum.clone(),
        }
    }

    /// Keeps an absolute href as it was written; one that makes no address even so is for the download to name.
    fn absolute(&self, href: &str) -> String {
        match Url::parse(href) {
            Err(url::ParseError::RelativeUrlWithoutBase) => self
                .base
                .join(href)
                .map_or_else(|_| href.to_owned(), String::from),
            _ => href.to_owned(),
        }
    }
}

fn self_href(links: &RawValue) -> Option<String> {
    let links: Vec<&RawValue> = serde_json::from_str(links.get()).ok()?;
    links
        .iter()
        .filter_map(|link| serde_json::from_str::<Link>(link.get()).ok())
        .find(|link| link.rel.as_deref() == Some("self"))?
        .href
}

fn polygon([west, south, east, north]: [f64; 4]) -> String {
    let ring = json!([
        [west, south],
        [east, south],
        [east, north],
        [west, north],
        [west, south]
    ]);
    json!({"type": "Polygon", "coordinates": [ring]}).to_string()
}
