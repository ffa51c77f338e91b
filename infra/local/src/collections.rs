//! `swath collections`: the STAC Collections that a lake keeps, and their versions.

use clap::Args;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use swath_cloud::collections::{Kept, all, one};
use swath_cloud::store;

use crate::exit::Exit;
use crate::ingest::IngestCommandError;
use crate::run::{CommandError, print_json, print_text};

/// The arguments of `swath collections`.
#[derive(Debug, Args)]
pub(crate) struct CollectionsArgs {
    /// The lake: a folder, or `s3://bucket/prefix`.
    #[arg(value_name = "LAKE")]
    lake: String,
    /// The one to show whole, as it came last, with its versions.
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Show this version, by its name or the first letters of it.
    #[arg(long, value_name = "VERSION", requires = "id")]
    version: Option<String>,
    /// One JSON object a collection.
    #[arg(long)]
    json: bool,
}

/// Runs `swath collections`. Exit code 5: the lake keeps none, or not that one.
pub(crate) async fn command(arguments: &CollectionsArgs) -> Result<Exit, CommandError> {
    let failed = |error| CommandError::Ingest(Box::new(IngestCommandError::Lake(error)));
    let lake = store::open_existing(&arguments.lake).map_err(failed)?;
    let Some(id) = &arguments.id else {
        let kept = all(&lake).await.map_err(failed)?;
        for kept in &kept {
            line(kept, arguments.json);
        }
        return Ok(exit(!kept.is_empty()));
    };
    let Some(mut kept) = one(&lake, id).await.map_err(failed)? else {
        return Ok(Exit::Empty);
    };
    if let Some(wanted) = &arguments.version {
        let mut versions = kept.versions.iter();
        let Some(found) = versions.find(|version| version.version.starts_with(wanted)) else {
            return Ok(Exit::Empty);
        };
        let bytes = lake.get(&found.at).await.map_err(failed)?;
        let Ok(document) = serde_json::from_slice(&bytes) else {
            return Ok(Exit::Empty);
        };
        kept.document = document;
    }
    whole(&kept, arguments.json);
    Ok(Exit::Done)
}

fn exit(is_any: bool) -> Exit {
    if is_any { Exit::Done } else { Exit::Empty }
}

fn line(kept: &Kept, as_json: bool) {
    let document = parsed(&kept.document);
    let text = |name| document.get(name).and_then(Value::as_str);
    let last = kept.versions.last();
    if as_json {
        print_json(&json!({
            "id": kept.id,
            "title": text("title"),
            "license": text("license"),
            "versions": kept.versions,
        }));
        return;
    }
    let (count, title) = (kept.versions.len(), text("title").unwrap_or_default());
    let day = last.map(|version| version.kept.date().to_string());
    let (day, license) = (day.unwrap_or_default(), text("license").unwrap_or("?"));
    let versions = if count == 1 { "version " } else { "versions" };
    print_text(&format!(
        "{:<40} {count:>4} {versions} {day}  {license:<16} {title}\n",
        kept.id
    ));
}

fn whole(kept: &Kept, as_json: bool) {
    if as_json {
        let (id, versions) = (&kept.id, &kept.versions);
        let document = &kept.document;
        print_json(&Whole {
            id,
            versions,
            collection: document,
        });
        return;
    }
    print_text(&format!("{:#}\n", parsed(&kept.document)));
    for version in &kept.versions {
        let (name, kept, at) = (&version.version, version.kept, &version.at);
        print_text(&format!("version {name}  kept {kept}  {at}\n"));
    }
}

/// A collection as it came, to the letter.
#[derive(serde::Serialize)]
struct Whole<'a> {
    id: &'a str,
    versions: &'a [swath_cloud::collections::Version],
    collection: &'a RawValue,
}

fn parsed(document: &RawValue) -> Value {
    serde_json::from_str(document.get()).unwrap_or_default()
}
