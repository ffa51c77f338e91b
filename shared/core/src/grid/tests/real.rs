//! Items and countries made by others.

use std::path::{Path, PathBuf};

use geo::{Geometry, Polygon};

use super::exact::{COARSE, cells, grid, wrong};
use super::oracle::{Position, Truth, cell_at};

#[expect(
    clippy::disallowed_methods,
    reason = "where the data of others lies is set from outside"
)]
fn real_data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    let root = std::env::var("SWATH_REAL_DATA").map_or(beside, PathBuf::from);
    if root.is_dir() {
        return Some(root);
    }
    println!("NOT RUN: no real data; set SWATH_REAL_DATA to a folder with stac/ and aoi/");
    None
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|end| end == "json") {
            into.push(path);
        }
    }
}

fn geometries(path: &Path) -> Vec<Geometry<f64>> {
    let text = std::fs::read_to_string(path).unwrap();
    let features = match text.parse::<geojson::GeoJson>() {
        Ok(geojson::GeoJson::Feature(feature)) => vec![feature],
        Ok(geojson::GeoJson::FeatureCollection(collection)) => collection.features,
        _ => Vec::new(),
    };
    features
        .into_iter()
        .filter_map(|feature| feature.geometry)
        .map(|geometry| geometry.try_into().unwrap())
        .collect()
}

/// Takes a polygon or polygons as written: none of these rings crosses the antimeridian.
fn as_written(geometry: &Geometry<f64>) -> Truth {
    let rings = |polygon: &Polygon<f64>| {
        std::iter::once(polygon.exterior())
            .chain(polygon.interiors())
            .map(|ring| ring.0.iter().map(|c| [c.x, c.y]).collect())
            .collect::<Vec<Vec<Position>>>()
    };
    let polygons = match geometry {
        Geometry::Polygon(polygon) => vec![rings(polygon)],
        Geometry::MultiPolygon(polygons) => polygons.0.iter().map(rings).collect(),
        other => panic!("{other:?}"),
    };
    let jumps = polygons.iter().flatten().flat_map(|ring| ring.windows(2));
    for edge in jumps.filter(|edge| edge[0][1] > -90.0) {
        assert!((edge[1][0] - edge[0][0]).abs() <= 180.0, "{edge:?}");
    }
    Truth {
        polygons,
        ..Truth::default()
    }
}

fn check(all: &[Geometry<f64>], on_an_edge: u32) {
    for resolution in [1, 3] {
        let mut grid = grid(resolution);
        for geometry in all {
            let truth = as_written(geometry);
            let cover = cells(&mut grid, geometry);
            for position in truth.samples(on_an_edge, 25) {
                let cell = cell_at(position, resolution.try_into().unwrap());
                assert!(cover.contains(&cell), "{position:?} {geometry:?}");
            }
            if resolution == 1 {
                let wrong = wrong(&cover, &truth, COARSE[1].iter());
                assert!(wrong.is_empty(), "{wrong:?} {geometry:?}");
            }
        }
    }
}

#[test]
fn every_real_item_has_all_cells_it_touches() {
    let Some(root) = real_data() else { return };
    let mut paths = Vec::new();
    files(&root.join("stac"), &mut paths);
    let all: Vec<_> = paths.iter().flat_map(|path| geometries(path)).collect();
    assert!(all.len() >= 50, "{} items", all.len());
    check(&all, 100);
}

#[test]
fn every_country_has_all_cells_it_touches() {
    let Some(root) = real_data() else { return };
    let all = geometries(&root.join("aoi/countries.geojson"));
    assert!(!all.is_empty());
    check(&all, 10);
}
