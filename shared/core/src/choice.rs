//! Which assets of an item are wanted.

use serde::{Deserialize, Serialize};

use crate::stac::Asset;

/// Which assets of an item are wanted: by key (`B04`), by a pattern of keys (`B0*`, `B?1`), by role (`role:data`) or by
/// media type (`type:image/tiff*`). An asset that any of them fits is wanted; every asset when there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AssetChoice(Vec<String>);

impl AssetChoice {
    /// Wants the assets that any of these fits; every asset when there are none.
    pub fn keys(keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }

    /// Returns whether the asset is wanted.
    pub fn wants(&self, asset: &Asset) -> bool {
        self.0.is_empty() || self.0.iter().any(|wanted| fits(wanted, asset))
    }

    /// Returns what was asked for, as it was asked; none means all.
    pub fn asked(&self) -> &[String] {
        &self.0
    }
}

/// Returns whether one asset fits one wish: a key, a pattern of keys, a role or a media type.
pub fn fits(wanted: &str, asset: &Asset) -> bool {
    if wanted == asset.key {
        return true;
    }
    if let Some(role) = wanted.strip_prefix("role:") {
        return asset.roles.iter().any(|own| matches(role, own));
    }
    if let Some(media_type) = wanted.strip_prefix("type:") {
        let (media_type, own) = (media_type.to_ascii_lowercase(), asset.media_type.as_deref());
        return own.is_some_and(|own| matches(&media_type, &own.to_ascii_lowercase()));
    }
    matches(wanted, &asset.key)
}

/// Matches a pattern in which `*` stands for any run of characters and `?` for any one of them.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last star stood, and how far the text was read there.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&own) = text.get(read) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == own => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((place, eaten)) => {
                    star = Some((place, eaten + 1));
                    at = place + 1;
                    read = eaten + 1;
                }
                None => return false,
            },
        }
    }
    pattern
        .get(at..)
        .unwrap_or_default()
        .iter()
        .all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(key: &str, roles: &[&str], media_type: Option<&str>) -> Asset {
        let item = serde_json::json!({"type": "Feature", "id": "i", "assets": {
            key: {"href": "h", "roles": roles, "type": media_type}}});
        crate::stac::Item::parse(&item.to_string())
            .unwrap()
            .assets
            .remove(0)
    }

    #[test]
    fn an_asset_is_wanted_by_key_pattern_role_or_media_type() {
        let band = asset(
            "B04",
            &["data", "reflectance"],
            Some("image/tiff; application=geotiff"),
        );
        for (wanted, wants) in [
            (vec![], true),
            (vec!["B04"], true),
            (vec!["b04"], false),
            (vec!["B0?"], true),
            (vec!["B*4"], true),
            (vec!["*"], true),
            (vec!["B"], false),
            (vec!["B04?"], false),
            (vec!["role:data"], true),
            (vec!["role:visual"], false),
            (vec!["type:image/tiff*"], true),
            (vec!["type:IMAGE/*"], true),
            (vec!["type:image/jp2"], false),
            (vec!["SCL", "role:refl*"], true),
        ] {
            assert_eq!(
                AssetChoice::keys(wanted.clone()).wants(&band),
                wants,
                "{wanted:?}"
            );
        }
        assert!(!AssetChoice::keys(["type:*"]).wants(&asset("a", &[], None)));
        assert!(AssetChoice::keys(["role:a"]).wants(&asset("role:a", &[], None)));
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let text = "a".repeat(2_000);
        assert!(!matches(&format!("{}b", "*a".repeat(50)), &text));
    }
}
