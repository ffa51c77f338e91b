use geo::{Geometry, Point};
use serde_json::{Value, json};

use crate::grid::{CellKey, Grid, GridError, GridOptions, GridSpec, bbox_geometry};
use crate::{Class, Classify as _};

fn square(west: f64, south: f64, side: f64) -> Value {
    let (east, north) = (west + side, south + side);
    json!({"type": "Polygon", "coordinates":
        [[[west, south], [east, south], [east, north], [west, north], [west, south]]]})
}

fn feature(properties: &Value, geometry: &Value) -> Value {
    json!({"type": "Feature", "properties": properties, "geometry": geometry})
}

fn bytes(features: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({"type": "FeatureCollection", "features": features})).unwrap()
}

fn open(features: &[Value], options: GridOptions) -> Result<Box<dyn Grid>, GridError> {
    let spec: GridSpec = "geojson:regions.json#name".parse().unwrap();
    spec.open(Some(&bytes(features)), options)
}

fn cover(grid: &mut dyn Grid, geometry: &Geometry<f64>) -> Vec<String> {
    let mut out = vec![CellKey::from("left over")];
    grid.cover(Some(geometry), &mut out).unwrap();
    out.iter().map(ToString::to_string).collect()
}

fn neighbours() -> Box<dyn Grid> {
    let features = [
        feature(&json!({"name": "b"}), &square(10.0, 0.0, 10.0)),
        feature(&json!({"name": "a"}), &square(0.0, 0.0, 10.0)),
        feature(&json!({"name": "far"}), &square(170.0, 50.0, 10.0)),
        feature(&json!({"name": "a"}), &square(40.0, 0.0, 1.0)),
        feature(&json!({"name": "nowhere"}), &Value::Null),
    ];
    open(&features, GridOptions::default()).unwrap()
}

const EARTHCATALOG: GridOptions = GridOptions {
    cap: None,
    earthcatalog: true,
};

#[test]
fn a_geometry_has_the_key_of_every_region_it_touches() {
    let mut grid = neighbours();
    let mut at = |geometry: Geometry<f64>| cover(grid.as_mut(), &geometry);
    assert_eq!(at(Point::new(5.0, 5.0).into()), ["a"]);
    assert_eq!(at(Point::new(10.0, 5.0).into()), ["a", "b"]);
    assert_eq!(at(bbox_geometry([5.0, 5.0, 45.0, 6.0])), ["a", "b"]);
    assert_eq!(at(bbox_geometry([20.0, 10.0, 30.0, 20.0])), ["b"]);
    assert_eq!(
        at(geo::LineString::from(vec![(-5.0, 5.0), (5.0, -5.5)]).into()),
        ["__none__"]
    );
    assert_eq!(
        at(geo::LineString::from(vec![(-5.0, 5.0), (5.0, -4.5)]).into()),
        ["a"]
    );
}

#[test]
fn a_geometry_across_the_antimeridian_touches_regions_of_both_sides() {
    let mut grid = neighbours();
    let across = bbox_geometry([175.0, 52.0, -175.0, 53.0]);
    assert_eq!(cover(grid.as_mut(), &across), ["far"]);
    let from_the_west = bbox_geometry([-195.0, 52.0, -182.0, 53.0]);
    assert_eq!(cover(grid.as_mut(), &from_the_west), ["far"]);
    let at_the_seam = Point::new(-180.0, 55.0).into();
    assert_eq!(cover(grid.as_mut(), &at_the_seam), ["far"]);
    let ring = super::exact::ring(&[[179.0, 52.0], [-179.0, 52.5], [-179.0, 53.0], [179.0, 53.5]]);
    assert_eq!(cover(grid.as_mut(), &ring), ["far"]);
}

#[test]
fn a_geometry_outside_of_all_regions_has_the_key_of_none() {
    let mut grid = neighbours();
    assert_eq!(
        cover(grid.as_mut(), &Point::new(5.0, -5.0).into()),
        ["__none__"]
    );
    let mut out = Vec::new();
    grid.cover(None, &mut out).unwrap();
    assert_eq!(out, [CellKey::none()]);
}

#[test]
fn a_geometry_in_the_hole_of_a_region_misses_it() {
    let holed = json!({"type": "Polygon", "coordinates": [
        [[0, 0], [30, 0], [30, 30], [0, 30], [0, 0]],
        [[10, 10], [10, 20], [20, 20], [20, 10], [10, 10]],
    ]});
    let features = [feature(&json!({"name": "ring"}), &holed)];
    let mut grid = open(&features, GridOptions::default()).unwrap();
    assert_eq!(
        cover(grid.as_mut(), &bbox_geometry([12.0, 12.0, 18.0, 18.0])),
        ["__none__"]
    );
    assert_eq!(
        cover(grid.as_mut(), &bbox_geometry([12.0, 12.0, 21.0, 18.0])),
        ["ring"]
    );
}

#[test]
fn a_region_without_the_property_is_named_by_its_id_else_by_its_place() {
    let mut with_id = feature(&json!({"name": null}), &square(20.0, 0.0, 5.0));
    with_id["id"] = json!("own");
    let features = [
        feature(&json!({"name": 7}), &square(0.0, 0.0, 5.0)),
        feature(&Value::Null, &square(10.0, 0.0, 5.0)),
        with_id,
    ];
    let mut grid = open(&features, GridOptions::default()).unwrap();
    assert_eq!(
        cover(grid.as_mut(), &bbox_geometry([0.0, 0.0, 30.0, 1.0])),
        ["1", "7", "own"]
    );
}

#[test]
fn more_regions_than_allowed_become_global() {
    let features: Vec<_> = (0..3)
        .map(|k| feature(&json!({"name": k}), &square(f64::from(k), 0.0, 1.0)))
        .collect();
    let options = GridOptions {
        cap: std::num::NonZeroUsize::new(2),
        ..GridOptions::default()
    };
    let mut grid = open(&features, options).unwrap();
    assert_eq!(
        cover(grid.as_mut(), &bbox_geometry([0.5, 0.2, 0.7, 0.4])),
        ["0"]
    );
    assert_eq!(
        cover(grid.as_mut(), &bbox_geometry([0.0, 0.0, 3.0, 1.0])),
        ["__global__"]
    );
}

#[test]
fn a_slash_in_a_region_name_is_escaped_in_paths_and_refused_in_an_earthcatalog() {
    let features = [feature(&json!({"name": "EU/FR"}), &square(0.0, 0.0, 5.0))];
    let mut grid = open(&features, GridOptions::default()).unwrap();
    let mut out = Vec::new();
    grid.cover(Some(&Point::new(1.0, 1.0).into()), &mut out)
        .unwrap();
    assert_eq!(out[0].as_str(), "EU/FR");
    assert_eq!(out[0].path_segment(), "EU%2FFR");
    let error = open(&features, EARTHCATALOG).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("feature 0 of regions.json: the key \"EU/FR\" would not"),
        "{error}"
    );
    assert_eq!(error.class(), Class::Denied);
}

#[test]
fn an_empty_or_reserved_region_name_is_refused() {
    for name in ["", "__none__", "__global__"] {
        let features = [
            feature(&json!({"name": "a"}), &square(0.0, 0.0, 5.0)),
            feature(&json!({"name": name}), &square(0.0, 0.0, 5.0)),
        ];
        let error = open(&features, GridOptions::default()).unwrap_err();
        assert!(
            matches!(error, GridError::RegionKey { index: 1, .. }),
            "{error}"
        );
    }
}

#[test]
fn another_file_under_the_same_path_is_refused() {
    let file = bytes(&[feature(&json!({"name": "a"}), &square(0.0, 0.0, 5.0))]);
    let spec: GridSpec = "geojson:regions.json".parse().unwrap();
    let opened = spec.open(Some(&file), GridOptions::default()).unwrap();
    let pinned = opened.spec().clone();
    assert_eq!(pinned, spec.clone().pinned(&file));
    assert!(pinned.open(Some(&file), GridOptions::default()).is_ok());
    let mut other = file.clone();
    other.push(b' ');
    let error = pinned
        .open(Some(&other), GridOptions::default())
        .unwrap_err();
    assert!(
        matches!(error, GridError::BoundariesChanged { .. }),
        "{error}"
    );
    assert!(spec.open(Some(&other), GridOptions::default()).is_ok());
    assert!(matches!(
        spec.open(None, GridOptions::default()),
        Err(GridError::NoBoundaries { .. })
    ));
}

#[test]
fn a_file_that_is_no_collection_is_refused() {
    let spec: GridSpec = "geojson:regions.json".parse().unwrap();
    for text in [
        "",
        "{}",
        r#"{"type":"Feature","geometry":null,"properties":{}}"#,
        r#"{"type":"Topology","features":[]}"#,
        r#"{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Point","coordinates":["a",1]}}]}"#,
    ] {
        let error = spec
            .open(Some(text.as_bytes()), GridOptions::default())
            .unwrap_err();
        assert!(
            matches!(error, GridError::Boundaries { .. }),
            "{text} {error}"
        );
    }
}
