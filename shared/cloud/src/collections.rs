//! STAC Collections are kept beside the items, every version of them.

use bytes::Bytes;
use object_store::{ObjectStore as _, PutMode, PutOptions};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use swath_core::digest_hex;
use time::OffsetDateTime;

use crate::store::{Store, StoreError};

/// Where collections lie, below the lake's base: the latest version at `{name}.json`, every one at `{name}/{digest}.json`.
const FOLDER: &str = "collections";

#[derive(Deserialize)]
struct Head {
    id: String,
}

/// A collection that is kept, as it is now.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// Itself, as it came last.
    pub document: Box<RawValue>,
    /// Its versions, the one that came first at the front.
    pub versions: Vec<Version>,
}

/// One version of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its name: a digest of its bytes.
    pub version: String,
    /// When it was kept.
    #[serde(with = "time::serde::rfc3339")]
    pub kept: OffsetDateTime,
    /// Where it lies, below the lake's base.
    pub at: String,
}

/// Keeps a collection as it came; returns its id, `None` when it has none and nothing is kept.
///
/// # Errors
/// When the lake does not take it.
pub async fn keep(lake: &Store, collection: &RawValue) -> Result<Option<String>, StoreError> {
    let Ok(Head { id }) = serde_json::from_str(collection.get()) else {
        return Ok(None);
    };
    let text = Bytes::from(collection.get().to_owned());
    let (name, version) = (name(&id), version(&text));
    let at = format!("{FOLDER}/{name}/{version}.json");
    let path = lake.path(&at);
    let options = PutOptions::from(PutMode::Create);
    match lake
        .store
        .put_opts(&path, text.clone().into(), options)
        .await
    {
        // One that came before stays as it is: since when it is kept stays known.
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
        Err(source) => return Err(StoreError::Call { path, source }),
    }
    lake.put(&format!("{FOLDER}/{name}.json"), text).await?;
    Ok(Some(id))
}

fn version(text: &[u8]) -> String {
    digest_hex(&[text], 16)
}

/// Returns the collections that a lake keeps, by id.
///
/// # Errors
/// When the lake cannot be read.
pub async fn all(lake: &Store) -> Result<Vec<Kept>, StoreError> {
    let path = lake.path(FOLDER);
    let found = lake.store.list_with_delimiter(Some(&path)).await;
    let found = found.map_err(|source| StoreError::Call { path, source })?;
    let names = found.objects.iter();
    let names = names.filter_map(|object| object.location.filename()?.strip_suffix(".json"));
    let mut all = Vec::new();
    for name in names {
        all.extend(read(lake, name).await?);
    }
    all.sort_by(|one: &Kept, other| one.id.cmp(&other.id));
    Ok(all)
}

/// Returns one collection by its id; `None` when the lake keeps none of that id.
///
/// # Errors
/// When the lake cannot be read.
pub async fn one(lake: &Store, id: &str) -> Result<Option<Kept>, StoreError> {
    match read(lake, &name(id)).await {
        Err(StoreError::Call {
            source: object_store::Error::NotFound { .. },
            ..
        }) => Ok(None),
        read => read,
    }
}

async fn read(lake: &Store, name: &str) -> Result<Option<Kept>, StoreError> {
    let bytes = lake.get(&format!("{FOLDER}/{name}.json")).await?;
    let Ok(document) = serde_json::from_slice::<Box<RawValue>>(&bytes) else {
        return Ok(None);
    };
    let Ok(Head { id }) = serde_json::from_str(document.get()) else {
        return Ok(None);
    };
    let folder = format!("{FOLDER}/{name}");
    let path = lake.path(&folder);
    let found = lake.store.list_with_delimiter(Some(&path)).await;
    let found = found.map_err(|source| StoreError::Call { path, source })?;
    let mut versions: Vec<Version> = found
        .objects
        .iter()
        .filter_map(|object| {
            let file = object.location.filename()?;
            let kept = object.last_modified;
            Some(Version {
                version: file.strip_suffix(".json")?.to_owned(),
                kept: OffsetDateTime::from_unix_timestamp(kept.timestamp()).ok()?,
                at: format!("{folder}/{file}"),
            })
        })
        .collect();
    versions.sort_by(|one, other| (one.kept, &one.version).cmp(&(other.kept, &other.version)));
    Ok(Some(Kept {
        id,
        document,
        versions,
    }))
}

/// Returns a name for files: the id, with what is not plain replaced and its digest behind it.
fn name(id: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let plain: String = id
        .chars()
        .take(80)
        .map(|letter| if is_plain(letter) { letter } else { '_' })
        .collect();
    if plain == id {
        return plain;
    }
    format!("{plain}-{}", digest_hex(&[id.as_bytes()], 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn every_version_is_kept_once_and_the_one_that_came_last_is_shown() {
        let lake = Store::in_memory();
        for text in [
            r#"{"id":"a/b","license":"x"}"#,
            r#"{"id":"a/b","license":"y", "n": 1.0}"#,
            r#"{"id":"a/b","license":"x"}"#,
            r#"{"id":"c"}"#,
        ] {
            assert!(keep(&lake, &raw(text)).await.unwrap().is_some());
        }
        assert_eq!(keep(&lake, &raw(r#"{"name":"d"}"#)).await.unwrap(), None);
        let all = all(&lake).await.unwrap();
        let ids: Vec<_> = all
            .iter()
            .map(|kept| (kept.id.as_str(), kept.versions.len()))
            .collect();
        assert_eq!(ids, [("a/b", 2), ("c", 1)]);
        let kept = one(&lake, "a/b").await.unwrap().unwrap();
        assert_eq!(kept.document.get(), r#"{"id":"a/b","license":"x"}"#);
        for version in &kept.versions {
            let bytes = lake.get(&version.at).await.unwrap();
            assert_eq!(super::version(&bytes), version.version);
        }
        assert!(one(&lake, "e").await.unwrap().is_none());
    }

    #[test]
    fn ids_that_no_path_can_hold_have_names_of_their_own() {
        assert_eq!(name("sentinel-2-l2a"), "sentinel-2-l2a");
        assert_ne!(name("a/b"), name("a_b"));
        assert!(!name("../../x").contains(['/', '.']));
    }
}
