//! Where the lake lies, in the store's terms and in those of Iceberg's metadata.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

/// The base of a lake: a store, the prefix below which all of it lies, and how other programs spell that place.
#[derive(Clone, Debug)]
pub struct Place {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    prefix: Path,
    base: String,
}

/// A path or location that does not name anything in the lake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{location:?} does not lie in the lake at {base}")]
pub struct OutsideLake {
    /// What was asked for.
    pub location: String,
    /// The lake's base.
    pub base: String,
}

impl Place {
    /// Takes the base's URI (`s3://bucket/prefix`) or, for a local folder, its absolute path.
    ///
    /// Iceberg metadata names local files by plain absolute paths: this one spelling opens in iceberg-rust, `PyIceberg`,
    /// `DuckDB` and `EarthCatalog` alike, even when the path holds characters that a URI would percent-encode.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, uri_or_folder: &str) -> Self {
        let base = uri_or_folder.trim_end_matches('/').to_owned();
        Self {
            store,
            prefix,
            base,
        }
    }

    /// Returns the base as Iceberg metadata spells it, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns the absolute location of what lies at `below` the base, as Iceberg metadata spells it.
    pub fn location(&self, below: &str) -> String {
        format!("{}/{below}", self.base)
    }

    /// Returns the store's path of what lies at `below` the base.
    ///
    /// # Errors
    /// When `below` is absolute, empty, a folder, or leaves the base.
    pub fn path(&self, below: &str) -> Result<Path, OutsideLake> {
        let outside = || OutsideLake {
            location: below.to_owned(),
            base: self.base.clone(),
        };
        if below.is_empty() || below.starts_with('/') || below.ends_with('/') {
            return Err(outside());
        }
        let below = Path::parse(below).map_err(|_| outside())?;
        Ok(self.prefix.parts().chain(below.parts()).collect())
    }

    /// Returns the path below the base of what lies at an absolute location; local ones may begin with `file:`, those in
    /// S3 with `s3a:` or `s3n:`.
    ///
    /// # Errors
    /// When the location is not below the base.
    pub fn below<'a>(&self, location: &'a str) -> Result<&'a str, OutsideLake> {
        let rest = plain(location)
            .strip_prefix(plain(&self.base))
            .and_then(|rest| rest.strip_prefix('/'));
        rest.ok_or_else(|| OutsideLake {
            location: location.to_owned(),
            base: self.base.clone(),
        })
    }

    /// Returns the store's path of what lies at an absolute location.
    ///
    /// # Errors
    /// When the location is not below the base.
    pub fn path_of(&self, location: &str) -> Result<Path, OutsideLake> {
        self.path(self.below(location)?)
    }
}

/// Drops the scheme, so that spellings of the same place are equal.
fn plain(location: &str) -> &str {
    let Some((scheme, rest)) = location.split_once(':') else {
        return location;
    };
    match scheme {
        "file" => rest.strip_prefix("//").unwrap_or(rest),
        "s3" | "s3a" | "s3n" => rest,
        _ => location,
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn place(prefix: &str, base: &str) -> Place {
        Place::new(Arc::new(InMemory::new()), Path::from(prefix), base)
    }

    #[test]
    fn a_location_leads_back_to_the_path_it_was_made_from() {
        for (prefix, base) in [("", "/data/my lake"), ("a/b", "s3://bucket/a/b/")] {
            let place = place(prefix, base);
            for below in ["warehouse/x.parquet", "w/cell=a%2Fb/ü.parquet"] {
                let location = place.location(below);
                assert_eq!(place.below(&location).unwrap(), below);
                assert_eq!(
                    place.path_of(&location).unwrap(),
                    place.path(below).unwrap()
                );
            }
        }
        let path = place("a/b", "s3://bucket/a/b").path("x").unwrap();
        assert_eq!(path.as_ref(), "a/b/x");
    }

    #[test]
    fn other_spellings_of_the_same_place_are_understood() {
        let local = place("", "/data/lake");
        for location in ["/data/lake/x", "file:///data/lake/x", "file:/data/lake/x"] {
            assert_eq!(local.below(location), Ok("x"), "{location}");
        }
        assert_eq!(place("", "s3://b/p").below("s3a://b/p/x"), Ok("x"));
    }

    #[test]
    fn what_lies_elsewhere_is_refused() {
        let place = place("lake", "/data/lake");
        for location in [
            "/data/lakes/x",
            "/data/x",
            "s3://data/lake/x",
            "",
            "/data/lake",
        ] {
            assert!(place.below(location).is_err(), "{location}");
        }
        for below in [
            "../x",
            "a/../../x",
            "/etc/passwd",
            "",
            "a/./b",
            "a/",
            "a//b",
        ] {
            assert!(place.path(below).is_err(), "{below}");
        }
        assert!(place.path_of("/data/lake/../x").is_err());
    }
}
