//! STAC items as search and download see them: <https://github.com/radiantearth/stac-spec>, versions 0.9 to 1.1.

use serde::Deserialize;
use serde_json::value::RawValue;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime};

/// The members of an item that say what it is, where and when it was taken and which files it has; read once, as written where
/// they are only passed on.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// Unique within the collection.
    pub id: String,
    /// The collection's id.
    pub collection: Option<String>,
    /// West, south, east, north, degrees; heights are left out.
    pub bbox: Option<[f64; 4]>,
    /// Where it was taken.
    pub geometry: Option<&'a RawValue>,
    /// All properties.
    pub properties: Option<&'a RawValue>,
    /// The properties that say when it was taken.
    pub taken: Taken,
    /// Its links.
    pub links: Option<&'a RawValue>,
    /// Assets in the item's own order.
    pub assets: Vec<Asset>,
}

/// When an item was taken, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// `datetime`: the instant, or one that stands for the interval.
    pub datetime: Option<String>,
    /// `start_datetime`: the interval's begin.
    pub start: Option<String>,
    /// `end_datetime`: the interval's end.
    pub end: Option<String>,
}

/// One file of an item.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Its key in `assets`.
    pub key: String,
    /// Where it lies, as written.
    pub href: String,
    /// Its media type.
    pub media_type: Option<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// `file:size`, bytes.
    pub size_bytes: Option<u64>,
    /// `file:checksum`, a multihash in hex.
    pub checksum: Option<String>,
    /// Where else it lies, as written (extension `alternate`): what anyone can fetch first, else in the asset's own order.
    pub alternates: Vec<String>,
}

/// JSON that is not an item.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// A member is missing or of the wrong type.
    #[error("not a STAC item")]
    Malformed(#[source] serde_json::Error),
    /// Something else that is GeoJSON or STAC.
    #[error("an object of type {0:?} is not a STAC item")]
    OtherType(String),
}

#[derive(Deserialize)]
struct RawItem<'a> {
    r#type: String,
    id: String,
    #[serde(default)]
    collection: Option<String>,
    #[serde(default)]
    bbox: Option<Vec<f64>>,
    #[serde(borrow, default)]
    geometry: Option<&'a RawValue>,
    #[serde(borrow, default)]
    properties: Option<&'a RawValue>,
    #[serde(borrow, default)]
    links: Option<&'a RawValue>,
    #[serde(borrow, default)]
    assets: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawAsset {
    href: String,
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    roles: Option<Vec<String>>,
    #[serde(default, rename = "file:size")]
    size: Option<u64>,
    #[serde(default, rename = "file:checksum")]
    checksum: Option<String>,
    #[serde(default, deserialize_with = "alternates")]
    alternate: Vec<String>,
}

#[derive(Deserialize)]
struct RawAlternate {
    #[serde(default)]
    href: Option<String>,
}

impl<'a> Item<'a> {
    /// Reads an item.
    ///
    /// # Errors
    /// When the text is not a STAC item: no `id`, another `type`, an asset without `href`.
    pub fn parse(text: &'a str) -> Result<Self, ItemError> {
        let raw: RawItem<'_> = serde_json::from_str(text).map_err(ItemError::Malformed)?;
        if raw.r#type != "Feature" {
            return Err(ItemError::OtherType(raw.r#type));
        }
        Ok(Self {
            id: raw.id,
            collection: raw.collection,
            bbox: raw.bbox.as_deref().and_then(flat_bbox),
            geometry: raw.geometry,
            taken: taken(raw.properties)?,
            properties: raw.properties,
            links: raw.links,
            assets: assets(raw.assets)?,
        })
    }
}

/// Reads the members of an object that may be missing.
fn members<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
) -> Result<Vec<(String, T)>, ItemError> {
    let Some(raw) = raw else {
        return Ok(Vec::new());
    };
    let members: Ordered<T> = serde_json::from_str(raw.get()).map_err(ItemError::Malformed)?;
    Ok(members.0)
}

fn taken(properties: Option<&RawValue>) -> Result<Taken, ItemError> {
    let mut taken = Taken::default();
    for (name, value) in members::<&RawValue>(properties)? {
        let place = match name.as_str() {
            "datetime" => &mut taken.datetime,
            "start_datetime" => &mut taken.start,
            "end_datetime" => &mut taken.end,
            _ => continue,
        };
        *place = serde_json::from_str(value.get()).ok();
    }
    Ok(taken)
}

fn assets(raw: Option<&RawValue>) -> Result<Vec<Asset>, ItemError> {
    Ok(members::<RawAsset>(raw)?
        .into_iter()
        .map(|(key, asset)| Asset {
            key,
            href: asset.href,
            media_type: asset.r#type,
            roles: asset.roles.unwrap_or_default(),
            size_bytes: asset.size,
            checksum: asset.checksum,
            alternates: asset.alternate,
        })
        .collect())
}

/// Reads alternates; what is none does not spoil its asset.
fn alternates<'de, D: serde::Deserializer<'de>>(raw: D) -> Result<Vec<String>, D::Error> {
    let Some(raw) = Option::<Box<RawValue>>::deserialize(raw)? else {
        return Ok(Vec::new());
    };
    let members: Ordered<Box<RawValue>> =
        serde_json::from_str(raw.get()).unwrap_or(Ordered(Vec::new()));
    let hrefs = members.0.iter().filter_map(|(_, alternate)| {
        let alternate: RawAlternate = serde_json::from_str(alternate.get()).ok()?;
        alternate.href
    });
    let mut hrefs: Vec<String> = hrefs.collect();
    hrefs.sort_by_key(|href| rank(href));
    Ok(hrefs)
}

/// Orders hrefs by who can fetch them: anyone, whoever has an account of a cloud, nobody that we know of.
fn rank(href: &str) -> u8 {
    match href.split_once("://").map(|(scheme, _)| scheme) {
        Some("https") => 0,
        Some("http") | None => 1,
        Some("s3") => 2,
        Some("gs" | "az" | "abfs" | "abfss" | "adl") => 3,
        Some(_) => 4,
    }
}

/// A JSON object's members in their own order; `null` has none.
struct Ordered<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Members<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E>(self) -> Result<Ordered<T>, E> {
                Ok(Ordered(Vec::new()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Ordered<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Ordered(pairs))
            }
        }
        deserializer.deserialize_any(Members(std::marker::PhantomData))
    }
}

/// Drops the heights of a 3-D bbox; other lengths than 4 and 6 are no bbox.
pub(crate) fn flat_bbox(numbers: &[f64]) -> Option<[f64; 4]> {
    match *numbers {
        [west, south, east, north] | [west, south, _, east, north, _] => {
            Some([west, south, east, north])
        }
        _ => None,
    }
}

/// Reads an RFC 3339 date and time, in UTC; a missing offset means UTC, a space may stand for the `T`.
pub fn parse_datetime(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    if let Ok(instant) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(instant.to_offset(time::UtcOffset::UTC));
    }
    let with_t = text.replacen(' ', "T", 1);
    if let Ok(instant) = OffsetDateTime::parse(&with_t, &Rfc3339) {
        return Some(instant.to_offset(time::UtcOffset::UTC));
    }
    let iso = time::format_description::well_known::Iso8601::PARSING;
    PrimitiveDateTime::parse(&with_t, &iso)
        .ok()
        .map(PrimitiveDateTime::assume_utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_keep_the_order_of_the_item() {
        let item = Item::parse(
            r#"{"type":"Feature","id":"i","geometry":null,"properties":{"datetime":null},"bbox":[0,1,2,3,4,5],
               "assets":{"z":{"href":"a"},"a":{"href":"b","type":"image/tiff","roles":["data"],"file:size":3}}}"#,
        )
        .unwrap();
        let keys: Vec<_> = item.assets.iter().map(|a| a.key.as_str()).collect();
        assert_eq!(keys, ["z", "a"]);
        assert_eq!(item.assets[1].size_bytes, Some(3));
        assert_eq!(item.bbox, Some([0.0, 1.0, 3.0, 4.0]));
    }

    #[test]
    fn alternates_are_ranked_by_who_can_fetch_them() {
        let item = Item::parse(
            r#"{"type":"Feature","id":"i","assets":{
               "a":{"href":"a","alternate":{"tape":{"href":"tape://9"},"s3":{"href":"s3://b/a"},"blob":{"href":"abfs://c/a"},
                    "mirror":{"href":"https://m.example/a"},"here":{"href":"../a"},"none":{"title":"x"},"odd":7}},
               "b":{"href":"b","alternate":null},"c":{"href":"c","alternate":["https://x.example"]}}}"#,
        )
        .unwrap();
        let found = &item.assets[0].alternates;
        assert_eq!(
            found,
            &[
                "https://m.example/a",
                "../a",
                "s3://b/a",
                "abfs://c/a",
                "tape://9"
            ]
        );
        assert!(
            item.assets[1..]
                .iter()
                .all(|asset| asset.alternates.is_empty())
        );
    }

    #[test]
    fn a_collection_is_not_an_item() {
        let error = Item::parse(r#"{"type":"Collection","id":"c"}"#).unwrap_err();
        assert!(matches!(error, ItemError::OtherType(kind) if kind == "Collection"));
    }

    #[test]
    fn datetimes_are_read_in_every_spelling_that_catalogs_use() {
        let noon = parse_datetime("2024-06-01T12:00:00Z").unwrap();
        for text in [
            "2024-06-01T12:00:00.000Z",
            "2024-06-01T14:00:00+02:00",
            "2024-06-01 12:00:00Z",
            "2024-06-01 12:00:00+00:00",
            "2024-06-01T12:00:00",
        ] {
            assert_eq!(parse_datetime(text), Some(noon), "{text}");
        }
        assert_eq!(parse_datetime(".."), None);
        assert_eq!(parse_datetime("soon"), None);
    }
}
