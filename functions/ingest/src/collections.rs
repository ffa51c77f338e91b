//! STAC Collections are kept beside the items, every version of them.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use swath_cloud::store::{Store, StoreError};
use swath_core::digest_hex;

/// Where collections lie, below the lake's base: the latest version at `{name}.json`, every one at `{name}/{digest}.json`.
const FOLDER: &str = "collections";

#[derive(Deserialize)]
struct Head {
    id: String,
}

/// Keeps a collection as it came; returns its id, `None` when it has none.
pub(crate) async fn keep(
    lake: &Store,
    collection: &RawValue,
) -> Result<Option<String>, StoreError> {
    let Ok(Head { id }) = serde_json::from_str(collection.get()) else {
        return Ok(None);
    };
    let text = Bytes::from(collection.get().to_owned());
    let name = name(&id);
    let version = digest_hex(&[&text], 16);
    lake.put(&format!("{FOLDER}/{name}/{version}.json"), text.clone())
        .await?;
    lake.put(&format!("{FOLDER}/{name}.json"), text).await?;
    Ok(Some(id))
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

    #[test]
    fn ids_that_no_path_can_hold_have_names_of_their_own() {
        assert_eq!(name("sentinel-2-l2a"), "sentinel-2-l2a");
        assert_ne!(name("a/b"), name("a_b"));
        assert!(!name("../../x").contains(['/', '.']));
    }
}
