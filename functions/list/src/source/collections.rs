//! What an API says of its collections, `{"collections": [...]}`: a document and the pages that follow it.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use swath_cloud::sources::Sources;
use swath_table::input::Spot;

use super::crawl::{Link, absolute, joined};
use super::items::entry;
use crate::filter::Filter;
use crate::list::ListError;
use crate::out::Out;

#[derive(Deserialize)]
struct Page {
    collections: Vec<Box<RawValue>>,
    #[serde(default)]
    links: Vec<Link>,
}

pub(super) async fn run(
    at: &str,
    filter: &Filter,
    sources: &Sources,
    mut out: Out,
) -> Result<Out, ListError> {
    let stopped = |at: String, reason: &str| ListError::Stopped {
        at,
        reason: reason.to_owned(),
    };
    let mut at = absolute(at, sources)?;
    let mut met = HashSet::new();
    loop {
        if !met.insert(at.clone()) {
            return Err(stopped(at, "its next page is one that was read before"));
        }
        let bytes = sources.read(&at, super::LARGEST).await;
        let bytes = bytes.map_err(ListError::source(&at))?;
        let page = serde_json::from_slice::<Page>(&bytes);
        let page = page.map_err(|source| ListError::NotJson {
            at: at.clone(),
            source,
        })?;
        for (number, collection) in (1..).zip(&page.collections) {
            out.listed += 1;
            let spot = Spot {
                unit: "collection",
                number,
            };
            if let Some(entry) = entry(&at, spot, collection.get().as_bytes(), filter)
                && out.put(entry).await.is_err()
            {
                return Ok(out);
            }
        }
        let mut links = page.links.iter();
        let next = links.find(|link| link.rel == "next");
        let Some(next) = next.filter(|_| !out.is_full()) else {
            return Ok(out);
        };
        at = joined(&at, &next.href)
            .ok_or_else(|| stopped(at, "its link to the next page leads nowhere"))?;
    }
}
