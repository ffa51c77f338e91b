//! What is sorted for a census.

use serde::{Deserialize, Serialize};
use swath_cloud::keys::Keyed;
use swath_cloud::runs::{ItemName, Origin};
use swath_table::keys::item_key;

/// An object as some run, or some event, took it in or took it out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) href: String,
    pub(super) etag: Option<String>,
    pub(super) gone: bool,
    pub(super) items: Vec<String>,
}

/// Names an item as the catalog's keys do.
pub(super) fn item_of(collection: Option<&str>, id: &str) -> String {
    format!("{:032x}", item_key(collection, id))
}

impl From<Origin> for Taken {
    fn from(origin: Origin) -> Self {
        let name = |item: &ItemName| item_of(item.collection.as_deref(), &item.id);
        Self {
            items: origin.items.iter().map(name).collect(),
            href: origin.href,
            etag: origin.etag,
            gone: origin.gone,
        }
    }
}

impl Keyed for Taken {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn weight(&self) -> usize {
        let etag = self.etag.as_ref().map_or(0, String::len);
        self.href.len() + etag + self.items.len() * 56 + size_of::<Self>()
    }
}

/// Who speaks of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Says {
    /// The catalog has it.
    Catalog,
    /// An object that is there holds it.
    Held { href: String, etag: Option<String> },
    /// An object that is there held it, or is about to be taken in anew.
    Perhaps,
    /// An object that is not there any more held it, or an object's earlier version.
    Was { href: String },
}

/// One word about one item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Word {
    pub(super) item: String,
    pub(super) says: Says,
}

impl Keyed for Word {
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }

    fn weight(&self) -> usize {
        let href = match &self.says {
            Says::Held { href, .. } | Says::Was { href } => href.len() + 40,
            Says::Catalog | Says::Perhaps => 0,
        };
        self.item.len() + href + size_of::<Self>()
    }
}
