//! The published JSON schemas, from a folder that someone filled: nothing is fetched.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Retrieve, Uri, Validator};
use serde_json::Value;

use super::Faults;

/// Where the schema of items of a version is published.
const ITEM: [&str; 2] = [
    "https://schemas.stacspec.org/v",
    "/item-spec/json-schema/item.json",
];

/// A schema that cannot be had from the cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaCacheError {
    /// There is no such folder, or nothing in it.
    #[error("the schema cache {} is no folder with schemas in it", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The address is none from which schemas are published.
    #[error("{url:?} is no address of a schema")]
    Address {
        /// The address.
        url: String,
    },
    /// The cache lacks a schema.
    #[error("the schema cache has no {url}: expected as {}", path.display())]
    Missing {
        /// Its address.
        url: String,
        /// Where it should lie.
        path: PathBuf,
    },
    /// What lies there is no JSON.
    #[error("{} is no JSON schema", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// A folder of schemas, and those of them that were compiled.
pub(super) struct Schemas {
    cache: Cache,
    compiled: Mutex<HashMap<String, Compiled>>,
}

/// A schema, or why it cannot be used: its code and the reason.
type Compiled = Result<Arc<Validator>, (&'static str, String)>;

impl std::fmt::Debug for Schemas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Schemas({})", self.cache.folder.display())
    }
}

#[derive(Clone)]
struct Cache {
    folder: PathBuf,
}

impl Schemas {
    pub(super) fn open(folder: &Path) -> Result<Self, SchemaCacheError> {
        let is_filled = std::fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some());
        if !is_filled {
            return Err(SchemaCacheError::NoFolder {
                folder: folder.to_owned(),
            });
        }
        let cache = Cache {
            folder: folder.to_owned(),
        };
        Ok(Self {
            cache,
            compiled: Mutex::default(),
        })
    }

    /// Adds what the schemas of an item's version and extensions say against it.
    pub(super) fn check(&self, item: &Value, faults: &mut Faults) {
        let version = item.get("stac_version").and_then(Value::as_str);
        self.check_one(&ITEM.join(version.unwrap_or_default()), item, faults);
        let extensions = item.get("stac_extensions").and_then(Value::as_array);
        for url in extensions.into_iter().flatten().filter_map(Value::as_str) {
            self.check_one(url, item, faults);
        }
    }

    fn check_one(&self, url: &str, item: &Value, faults: &mut Faults) {
        match self.compiled(url) {
            Ok(validator) => {
                for error in validator.iter_errors(item) {
                    let at = error.instance_path().to_string();
                    let at = if at.is_empty() { "the item" } else { &at };
                    faults.add("schema", at, &format!("{} ({url})", error.masked()));
                }
            }
            Err((code, reason)) => faults.add(code, "stac_extensions", &reason),
        }
    }

    fn compiled(&self, url: &str) -> Compiled {
        // A compiled schema is whole, or it is not there.
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = compiled.get(url) {
            return known.clone();
        }
        let made = self.compile(url);
        compiled.insert(url.to_owned(), made.clone());
        made
    }

    fn compile(&self, url: &str) -> Compiled {
        let schema = self
            .cache
            .read(url)
            .map_err(|error| (error.code(), swath_core::chain(&error)))?;
        jsonschema::options()
            .with_base_uri(url.to_owned())
            .with_retriever(self.cache.clone())
            .build(&schema)
            .map(Arc::new)
            .map_err(|error| {
                let code = match error.kind() {
                    ValidationErrorKind::Referencing(_) => "schema_not_cached",
                    _ => "schema_broken",
                };
                (code, format!("{url}: {}", swath_core::chain(&error)))
            })
    }
}

impl SchemaCacheError {
    /// Returns the failure's stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "schema_broken",
            _ => "schema_not_cached",
        }
    }
}

impl Cache {
    fn read(&self, url: &str) -> Result<Value, SchemaCacheError> {
        let below = below(url).ok_or_else(|| SchemaCacheError::Address {
            url: url.to_owned(),
        })?;
        let path = self.folder.join(below);
        let bytes = std::fs::read(&path).map_err(|_| SchemaCacheError::Missing {
            url: url.to_owned(),
            path: path.clone(),
        })?;
        serde_json::from_slice(&bytes).map_err(|source| SchemaCacheError::NotJson { path, source })
    }
}

impl Retrieve for Cache {
    fn retrieve(
        &self,
        uri: &Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.read(uri.as_str())?)
    }
}

/// Returns where a schema lies in a cache: `host/path`. An address that would lead elsewhere has no place.
fn below(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let path = rest.split(['#', '?']).next()?;
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let is_safe =
        path.contains('/') && !path.contains(['\\', ':']) && path.split('/').all(is_plain);
    is_safe.then_some(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;
    use swath_core::{Class, Classify as _};

    use super::super::tests::{good, with};
    use super::super::{Rules, Validation};
    use super::*;

    #[test]
    fn addresses_have_places_below_the_folder_only() {
        assert_eq!(
            below("https://stac-extensions.github.io/eo/v1.1.0/schema.json#"),
            Some("stac-extensions.github.io/eo/v1.1.0/schema.json")
        );
        for url in [
            "eo",
            "file:///etc/passwd",
            "https://a/../../etc/passwd",
            "https://a",
            "https://a//b",
            "https://a/b\\..\\c",
        ] {
            assert_eq!(below(url), None, "{url}");
        }
    }

    const ITEM: &str = "schemas.stacspec.org/v1.0.0/item-spec/json-schema";

    /// A cache whose item schema asks for `x` in the properties through another file, and whose extension asks for `y`.
    fn cache() -> tempfile::TempDir {
        let cache = tempfile::tempdir().unwrap();
        let put = |below: &str, schema: &Value| {
            let path = cache.path().join(below);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, schema.to_string()).unwrap();
        };
        let draft = "http://json-schema.org/draft-07/schema#";
        put(
            &format!("{ITEM}/item.json"),
            &json!({"$schema": draft, "properties": {"properties": {"$ref": "basics.json"}}}),
        );
        put(
            &format!("{ITEM}/basics.json"),
            &json!({"$schema": draft, "required": ["x"]}),
        );
        put(
            "ext.example/y/v1/schema.json",
            &json!({"$schema": draft, "required": ["y"]}),
        );
        put(
            "ext.example/broken.json",
            &json!({"$ref": "https://ext.example/gone.json"}),
        );
        cache
    }

    #[test]
    fn schemas_of_the_version_and_the_extensions_are_followed_from_the_cache() {
        let cache = cache();
        let rules = Rules::new(Validation::Schema, &[], Some(cache.path())).unwrap();
        let code = |item: &Value| {
            rules
                .admit(&item.to_string())
                .err()
                .map(|r| (r.code, r.reason))
        };
        let (found, reason) = code(&good()).unwrap();
        assert_eq!(found, "schema");
        assert!(
            reason.contains("/properties: ") && reason.contains("item.json"),
            "{reason}"
        );
        let mut item = with("/properties/x", Some(json!(1)));
        assert_eq!(code(&item), None);
        item["stac_extensions"] = json!(["https://ext.example/y/v1/schema.json#"]);
        assert_eq!(code(&item).unwrap().0, "schema");
        item["y"] = json!(true);
        assert_eq!(code(&item), None);
        for missing in [
            "https://ext.example/none.json",
            "https://ext.example/broken.json",
            "eo",
        ] {
            item["stac_extensions"] = json!([missing]);
            let (found, reason) = code(&item).unwrap();
            assert_eq!(found, "schema_not_cached", "{reason}");
            assert!(reason.contains(missing), "{reason}");
        }
        assert!(
            code(&with("/stac_version", Some(json!("1.9.9"))))
                .unwrap()
                .1
                .contains("/v1.9.9/")
        );
    }

    #[test]
    fn the_level_of_schemas_does_not_start_without_any() {
        let empty = tempfile::tempdir().unwrap();
        for (folder, word) in [
            (None, "schema cache"),
            (Some(empty.path()), "no folder with schemas"),
        ] {
            let error = Rules::new(Validation::Schema, &[], folder).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(error.class(), Class::Denied);
        }
    }
}
