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
    /// Collections, which are kept beside the items.
    Collections(Vec<Box<RawValue>>),
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
    #[serde(default)]
    collections: Option<Vec<Box<RawValue>>>,
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
    let whole = || {
        let whole = RawValue::from_string(text.to_owned());
        whole.map_err(|error| unusable("not_json", error.to_string(), false))
    };
    of(head, whole)
}

fn of(
    head: Head<'_>,
    whole: impl FnOnce() -> Result<Box<RawValue>, Unusable>,
) -> Result<Document, Unusable> {
    Ok(
        match (head.kind.as_deref(), head.features, head.collections) {
            (Some("FeatureCollection"), Some(items), _) => Document::Items(items),
            (Some("Catalog"), ..) => Document::Other,
            (Some("Collection"), ..) => Document::Collections(vec![whole()?]),
            // What an API says of its collections has no type.
            (None, None, Some(collections)) => Document::Collections(collections),
            _ => Document::Items(vec![whole()?]),
        },
    )
}

/// Says what a document is that came by itself; what cannot be read so far is for `write` to refuse.
pub(crate) fn of_inline(whole: Box<RawValue>) -> Document {
    let kind = serde_json::from_str::<Kind<'_>>(whole.get());
    if kind.is_ok_and(|kind| kind.kind.as_deref() == Some("Feature")) {
        return Document::Items(vec![whole]);
    }
    read(whole.get().as_bytes()).unwrap_or(Document::Items(vec![whole]))
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
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

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
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
        assert!(matches!(collection, Document::Collections(_)));
        let answer = r#"{"links":[],"collections":[{"type":"Collection","id":"a"},{"id":"b"}]}"#;
        for answer in [read(answer.as_bytes()).unwrap(), of_inline(raw(answer))] {
            let Document::Collections(collections) = answer else {
                panic!("no collections")
            };
            assert_eq!(collections[0].get(), r#"{"type":"Collection","id":"a"}"#);
            assert_eq!(collections.len(), 2);
        }
        for item in [
            r#"{"type":"Feature","collections":[]}"#,
            "1",
            r#"{"type":1}"#,
        ] {
            assert!(matches!(of_inline(raw(item)), Document::Items(_)), "{item}");
        }
        let name = name_of(&items[0]);
        assert_eq!(name, None, "what is no item has no name");
    }
}
