//! Items in memory, found by place and time.

use std::collections::BTreeMap;

use geo::{Geometry, Intersects as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use swath_core::stac::parse_datetime;
use time::OffsetDateTime;

use super::query::Query;

/// Items and their collections, in the order they were given.
#[derive(Debug, Default)]
pub struct Index {
    entries: Vec<Entry>,
    collections: BTreeMap<String, Value>,
}

#[derive(Debug)]
struct Entry {
    text: String,
    id: String,
    collection: Option<String>,
    geometry: Option<Geometry<f64>>,
    interval: Option<(OffsetDateTime, OffsetDateTime)>,
}

/// An item that cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The text is not an item.
    #[error("not an item")]
    Item(#[source] serde_json::Error),
    /// The geometry is not GeoJSON.
    #[error("the geometry of item {id} is not GeoJSON")]
    Geometry {
        /// The item's id.
        id: String,
        /// What is wrong with it.
        source: Box<geojson::Error>,
    },
}

#[derive(Deserialize)]
struct Head<'a> {
    id: String,
    #[serde(default)]
    collection: Option<String>,
    #[serde(borrow, default)]
    geometry: Option<&'a RawValue>,
    #[serde(default)]
    properties: Option<Map<String, Value>>,
}

/// One page of matches.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) items: Vec<&'a str>,
    pub(super) matched: usize,
    pub(super) next: Option<usize>,
}

impl Index {
    /// Takes an item as JSON text; it is served byte for byte.
    ///
    /// # Errors
    /// When the text is not an item with a GeoJSON geometry.
    pub fn add(&mut self, text: String) -> Result<(), IndexError> {
        let head: Head<'_> = serde_json::from_str(&text).map_err(IndexError::Item)?;
        let geometry = match head.geometry.filter(|raw| raw.get() != "null") {
            None => None,
            Some(raw) => Some(geometry(&head.id, raw.get())?),
        };
        let interval = head.properties.as_ref().and_then(interval);
        let (id, collection) = (head.id, head.collection);
        if let Some(id) = &collection {
            self.collections
                .entry(id.clone())
                .or_insert_with(|| minimal_collection(id));
        }
        self.entries.push(Entry {
            text,
            id,
            collection,
            geometry,
            interval,
        });
        Ok(())
    }

    /// Returns how many items are served.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn collections(&self) -> impl Iterator<Item = &Value> {
        self.collections.values()
    }

    pub(super) fn collection(&self, id: &str) -> Option<&Value> {
        self.collections.get(id)
    }

    pub(super) fn search(&self, query: &Query) -> Page<'_> {
        let hits: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.matches(query))
            .collect();
        let end = hits.len().min(query.offset.saturating_add(query.limit));
        Page {
            items: hits
                .iter()
                .take(end)
                .skip(query.offset)
                .map(|entry| entry.text.as_str())
                .collect(),
            matched: hits.len(),
            next: (end < hits.len()).then_some(end),
        }
    }
}

impl Entry {
    fn matches(&self, query: &Query) -> bool {
        let collection_fits = query.collections.is_empty()
            || self
                .collection
                .as_ref()
                .is_some_and(|id| query.collections.contains(id));
        let id_fits = query.ids.is_empty() || query.ids.contains(&self.id);
        let time_fits = query.interval.is_none_or(|(begin, end)| {
            self.interval.is_some_and(|(first, last)| {
                begin.is_none_or(|begin| last >= begin) && end.is_none_or(|end| first <= end)
            })
        });
        let place_fits = query.area.as_ref().is_none_or(|area| {
            self.geometry
                .as_ref()
                .is_some_and(|own| own.intersects(area))
        });
        collection_fits && id_fits && time_fits && place_fits
    }
}

fn geometry(id: &str, text: &str) -> Result<Geometry<f64>, IndexError> {
    let failed = |source: geojson::Error| IndexError::Geometry {
        id: id.to_owned(),
        source: Box::new(source),
    };
    let parsed: geojson::Geometry = text.parse().map_err(failed)?;
    Geometry::try_from(parsed).map_err(failed)
}

fn interval(properties: &Map<String, Value>) -> Option<(OffsetDateTime, OffsetDateTime)> {
    let instant = |key: &str| {
        properties
            .get(key)
            .and_then(Value::as_str)
            .and_then(parse_datetime)
    };
    let at = instant("datetime");
    let begin = instant("start_datetime").or(at)?;
    let end = instant("end_datetime").or(at)?;
    Some((begin, end))
}

fn minimal_collection(id: &str) -> Value {
    json!({
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": id,
        "description": format!("Items of {id}"),
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
            "temporal": {"interval": [[null, null]]}
        },
        "links": []
    })
}
