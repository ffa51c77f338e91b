//! Answers: a landing page, a page of items.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use swath_core::redact_url;
use url::Url;

use super::call::{Answer, begin_of, check_same_server};
use super::request::NextLink;
use super::{Endpoint, StacError};

/// What tells one item from another.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    Item(Option<String>, String),
    /// Something without an id, by its text.
    Other(String),
}

/// A page of items as it was served.
#[derive(Debug)]
pub(super) struct RawPage {
    /// Where it came from, after redirects.
    pub(super) url: Url,
    pub(super) features: Vec<Box<RawValue>>,
    pub(super) matched: Option<u64>,
    pub(super) returned: Option<u64>,
    pub(super) next: Option<NextLink>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    features: Option<Vec<Box<RawValue>>>,
    #[serde(borrow, default)]
    links: Option<Vec<&'a RawValue>>,
    #[serde(default, rename = "numberMatched")]
    matched: Option<Value>,
    #[serde(default, rename = "numberReturned")]
    returned: Option<Value>,
    #[serde(default)]
    context: Option<Context>,
}

/// The counts of STAC API before 1.0.
#[derive(Deserialize)]
struct Context {
    #[serde(default)]
    matched: Option<Value>,
    #[serde(default)]
    returned: Option<Value>,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    r#type: Option<Value>,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    rel: Option<Value>,
    #[serde(default)]
    href: Option<Value>,
    #[serde(default)]
    method: Option<Value>,
}

impl Link {
    fn parse(text: &RawValue) -> Option<Self> {
        serde_json::from_str(text.get()).ok()
    }

    fn is(&self, rel: &str) -> bool {
        self.rel.as_ref().and_then(Value::as_str) == Some(rel)
    }

    fn href(&self) -> Option<&str> {
        self.href.as_ref()?.as_str()
    }

    fn is_post(&self) -> bool {
        let method = self.method.as_ref().and_then(Value::as_str);
        method.is_some_and(|name| name.eq_ignore_ascii_case("POST"))
    }
}

/// Tells an error page with status 200, of which asking again may make a better one, from JSON that is no page of items.
fn not_a_page(answer: &Answer, reason: String) -> StacError {
    let url = redact_url(&answer.url);
    let kind = serde_json::from_slice::<Kind>(&answer.body);
    match kind.ok().and_then(|kind| kind.r#type) {
        Some(_) => StacError::NotAPage { url, reason },
        None => StacError::ErrorPage {
            url,
            shown: begin_of(&answer.body).unwrap_or_default(),
        },
    }
}

/// Returns where an API searches: the landing page's link by POST, else its other one, else `search` below the landing page.
///
/// A link that names no method may do either, so POST is tried and found wanting; one that names GET is taken at its word.
pub(super) fn endpoint(landing: &Answer) -> Result<Endpoint, StacError> {
    let wrong = |reason: String| StacError::NotAnApi {
        url: redact_url(&landing.url),
        reason,
    };
    let document: Document<'_> =
        serde_json::from_slice(&landing.body).map_err(|error| wrong(error.to_string()))?;
    let links = document.links.unwrap_or_default();
    let links: Vec<Link> = links
        .iter()
        .filter_map(|text| Link::parse(text))
        .filter(|link| link.is("search"))
        .collect();
    let link = links
        .iter()
        .find(|link| link.is_post())
        .or_else(|| links.iter().find(|link| link.href().is_some()));
    let url = match link.and_then(Link::href) {
        None => below(&landing.url).ok_or_else(|| wrong("its address has no path".to_owned()))?,
        Some(href) => landing
            .url
            .join(href)
            .map_err(|error| wrong(format!("its search link is no address: {error}")))?,
    };
    check_same_server(&landing.url, &url)?;
    Ok(Endpoint {
        url,
        by_get: link.is_some_and(|link| !link.is_post() && link.method.is_some()),
        landing_digest: swath_core::digest_hex(&[&landing.body], 32),
    })
}

fn below(landing: &Url) -> Option<Url> {
    let mut url = landing.clone();
    url.path_segments_mut().ok()?.pop_if_empty().push("search");
    Some(url)
}

impl RawPage {
    pub(super) fn parse(answer: Answer, number: u64) -> Result<Self, StacError> {
        let document: Document<'_> = serde_json::from_slice(&answer.body)
            .map_err(|error| not_a_page(&answer, error.to_string()))?;
        match document.r#type.as_deref() {
            Some("FeatureCollection") => {}
            kind => {
                let reason = format!("it is of type {:?}", kind.unwrap_or("none"));
                return Err(not_a_page(&answer, reason));
            }
        }
        let next = next_link(&document.links.unwrap_or_default());
        let next = next.map_err(|error| StacError::NextLink {
            url: redact_url(&answer.url),
            page: number,
            reason: error.to_string(),
        })?;
        let context = document.context;
        let (old_matched, old_returned) =
            context.map_or((None, None), |context| (context.matched, context.returned));
        let count = |new: Option<Value>, old: Option<Value>| new.or(old)?.as_u64();
        Ok(Self {
            features: document.features.unwrap_or_default(),
            url: answer.url,
            matched: count(document.matched, old_matched),
            returned: count(document.returned, old_returned),
            next,
        })
    }
}

/// Finds the next link, one by POST before others; a broken one is an error, for items lie behind it.
fn next_link(links: &[&RawValue]) -> Result<Option<NextLink>, serde_json::Error> {
    let mut found: Option<NextLink> = None;
    for text in links {
        if Link::parse(text).is_some_and(|link| link.is("next")) {
            let next: NextLink = serde_json::from_str(text.get())?;
            if found.is_none() || next.is_post() {
                found = Some(next);
            }
        }
    }
    Ok(found)
}

#[derive(Deserialize)]
struct Ids {
    id: String,
    #[serde(default)]
    collection: Option<String>,
}

impl Identity {
    pub(super) fn of(feature: &RawValue) -> Self {
        match serde_json::from_str::<Ids>(feature.get()) {
            Ok(ids) => Self::Item(ids.collection, ids.id),
            Err(_) => Self::Other(swath_core::digest_hex(&[feature.get().as_bytes()], 16)),
        }
    }
}
