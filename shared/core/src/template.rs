//! Names of files by a template of the user's own: `{collection}/{year}/{item_id}_{asset_name}{ext}`.
//!
//! A template is expanded in one pass: braces in an id stay text. What fields bring is escaped as in [`crate::naming`],
//! so that no id leads out of its folder.

use h3o::{LatLng, Resolution};
use time::OffsetDateTime;
use url::Url;

use crate::naming::{
    AssetName, MAX_KEY_BYTES, MAX_SEGMENT_BYTES, NO_COLLECTION, NamingError, extension, fit,
    segment,
};
use crate::{Class, Classify, digest_hex};

/// How files are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Catalog,
    Collection,
    ItemId,
    AssetName,
    Ext,
    Year,
    Month,
    Day,
    H3(Resolution),
    Hash8,
}

/// What a template may ask of an asset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Naming<'a> {
    /// The catalog it came from.
    pub catalog: &'a Url,
    /// What it is called there.
    pub name: AssetName<'a>,
    /// The item's instant.
    pub datetime: Option<OffsetDateTime>,
    /// The middle of the item: longitude and latitude, degrees.
    pub middle: Option<(f64, f64)>,
}

/// A template that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateError {
    /// A field that does not exist.
    #[error(
        "there is no field {{{field}}}: use catalog, collection, item_id, asset_name, ext, year, month, day, h3:0 to h3:15 or hash8"
    )]
    Field {
        /// Its name.
        field: String,
    },
    /// Braces that do not pair.
    #[error("a brace has no partner")]
    Braces,
    /// Something that would lead elsewhere or hide the file.
    #[error("{part:?} may not stand in a name: {reason}")]
    Part {
        /// The part between two slashes.
        part: String,
        /// Why.
        reason: &'static str,
    },
    /// Nothing tells one item or asset from another.
    #[error("all files would have one name: a template needs a field")]
    NoField,
}

impl Classify for TemplateError {
    fn class(&self) -> Class {
        Class::Invalid
    }
}

impl std::str::FromStr for NameTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        for part in text.split('/') {
            check_part(part)?;
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(open);
            let end = from.find('}').filter(|_| from.starts_with('{'));
            let end = end.ok_or(TemplateError::Braces)?;
            let name = from.get(1..end).unwrap_or_default();
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Field(field(name)?));
            rest = from.get(end + 1..).unwrap_or_default();
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let asks = |part: &Part| matches!(part, Part::Field(field) if *field != Field::Ext);
        if !parts.iter().any(asks) {
            return Err(TemplateError::NoField);
        }
        Ok(Self(parts))
    }
}

fn check_part(part: &str) -> Result<(), TemplateError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-=+@, {}:".contains(letter);
    let reason = if part.is_empty() || part == "{ext}" {
        "it may be empty"
    } else if part.starts_with('.') {
        "it begins with a dot"
    } else if part.ends_with(['.', ' ']) || part.starts_with(' ') {
        "it begins or ends with a dot or space"
    } else if !part.chars().all(plain) {
        "only letters, digits and ._-=+@, are taken"
    } else {
        return Ok(());
    };
    let part = part.to_owned();
    Err(TemplateError::Part { part, reason })
}

fn field(name: &str) -> Result<Field, TemplateError> {
    Ok(match name {
        "catalog" => Field::Catalog,
        "collection" => Field::Collection,
        "item_id" => Field::ItemId,
        "asset_name" => Field::AssetName,
        "ext" => Field::Ext,
        "year" => Field::Year,
        "month" => Field::Month,
        "day" => Field::Day,
        "hash8" => Field::Hash8,
        other => {
            let digits = other.strip_prefix("h3:");
            let resolution = digits.and_then(|digits| digits.parse::<u8>().ok());
            let resolution = resolution.and_then(|number| Resolution::try_from(number).ok());
            Field::H3(resolution.ok_or_else(|| TemplateError::Field {
                field: other.to_owned(),
            })?)
        }
    })
}

impl NameTemplate {
    /// Returns the file's key below its base.
    ///
    /// Two assets may come to one key: who names many compares them first.
    ///
    /// # Errors
    /// When an id is empty, the item lacks what a field asks for, or the key is longer than [`MAX_KEY_BYTES`].
    pub fn key(&self, asset: &Naming<'_>) -> Result<String, NamingError> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Field(field) => text.push_str(&asset.value(*field)?),
            }
        }
        let cut = |part: &str| fit(part.to_owned(), part, MAX_SEGMENT_BYTES);
        let key = match text.rsplit_once('/') {
            Some((folders, file)) => {
                let folders: Vec<String> = folders.split('/').map(cut).collect();
                format!("{}/{}", folders.join("/"), cut_file(file, asset))
            }
            None => cut_file(&text, asset),
        };
        if key.len() > MAX_KEY_BYTES {
            return Err(NamingError::TooLong { bytes: key.len() });
        }
        Ok(key)
    }
}

/// Cuts a file's name that is too long in front of its extension.
fn cut_file(file: &str, asset: &Naming<'_>) -> String {
    let extension = extension(asset.name.href, asset.name.media_type).unwrap_or_default();
    let stem = file.strip_suffix(&extension);
    let (stem, extension) = stem.map_or((file, ""), |stem| (stem, &extension));
    let room = MAX_SEGMENT_BYTES - extension.len();
    fit(stem.to_owned(), stem, room) + extension
}

impl Naming<'_> {
    /// Returns 16 hex digits that tell this asset from all others.
    pub fn digest(&self) -> String {
        let name = &self.name;
        let collection = name.collection.unwrap_or_default();
        let present = [u8::from(name.collection.is_some())];
        digest_hex(
            &[
                self.catalog.as_str().as_bytes(),
                &present,
                collection.as_bytes(),
                name.item_id.as_bytes(),
                name.asset_name.as_bytes(),
            ],
            8,
        )
    }

    fn value(&self, field: Field) -> Result<String, NamingError> {
        let name = &self.name;
        let missing = |field| move || NamingError::Missing { field };
        let date = || self.datetime.ok_or_else(missing("a datetime"));
        Ok(match field {
            Field::Catalog => {
                let host = self.catalog.host_str().unwrap_or("none");
                let path = self.catalog.path().trim_matches('/');
                segment("catalog", format!("{host}/{path}").trim_end_matches('/'))?
            }
            Field::Collection => match name.collection {
                Some(collection) => segment("collection", collection)?,
                None => NO_COLLECTION.to_owned(),
            },
            Field::ItemId => segment("item id", name.item_id)?,
            Field::AssetName => segment("asset name", name.asset_name)?,
            Field::Ext => extension(name.href, name.media_type).unwrap_or_default(),
            Field::Year => format!("{:04}", date()?.year()),
            Field::Month => format!("{:02}", u8::from(date()?.month())),
            Field::Day => format!("{:02}", date()?.day()),
            Field::H3(resolution) => {
                let (longitude, latitude) = self.middle.ok_or_else(missing("a bbox"))?;
                let middle = LatLng::new(latitude, longitude);
                let middle = middle.map_err(|_| NamingError::Missing { field: "a bbox" })?;
                middle.to_cell(resolution).to_string()
            }
            Field::Hash8 => self.digest().chars().take(8).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    fn key(template: &str, item_id: &str) -> Result<String, NamingError> {
        let catalog = Url::parse("https://h.example/v1/?token=canary").unwrap();
        let name = AssetName {
            collection: Some("s2"),
            item_id,
            asset_name: "B04",
            href: "https://h.example/x.TIF?sig=1",
            media_type: None,
        };
        let naming = Naming {
            catalog: &catalog,
            name,
            datetime: Some(datetime!(2024-06-01 12:00 UTC)),
            middle: Some((2.35, 48.85)),
        };
        template.parse::<NameTemplate>().unwrap().key(&naming)
    }

    #[test]
    fn every_field_is_filled_in() {
        let cases = [
            ("{asset_name}_{item_id}.tif", "B04_i.tif"),
            (
                "{collection}/{year}/{month}/{day}/{item_id}{ext}",
                "s2/2024/06/01/i.tif",
            ),
            ("h3={h3:1}/{item_id}", "h3=811fbffffffffff/i"),
            ("{catalog}/{item_id}", "h.example%2Fv1/i"),
        ];
        for (template, expected) in cases {
            assert_eq!(key(template, "i").unwrap(), expected);
        }
        let hashed = key("{item_id}_{hash8}{ext}", "i").unwrap();
        assert_eq!(hashed.len(), "i_12345678.tif".len());
    }

    #[test]
    fn a_template_that_leads_elsewhere_is_refused() {
        for template in [
            "",
            "/{item_id}",
            "{item_id}/",
            "../{item_id}",
            "a/../{item_id}",
            "./{item_id}",
            ".{item_id}",
            "a//{item_id}",
            "{item_id}\\x",
            "{item_id}\0",
            "{nothing}",
            "{h3:16}",
            "{item_id",
            "item_id}",
            "fixed.tif",
            "{item_id}/{ext}",
            "{{item_id}}",
        ] {
            assert!(template.parse::<NameTemplate>().is_err(), "{template:?}");
        }
    }

    /// P1.
    #[test]
    fn braces_in_an_id_stay_text_and_no_id_leads_out() {
        let found = key("{item_id}/{asset_name}", "{collection}").unwrap();
        assert_eq!(found, "%7Bcollection%7D/B04");
        let found = key("{item_id}/{asset_name}", "../..").unwrap();
        assert_eq!(found, "%2E%2E%2F%2E%2E/B04");
    }

    #[test]
    fn what_a_row_lacks_is_named() {
        let catalog = Url::parse("https://h.example/").unwrap();
        let name = AssetName {
            collection: None,
            item_id: "i",
            asset_name: "a",
            href: "",
            media_type: None,
        };
        let naming = Naming {
            catalog: &catalog,
            name,
            datetime: None,
            middle: None,
        };
        for (template, lacks) in [("{year}", "a datetime"), ("{h3:3}", "a bbox")] {
            let template: NameTemplate = template.parse().unwrap();
            assert_eq!(
                template.key(&naming),
                Err(NamingError::Missing { field: lacks })
            );
        }
    }

    proptest! {
        #[test]
        fn every_expansion_stays_below_its_folder(id in "(\\.|/|\\{|\\}|%|\\PC){1,300}") {
            let key = key("{item_id}/{asset_name}_{item_id}{ext}", &id).unwrap();
            prop_assert!(key.len() <= MAX_KEY_BYTES);
            prop_assert_eq!(key.split('/').count(), 2);
            for part in key.split('/') {
                prop_assert!(!part.is_empty() && !part.starts_with('.') && part.len() <= MAX_SEGMENT_BYTES);
            }
            prop_assert!(key.strip_suffix(".tif").is_some());
        }
    }
}
