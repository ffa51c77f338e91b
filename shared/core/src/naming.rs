//! Where an asset's file lies: ids written by others become keys that stay below their folder and never meet.
//!
//! A key is `{collection}/{item_id}/{asset_name}{extension}`. Each field is escaped once, by itself: ASCII letters, digits,
//! `.`, `_` and `-` stay, every other byte becomes `%` and two hex digits. So do leading and trailing dots and the first
//! letter of names that Windows keeps for devices. `@` is never written by the escape; it marks what is not a field's
//! own text: a missing collection, and a name cut to the length that file systems take.
//!
//! On a file system that does not tell capitals from small letters, names that differ by case alone share a file.

use url::Url;

use crate::{Class, Classify, digest_hex};

/// Bytes that one segment of a key may have: what file systems take.
pub const MAX_SEGMENT_BYTES: usize = 255;
/// Bytes that a whole key may have: what S3 takes.
pub const MAX_KEY_BYTES: usize = 1024;
/// The segment that stands for an item without a collection.
pub const NO_COLLECTION: &str = "@none";

/// Hex digits of the digest that ends a cut name.
const CUT_DIGITS: usize = 32;
/// Characters of an extension, the dot left out.
const MAX_EXTENSION: usize = 8;

/// A name of which no key can be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamingError {
    /// An id with no character at all.
    #[error("{field} is empty: no file can be named after it")]
    Empty {
        /// The field: `collection`, `item id` or `asset name`.
        field: &'static str,
    },
    /// A name that asks for something which the item does not have.
    #[error("the name asks for {field}, which the item does not have")]
    Missing {
        /// What.
        field: &'static str,
    },
    /// A name that no store takes.
    #[error("the name is {bytes} bytes long, the limit is {MAX_KEY_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl Classify for NamingError {
    fn class(&self) -> Class {
        Class::Invalid
    }
}

/// What an asset is called in its catalog, as far as its file's name goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetName<'a> {
    /// The item's collection.
    pub collection: Option<&'a str>,
    /// The item's id.
    pub item_id: &'a str,
    /// The asset's key in the item.
    pub asset_name: &'a str,
    /// Where the asset lies; its path's ending is the file's.
    pub href: &'a str,
    /// The asset's media type, asked when the href has no ending.
    pub media_type: Option<&'a str>,
}

impl AssetName<'_> {
    /// Returns the file's key below its base, at most [`MAX_KEY_BYTES`] bytes of ASCII.
    ///
    /// Two assets have one key only when all of collection, item id, asset name and extension are the same.
    ///
    /// # Errors
    /// When one of the ids is empty.
    pub fn key(&self) -> Result<String, NamingError> {
        let collection = match self.collection {
            Some(collection) => segment("collection", collection)?,
            None => NO_COLLECTION.to_owned(),
        };
        let item = segment("item id", self.item_id)?;
        let file = file_name(self.asset_name, extension(self.href, self.media_type))?;
        Ok(format!("{collection}/{item}/{file}"))
    }
}

/// Escapes one id into one segment of a key; [`decode`] gives the id back unless it had to be cut.
///
/// # Errors
/// When the id is empty.
pub fn segment(field: &'static str, id: &str) -> Result<String, NamingError> {
    if id.is_empty() {
        return Err(NamingError::Empty { field });
    }
    Ok(fit(encode(id), id, MAX_SEGMENT_BYTES))
}

/// Returns the id that a segment was made of; nothing for text that [`segment`] does not write, or that it had to cut.
pub fn decode(segment: &str) -> Option<String> {
    let mut bytes = segment.bytes();
    let mut id = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = hex_value(bytes.next()?)?;
                id.push(high << 4 | hex_value(bytes.next()?)?);
            }
            _ if stays(byte) => id.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(id).ok().filter(|id| !id.is_empty())
}

fn file_name(asset_name: &str, extension: Option<String>) -> Result<String, NamingError> {
    if asset_name.is_empty() {
        return Err(NamingError::Empty {
            field: "asset name",
        });
    }
    let encoded = encode(asset_name);
    let Some(extension) = extension else {
        // Without an extension of its own a dot in the name would read as one: `a.tif` is not `a` plus `.tif`.
        let encoded = encoded.replace('.', "%2E");
        return Ok(fit(encoded, asset_name, MAX_SEGMENT_BYTES));
    };
    let room = MAX_SEGMENT_BYTES - extension.len();
    Ok(fit(encoded, asset_name, room) + &extension)
}

/// Returns the ending of the href's path in lower case, else the one that goes with the media type; with its dot.
pub fn extension(href: &str, media_type: Option<&str>) -> Option<String> {
    let path = match Url::parse(href) {
        Ok(url) => url.path().to_owned(),
        Err(_) => href.split(['?', '#']).next().unwrap_or_default().to_owned(),
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    if let Some(ending) = ending.filter(|ending| is_extension(ending)) {
        return Some(format!(".{}", ending.to_ascii_lowercase()));
    }
    media_type.and_then(of_media_type).map(str::to_owned)
}

/// Tells `tif` from the `0` of `v1.0`.
fn is_extension(ending: &str) -> bool {
    ending.len() <= MAX_EXTENSION
        && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && ending.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn of_media_type(media_type: &str) -> Option<&'static str> {
    let essence = media_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    Some(match essence.as_str() {
        "image/tiff" | "image/x.geotiff" | "image/geotiff" | "image/vnd.stac.geotiff" => ".tif",
        "image/jp2" | "image/jpeg2000" | "image/jpx" => ".jp2",
        "image/png" => ".png",
        "image/jpeg" | "image/jpg" => ".jpg",
        "image/webp" => ".webp",
        "image/gif" => ".gif",
        "application/json" | "application/schema+json" => ".json",
        "application/geo+json" => ".geojson",
        "application/xml" | "text/xml" => ".xml",
        "application/gml+xml" => ".gml",
        "text/html" => ".html",
        "text/plain" => ".txt",
        "text/csv" => ".csv",
        "application/pdf" => ".pdf",
        "application/zip" => ".zip",
        "application/gzip" | "application/x-gzip" => ".gz",
        "application/x-tar" => ".tar",
        "application/x-hdf5" | "application/x-hdf" | "application/hdf5" => ".h5",
        "application/netcdf" | "application/x-netcdf" => ".nc",
        "application/geopackage+sqlite3" => ".gpkg",
        "application/vnd.apache.parquet" | "application/x-parquet" => ".parquet",
        "application/vnd.laszip+copc" | "application/vnd.laszip" => ".laz",
        "application/vnd.flatgeobuf" => ".fgb",
        _ => return None,
    })
}

fn stays(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn encode(id: &str) -> String {
    let leading = id.bytes().take_while(|&byte| byte == b'.').count();
    let trailing = id.trim_end_matches('.').len();
    let device = is_device(id);
    let mut encoded = String::with_capacity(id.len());
    for (place, byte) in id.bytes().enumerate() {
        let edge = place < leading || place >= trailing || (place == 0 && device);
        if stays(byte) && !edge {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(hex_digit(byte >> 4));
            encoded.push(hex_digit(byte & 15));
        }
    }
    encoded
}

/// Tells names that Windows gives to devices, whatever follows their first dot.
fn is_device(id: &str) -> bool {
    let stem = id.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches(' ').to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") {
        return true;
    }
    let port = stem
        .strip_prefix("COM")
        .or_else(|| stem.strip_prefix("LPT"));
    port.is_some_and(|port| port.len() == 1 && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Cuts an escaped name that is too long and ends it with a digest of the whole id.
pub(crate) fn fit(encoded: String, id: &str, room: usize) -> String {
    if encoded.len() <= room {
        return encoded;
    }
    let mut kept = room - CUT_DIGITS - 1;
    // Not through the middle of an escape, which is at most two bytes back.
    let bytes = encoded.as_bytes();
    if let Some(back) = (1..=2).find(|back| bytes.get(kept - back) == Some(&b'%')) {
        kept -= back;
    }
    let head = encoded.get(..kept).unwrap_or_default();
    format!("{head}@{}", digest_hex(&[id.as_bytes()], CUT_DIGITS / 2))
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16)
        .unwrap_or('0')
        .to_ascii_uppercase()
}

/// Reads one hex digit as [`encode`] writes it, so that every id has one spelling.
fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn name<'a>(item_id: &'a str, asset_name: &'a str, href: &'a str) -> AssetName<'a> {
        AssetName {
            collection: Some("c"),
            item_id,
            asset_name,
            href,
            media_type: None,
        }
    }

    fn lands_below_its_folder(key: &str) -> bool {
        key.len() <= MAX_KEY_BYTES
            && key.split('/').count() == 3
            && key.split('/').all(|part| {
                !part.is_empty()
                    && !part.starts_with('.')
                    && !part.ends_with('.')
                    && part.len() <= MAX_SEGMENT_BYTES
                    && part
                        .bytes()
                        .all(|byte| stays(byte) || matches!(byte, b'%' | b'@'))
            })
    }

    #[test]
    fn plain_ids_stay_readable() {
        let key = name(
            "S2A_31TCJ_20240601_0_L2A",
            "B04",
            "https://h.example/a/B04.tif",
        )
        .key();
        assert_eq!(key.unwrap(), "c/S2A_31TCJ_20240601_0_L2A/B04.tif");
    }

    /// P1.
    #[test]
    fn hostile_ids_land_below_their_folder() {
        let long = "x".repeat(2000);
        for id in [
            "../../x",
            "..",
            ".",
            "...",
            "a/b",
            "a%2Fb",
            "%2e%2e",
            "\\",
            "a\0b",
            "a\r\nb",
            "{collection}",
            "x=1/y=2",
            &long,
            "\u{202e}fit",
            "e\u{301}",
            "\u{e9}",
            "CON",
            "con.tif",
            "COM1",
            "a ",
            "a.",
            " ",
            "C:\\x",
            "~",
            "@none",
            "-rf",
            "17/031331303020/10300100DB064000",
        ] {
            let named = AssetName {
                collection: Some(id),
                ..name(id, id, "https://h.example/f.tif")
            };
            let key = named.key().unwrap();
            assert!(lands_below_its_folder(&key), "{id:?} became {key:?}");
            assert!(
                !key.starts_with("CON/") && !key.starts_with("con."),
                "{key}"
            );
        }
        println!("P1 27 hostile ids: expected all below the prefix, got all below the prefix");
    }

    #[test]
    fn a_template_in_an_id_stays_literal() {
        let key = name("{collection}", "{item_id}", "https://h.example/f.tif").key();
        assert_eq!(key.unwrap(), "c/%7Bcollection%7D/%7Bitem_id%7D.tif");
    }

    #[test]
    fn an_empty_id_is_refused_by_name() {
        let error = name("", "a", "https://h.example/").key().unwrap_err();
        assert_eq!(error, NamingError::Empty { field: "item id" });
        let error = name("i", "", "https://h.example/").key().unwrap_err();
        assert_eq!(
            error.to_string(),
            "asset name is empty: no file can be named after it"
        );
        assert_eq!(error.class(), Class::Invalid);
    }

    #[test]
    fn a_missing_collection_meets_no_collection_of_that_name() {
        let with = |collection| AssetName {
            collection,
            ..name("i", "a", "https://h.example/f.tif")
        };
        assert_eq!(with(None).key().unwrap(), "@none/i/a.tif");
        assert_eq!(with(Some("@none")).key().unwrap(), "%40none/i/a.tif");
    }

    #[test]
    fn the_extension_is_the_hrefs_own_else_the_media_types() {
        let cases = [
            ("https://h.example/a/B04.TIF?sig=x.y", None, Some(".tif")),
            (
                "https://h.example/v1.0/download",
                Some("image/tiff; application=geotiff"),
                Some(".tif"),
            ),
            (
                "https://h.example/product_v1.0",
                Some("image/jp2"),
                Some(".jp2"),
            ),
            ("s3://bucket/tiles/B04.jp2", None, Some(".jp2")),
            ("relative/x.png#part", None, Some(".png")),
            (
                "https://h.example/a",
                Some("application/octet-stream"),
                None,
            ),
            ("https://h.example/.hidden%2Fname", None, None),
            ("https://h.example/S2A.SAFE/", None, None),
        ];
        for (href, media_type, expected) in cases {
            assert_eq!(extension(href, media_type).as_deref(), expected, "{href}");
        }
    }

    #[test]
    fn a_dot_in_a_name_is_not_taken_for_an_extension() {
        let with = name("i", "a", "https://h.example/f.tif").key().unwrap();
        let without = name("i", "a.tif", "https://h.example/f").key().unwrap();
        assert_eq!(
            (with.as_str(), without.as_str()),
            ("c/i/a.tif", "c/i/a%2Etif")
        );
    }

    #[test]
    fn a_cut_name_keeps_its_extension_and_its_difference() {
        let (one, two) = ("\u{e9}".repeat(300) + "1", "\u{e9}".repeat(300) + "2");
        let key = |id: &str| name("i", id, "https://h.example/f.tif").key().unwrap();
        assert_ne!(key(&one), key(&two));
        let file = key(&one).rsplit('/').next().unwrap().to_owned();
        assert!(
            file.len() <= MAX_SEGMENT_BYTES && file.strip_suffix(".tif").is_some(),
            "{file}"
        );
        let (head, _) = file.split_once('@').unwrap();
        assert!(decode(head).is_some(), "cut through an escape: {head}");
    }

    fn id() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~]{1,12}",
            r"(\.|/|%|@|%2E|%2F|CON|nul|a|\\){1,6}",
            any::<String>().prop_filter("not empty", |text| !text.is_empty()),
            "[a-z\u{e9}]{200,300}",
        ]
    }

    /// P2: a hundred thousand ids of the letters that escapes are made of, each with a key of its own.
    #[test]
    fn no_two_of_many_ids_share_a_segment() {
        const LETTERS: [char; 16] = [
            '.', '%', '2', 'E', 'e', 'F', '/', '\\', '@', 'a', 'A', ' ', '\u{e9}', '\u{301}', '{',
            '\n',
        ];
        let (mut state, mut ids) = (1_u64, BTreeMap::new());
        while ids.len() < 100_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let id: String = (0..3 + (state >> 60) % 6)
                .map(|n| LETTERS[usize::try_from((state >> (20 + 4 * n)) & 15).unwrap()])
                .collect();
            let segment = segment("item id", &id).unwrap();
            assert_eq!(decode(&segment).as_deref(), Some(id.as_str()), "{segment}");
            let other = ids.insert(segment, id.clone());
            assert!(other.is_none_or(|other| other == id), "{id:?}");
        }
        println!(
            "P2 100000 ids: expected as many segments, got {}",
            ids.len()
        );
    }

    proptest! {
        /// P2.
        #[test]
        fn a_segment_gives_its_id_back(id in id()) {
            let segment = segment("item id", &id).unwrap();
            match decode(&segment) {
                Some(back) => prop_assert_eq!(back, id),
                None => prop_assert!(segment.contains('@') && encode(&id).len() > MAX_SEGMENT_BYTES),
            }
        }

        /// P2.
        #[test]
        fn different_ids_have_different_keys(
            one in (id(), id(), id(), "(\\.tif|\\.TIF|\\.jp2|)"),
            two in (id(), id(), id(), "(\\.tif|\\.TIF|\\.jp2|)"),
        ) {
            let key = |(collection, item, asset, ending): &(String, String, String, String)| {
                let href = format!("https://h.example/f{ending}");
                let collection = Some(collection.as_str());
                AssetName { collection, ..name(item, asset, &href) }.key().unwrap()
            };
            let (key_one, key_two) = (key(&one), key(&two));
            prop_assert!(lands_below_its_folder(&key_one), "{}", key_one);
            let same = |a: &(String, String, String, String), b: &(String, String, String, String)| {
                (&a.0, &a.1, &a.2, a.3.to_lowercase()) == (&b.0, &b.1, &b.2, b.3.to_lowercase())
            };
            prop_assert_eq!(key_one == key_two, same(&one, &two));
        }

        /// P2: ids that are likely to meet.
        #[test]
        fn near_ids_have_different_keys(one in r"(\.|%|2|E|e|a|A|@){1,3}", two in r"(\.|%|2|E|e|a|A|@){1,3}") {
            let key = |asset: &str, ending: &str| {
                name("i", asset, &format!("https://h.example/f{ending}")).key().unwrap()
            };
            prop_assert_eq!(key(&one, "") == key(&two, ""), one == two);
            prop_assert_eq!(key(&one, ".a") == key(&two, ".a"), one == two);
            prop_assert_ne!(key(&one, ""), key(&two, ".a"));
        }
    }
}
