//! One search, page by page, with the guards that sick paging calls for.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::value::RawValue;
use swath_core::{Job, redact_url};
use url::Url;

use super::call::check_same_server;
use super::checkpoint::{Checkpoint, PartMark, RequestMark};
use super::page::{Identity, RawPage};
use super::query::Query;
use super::request::{NextLink, Request};
use super::seen::Seen;
use super::{Client, StacError};

/// How often a search's time is halved, and then its area, before the server is thought to be down.
const HALVINGS: u8 = 4;

/// A search under way.
#[derive(Debug)]
pub struct Search {
    client: Client,
    landing: Url,
    /// Parts still to be searched, the next one last: one, unless the API choked on the whole.
    parts: Vec<Part>,
    /// The part that is being read.
    part: Option<Part>,
    /// What was asked first in this part; next links that merge add to it.
    first: Option<Request>,
    /// What is to be asked next, or why that cannot be: the page that led there is handed out first.
    next: Option<Result<Request, StacError>>,
    asked: HashSet<String>,
    /// Pages of this part, by their items, when it is read anew.
    reread: HashSet<u64>,
    served: Seen,
    left: Option<u64>,
    pages: u64,
    stale_pages: u64,
    empty_pages: u64,
    stopped: Option<Stopped>,
    cut: bool,
    lightened: u64,
    /// Requests that went out.
    pub(super) requests: u64,
    /// Whether the API was found to take no POST.
    by_get: bool,
}

/// A part of a search, and how often it was halved.
#[derive(Clone, Debug)]
struct Part {
    query: Query,
    halvings: u8,
    /// Whether items of it may have been served by a part before.
    again: bool,
}

/// One page of items.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its number, from 1.
    pub number: u64,
    /// Where it came from.
    pub url: Url,
    /// Items that no earlier page held, byte for byte as served; other JSON may be among them.
    pub features: Vec<Box<RawValue>>,
    /// Features that the page holds, those of earlier pages included.
    pub served: u64,
    /// Items that the whole search matches, by the API's own count.
    pub matched: Option<u64>,
    /// Features on this page, by the API's own count.
    pub returned: Option<u64>,
}

/// Why a search ended while the API still named a next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// As many items as asked for were found.
    MaxItems,
    /// So many empty pages came in a row.
    EmptyPages(u64),
    /// So many pages were read.
    PageCap(u64),
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MaxItems => f.write_str("as many items as asked for were found"),
            Self::EmptyPages(pages) => write!(f, "{pages} empty pages came in a row"),
            Self::PageCap(pages) => write!(f, "{pages} pages were read, more are not taken"),
        }
    }
}

impl Search {
    pub(super) fn new(client: Client, job: &Job, asked: Query) -> Self {
        let (landing, max_items) = (job.catalog.clone(), job.max_items);
        let none = max_items == Some(0);
        let cut = asked.is_cut();
        let whole = Part {
            query: asked,
            halvings: 0,
            again: false,
        };
        Self {
            client,
            landing,
            parts: if none { Vec::new() } else { vec![whole] },
            part: None,
            first: None,
            next: None,
            asked: HashSet::new(),
            reread: HashSet::new(),
            served: Seen::default(),
            left: max_items,
            pages: 0,
            stale_pages: 0,
            empty_pages: 0,
            stopped: none.then_some(Stopped::MaxItems),
            cut,
            lightened: 0,
            requests: 0,
            by_get: false,
        }
    }

    /// Returns whether the area was cut at the antimeridian before it was sent.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Returns why the search ended before the API's last page; `None` while it goes on and when it went to the end.
    pub fn stopped(&self) -> Option<Stopped> {
        self.stopped
    }

    /// Returns how often the search was made lighter because the API choked on it: smaller pages, halves of its time or area.
    pub fn lightened(&self) -> u64 {
        self.lightened
    }

    /// Returns how many requests went out, tries and redirects included, and the landing page's if this search read it.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Returns whether no further page will be asked for.
    pub fn is_at_end(&self) -> bool {
        self.next.is_none() && self.parts.is_empty()
    }

    /// Asks for the next page; `None` after the last one.
    ///
    /// A search that is too much for the API (413, 502, 504) is asked again with smaller pages, then in halves of its
    /// time, then in halves of its area; items that lie in two parts are handed out once.
    ///
    /// # Errors
    /// When the page cannot be had or the API's paging is sick; the pages before it stand, and no more will come.
    pub async fn next_page(&mut self) -> Result<Option<Page>, StacError> {
        let page = self.read_page().await;
        if page.is_err() {
            self.parts.clear();
            self.part = None;
        }
        page
    }

    async fn read_page(&mut self) -> Result<Option<Page>, StacError> {
        loop {
            let request = match self.next.take() {
                Some(next) => next?,
                None => match self.begin_part().await? {
                    Some(first) => first,
                    None => return Ok(None),
                },
            };
            self.asked.insert(request.fingerprint()?);
            let number = self.pages + 1;
            let read = |answer| RawPage::parse(answer, number);
            let page = self.client.call(&request, read, &mut self.requests).await;
            let begins = self.asked.len() == 1;
            match page {
                Ok(page) => {
                    if self.by_get && begins {
                        self.client.learn_by_get(&self.landing).await;
                    }
                    return self.take(page).map(Some);
                }
                Err(error) if error.offers_no_post() && begins && request.body.is_some() => {
                    self.try_by_get(error)?;
                }
                Err(error) if error.is_too_much() => self.lighten(error)?,
                Err(error) if error.refuses_limit() && begins => {
                    self.ask_for_smaller_pages(error)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the first request of the next part, if there is one.
    async fn begin_part(&mut self) -> Result<Option<Request>, StacError> {
        let Some(part) = self.parts.pop() else {
            self.part = None;
            return Ok(None);
        };
        let first = self.first_of(&part.query).await?;
        self.part = Some(part);
        self.asked.clear();
        self.reread.clear();
        (self.stale_pages, self.empty_pages) = (0, 0);
        self.first = Some(first.clone());
        Ok(Some(first))
    }

    async fn first_of(&mut self, query: &Query) -> Result<Request, StacError> {
        let headers = query.headers().clone();
        let endpoint = self
            .client
            .endpoint(&self.landing, &headers, &mut self.requests)
            .await?;
        let by_get = if self.by_get || endpoint.by_get {
            Some(query.address(&endpoint.url))
        } else {
            query.by_get(&endpoint.url)
        };
        Ok(match by_get {
            Some(address) => Request::get(address, headers),
            None => Request::post(endpoint.url, headers, query.body()?),
        })
    }

    /// Returns where the search stands; `None` at its end, and when its next page cannot be asked for.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        if self.is_at_end() {
            return None;
        }
        let mark = |part: &Part| part.query.mark(part.halvings, part.again);
        let under_way = match (&self.next, &self.part) {
            (Some(Ok(next)), Some(part)) => {
                let next = RequestMark::of(next, part.query.headers())?;
                Some((mark(part), next))
            }
            (None, _) => None,
            _ => return None,
        };
        Some(Checkpoint {
            parts: self.parts.iter().map(mark).collect(),
            under_way,
            left: self.left,
            pages: self.pages,
            empty_pages: self.empty_pages,
            lightened: self.lightened,
            requests: self.requests,
            by_get: self.by_get,
        })
    }

    /// Goes to where a search stood.
    pub(super) async fn go_on(&mut self, from: Checkpoint) -> Result<(), StacError> {
        let Some(whole) = self.parts.pop() else {
            return Ok(());
        };
        let part = |mark: PartMark| Part {
            halvings: mark.halvings,
            again: mark.again,
            query: whole.query.at(mark),
        };
        self.parts = from.parts.into_iter().map(part).collect();
        self.by_get = from.by_get;
        if let Some((mark, next)) = from.under_way {
            let part = part(mark);
            let first = self.first_of(&part.query).await?;
            check_same_server(&first.url, &next.url)?;
            let wrong = || StacError::NextLink {
                url: redact_url(&first.url),
                page: from.pages,
                reason: "what was written down of it is no request".to_owned(),
            };
            let next = next.request(part.query.headers()).ok_or_else(wrong)?;
            self.next = Some(Ok(next));
            (self.first, self.part) = (Some(first), Some(part));
        }
        (self.left, self.pages) = (from.left, from.pages);
        (self.empty_pages, self.lightened) = (from.empty_pages, from.lightened);
        self.requests += from.requests;
        Ok(())
    }

    /// Begins the part again by GET.
    fn try_by_get(&mut self, error: StacError) -> Result<(), StacError> {
        let Some(part) = self.part.take().filter(|_| !self.by_get) else {
            return Err(error);
        };
        tracing::debug!(error = %error, "the API takes no POST: searching by GET");
        self.by_get = true;
        self.parts.push(part);
        Ok(())
    }

    /// Begins the part again with smaller pages; nothing of it was served yet.
    fn ask_for_smaller_pages(&mut self, error: StacError) -> Result<(), StacError> {
        let Some(part) = self.part.take() else {
            return Err(error);
        };
        let Some(query) = part.query.with_smaller_pages() else {
            return Err(error);
        };
        tracing::debug!(error = %error, "more items a page than the API gives: asking for less");
        self.parts.push(Part { query, ..part });
        Ok(())
    }

    /// Puts something lighter in the place of the part that the API choked on.
    fn lighten(&mut self, error: StacError) -> Result<(), StacError> {
        let Some(part) = self.part.take() else {
            return Err(error);
        };
        let of = |query, halvings| Part {
            query,
            halvings,
            again: true,
        };
        let Part {
            query, halvings, ..
        } = part;
        if let Some(smaller) = query.with_smaller_pages() {
            self.parts.push(of(smaller, halvings));
        } else {
            let by_time = || {
                (halvings < HALVINGS)
                    .then(|| query.halves_of_time())
                    .flatten()
            };
            let by_area = || {
                (halvings < 2 * HALVINGS)
                    .then(|| query.halves_of_area())
                    .flatten()
            };
            let Some([one, two]) = by_time().or_else(by_area) else {
                return Err(error);
            };
            self.parts
                .extend([of(two, halvings + 1), of(one, halvings + 1)]);
        }
        self.lightened += 1;
        tracing::debug!(error = %error, "too much for the API: asking for less");
        Ok(())
    }

    fn take(&mut self, raw: RawPage) -> Result<Page, StacError> {
        self.pages += 1;
        let served = raw.features.len() as u64;
        let before = self.stale_pages;
        let again = self.part.as_ref().is_some_and(|part| part.again);
        // A page that was read in an earlier part brings nothing new and is not stale for it.
        let is_first_time = again && self.reread.insert(digest_of(&raw.features));
        let features = self.new_ones(raw.features);
        tracing::debug!(page = self.pages, served, new = features.len(), "page read");
        self.check_progress(served, features.len(), &raw.url)?;
        if is_first_time {
            self.stale_pages = before.min(self.stale_pages);
        }
        self.stopped = raw.next.as_ref().and_then(|_| self.stop());
        if self.left == Some(0) && !self.parts.is_empty() {
            self.stopped = Some(Stopped::MaxItems);
        }
        if self.stopped.is_some() {
            self.parts.clear();
        } else {
            self.next = raw.next.map(|link| self.follow(link, &raw.url));
        }
        Ok(Page {
            number: self.pages,
            url: raw.url,
            features,
            served,
            matched: raw.matched.filter(|_| !again),
            returned: raw.returned,
        })
    }

    /// Keeps the features that were not served before, as many as are still wanted.
    fn new_ones(&mut self, features: Vec<Box<RawValue>>) -> Vec<Box<RawValue>> {
        let mut kept = Vec::with_capacity(features.len());
        for feature in features {
            if self.left == Some(0) {
                break;
            }
            if self.served.insert(&Identity::of(&feature)) {
                kept.push(feature);
                self.left = self.left.map(|left| left - 1);
            }
        }
        kept
    }

    fn check_progress(&mut self, served: u64, new: usize, url: &Url) -> Result<(), StacError> {
        self.empty_pages = if served == 0 { self.empty_pages + 1 } else { 0 };
        self.stale_pages = match (served, new) {
            (0, _) => self.stale_pages,
            (_, 0) => self.stale_pages + 1,
            _ => 0,
        };
        if self.stale_pages >= 2 {
            return Err(StacError::NoNewItems {
                url: redact_url(url),
                page: self.pages,
            });
        }
        Ok(())
    }

    /// Returns why a next page is not to be read.
    fn stop(&self) -> Option<Stopped> {
        let limits = self.client.limits;
        if self.left == Some(0) {
            Some(Stopped::MaxItems)
        } else if self.empty_pages > limits.empty_pages {
            Some(Stopped::EmptyPages(self.empty_pages))
        } else if self.pages >= limits.pages {
            Some(Stopped::PageCap(self.pages))
        } else {
            None
        }
    }

    /// Makes the request that a page's link asks for, unless it leads elsewhere or back.
    fn follow(&self, link: NextLink, page: &Url) -> Result<Request, StacError> {
        let wrong = |reason| StacError::NextLink {
            url: redact_url(page),
            page: self.pages,
            reason,
        };
        let first = self
            .first
            .as_ref()
            .ok_or_else(|| wrong("nothing was asked before".to_owned()))?;
        let next = first.follow(link, page).map_err(wrong)?;
        check_same_server(page, &next.url)?;
        if self.asked.contains(&next.fingerprint()?) {
            return Err(StacError::PaginationLoop {
                url: redact_url(&next.url),
                page: self.pages,
            });
        }
        Ok(next)
    }
}

fn digest_of(features: &[Box<RawValue>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for feature in features {
        Identity::of(feature).hash(&mut hasher);
    }
    hasher.finish()
}
