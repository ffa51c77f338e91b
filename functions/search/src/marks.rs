//! Marks: where a long search stands, kept in the lake so that the next delivery of its message goes on there.
//!
//! A function has minutes; a search of ten thousand pages has not. Without marks it would begin anew at every delivery and never
//! come to its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use swath_cloud::stac::{Checkpoint, Search};
use swath_cloud::store::Store;
use swath_core::message::SearchArea;
use swath_core::{Class, Classify as _, RunId, digest_hex};
use time::OffsetDateTime;
use tracing::{info, warn};

use crate::{AreaFound, Context};

/// Pages after which a mark is set.
const EVERY: u64 = 20;

/// A mark that is older is not followed: the API may have forgotten its next page, and has new items before it.
const FRESH: Duration = Duration::from_hours(24);

/// A search's place for its mark, and whether there is time to go on.
pub struct Marks<'a> {
    lake: &'a Store,
    path: String,
    /// Whether there is time for another page.
    may_go_on: &'a (dyn Fn() -> bool + Sync),
}

/// Where a search stands, and what it has found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mark {
    #[serde(with = "time::serde::rfc3339")]
    set: OffsetDateTime,
    pub(crate) found: AreaFound,
    pub(crate) search: Checkpoint,
}

impl std::fmt::Debug for Marks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Marks");
        shown.field("path", &self.path).finish_non_exhaustive()
    }
}

impl Mark {
    /// Takes down where a search stands before its next page; `None` when there is none that can be asked for.
    pub(crate) fn of(pages: &Search, found: AreaFound, set: OffsetDateTime) -> Option<Self> {
        let search = pages.checkpoint()?;
        Some(Self { set, found, search })
    }
}

impl<'a> Marks<'a> {
    /// Finds the place: one for each run and search, below the run's receipts.
    pub fn of(
        lake: &'a Store,
        run_id: &RunId,
        request: &SearchArea,
        may_go_on: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        let asked = serde_json::to_vec(request).unwrap_or_default();
        let run = digest_hex(&[run_id.as_str().as_bytes()], 32);
        Self {
            lake,
            path: format!(
                "receipts/runs/{run}/marks/{}.json",
                digest_hex(&[&asked], 16)
            ),
            may_go_on,
        }
    }

    pub(crate) fn may_go_on(&self) -> bool {
        (self.may_go_on)()
    }

    /// Returns the mark that an earlier delivery left; one that cannot be read or is old is as good as none.
    pub(crate) async fn find(&self, context: &Context) -> Option<Mark> {
        let bytes = match self.lake.get(&self.path).await {
            Ok(bytes) => bytes,
            // There is none.
            Err(error) if error.class() == Class::Invalid => return None,
            Err(error) => {
                warn!(error = %swath_core::chain(&error), "no mark can be read: searching from the start");
                return None;
            }
        };
        let mark: Option<Mark> = serde_json::from_slice(&bytes).ok()?;
        mark.filter(|mark| context.clock.now() - mark.set <= FRESH)
    }

    /// Returns whether a mark is due after so many pages.
    pub(crate) fn is_due(pages: u64) -> bool {
        pages.is_multiple_of(EVERY)
    }

    /// Sets a mark. One that cannot be set costs the pages since the last one, no more.
    pub(crate) async fn set(&self, mark: Option<&Mark>) {
        let Some(mark) = mark else { return };
        self.put(serde_json::to_vec(mark)).await;
        info!(search.pages = mark.search.pages(), "search marked");
    }

    /// Takes the mark back: the search is done, and the same search at another time begins at its start.
    pub(crate) async fn clear(&self) {
        self.put(serde_json::to_vec(&None::<Mark>)).await;
    }

    async fn put(&self, json: serde_json::Result<Vec<u8>>) {
        let Ok(json) = json else { return };
        if let Err(error) = self.lake.put(&self.path, json.into()).await {
            warn!(error = %swath_core::chain(&error), "the search cannot be marked");
        }
    }
}
