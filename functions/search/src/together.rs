//! Searches many areas together: a few boxes are asked for, and items are matched to areas here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use swath_cloud::queue::QueueError;
use swath_cloud::stac::Search;
use swath_core::aoi::Area;
use swath_core::message::SearchArea;
use swath_core::together::{Cell, Cover};
use swath_core::{Job, RunId};

use crate::rows::Served;
use crate::search::{Failure, tell};
use crate::taken::{Taken, count_missing, id_of};
use crate::{AreaFound, Context, RejectedItem, SearchError};

/// Areas that are asked for together.
#[derive(Debug)]
pub struct Together {
    cover: Cover,
    requests: Vec<SearchArea>,
    hasher: RandomState,
    /// Boxes still to be asked for, of each area.
    left: Vec<usize>,
    /// Items that were sent on, of areas of several boxes until the last one: an item that lies in two boxes is served twice.
    pairs: HashMap<usize, HashSet<u64>>,
    items: HashSet<u64>,
}

#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow, default)]
    geometry: Option<&'a RawValue>,
}

impl Together {
    /// Groups areas; `None` when asking for them together would save less than half of the requests, or would change what
    /// is found: with a cap per area, or an order.
    pub fn new(job: &Job, areas: &[Area]) -> Option<Self> {
        if job.max_items.is_some() || !job.sortby.is_empty() || has_other_fields(job) {
            return None;
        }
        let requests = areas.iter().cloned().map(|area| SearchArea {
            job: job.clone(),
            area,
        });
        let cover = Cover::of(areas)?;
        let mut left = vec![0; areas.len()];
        for place in cover.cells.iter().flat_map(|cell| &cell.members) {
            if let Some(boxes) = left.get_mut(*place) {
                *boxes += 1;
            }
        }
        Some(Self {
            cover,
            requests: requests.collect(),
            hasher: RandomState::new(),
            left,
            pairs: HashMap::new(),
            items: HashSet::new(),
        })
    }

    /// Returns the boxes to be asked for.
    pub fn cells(&self) -> Vec<Cell> {
        self.cover.cells.clone()
    }

    /// Returns the places of the areas that are to be searched alone.
    pub fn alone(&self) -> &[usize] {
        &self.cover.alone
    }

    /// Searches one box and sends on what lies in its areas; what was found is added to `found`, by the areas' places.
    ///
    /// # Errors
    /// When the API or a queue fails; what earlier pages held stands.
    pub async fn search(
        &mut self,
        run_id: &RunId,
        cell: &Cell,
        context: &Context,
        found: &mut [AreaFound],
    ) -> Result<(), SearchError> {
        let begin = context.clock.now();
        let mut read = AreaFound::default();
        let ended = self
            .read(run_id, cell, context, (&mut *found, &mut read))
            .await;
        read.elapsed = context.clock.since(begin);
        share(cell, &read, found);
        self.forget(cell);
        ended.map_err(|failure| failure.told(&cell.area.row_id, read))
    }

    /// Sends on how the searches of these areas ended; `failures` are those of their boxes, by the areas' places.
    ///
    /// # Errors
    /// When the queue fails.
    pub async fn tell(
        &self,
        run_id: &RunId,
        found: &[AreaFound],
        failures: &BTreeMap<usize, Arc<SearchError>>,
        context: &Context,
    ) -> Result<(), QueueError> {
        let finished = context.clock.now();
        let together = self.requests.iter().zip(found).enumerate();
        let together = together.filter(|(place, _)| !self.cover.alone.contains(place));
        let ended = together.map(|(place, (request, found))| {
            let failure = failures.get(&place).map(AsRef::as_ref);
            found.row(run_id, request, failure, finished)
        });
        tell(run_id, ended.collect(), context).await
    }

    async fn read(
        &mut self,
        run_id: &RunId,
        cell: &Cell,
        context: &Context,
        (found, read): (&mut [AreaFound], &mut AreaFound),
    ) -> Result<(), Failure> {
        let Some(job) = self.requests.first().map(|request| request.job.clone()) else {
            return Ok(());
        };
        let search = context.api.search(&job, &cell.area).await;
        let mut pages = search.map_err(Failure::Api)?;
        let ended = self
            .take_pages(run_id, cell, context, (&mut pages, found, &mut *read))
            .await;
        read.stopped = pages.stopped();
        read.lightened = pages.lightened();
        read.requests = pages.requests();
        ended
    }

    async fn take_pages(
        &mut self,
        run_id: &RunId,
        cell: &Cell,
        context: &Context,
        (pages, found, read): (&mut Search, &mut [AreaFound], &mut AreaFound),
    ) -> Result<(), Failure> {
        while let Some(page) = pages.next_page().await.map_err(Failure::Api)? {
            read.pages = page.number;
            let mut taken = Taken::default();
            for (place, feature) in page.features.iter().enumerate() {
                match Served::parse(feature.get(), &page.url) {
                    Ok(served) => self.take(run_id, cell, (feature, &served), (&mut taken, found)),
                    Err(reason) => read.rejected.push(RejectedItem {
                        page: page.number,
                        place,
                        id: id_of(feature),
                        reason,
                    }),
                }
            }
            if let Some(request) = self.requests.first() {
                let sent = taken.send(run_id, request, context).await;
                sent.map_err(Failure::Send)?;
            }
        }
        Ok(())
    }

    /// Remembers an item of an area if another box may serve it again; says whether none has served it before.
    fn is_new(&mut self, place: usize, item: u64) -> bool {
        match self.left.get(place) {
            Some(2..) => self.pairs.entry(place).or_default().insert(item),
            _ => !self
                .pairs
                .get(&place)
                .is_some_and(|known| known.contains(&item)),
        }
    }

    /// Forgets the items of areas whose last box this was.
    fn forget(&mut self, cell: &Cell) {
        for place in &cell.members {
            let Some(left) = self.left.get_mut(*place) else {
                continue;
            };
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.pairs.remove(place);
            }
        }
    }

    /// Takes an item for each area that it intersects.
    fn take(
        &mut self,
        run_id: &RunId,
        cell: &Cell,
        (feature, served): (&RawValue, &Served<'_>),
        (taken, found): (&mut Taken, &mut [AreaFound]),
    ) {
        let key = self
            .hasher
            .hash_one((&served.item.collection, &served.item.id));
        let shape = serde_json::from_str::<Shape<'_>>(feature.get()).ok();
        let places = shape
            .and_then(|shape| self.cover.matching(cell, shape.geometry?))
            .unwrap_or_default();
        for place in places {
            if !self.is_new(place, key) {
                continue;
            }
            let (Some(request), Some(area)) = (self.requests.get(place), found.get_mut(place))
            else {
                continue;
            };
            if self.items.insert(key) {
                taken.items.push(feature.to_owned());
            }
            let before = taken.rows.len();
            taken.take(run_id, request, served);
            count_missing(request, served, area);
            area.items += 1;
            area.returned += 1;
            area.assets += (taken.rows.len() - before) as u64;
        }
    }
}

/// Adds what was read of a box to its areas. Requests and what is no item are the first one's, so that sums are right.
fn share(cell: &Cell, read: &AreaFound, found: &mut [AreaFound]) {
    for (at, place) in cell.members.iter().enumerate() {
        let Some(area) = found.get_mut(*place) else {
            continue;
        };
        area.pages += read.pages;
        area.stopped = area.stopped.or(read.stopped);
        area.lightened += read.lightened;
        area.elapsed += read.elapsed;
        if at == 0 {
            area.requests += read.requests;
            area.rejected.extend(read.rejected.iter().cloned());
        }
    }
}

/// Whether items would come without the geometry that they are matched by.
fn has_other_fields(job: &Job) -> bool {
    !job.fields.is_empty()
}
