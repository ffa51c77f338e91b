//! What a search tells of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use swath_cloud::stac::Stopped;
use swath_core::message::SearchArea;
use swath_core::row::{AreaStatus, SearchEnd};
use swath_core::{Classify, RunId, chain, redact_url};
use time::OffsetDateTime;

/// What was found in one area.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AreaFound {
    /// Pages read.
    pub pages: u64,
    /// Items that the search matches, by the API's own count; many APIs give none.
    pub matched: Option<u64>,
    /// Requests that went out, tries and redirects included.
    pub requests: u64,
    /// Features on all pages, those served twice included.
    pub returned: u64,
    /// Items sent on.
    pub items: u64,
    /// Asset rows sent on.
    pub assets: u64,
    /// Downloads asked for.
    pub downloads: u64,
    /// Features that are not items, in the order they came.
    pub rejected: Vec<RejectedItem>,
    /// For each wish for assets (key, pattern, role, media type), how many items have none that fits.
    pub missing_assets: BTreeMap<String, u64>,
    /// Why pages were left unread, when some were.
    #[serde(skip)]
    pub stopped: Option<Stopped>,
    /// How often the search was made lighter because the API choked on it.
    pub lightened: u64,
    /// Whether the area was cut at the antimeridian before it was sent.
    pub area_cut: bool,
    /// How long it took.
    pub elapsed: Duration,
}

/// A feature that is not a STAC item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedItem {
    /// The page it came on, from 1.
    pub page: u64,
    /// Its place among the page's new features, from 0.
    pub place: usize,
    /// Its id, when it has one.
    pub id: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

impl AreaFound {
    /// Returns whether the API says that more items match than it served, though its pages were read to the end.
    pub fn is_short(&self) -> bool {
        let distinct = self.items + self.rejected.len() as u64;
        self.stopped.is_none() && self.matched.is_some_and(|matched| matched > distinct)
    }

    /// Returns how the search ended: `ok`, `empty`, or `partial` when items are known to be missing.
    pub fn status(&self) -> SearchEnd {
        let capped = !matches!(self.stopped, None | Some(Stopped::MaxItems));
        if capped || self.is_short() {
            SearchEnd::Partial
        } else if self.items == 0 {
            SearchEnd::Empty
        } else {
            SearchEnd::Ok
        }
    }

    /// Makes the area's row of `swath.area_status`; `failure` is why the search did not come to its end.
    pub fn row<E: Classify>(
        &self,
        run_id: &RunId,
        request: &SearchArea,
        failure: Option<&E>,
        finished: OffsetDateTime,
    ) -> AreaStatus {
        AreaStatus {
            run_id: run_id.clone(),
            row_id: request.area.row_id.clone(),
            row_number: request.area.row_number,
            catalog: redact_url(&request.job.catalog),
            status: failure.map_or(self.status(), |_| SearchEnd::Error),
            pages: self.pages,
            requests: self.requests,
            matched: self.matched,
            returned: self.returned,
            items: self.items,
            assets: self.assets,
            rejected: self.rejected.len() as u64,
            lightened: self.lightened,
            elapsed_ms: u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            finished,
            stopped: self.stopped.map(|why| why.to_string()),
            error_class: failure.map(Classify::class),
            error: failure.map(|error| chain(error)),
        }
    }
}
