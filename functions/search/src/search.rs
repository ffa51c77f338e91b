//! Searches one area and sends on what it finds, page by page.

use std::time::Duration;

use swath_cloud::queue::QueueError;
use swath_cloud::retry::Retryable;
use swath_cloud::stac::{Page, Search, StacError};
use swath_core::message::{Body, Message, SearchArea, WriteRows};
use swath_core::row::AreaStatus;
use swath_core::{Class, Classify, RunId};
use time::OffsetDateTime;

use crate::marks::{Mark, Marks};
use crate::taken::{Taken, json_bytes, parts};
use crate::{AreaFound, Context};

/// A search that did not come to its end; what its earlier pages held was sent on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The API failed or refused.
    #[error("area {row_id}: the search failed after {} pages with {} items", found.pages, found.items)]
    Api {
        /// The area's id.
        row_id: String,
        /// What was found before.
        found: Box<AreaFound>,
        /// Why.
        #[source]
        source: Box<StacError>,
    },
    /// The time is up; the search goes on where it stands when its message comes again.
    #[error("area {row_id}: the time is up after {} pages with {} items, the rest is searched when the message comes again", found.pages, found.items)]
    TimeIsUp {
        /// The area's id.
        row_id: String,
        /// What was found so far.
        found: Box<AreaFound>,
    },
    /// What was found cannot be sent on.
    #[error("area {row_id}: what was found on page {} cannot be sent on", found.pages)]
    Send {
        /// The area's id.
        row_id: String,
        /// What was found before.
        found: Box<AreaFound>,
        /// Why.
        #[source]
        source: Box<QueueError>,
    },
}

impl Classify for SearchError {
    fn class(&self) -> Class {
        match self {
            Self::Api { source, .. } => source.class(),
            Self::TimeIsUp { .. } => Class::Transient,
            Self::Send { source, .. } => source.class(),
        }
    }
}

impl Retryable for SearchError {
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api { source, .. } => source.retry_after(),
            // No delivery is wasted: the message may come as often as there are pages.
            Self::TimeIsUp { .. } => Some(Duration::ZERO),
            Self::Send { .. } => None,
        }
    }
}

/// Searches an area and sends, per page, its items and asset rows to be written and its wanted assets to be downloaded; in the
/// end, how it ended.
///
/// Sending twice does no harm: items and rows are told apart by their content, downloads by their place.
///
/// # Errors
/// When the API or a queue fails; what earlier pages held stands.
pub async fn search(
    run_id: &RunId,
    request: &SearchArea,
    context: &Context,
) -> Result<AreaFound, SearchError> {
    search_on(run_id, request, context, None).await
}

/// Searches an area as [`search`] does, from its mark if it has one, and marks where it stands: now and then, when the API fails
/// for now, and when there is no time to go on.
///
/// # Errors
/// As [`search`]; [`SearchError::TimeIsUp`] when there is no time to go on.
pub async fn search_on(
    run_id: &RunId,
    request: &SearchArea,
    context: &Context,
    marks: Option<&Marks<'_>>,
) -> Result<AreaFound, SearchError> {
    let mut found = AreaFound::default();
    let asked = Asked {
        run_id,
        request,
        context,
        marks,
        began: context.clock.now(),
    };
    let ended = asked.read_pages(&mut found).await;
    found.elapsed = asked.elapsed(&found);
    let row_id = &request.area.row_id;
    let ended = ended.map_err(|failure| failure.told(row_id, found.clone()));
    if matches!(ended, Err(SearchError::TimeIsUp { .. })) {
        return ended.map(|()| found);
    }
    let status = found.row(run_id, request, ended.as_ref().err(), context.clock.now());
    match (ended, tell(run_id, vec![status], context).await) {
        (Ok(()), Ok(())) => Ok(found),
        (Ok(()), Err(source)) => Err(Failure::Send(source).told(row_id, found)),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(source)) => {
            tracing::warn!(row.id = row_id, error = %swath_core::chain(&source), "how the search ended cannot be sent on");
            Err(error)
        }
    }
}

/// Sends on how searches ended.
pub(crate) async fn tell(
    run_id: &RunId,
    ended: Vec<AreaStatus>,
    context: &Context,
) -> Result<(), QueueError> {
    let rows = parts(ended, json_bytes);
    let messages = rows.into_iter().map(|rows| Message {
        run_id: run_id.clone(),
        body: Body::WriteRows(WriteRows::AreaStatus(rows)),
    });
    context.write.send(messages.collect()).await
}

pub(crate) enum Failure {
    Api(StacError),
    TimeIsUp,
    Send(QueueError),
}

impl Failure {
    /// Says in which area it happened, and after what.
    pub(crate) fn told(self, row_id: &str, found: AreaFound) -> SearchError {
        let (row_id, found) = (row_id.to_owned(), Box::new(found));
        match self {
            Self::TimeIsUp => SearchError::TimeIsUp { row_id, found },
            Self::Api(source) => SearchError::Api {
                row_id,
                found,
                source: Box::new(source),
            },
            Self::Send(source) => SearchError::Send {
                row_id,
                found,
                source: Box::new(source),
            },
        }
    }
}

/// One search: who asks for what, with which ports, and where it is marked.
#[derive(Clone, Copy)]
struct Asked<'a> {
    run_id: &'a RunId,
    request: &'a SearchArea,
    context: &'a Context,
    marks: Option<&'a Marks<'a>>,
    began: OffsetDateTime,
}

impl Asked<'_> {
    async fn read_pages(self, found: &mut AreaFound) -> Result<(), Failure> {
        if let Some(mark) = self.mark_left().await {
            let at = mark.found.pages;
            match self.go_on(mark, found).await {
                // The API does not know the page any more.
                Err(Failure::Api(error))
                    if error.class() == Class::Invalid && found.pages == at =>
                {
                    tracing::warn!(error = %swath_core::chain(&error), "the mark leads nowhere: searching from the start");
                    *found = AreaFound::default();
                }
                ended => return ended,
            }
        }
        let Self {
            request, context, ..
        } = self;
        let pages = context.api.search(&request.job, &request.area).await;
        self.read(pages.map_err(Failure::Api)?, found).await
    }

    async fn mark_left(self) -> Option<Mark> {
        self.marks?.find(self.context).await
    }

    async fn go_on(self, mark: Mark, found: &mut AreaFound) -> Result<(), Failure> {
        let SearchArea { job, area } = self.request;
        tracing::info!(
            search.pages = mark.found.pages,
            "search goes on at its mark"
        );
        *found = mark.found;
        let pages = self.context.api.resume(job, area, mark.search).await;
        self.read(pages.map_err(Failure::Api)?, found).await
    }

    async fn read(self, mut pages: Search, found: &mut AreaFound) -> Result<(), Failure> {
        found.area_cut = pages.is_cut();
        let mut marked = found.pages > 0;
        let ended = self.take_pages(&mut pages, found, &mut marked).await;
        found.stopped = pages.stopped();
        found.lightened = pages.lightened();
        found.requests = pages.requests();
        if let (Ok(()), true, Some(marks)) = (&ended, marked, self.marks) {
            marks.clear().await;
        }
        ended
    }

    /// Reads pages to the end; `marked` becomes true when a mark was set.
    async fn take_pages(
        self,
        pages: &mut Search,
        found: &mut AreaFound,
        marked: &mut bool,
    ) -> Result<(), Failure> {
        loop {
            let mark = self.mark(pages, found);
            let page = match (pages.next_page().await, self.marks) {
                (Ok(Some(page)), _) => page,
                (Ok(None), _) => return Ok(()),
                (Err(error), marks) => {
                    if let Some(marks) = marks.filter(|_| error.class() == Class::Transient) {
                        marks.set(mark.as_ref()).await;
                    }
                    return Err(Failure::Api(error));
                }
            };
            self.take_page(&page, found).await?;
            let Some(marks) = self.marks.filter(|_| !pages.is_at_end()) else {
                continue;
            };
            let is_late = !marks.may_go_on();
            if is_late || Marks::is_due(found.pages) {
                *marked = true;
                marks.set(self.mark(pages, found).as_ref()).await;
            }
            if is_late {
                return Err(Failure::TimeIsUp);
            }
        }
    }

    /// Takes down where the search stands; nothing before its first page.
    fn mark(self, pages: &Search, found: &AreaFound) -> Option<Mark> {
        if self.marks.is_none() || found.pages == 0 {
            return None;
        }
        let mut found = found.clone();
        found.elapsed = self.elapsed(&found);
        Mark::of(pages, found, self.context.clock.now())
    }

    /// Returns how long the search has taken, earlier deliveries included.
    fn elapsed(self, found: &AreaFound) -> Duration {
        found.elapsed + self.context.clock.since(self.began)
    }

    async fn take_page(self, page: &Page, found: &mut AreaFound) -> Result<(), Failure> {
        let Self {
            run_id,
            request,
            context,
            ..
        } = self;
        found.pages = page.number;
        found.matched = found.matched.or(page.matched);
        found.returned += page.served;
        let taken = Taken::from_page(run_id, request, page, found);
        let sent = taken.send(run_id, request, context).await;
        sent.map_err(Failure::Send)
    }
}

#[cfg(test)]
mod tests;
