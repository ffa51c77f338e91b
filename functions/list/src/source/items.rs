//! Items that come by themselves: lines, collections, documents, tables.

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use swath_cloud::runs::{Bad, Entry};
use swath_cloud::sources::Sources;
use swath_core::stac::parse_datetime;
use swath_table::input::{Input, Next, Spot};

use crate::filter::Filter;
use crate::list::ListError;
use crate::out::Out;

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    properties: Option<Times<'a>>,
}

#[derive(Deserialize)]
struct Times<'a> {
    #[serde(borrow, default)]
    updated: Option<std::borrow::Cow<'a, str>>,
}

pub(super) async fn run(
    at: &str,
    filter: Filter,
    sources: &Sources,
    out: Out,
) -> Result<Out, ListError> {
    let at = at.to_owned();
    if at == "-" {
        let run = move || read(&at, Path::new("-"), &filter, out);
        return tokio::task::spawn_blocking(run)
            .await
            .map_err(|_| ListError::Ended)?;
    }
    let file = sources.copy(&at).await.map_err(ListError::source(&at))?;
    let run = move || read(&at, &file.path, &filter, out);
    tokio::task::spawn_blocking(run)
        .await
        .map_err(|_| ListError::Ended)?
}

fn read(at: &str, path: &Path, filter: &Filter, mut out: Out) -> Result<Out, ListError> {
    let failed = |source| ListError::Input {
        at: at.to_owned(),
        source: Box::new(source),
    };
    let mut input = Input::open(path).map_err(failed)?;
    let mut text = Vec::new();
    while !out.is_full() {
        text.clear();
        let entry = match input.next(&mut text).map_err(failed)? {
            Next::End => break,
            Next::Text(spot) => entry(at, spot, &text, filter),
            Next::TooLong(spot) => Some(bad(
                at,
                spot,
                ("too_long", "longer than an item may be"),
                &text,
            )),
            Next::Broken(spot, reason) => Some(bad(at, spot, ("not_json", reason), &text)),
        };
        out.listed += 1;
        if let Some(entry) = entry
            && out.put_blocking(entry).is_err()
        {
            break;
        }
    }
    Ok(out)
}

/// Names a place of a file.
fn href(at: &str, spot: Spot) -> String {
    format!("{at}#{}={}", spot.unit, spot.number)
}

fn bad(at: &str, spot: Spot, (code, reason): (&str, &str), text: &[u8]) -> Entry {
    let bad = Bad {
        code: code.to_owned(),
        reason: reason.to_owned(),
        text: String::from_utf8_lossy(text.get(..1 << 20).unwrap_or(text)).into_owned(),
    };
    Entry {
        bad: Some(bad),
        ..Entry::object(href(at, spot), None, None)
    }
}

/// Makes an entry of a text; what is not asked for makes none.
pub(super) fn entry(at: &str, spot: Spot, text: &[u8], filter: &Filter) -> Option<Entry> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Some(bad(at, spot, ("not_utf8", "not UTF-8"), text));
    };
    let text = text.trim();
    let item = match RawValue::from_string(text.to_owned()) {
        Ok(item) => item,
        Err(error) => {
            let code = if error.is_eof() {
                "truncated"
            } else {
                "not_json"
            };
            return Some(bad(at, spot, (code, &error.to_string()), text.as_bytes()));
        }
    };
    if filter.asks_for_time() || filter.asks_for_key() {
        // What cannot be read so far is no reason to leave the item out: `write` says what is wrong with it.
        let head = serde_json::from_str::<Head<'_>>(text).ok();
        let updated = head
            .as_ref()
            .and_then(|head| head.properties.as_ref()?.updated.as_deref());
        let id = head.as_ref().and_then(|head| head.id.as_deref());
        if !filter.fits_time(updated.and_then(parse_datetime))
            || !id.is_none_or(|id| filter.fits_key(id))
        {
            return None;
        }
    }
    Some(Entry {
        item: Some(item),
        ..Entry::object(href(at, spot), None, None)
    })
}
