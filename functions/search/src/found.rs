//! What a search tells of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use swath_cloud::stac::Stopped;

/// What was found in one area.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AreaFound {
    /// Pages read.
    pub pages: u64,
    /// Items that the search matches, by the API's own count; many APIs give none.
    pub matched: Option<u64>,
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
    pub stopped: Option<Stopped>,
    /// How often the search was made lighter because the API choked on it.
    pub lightened: u64,
    /// Whether the area was cut at the antimeridian before it was sent.
    pub area_cut: bool,
    /// How long it took.
    pub elapsed: Duration,
}

/// A feature that is not a STAC item.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// Returns in one word how the search ended: `ok`, `empty`, or `partial` when items are known to be missing.
    pub fn status(&self) -> &'static str {
        let capped = !matches!(self.stopped, None | Some(Stopped::MaxItems));
        if capped || self.is_short() {
            "partial"
        } else if self.items == 0 {
            "empty"
        } else {
            "ok"
        }
    }
}
