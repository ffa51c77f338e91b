//! What a search would be, by the first page of each area.

use serde::Serialize;
use swath_cloud::stac::{Client, StacError};
use swath_core::Job;
use swath_core::aoi::Area;
use swath_core::stac::Item;

/// What a search would be.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Estimate {
    /// Areas that were asked about.
    areas: u64,
    /// Areas that could not be asked about.
    failed: u64,
    /// Pages to be asked for, the first ones included.
    requests: u64,
    /// Items that match; the least there are when `is_exact` is false.
    items: u64,
    /// Whether the server told how many items match, in every area.
    is_exact: bool,
    /// Wanted assets, as many per item as on the first pages.
    assets: u64,
    /// Bytes of the wanted assets; absent when no item told a size.
    bytes: Option<u64>,
}

/// Reads the first page of each area.
pub(super) async fn estimate(
    api: &Client,
    job: &Job,
    areas: &[Area],
    failed: &mut impl FnMut(&Area, &StacError),
) -> Estimate {
    let mut sum = Estimate {
        is_exact: true,
        ..Estimate::default()
    };
    for area in areas {
        sum.areas += 1;
        if let Err(error) = add(api, job, area, &mut sum).await {
            failed(area, &error);
            sum.failed += 1;
        }
    }
    sum
}

async fn add(api: &Client, job: &Job, area: &Area, sum: &mut Estimate) -> Result<(), StacError> {
    let mut search = api.search(job, area).await?;
    let Some(page) = search.next_page().await? else {
        return Ok(());
    };
    let here = page.features.len() as u64;
    let most = job.max_items.unwrap_or(u64::MAX);
    let is_last = search.is_at_end();
    let items = match page.matched {
        Some(matched) => matched.min(most),
        None => here,
    };
    sum.is_exact &= page.matched.is_some() || is_last;
    let (mut assets, mut bytes) = (0_u64, None);
    for item in page
        .features
        .iter()
        .filter_map(|text| Item::parse(text.get()).ok())
    {
        for asset in item.assets.iter().filter(|asset| job.assets.wants(asset)) {
            assets += 1;
            bytes = asset
                .size_bytes
                .map(|size| size + bytes.unwrap_or(0))
                .or(bytes);
        }
    }
    let scaled = |count: u64| {
        let all = count.saturating_mul(items);
        all.checked_div(here).unwrap_or(0)
    };
    sum.items += items;
    sum.assets += scaled(assets);
    sum.bytes = bytes
        .map(|bytes| scaled(bytes) + sum.bytes.unwrap_or(0))
        .or(sum.bytes);
    sum.requests += items.div_ceil(page.served.max(1)).max(1);
    Ok(())
}

impl Estimate {
    pub(super) fn matched(&self) -> u64 {
        self.items
    }

    pub(super) fn has_failures(&self) -> bool {
        self.failed > 0
    }
}
