//! What a fetched document is: one item, a collection of items, something else of STAC, or nothing of use.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use swath_cloud::runs::ItemName;

/// What a document holds.
#[derive(Debug)]
pub(crate) enum Document {
    /// Items, byte for byte.
    Items(Vec<Box<RawValue>>),
    /// A collection, which is kept beside the items.
    Collection(Box<RawValue>),
    /// A catalog: there is nothing wrong with it, but it is no item.
    Other,
}

/// Why a document is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// A short stable code.
    pub(crate) code: &'static str,
    pub(crate) reason: String,
    /// Whether the document's next reading may be better.
    pub(crate) may_pass: bool,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    features: Option<Vec<Box<RawValue>>>,
}

/// Reads a document; whether each of its items is one is for `write` to say.
pub(crate) fn read(bytes: &[u8]) -> Result<Document, Unusable> {
    let unusable = |code, reason: String, may_pass| Unusable {
        code,
        reason,
        may_pass,
    };
    let text = bytes.trim_ascii();
    if text.is_empty() {
        return Err(unusable("empty", "the document is empty".to_owned(), true));
    }
    if text.starts_with(b"<") {
        // Hosts that are ill answer so, with status 200.
        let reason = "a page of XML or HTML in place of the document".to_owned();
        return Err(unusable("error_page", reason, true));
    }
    let text = std::str::from_utf8(text)
        .map_err(|error| unusable("not_utf8", error.to_string(), false))?;
    let head: Head<'_> = serde_json::from_str(text).map_err(|error| {
        let code = if error.is_eof() {
            "truncated"
        } else {
            "not_json"
        };
        unusable(code, error.to_string(), error.is_eof())
    })?;
    match (head.kind.as_deref(), head.features) {
        (Some("FeatureCollection"), Some(items)) => Ok(Document::Items(items)),
        (Some("Catalog"), _) => Ok(Document::Other),
        (kind, _) => {
            let whole = RawValue::from_string(text.to_owned());
            let whole = whole.map_err(|error| unusable("not_json", error.to_string(), false))?;
            Ok(match kind {
                Some("Collection") => Document::Collection(whole),
                _ => Document::Items(vec![whole]),
            })
        }
    }
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    collection: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    properties: Option<Properties<'a>>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(borrow, default)]
    updated: Option<Cow<'a, str>>,
}

/// Returns what an item is called; nothing of what is no item, which `write` refuses.
pub(crate) fn name_of(item: &RawValue) -> Option<ItemName> {
    let item: Item<'_> = serde_json::from_str(item.get()).ok()?;
    let updated = item.properties.and_then(|properties| properties.updated);
    Some(ItemName {
        collection: item.collection.map(Cow::into_owned),
        id: item.id?.into_owned(),
        updated: updated.map(Cow::into_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_are_none_are_told_apart() {
        let code = |text: &[u8]| read(text).unwrap_err().code;
        assert_eq!(code(b""), "empty");
        assert_eq!(code(b" <?xml version=\"1.0\"?><Error/>"), "error_page");
        assert_eq!(code(br#"{"type":"Feature","id":"a"#), "truncated");
        assert_eq!(code(b"{]"), "not_json");
        assert_eq!(code(b"{\"a\":\"\xff\"}"), "not_utf8");
    }

    #[test]
    fn items_keep_their_bytes() {
        let text = r#"{"type":"FeatureCollection","features":[{"b":1.0,  "a":1}, {"c":2}]}"#;
        let Document::Items(items) = read(text.as_bytes()).unwrap() else {
            panic!("no items")
        };
        assert_eq!(items[0].get(), r#"{"b":1.0,  "a":1}"#);
        assert_eq!(items.len(), 2);
        let collection = read(br#"{"type":"Collection","id":"c"}"#).unwrap();
        assert!(matches!(collection, Document::Collection(_)));
        let name = name_of(&items[0]);
        assert_eq!(name, None, "what is no item has no name");
    }
}
