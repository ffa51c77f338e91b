//! The grid by which items are partitioned, as `EarthCatalog` notes it in the table's properties.

use std::collections::HashMap;

use swath_core::grid::{GridError, GridSpec};

/// Returns the properties that note a grid.
pub(crate) fn properties(grid: &GridSpec) -> HashMap<String, String> {
    let properties = grid.to_properties().into_iter();
    properties
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Returns the grid that a table notes; `None` when it notes none: `EarthCatalog`'s compaction drops the properties.
///
/// # Errors
/// When the properties make no sense.
pub(crate) fn noted(properties: &HashMap<String, String>) -> Result<Option<GridSpec>, GridError> {
    GridSpec::from_properties(|key| properties.get(key).map(String::as_str))
}

/// Returns whether both give the same keys. Regions are the same when their file is; where one is not bound to a file's
/// content, the path must do.
pub(crate) fn same(one: &GridSpec, other: &GridSpec) -> bool {
    match (one, other) {
        (
            GridSpec::GeoJson {
                path,
                id_field,
                sha256,
            },
            GridSpec::GeoJson {
                path: other_path,
                id_field: other_field,
                sha256: other_hash,
            },
        ) => {
            let same_file = match (sha256, other_hash) {
                (Some(hash), Some(other)) => hash == other,
                _ => path == other_path,
            };
            same_file && id_field == other_field
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(path: &str, sha256: Option<&str>) -> GridSpec {
        GridSpec::GeoJson {
            path: path.to_owned(),
            id_field: "id".to_owned(),
            sha256: sha256.map(str::to_owned),
        }
    }

    #[test]
    fn a_grid_is_read_back_from_its_properties() {
        let h3: GridSpec = "h3:3".parse().unwrap();
        for grid in [h3, GridSpec::None, regions("r.json", Some("ab"))] {
            let found = noted(&properties(&grid)).unwrap();
            assert_eq!(found, Some(grid));
        }
        assert_eq!(noted(&HashMap::new()).unwrap(), None);
        let odd = HashMap::from([("earthcatalog.grid.type".to_owned(), "s2".to_owned())]);
        assert!(noted(&odd).is_err());
    }

    #[test]
    fn regions_are_the_same_when_their_file_is() {
        let bound = regions("a.json", Some("1"));
        assert!(same(&bound, &regions("b.json", Some("1"))));
        assert!(same(&bound, &regions("a.json", None)));
        assert!(!same(&bound, &regions("a.json", Some("2"))));
        assert!(!same(&bound, &regions("b.json", None)));
        assert!(!same(&bound, &GridSpec::default()));
    }
}
