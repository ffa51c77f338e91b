//! What a job asks for in one area, as a POST body and as a GET query.

use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use swath_core::aoi::Area;
use swath_core::{Job, cql2, datetime, split};
use url::Url;

use super::StacError;
use super::checkpoint::PartMark;
use super::request::Body;

/// Members without which no row can be made of an item; they are asked for whatever the job's `fields` say.
const NEEDED: [&str; 6] = ["type", "id", "collection", "bbox", "links", "assets"];

const CQL2_TEXT: &str = "cql2-text";
const CQL2_JSON: &str = "cql2-json";

/// Items per page below which a page is not made smaller.
const LEAST: u64 = 10;

/// Bytes of an address that every server and proxy takes: RFC 9110 asks for 8000, and many take 8 KiB for the whole line.
const LONGEST_ADDRESS: usize = 8000;

/// One search, or a part of one.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// Everywhere when absent.
    area: Option<Box<RawValue>>,
    /// Expanded.
    datetime: Option<String>,
    limit: u64,
    rest: Arc<Rest>,
}

/// What is the same in every part.
#[derive(Debug)]
struct Rest {
    collections: Vec<String>,
    ids: Vec<String>,
    filter: Option<Value>,
    query: Option<Value>,
    sortby: Vec<String>,
    fields: Vec<String>,
    headers: HeaderMap,
    /// Whether the area was cut at the antimeridian.
    cut: bool,
}

impl Query {
    pub(super) fn new(job: &Job, area: &Area) -> Result<Self, StacError> {
        let (geometry, cut) = if area.is_everywhere() {
            (None, false)
        } else {
            let area = split::searchable(&area.geometry)?;
            (Some(area.geometry), area.cut)
        };
        let expanded = job.datetime.as_deref().map(datetime::expand).transpose()?;
        let limit = job.max_items.map_or(u64::from(job.limit), |most| {
            most.clamp(1, u64::from(job.limit).max(1))
        });
        Ok(Self {
            area: geometry,
            datetime: expanded,
            limit: limit.max(1),
            rest: Arc::new(Rest {
                collections: job.collections.clone(),
                ids: job.ids.clone(),
                filter: job.filter.clone(),
                query: job.query.clone().map(Value::Object),
                sortby: job.sortby.clone(),
                fields: fields(&job.fields),
                headers: headers(job)?,
                cut,
            }),
        })
    }

    /// Takes down what sets this part of a search apart from the others.
    pub(super) fn mark(&self, halvings: u8, again: bool) -> PartMark {
        PartMark {
            area: self.area.clone(),
            datetime: self.datetime.clone(),
            limit: self.limit,
            halvings,
            again,
        }
    }

    /// Returns the part of this search that was taken down.
    pub(super) fn at(&self, mark: PartMark) -> Self {
        Self {
            area: mark.area,
            datetime: mark.datetime,
            limit: mark.limit,
            rest: Arc::clone(&self.rest),
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.rest.cut
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.rest.headers
    }

    /// Returns the address of a search that is better asked by GET: CQL2 text, which few servers take in a POST body. One that is
    /// too long for an address is left to those few.
    pub(super) fn by_get(&self, search: &Url) -> Option<Url> {
        let is_text = matches!(self.rest.filter, Some(Value::String(_)));
        let address = is_text.then(|| self.address(search))?;
        (address.as_str().len() <= LONGEST_ADDRESS).then_some(address)
    }

    /// Returns the same search with smaller pages; `None` when they are small already.
    pub(super) fn with_smaller_pages(&self) -> Option<Self> {
        let limit = (self.limit / 2).max(LEAST);
        (limit < self.limit).then(|| Self {
            limit,
            ..self.clone()
        })
    }

    /// Returns the search in two halves of its time; `None` when its time has an open end or is short.
    pub(super) fn halves_of_time(&self) -> Option<[Self; 2]> {
        let halves = datetime::halves(self.datetime.as_deref()?)?;
        Some(halves.map(|half| Self {
            datetime: Some(half),
            ..self.clone()
        }))
    }

    /// Returns the search in two halves of its area; `None` when it cannot be cut.
    pub(super) fn halves_of_area(&self) -> Option<[Self; 2]> {
        let halves = split::halves(self.area.as_deref()?)?;
        Some(halves.map(|half| Self {
            area: Some(half),
            ..self.clone()
        }))
    }

    /// Writes the body of a POST.
    pub(super) fn body(&self) -> Result<Body, StacError> {
        let mut body = Body::new();
        let rest = &self.rest;
        let mut put = |name: &str, value: Value| -> Result<(), StacError> {
            body.insert(
                name.to_owned(),
                to_raw_value(&value).map_err(StacError::Json)?,
            );
            Ok(())
        };
        if !rest.collections.is_empty() {
            put("collections", json!(rest.collections))?;
        }
        if !rest.ids.is_empty() {
            put("ids", json!(rest.ids))?;
        }
        if let Some(datetime) = &self.datetime {
            put("datetime", json!(datetime))?;
        }
        if let Some(filter) = &rest.filter {
            put("filter", filter.clone())?;
            put("filter-lang", json!(filter_lang(filter)))?;
        }
        if let Some(query) = &rest.query {
            put("query", query.clone())?;
        }
        if !rest.sortby.is_empty() {
            put(
                "sortby",
                rest.sortby.iter().map(|field| sorted_by(field)).collect(),
            )?;
        }
        if !rest.fields.is_empty() {
            let (exclude, include): (Vec<_>, Vec<_>) =
                rest.fields.iter().partition(|name| name.starts_with('-'));
            let bare = |names: Vec<&String>| -> Vec<String> {
                names
                    .into_iter()
                    .map(|name| name.trim_start_matches(['-', '+']).to_owned())
                    .collect()
            };
            put(
                "fields",
                json!({"include": bare(include), "exclude": bare(exclude)}),
            )?;
        }
        put("limit", json!(self.limit))?;
        // The area is sent as it was written, not as numbers read and written again.
        if let Some(area) = &self.area {
            body.insert("intersects".to_owned(), area.clone());
        }
        Ok(body)
    }

    /// Adds what is asked for to an address, for a GET.
    pub(super) fn address(&self, search: &Url) -> Url {
        let (rest, mut url) = (&self.rest, search.clone());
        let mut pairs = url.query_pairs_mut();
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                pairs.append_pair(name, value);
            }
        };
        put("collections", &rest.collections.join(","));
        put("ids", &rest.ids.join(","));
        put("datetime", self.datetime.as_deref().unwrap_or_default());
        put("intersects", self.area.as_deref().map_or("", RawValue::get));
        // Many servers take text alone by GET, and none has to take JSON.
        match &rest.filter {
            Some(Value::String(text)) => {
                put("filter", text);
                put("filter-lang", CQL2_TEXT);
            }
            Some(json) => {
                let text = cql2::to_text(json);
                let lang = text.as_ref().map_or(CQL2_JSON, |_| CQL2_TEXT);
                put("filter", &text.unwrap_or_else(|| json.to_string()));
                put("filter-lang", lang);
            }
            None => {}
        }
        put(
            "query",
            &rest
                .query
                .as_ref()
                .map(Value::to_string)
                .unwrap_or_default(),
        );
        put("sortby", &rest.sortby.join(","));
        put("fields", &rest.fields.join(","));
        put("limit", &self.limit.to_string());
        drop(pairs);
        url
    }
}

fn filter_lang(filter: &Value) -> &'static str {
    if filter.is_string() {
        CQL2_TEXT
    } else {
        CQL2_JSON
    }
}

fn sorted_by(field: &str) -> Value {
    let direction = if field.starts_with('-') {
        "desc"
    } else {
        "asc"
    };
    json!({"field": field.trim_start_matches(['-', '+']), "direction": direction})
}

/// Adds what rows are made of, and takes back its exclusion.
fn fields(asked: &[String]) -> Vec<String> {
    let is_needed = |name: &String| {
        name.strip_prefix('-')
            .is_some_and(|name| NEEDED.contains(&name))
    };
    let mut fields: Vec<String> = asked
        .iter()
        .filter(|name| !is_needed(name))
        .cloned()
        .collect();
    if fields.iter().any(|name| !name.starts_with('-')) {
        fields.extend(NEEDED.iter().map(|name| (*name).to_owned()));
    }
    fields
}

fn headers(job: &Job) -> Result<HeaderMap, StacError> {
    let mut headers = HeaderMap::new();
    for (name, value) in job.headers.expose() {
        let wrong = || StacError::Header(name.to_owned());
        let header = HeaderName::try_from(name).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}
