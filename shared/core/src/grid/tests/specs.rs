use std::collections::HashMap;
use std::num::NonZeroUsize;

use crate::grid::{CellKey, GridError, GridOptions, GridSpec, bbox_geometry};

fn spec(text: &str) -> GridSpec {
    text.parse().unwrap()
}

fn regions(path: &str, id_field: &str) -> GridSpec {
    GridSpec::GeoJson {
        path: path.to_owned(),
        id_field: id_field.to_owned(),
        sha256: None,
    }
}

#[test]
fn a_grid_comes_back_from_its_text() {
    assert_eq!(spec("h3"), GridSpec::default());
    assert_eq!(spec("h3").to_string(), "h3:1");
    assert_eq!(
        spec("geojson:s3://b/k.json"),
        regions("s3://b/k.json", "id")
    );
    assert_eq!(spec("geojson:k.json#ISO"), regions("k.json", "ISO"));
    for text in [
        "h3:0",
        "h3:15",
        "geojson:a b/c.json",
        "geojson:k#ISO",
        "geojson:a#b#id",
        "none",
    ] {
        assert_eq!(spec(text).to_string(), text);
    }
}

#[test]
fn a_text_that_is_no_grid_is_refused() {
    for text in [
        "",
        "H3",
        "h3:16",
        "h3:-1",
        "h3:",
        "h3:x",
        "s2:2",
        "geojson",
        "geojson:",
        "geojson:#id",
        "geojson:k#",
        "none:1",
    ] {
        assert!(text.parse::<GridSpec>().is_err(), "{text}");
    }
    let error = "h3:16".parse::<GridSpec>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"16\" is not a resolution of H3: use 0 to 15"
    );
}

#[test]
fn a_grid_comes_back_from_json() {
    let json = |spec: &GridSpec| serde_json::to_string(spec).unwrap();
    assert_eq!(json(&spec("h3:3")), r#"{"type":"h3","resolution":3}"#);
    assert_eq!(json(&GridSpec::None), r#"{"type":"none"}"#);
    for spec in [
        spec("h3:0"),
        regions("k", "id").pinned(b"x"),
        GridSpec::None,
    ] {
        assert_eq!(
            serde_json::from_str::<GridSpec>(&json(&spec)).unwrap(),
            spec
        );
    }
    let read = |text| serde_json::from_str::<GridSpec>(text);
    assert_eq!(read(r#"{"type":"h3"}"#).unwrap(), GridSpec::default());
    assert_eq!(
        read(r#"{"type":"geojson","path":"k"}"#).unwrap(),
        regions("k", "id")
    );
    assert!(read(r#"{"type":"h3","resolution":16}"#).is_err());
}

#[test]
fn a_grid_comes_back_from_table_properties() {
    for spec in [
        spec("h3:2"),
        regions("s3://b/k", "ISO").pinned(b"bytes"),
        regions("k", "id"),
        GridSpec::None,
    ] {
        let properties: HashMap<_, _> = spec.to_properties().into_iter().collect();
        let read = GridSpec::from_properties(|name| properties.get(name).map(String::as_str));
        assert_eq!(read.unwrap(), Some(spec));
    }
    let h3: Vec<_> = spec("h3:2").to_properties();
    assert_eq!(
        h3,
        [
            ("earthcatalog.grid.type", "h3".to_owned()),
            ("earthcatalog.grid.resolution", "2".to_owned())
        ]
    );
}

#[test]
fn table_properties_of_others_are_read_with_their_defaults() {
    fn read(pairs: &[(&str, &'static str)]) -> Result<Option<GridSpec>, GridError> {
        let pairs: HashMap<_, _> = pairs.iter().copied().collect();
        GridSpec::from_properties(|name| pairs.get(name).copied())
    }
    assert_eq!(read(&[]).unwrap(), None);
    let kind = "earthcatalog.grid.type";
    assert_eq!(read(&[(kind, "h3")]).unwrap(), Some(GridSpec::default()));
    assert_eq!(
        read(&[
            (kind, "geojson"),
            ("earthcatalog.grid.boundaries_path", "k")
        ])
        .unwrap(),
        Some(regions("k", "id"))
    );
    assert!(matches!(
        read(&[(kind, "geojson")]),
        Err(GridError::MissingProperty(_))
    ));
    assert!(matches!(
        read(&[(kind, "s2")]),
        Err(GridError::UnknownGrid(_))
    ));
    let resolution = "earthcatalog.grid.resolution";
    assert!(matches!(
        read(&[(kind, "h3"), (resolution, "x")]),
        Err(GridError::Resolution(_))
    ));
}

#[test]
fn a_table_without_properties_tells_its_grid_by_its_keys() {
    let infer = |keys: &[&str]| GridSpec::infer(keys.iter().copied());
    assert_eq!(
        infer(&["__none__", "8106bffffffffff", "81083ffffffffff"]),
        Some(spec("h3:1"))
    );
    assert_eq!(infer(&["830e40fffffffff"]), Some(spec("h3:3")));
    assert_eq!(infer(&["8106bffffffffff", "830e40fffffffff"]), None);
    assert_eq!(infer(&["8106bffffffffff", "FR"]), None);
    assert_eq!(infer(&["__none__", "__global__"]), None);
}

#[test]
fn what_an_earthcatalog_could_not_find_again_is_refused() {
    let earthcatalog = |cap| GridOptions {
        cap: NonZeroUsize::new(cap),
        earthcatalog: true,
    };
    let refused = |text: &str, cap| {
        matches!(
            spec(text).open(None, earthcatalog(cap)),
            Err(GridError::NotEarthCatalog { .. })
        )
    };
    assert!(refused("h3:0", 0) && refused("none", 0) && refused("h3:1", 50));
    assert!(spec("h3:1").open(None, earthcatalog(0)).is_ok());
}

#[test]
fn a_grid_without_cells_has_one_key_for_all_geometries() {
    let mut grid = GridSpec::None.open(None, GridOptions::default()).unwrap();
    let mut out = Vec::new();
    grid.cover(Some(&bbox_geometry([0.0, 0.0, 1.0, 1.0])), &mut out)
        .unwrap();
    assert_eq!(out, [CellKey::global()]);
    grid.cover(None, &mut out).unwrap();
    assert_eq!(out, [CellKey::none()]);
}
