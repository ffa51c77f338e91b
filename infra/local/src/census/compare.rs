//! A list of objects against what was taken in, and both against what the catalog holds; sorted on disk where it is long.

use std::collections::{HashMap, HashSet};

use swath_cloud::keys::{Entry, KeysError, Sorted, Sorter};
use swath_cloud::runs::{LedgerError, Origin, each_upload, known, read_origins};
use swath_cloud::store::Store;
use swath_lake::{Lake, LakeError};

use super::Scope;
use super::records::{Says, Taken, Word, item_of};
use crate::ingest::kept;

/// Bytes of one sort that are held in memory.
const SORTED: usize = 64 << 20;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The object is there, and was never taken in, or its items are not in the catalog.
    Missing(String, Option<String>),
    /// Another version of the object was taken in.
    Stale(String, Option<String>),
    /// The object is not there any more, and an item of it is still in the catalog.
    Extra(String),
    /// The object, or an item of it, is in quarantine.
    Rejected,
    /// All is as it should be.
    Same,
}

/// A census that cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// The run's books fail.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The catalog cannot be read.
    #[error("the catalog cannot be read")]
    Lake(#[from] LakeError),
    /// Lists cannot be sorted.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The quarantine cannot be read.
    #[error("the quarantine cannot be read")]
    Quarantine(#[source] Box<crate::ingest::IngestCommandError>),
}

/// What is in quarantine.
pub(super) struct Quarantined {
    objects: HashMap<String, Option<String>>,
    items: HashSet<String>,
}

impl Quarantined {
    pub(super) async fn read(lake: &Store) -> Result<Self, CompareError> {
        let all = kept(lake).await;
        let all = all.map_err(|error| CompareError::Quarantine(Box::new(error)))?;
        let (mut objects, mut items) = (HashMap::new(), HashSet::new());
        for record in all {
            let text = |name| record.get(name).and_then(serde_json::Value::as_str);
            if let Some(href) = text("href") {
                objects.insert(href.to_owned(), text("etag").map(str::to_owned));
            } else if let Some(id) = text("id") {
                items.insert(item_of(text("collection"), id));
            }
        }
        Ok(Self { objects, items })
    }

    fn has(&self, object: &Entry) -> bool {
        let kept = self.objects.get(&object.key);
        kept.is_some_and(|etag| is_same_version(etag.as_deref(), object.etag.as_deref()))
    }
}

/// Says whether two states of one object are one, as far as they tell.
fn is_same_version(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}

/// Sorts everything that was ever taken in below the scope.
pub(super) async fn taken(lake: &Store, scope: &Scope) -> Result<Sorted<Taken>, CompareError> {
    let mut sorter = Sorter::new(SORTED);
    let mut put = |origin: Origin| -> Result<(), CompareError> {
        if scope.holds(&origin.href) {
            sorter.push(Taken::from(origin))?;
        }
        Ok(())
    };
    for books in known(lake).await?.all() {
        for origin in read_origins(lake, &books.origins_at()).await? {
            put(origin)?;
        }
    }
    each_upload(lake, &mut put).await?;
    Ok(sorter.finish()?)
}

/// Compares; hands what is found to `tell`.
pub(super) async fn compare(
    listed: Sorted<Entry>,
    taken: Sorted<Taken>,
    (lake, quarantined): (&Lake, &Quarantined),
    mut tell: impl FnMut(Finding) -> Result<(), CompareError>,
) -> Result<(), CompareError> {
    let mut words = Sorter::new(SORTED);
    objects(listed, taken, quarantined, &mut words, &mut tell)?;
    let catalog = |item: u128| -> Result<(), CompareError> {
        let item = format!("{item:032x}");
        let says = Says::Catalog;
        Ok(words.push(Word { item, says })?)
    };
    lake.each_item(catalog).await?;
    items(words.finish()?, quarantined, &mut tell)
}

/// Walks the objects that are there beside those that were taken in.
fn objects(
    listed: Sorted<Entry>,
    taken: Sorted<Taken>,
    quarantined: &Quarantined,
    words: &mut Sorter<Word>,
    tell: &mut impl FnMut(Finding) -> Result<(), CompareError>,
) -> Result<(), CompareError> {
    let mut taken = taken.peekable();
    let mut versions = Vec::new();
    for object in listed {
        let object = object?;
        versions.clear();
        while let Some(next) = taken.next_if(|next| match next {
            Ok(next) => next.href <= object.key,
            Err(_) => true,
        }) {
            let next = next?;
            if next.href == object.key {
                versions.push(next);
            } else {
                was(next, words)?;
            }
        }
        if let Some(finding) = object_now(object, &versions, quarantined, words)? {
            tell(finding)?;
        }
    }
    for rest in taken {
        was(rest?, words)?;
    }
    Ok(())
}

fn was(taken: Taken, words: &mut Sorter<Word>) -> Result<(), KeysError> {
    for item in taken.items {
        let says = Says::Was {
            href: taken.href.clone(),
        };
        words.push(Word { item, says })?;
    }
    Ok(())
}

/// Judges one object that is there, as far as its items do not matter.
fn object_now(
    object: Entry,
    versions: &[Taken],
    quarantined: &Quarantined,
    words: &mut Sorter<Word>,
) -> Result<Option<Finding>, KeysError> {
    let is_now = |version: &&Taken| {
        !version.gone && is_same_version(version.etag.as_deref(), object.etag.as_deref())
    };
    let (href, etag) = (&object.key, &object.etag);
    let mut is_held = false;
    for version in versions.iter().filter(is_now) {
        is_held = true;
        for item in &version.items {
            let says = Says::Held {
                href: href.clone(),
                etag: etag.clone(),
            };
            let item = item.clone();
            words.push(Word { item, says })?;
        }
    }
    for version in versions.iter().filter(|version| !is_now(version)) {
        for item in &version.items {
            let item = item.clone();
            let says = if is_held {
                let href = href.clone();
                Says::Was { href }
            } else {
                Says::Perhaps
            };
            words.push(Word { item, says })?;
        }
    }
    Ok(if is_held {
        None
    } else if quarantined.has(&object) {
        Some(Finding::Rejected)
    } else if versions.iter().any(|version| !version.gone) {
        Some(Finding::Stale(object.key, object.etag))
    } else {
        Some(Finding::Missing(object.key, object.etag))
    })
}

/// Walks the items that objects hold or held beside those of the catalog.
fn items(
    words: Sorted<Word>,
    quarantined: &Quarantined,
    tell: &mut impl FnMut(Finding) -> Result<(), CompareError>,
) -> Result<(), CompareError> {
    let mut words = words.peekable();
    let mut told = HashSet::new();
    while let Some(first) = words.next() {
        let first = first?;
        let (mut held, mut were) = (Vec::new(), Vec::new());
        let (mut in_catalog, mut is_wanted) = (false, false);
        let mut hear = |says| match says {
            Says::Catalog => in_catalog = true,
            Says::Perhaps => is_wanted = true,
            Says::Held { href, etag } => held.push((href, etag)),
            Says::Was { href } => were.push(href),
        };
        hear(first.says);
        while let Some(next) = words.next_if(|next| match next {
            Ok(next) => next.item == first.item,
            Err(_) => true,
        }) {
            hear(next?.says);
        }
        is_wanted |= !held.is_empty();
        for (href, etag) in held {
            // An object may hold several items: it is told of once when something is wrong.
            if in_catalog {
                tell(Finding::Same)?;
            } else if quarantined.items.contains(&first.item) {
                tell(Finding::Rejected)?;
            } else if told.insert(href.clone()) {
                tell(Finding::Missing(href, etag))?;
            }
        }
        if in_catalog && !is_wanted {
            for href in were {
                if told.insert(href.clone()) {
                    tell(Finding::Extra(href))?;
                }
            }
        }
    }
    Ok(())
}
