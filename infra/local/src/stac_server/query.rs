//! What a search asks for, from a POST body or a GET query.

use std::collections::HashMap;

use geo::Geometry;
use serde_json::{Map, Value};
use swath_core::stac::parse_datetime;
use time::OffsetDateTime;

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 1000;

/// A search, understood.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) collections: Vec<String>,
    pub(super) ids: Vec<String>,
    pub(super) interval: Option<(Option<OffsetDateTime>, Option<OffsetDateTime>)>,
    pub(super) area: Option<Geometry<f64>>,
    pub(super) limit: usize,
    pub(super) offset: usize,
}

impl Query {
    /// Reads a POST body.
    pub(super) fn from_body(body: &Map<String, Value>) -> Result<Self, String> {
        let area = match (body.get("intersects"), body.get("bbox")) {
            (Some(_), Some(_)) => return Err("intersects and bbox exclude one another".to_owned()),
            (Some(Value::Null) | None, Some(Value::Null) | None) => None,
            (Some(geometry), _) => Some(area(geometry)?),
            (None, Some(numbers)) => Some(bbox(
                &serde_json::from_value::<Vec<f64>>(numbers.clone()).map_err(text)?,
            )?),
        };
        Ok(Self {
            collections: strings(body.get("collections"))?,
            ids: strings(body.get("ids"))?,
            interval: body
                .get("datetime")
                .and_then(Value::as_str)
                .map(interval)
                .transpose()?,
            area,
            limit: match body.get("limit") {
                None => DEFAULT_LIMIT,
                Some(limit) => limit_of(limit.as_u64())?,
            },
            offset: match body.get("token") {
                None => 0,
                Some(token) => offset_of(token.as_str().unwrap_or_default())?,
            },
        })
    }

    /// Reads a GET query.
    pub(super) fn from_pairs(pairs: &HashMap<String, String>) -> Result<Self, String> {
        let list = |key: &str| -> Vec<String> {
            pairs
                .get(key)
                .map(|all| all.split(',').map(str::to_owned).collect())
                .unwrap_or_default()
        };
        let mut body = Map::new();
        for key in ["collections", "ids"] {
            body.insert(key.to_owned(), Value::from(list(key)));
        }
        for key in ["datetime", "token"] {
            if let Some(value) = pairs.get(key) {
                body.insert(key.to_owned(), Value::from(value.as_str()));
            }
        }
        if let Some(limit) = pairs.get("limit") {
            body.insert(
                "limit".to_owned(),
                Value::from(limit.parse::<u64>().map_err(text)?),
            );
        }
        if let Some(geometry) = pairs.get("intersects") {
            body.insert(
                "intersects".to_owned(),
                serde_json::from_str(geometry).map_err(text)?,
            );
        }
        if pairs.contains_key("bbox") {
            let numbers: Result<Vec<f64>, _> = list("bbox").iter().map(|n| n.parse()).collect();
            body.insert("bbox".to_owned(), Value::from(numbers.map_err(text)?));
        }
        Self::from_body(&body)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn strings(value: Option<&Value>) -> Result<Vec<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => serde_json::from_value(list.clone()).map_err(text),
    }
}

fn limit_of(limit: Option<u64>) -> Result<usize, String> {
    match limit.and_then(|limit| usize::try_from(limit).ok()) {
        Some(limit @ 1..) => Ok(limit.min(MAX_LIMIT)),
        _ => Err("limit must be a number from 1 on".to_owned()),
    }
}

fn offset_of(token: &str) -> Result<usize, String> {
    let digits = token.strip_prefix("next:").ok_or("unknown token")?;
    digits.parse().map_err(|_| "unknown token".to_owned())
}

fn area(value: &Value) -> Result<Geometry<f64>, String> {
    let geometry: geojson::Geometry = serde_json::from_value(value.clone()).map_err(text)?;
    Geometry::try_from(geometry).map_err(text)
}

fn bbox(numbers: &[f64]) -> Result<Geometry<f64>, String> {
    let ([west, south, east, north] | [west, south, _, east, north, _]) = *numbers else {
        return Err("bbox must have 4 or 6 numbers".to_owned());
    };
    if south > north {
        return Err("bbox south lies north of its north".to_owned());
    }
    let span = |west: f64, east: f64| geo::Rect::new((west, south), (east, north)).to_polygon();
    Ok(if west <= east {
        Geometry::Polygon(span(west, east))
    } else {
        Geometry::MultiPolygon(geo::MultiPolygon(vec![
            span(west, 180.0),
            span(-180.0, east),
        ]))
    })
}

fn interval(words: &str) -> Result<(Option<OffsetDateTime>, Option<OffsetDateTime>), String> {
    let bound = |word: &str| match word {
        "" | ".." => Ok(None),
        _ => parse_datetime(word)
            .map(Some)
            .ok_or_else(|| format!("{word:?} is not an RFC 3339 datetime")),
    };
    match words.split_once('/') {
        None => bound(words).map(|at| (at, at)),
        Some((begin, end)) => Ok((bound(begin)?, bound(end)?)),
    }
}
