//! Rows and download requests, one per wanted asset of an item.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use swath_core::message::{DownloadAsset, SearchArea};
use swath_core::row::{Found, Sought};
use swath_core::stac::{Asset, Item, parse_datetime};
use swath_core::{Headers, Job, RunId, Shared, redact_url};
use url::Url;

/// An item, and what its relative hrefs are relative to.
#[derive(Debug)]
pub(crate) struct Served<'a> {
    pub(crate) item: Item<'a>,
    base: Url,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    rel: Option<String>,
    #[serde(default)]
    href: Option<String>,
}

/// Makes the half of an area's rows that says what was asked for.
pub(crate) fn sought(run_id: &RunId, request: &SearchArea) -> Shared<Sought> {
    let area = &request.area;
    let sought = Sought {
        run_id: run_id.clone(),
        row_id: area.row_id.clone(),
        row_number: area.row_number,
        area: area.columns.clone(),
    };
    sought.into()
}

impl<'a> Served<'a> {
    /// Reads an item off a page.
    pub(crate) fn parse(text: &'a str, page: &Url) -> Result<Self, String> {
        let item = Item::parse(text).map_err(|error| swath_core::chain(&error))?;
        let base = item.links.and_then(self_href);
        let base = base.and_then(|href| page.join(&href).ok());
        Ok(Self {
            item,
            base: base.unwrap_or_else(|| page.clone()),
        })
    }

    /// Returns the wanted assets, in the item's order.
    pub(crate) fn wanted(&self, job: &Job) -> impl Iterator<Item = &Asset> {
        let assets = self.item.assets.iter();
        assets.filter(|asset| job.assets.wants(asset))
    }

    /// Makes the halves of rows that say what was found, one per wanted asset.
    pub(crate) fn found(&self, job: &Job) -> Vec<Shared<Found>> {
        let item = &self.item;
        let instant = |text: &Option<String>| parse_datetime(text.as_deref()?);
        let of_item = Found {
            catalog: redact_url(&job.catalog),
            collection: item.collection.clone(),
            item_id: item.id.clone(),
            date: item
                .taken
                .datetime
                .clone()
                .or_else(|| item.taken.start.clone()),
            item_bbox: item.bbox.map(polygon),
            item_properties: item.properties.map_or("{}", RawValue::get).to_owned(),
            asset_name: String::new(),
            href: String::new(),
            asset_type: None,
            asset_roles: Vec::new(),
            file_size: None,
            file_checksum: None,
            datetime: instant(&item.taken.datetime),
            start_datetime: instant(&item.taken.start),
            end_datetime: instant(&item.taken.end),
            alternate_hrefs: Vec::new(),
        };
        let found = self.wanted(job).map(|asset| Found {
            asset_name: asset.key.clone(),
            href: self.absolute(&asset.href),
            asset_type: asset.media_type.clone(),
            asset_roles: asset.roles.clone(),
            file_size: asset.size_bytes,
            file_checksum: asset.checksum.clone(),
            alternate_hrefs: self.alternates(asset),
            ..of_item.clone()
        });
        found.map(Shared::from).collect()
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
            alternate_hrefs: self.alternates(asset),
            media_type: asset.media_type.clone(),
            size_bytes: asset.size_bytes,
            checksum: asset.checksum.clone(),
        }
    }

    fn alternates(&self, asset: &Asset) -> Vec<String> {
        let hrefs = asset.alternates.iter();
        hrefs.map(|href| self.absolute(href)).collect()
    }

    /// Keeps an absolute href as it was written; one that makes no address even so is for the download to name.
    fn absolute(&self, href: &str) -> String {
        if href.starts_with("https://") {
            return href.to_owned();
        }
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
