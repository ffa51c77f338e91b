//! Searches many areas together: a few boxes are asked for, and items are matched to areas here.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use swath_cloud::queue::QueueError;
use swath_cloud::stac::{Page, Search};
use swath_core::aoi::Area;
use swath_core::message::SearchArea;
use swath_core::row::Sought;
use swath_core::together::{Cell, Cover};
use swath_core::{Job, RunId, Shared};

use crate::rows::{Served, sought};
use crate::search::{Failure, tell};
use crate::taken::{Taken, count_missing, id_of};
use crate::{AreaFound, Context, RejectedItem, SearchError};

/// Areas that are asked for together; its boxes may be searched side by side.
#[derive(Debug)]
pub struct Together {
    run_id: RunId,
    cover: Cover,
    asked: Vec<Asked>,
    hasher: RandomState,
    state: Mutex<State>,
}

/// An area, and the half of its rows that names it.
#[derive(Debug)]
struct Asked {
    request: SearchArea,
    sought: Shared<Sought>,
}

/// What was found so far.
#[derive(Debug, Default)]
struct State {
    /// By the areas' places.
    areas: Vec<Progress>,
    /// Items that were sent on.
    items: HashSet<u64>,
}

#[derive(Debug, Default)]
struct Progress {
    found: AreaFound,
    failure: Option<Arc<SearchError>>,
    /// Boxes still to be asked for.
    left: usize,
    /// Its items, while another box may serve them again.
    items: HashSet<u64>,
}

impl Together {
    /// Groups areas; `None` when asking for them together would save less than half of the requests, or would change what
    /// is found: with a cap per area, or an order.
    pub fn new(run_id: &RunId, job: &Job, areas: &[Area]) -> Option<Self> {
        if job.max_items.is_some() || !job.sortby.is_empty() || has_other_fields(job) {
            return None;
        }
        let cover = Cover::of(areas)?;
        let asked = areas.iter().cloned().map(|area| {
            let job = job.clone();
            let request = SearchArea { job, area };
            let sought = sought(run_id, &request);
            Asked { request, sought }
        });
        let mut state = State::default();
        state.areas.resize_with(areas.len(), Progress::default);
        for place in cover.cells.iter().flat_map(|cell| &cell.members) {
            if let Some(area) = state.areas.get_mut(*place) {
                area.left += 1;
            }
        }
        Some(Self {
            run_id: run_id.clone(),
            asked: asked.collect(),
            cover,
            hasher: RandomState::new(),
            state: Mutex::new(state),
        })
    }

    /// Returns the boxes to be asked for.
    pub fn cells(&self) -> &[Cell] {
        &self.cover.cells
    }

    /// Returns the places of the areas that are to be searched alone.
    pub fn alone(&self) -> &[usize] {
        &self.cover.alone
    }

    /// Returns the features that are no items, of all boxes that were searched.
    pub fn rejected(&self) -> Vec<RejectedItem> {
        let state = self.state();
        let rejected = state.areas.iter().flat_map(|area| &area.found.rejected);
        rejected.cloned().collect()
    }

    /// Searches one box, once, and sends on what lies in its areas.
    ///
    /// # Errors
    /// When the API or a queue fails; what earlier pages held stands.
    pub async fn search(&self, cell: &Cell, context: &Context) -> Result<(), Arc<SearchError>> {
        let begin = context.clock.now();
        let mut read = AreaFound::default();
        let ended = self.read(cell, context, &mut read).await;
        read.elapsed = context.clock.since(begin);
        let ended =
            ended.map_err(|failure| Arc::new(failure.told(&cell.area.row_id, read.clone())));
        self.state().end(cell, &read, ended.as_ref().err());
        ended
    }

    /// Sends on how the searches of these areas ended.
    ///
    /// # Errors
    /// When the queue fails.
    pub async fn tell(&self, context: &Context) -> Result<(), QueueError> {
        let finished = context.clock.now();
        let ended = {
            let state = self.state();
            let together = self.asked.iter().zip(&state.areas).enumerate();
            let together = together.filter(|(place, _)| !self.cover.alone.contains(place));
            let ended = together.map(|(_, (asked, Progress { found, failure, .. }))| {
                let failure = failure.as_deref();
                found.row(&self.run_id, &asked.request, failure, finished)
            });
            ended.collect()
        };
        tell(&self.run_id, ended, context).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(
        &self,
        cell: &Cell,
        context: &Context,
        read: &mut AreaFound,
    ) -> Result<(), Failure> {
        let Some(Asked { request, .. }) = self.asked.first() else {
            return Ok(());
        };
        let search = context.api.search(&request.job, &cell.area).await;
        let mut pages = search.map_err(Failure::Api)?;
        let ended = self
            .take_pages(cell, context, request, (&mut pages, &mut *read))
            .await;
        read.stopped = pages.stopped();
        read.lightened = pages.lightened();
        read.requests = pages.requests();
        ended
    }

    async fn take_pages(
        &self,
        cell: &Cell,
        context: &Context,
        request: &SearchArea,
        (pages, read): (&mut Search, &mut AreaFound),
    ) -> Result<(), Failure> {
        while let Some(page) = pages.next_page().await.map_err(Failure::Api)? {
            let taken = self.take_page(cell, &page, read);
            let sent = taken.send(&self.run_id, request, context).await;
            sent.map_err(Failure::Send)?;
        }
        Ok(())
    }

    fn take_page(&self, cell: &Cell, page: &Page, read: &mut AreaFound) -> Taken {
        read.pages = page.number;
        let mut taken = Taken::default();
        let mut state = self.state();
        for (place, feature) in page.features.iter().enumerate() {
            match Served::parse(feature.get(), &page.url) {
                Ok(served) => self.take(cell, (feature, &served), &mut state, &mut taken),
                Err(reason) => read.rejected.push(RejectedItem {
                    page: page.number,
                    place,
                    id: id_of(feature),
                    reason,
                }),
            }
        }
        taken
    }

    /// Takes an item for each area that it intersects and has not had it from another box.
    fn take(
        &self,
        cell: &Cell,
        (feature, served): (&RawValue, &Served<'_>),
        state: &mut State,
        taken: &mut Taken,
    ) {
        let item = &served.item;
        let key = self.hasher.hash_one((&item.collection, &item.id));
        let places = item
            .geometry
            .and_then(|shape| self.cover.matching(cell, shape))
            .unwrap_or_default();
        let mut found = None;
        for place in places {
            let (Some(asked), Some(area)) = (self.asked.get(place), state.areas.get_mut(place))
            else {
                continue;
            };
            if !area.is_new(key) {
                continue;
            }
            let job = &asked.request.job;
            if state.items.insert(key) {
                taken.take_item(feature, served, job);
            }
            let found = found.get_or_insert_with(|| served.found(job));
            taken.take_rows(&asked.sought, found);
            count_missing(&asked.request, served, &mut area.found);
            area.found.items += 1;
            area.found.returned += 1;
            area.found.assets += found.len() as u64;
        }
    }
}

impl Progress {
    /// Remembers an item if another box may serve it again; says whether none has served it before.
    fn is_new(&mut self, item: u64) -> bool {
        if self.left > 1 {
            self.items.insert(item)
        } else {
            !self.items.contains(&item)
        }
    }
}

impl State {
    /// Adds what was read of a box to its areas. Requests and what is no item are the first one's, so that sums are right.
    fn end(&mut self, cell: &Cell, read: &AreaFound, failure: Option<&Arc<SearchError>>) {
        for (at, place) in cell.members.iter().enumerate() {
            let Some(area) = self.areas.get_mut(*place) else {
                continue;
            };
            let found = &mut area.found;
            found.pages += read.pages;
            found.stopped = found.stopped.or(read.stopped);
            found.lightened += read.lightened;
            found.elapsed += read.elapsed;
            if at == 0 {
                found.requests += read.requests;
                found.rejected.extend(read.rejected.iter().cloned());
            }
            area.failure = failure.cloned().or(area.failure.take());
            area.left = area.left.saturating_sub(1);
            if area.left == 0 {
                area.items = HashSet::new();
            }
        }
    }
}

/// Whether items would come without the geometry that they are matched by.
fn has_other_fields(job: &Job) -> bool {
    !job.fields.is_empty()
}
