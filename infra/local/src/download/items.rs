//! `--write-items`: the items of files that are there now, with hrefs that lead to the files.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use swath_cloud::clock::{Clock, SystemClock};
use swath_cloud::item::Finder;
use swath_cloud::retry::Policy;
use swath_core::message::DownloadAsset;
use swath_core::{chain, redact_url};
use swath_table::input::{Input, Next};
use url::Url;

use super::{AssetLine, Planned};
use crate::encode::{EncodeError, beside};
use crate::run::CommandError;

/// The extensions that a written item makes use of.
const EXTENSIONS: [&str; 2] = [
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/alternate-assets/v1.2.0/schema.json",
];
/// The name of the place that a file came from among an asset's alternates.
const ORIGIN: &str = "origin";

/// What came of writing items.
#[derive(Debug, Default)]
pub(crate) struct ItemsWritten {
    /// Items written.
    pub(crate) items: u64,
    /// Items that could not be had, and why.
    pub(crate) missing: Vec<String>,
}

/// The files of one item: what was asked for, and what came of it.
type Files<'a> = Vec<(&'a DownloadAsset, &'a AssetLine)>;

/// Writes the items of all good files, one a line, in the order of their first rows.
///
/// # Errors
/// When the given items cannot be read or the file cannot be written; an item that cannot be had is named.
pub(crate) async fn write(
    to: &Path,
    from: &[PathBuf],
    planned: &[Planned],
    settled: &[AssetLine],
) -> Result<ItemsWritten, CommandError> {
    let mut of_items: BTreeMap<usize, Files<'_>> = BTreeMap::new();
    let mut first_of = HashMap::new();
    let mut settled: Vec<&AssetLine> = settled.iter().filter(|line| line.good).collect();
    settled.sort_unstable_by_key(|line| line.number);
    for line in settled {
        if let Some(one) = planned.get(line.number) {
            let key = key_of(&one.asked);
            let first = *first_of.entry(key).or_insert(line.number);
            of_items.entry(first).or_default().push((&one.asked, line));
        }
    }
    let given = read(from, |id| {
        first_of.keys().any(|(_, _, wanted)| *wanted == id)
    })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let finder = Finder::new(Arc::clone(&clock));
    let finder = finder.map_err(|error| CommandError::Http(Box::new(error)))?;
    let (mut written, mut text) = (ItemsWritten::default(), Vec::new());
    for files in of_items.values() {
        let Some((asked, _)) = files.first() else {
            continue;
        };
        match item_of(asked, &given, &finder, clock.as_ref()).await {
            Ok((mut item, base)) => {
                localize(&mut item, base.as_ref(), files);
                written.items += 1;
                text.extend(Value::Object(item).to_string().into_bytes());
                text.push(b'\n');
            }
            Err(reason) => written
                .missing
                .push(format!("item {:?}: {reason}", asked.item_id)),
        }
    }
    put(to, &text).map_err(|source| CommandError::Write {
        path: to.to_owned(),
        source,
    })?;
    Ok(written)
}

fn key_of(asked: &DownloadAsset) -> (&str, Option<&str>, &str) {
    let catalog = asked.job.catalog.as_str();
    (catalog, asked.collection.as_deref(), &asked.item_id)
}

fn put(to: &Path, text: &[u8]) -> std::io::Result<()> {
    let partial = beside(to);
    let mut file = std::fs::File::create(&partial)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&partial, to)
}

/// Reads the items whose ids are wanted.
fn read(
    from: &[PathBuf],
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Map<String, Value>>, CommandError> {
    let failed = |error| CommandError::Encode(EncodeError::from(error));
    let (mut items, mut text) = (Vec::new(), Vec::new());
    for path in from {
        let mut input = Input::open(path).map_err(failed)?;
        loop {
            text.clear();
            match input.next(&mut text).map_err(failed)? {
                Next::End => break,
                Next::Text(_) => {
                    let item = serde_json::from_slice::<Map<String, Value>>(&text).ok();
                    let id = |item: &Map<String, Value>| {
                        item.get("id").and_then(Value::as_str).is_some_and(&wanted)
                    };
                    items.extend(item.filter(id));
                }
                // Whatever is no item is not the one wanted either: that one is named as missing.
                Next::TooLong(_) | Next::Broken(..) => {}
            }
        }
    }
    Ok(items)
}

/// Returns the item as given, else as its catalog has it, and what its relative hrefs are relative to.
async fn item_of(
    asked: &DownloadAsset,
    given: &[Map<String, Value>],
    finder: &Finder,
    clock: &dyn Clock,
) -> Result<(Map<String, Value>, Option<Url>), String> {
    let same = |item: &&Map<String, Value>| {
        let text = |name| item.get(name).and_then(Value::as_str);
        let collection = asked.collection.as_deref();
        text("id") == Some(&asked.item_id)
            && (collection.is_none() || text("collection") == collection)
    };
    if let Some(item) = given.iter().find(same) {
        return Ok((item.clone(), None));
    }
    let found = Policy::default().run(clock, |_| finder.item(asked)).await;
    let found = found.map_err(|error| chain(&error))?;
    let item = serde_json::from_str(found.text.get()).map_err(|error| error.to_string())?;
    Ok((item, Some(found.base)))
}

/// Lets the assets lead to their files, and says where they came from; the others stay, made absolute.
fn localize(item: &mut Map<String, Value>, base: Option<&Url>, files: &Files<'_>) {
    let assets = item.get_mut("assets").and_then(Value::as_object_mut);
    for (name, asset) in assets.into_iter().flatten() {
        let Some(asset) = asset.as_object_mut() else {
            continue;
        };
        let href = asset.get("href").and_then(Value::as_str);
        let absolute = href.and_then(|href| match (Url::parse(href), base) {
            (Ok(href), _) => Some(href),
            (Err(_), Some(base)) => base.join(href).ok(),
            (Err(_), None) => None,
        });
        let file = files.iter().find(|(asked, _)| asked.asset_name == *name);
        match file {
            Some((asked, line)) => {
                let origin = absolute.or_else(|| Url::parse(&asked.href).ok());
                lead_to(asset, origin.as_ref(), line);
            }
            None => {
                if let Some(href) = absolute {
                    asset.insert("href".to_owned(), json!(href.as_str()));
                }
            }
        }
    }
    let used = item.entry("stac_extensions").or_insert_with(|| json!([]));
    if let Some(used) = used.as_array_mut() {
        for extension in EXTENSIONS {
            let family = extension.split("/v").next().unwrap_or(extension);
            let there = |value: &Value| value.as_str().is_some_and(|text| text.starts_with(family));
            if !used.iter().any(there) {
                used.push(json!(extension));
            }
        }
    }
}

fn lead_to(asset: &mut Map<String, Value>, origin: Option<&Url>, line: &AssetLine) {
    if let Some(origin) = origin {
        let alternate = asset.entry("alternate").or_insert_with(|| json!({}));
        if let Some(alternate) = alternate.as_object_mut() {
            // Signatures are no part of a place.
            alternate.insert(ORIGIN.to_owned(), json!({"href": redact_url(origin)}));
        }
    }
    if let Some(path) = &line.path {
        asset.insert("href".to_owned(), json!(path));
    }
    if let Some(size) = line.size_bytes {
        asset.insert("file:size".to_owned(), json!(size));
    }
    if let Some(sha256) = &line.sha256 {
        // A multihash: SHA-256, 32 bytes.
        asset.insert("file:checksum".to_owned(), json!(format!("1220{sha256}")));
    }
}
