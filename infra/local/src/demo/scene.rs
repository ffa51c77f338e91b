//! Scenes that never were, shaped as a Sentinel-2 collection's are: ids, properties, footprints, assets.

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

/// The collection of all scenes.
pub(super) const COLLECTION: &str = "sentinel-2-l2a";

/// The assets that are large enough to be worth a download.
pub(super) const BANDS: [&str; 2] = ["red", "nir"];

const DAYS_BETWEEN_PASSES: i64 = 10;
const PASSES: i64 = 4;
/// Tile name, west and south edge in degrees.
const TILES: [(&str, f64, f64); 6] = [
    ("32TPS", 10.31, 45.93),
    ("32TQS", 11.60, 45.89),
    ("33TUM", 12.40, 45.96),
    ("33TVM", 13.71, 45.95),
    ("33TWM", 15.00, 45.96),
    ("33TWN", 15.00, 46.86),
];
const TILE_WIDTH: f64 = 1.42;
const TILE_HEIGHT: f64 = 0.99;

/// One scene: a tile at a pass.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    tile: &'static str,
    west: f64,
    south: f64,
    taken: OffsetDateTime,
    /// Its place among all scenes, the seed of whatever is random in it.
    pub(super) number: u64,
}

/// Returns every scene, by pass, then by tile.
pub(super) fn scenes() -> Vec<Scene> {
    let first = datetime!(2024-06-03 10:05:59.024 UTC);
    let passes = (0..PASSES).map(|pass| first + Duration::days(pass * DAYS_BETWEEN_PASSES));
    let each = passes.flat_map(|taken| TILES.map(|(tile, west, south)| (tile, west, south, taken)));
    (0..)
        .zip(each)
        .map(|(number, (tile, west, south, taken))| Scene {
            tile,
            west,
            south,
            taken,
            number,
        })
        .collect()
}

impl Scene {
    /// Returns the item's id.
    pub(super) fn id(&self) -> String {
        let (year, month, day) = (
            self.taken.year(),
            u8::from(self.taken.month()),
            self.taken.day(),
        );
        format!(
            "S2{}_{}_{year}{month:02}{day:02}_0_L2A",
            self.unit().to_ascii_uppercase(),
            self.tile
        )
    }

    fn unit(&self) -> char {
        if self.number.is_multiple_of(2) {
            'a'
        } else {
            'b'
        }
    }

    /// Returns the item as served under `base`.
    pub(super) fn item(&self, base: &str) -> String {
        let id = self.id();
        let taken = self.taken.format(&Rfc3339).unwrap_or_default();
        let created = (self.taken + Duration::hours(9))
            .format(&Rfc3339)
            .unwrap_or_default();
        let cloud_cover =
            f64::from(u32::try_from(self.number * 7919 % 10_000).unwrap_or_default()) / 100.0;
        let ring = self.ring();
        json!({
            "type": "Feature",
            "stac_version": "1.0.0",
            "stac_extensions": [
                "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
                "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
                "https://stac-extensions.github.io/file/v2.1.0/schema.json"
            ],
            "id": id,
            "collection": COLLECTION,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": self.bbox(),
            "properties": {
                "datetime": taken,
                "created": created,
                "updated": created,
                "platform": format!("sentinel-2{}", self.unit()),
                "constellation": "sentinel-2",
                "instruments": ["msi"],
                "eo:cloud_cover": cloud_cover,
                "proj:epsg": self.epsg(),
                "grid:code": format!("MGRS-{}", self.tile),
                "s2:processing_baseline": "05.10",
                "s2:nodata_pixel_percentage": 0,
                "view:sun_elevation": 64.5
            },
            "links": [
                {"rel": "collection", "type": "application/json", "href": format!("{base}/collections/{COLLECTION}")},
                {"rel": "root", "type": "application/json", "href": format!("{base}/")}
            ],
            "assets": Self::assets(base, &id)
        })
        .to_string()
    }

    fn epsg(&self) -> u32 {
        if self.tile.starts_with("32") {
            32632
        } else {
            32633
        }
    }

    /// The footprint leans a little, as those of real tiles do.
    fn ring(&self) -> Vec<[f64; 2]> {
        let (west, south, east, north) = (
            self.west,
            self.south,
            self.west + TILE_WIDTH,
            self.south + TILE_HEIGHT,
        );
        let lean = 0.03;
        vec![
            [west, north],
            [west + lean, south],
            [east, south + lean],
            [east - lean, north - lean],
            [west, north],
        ]
    }

    fn bbox(&self) -> [f64; 4] {
        [
            self.west,
            self.south,
            self.west + TILE_WIDTH,
            self.south + TILE_HEIGHT,
        ]
    }

    fn assets(base: &str, id: &str) -> Value {
        let band = |key: &str, name: &str, wavelength: f64| {
            json!({
                "href": format!("{base}/assets/{id}/{key}.tif"),
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "title": format!("{name} 10 m"),
                "eo:bands": [{"name": name, "common_name": key, "center_wavelength": wavelength}],
                "gsd": 10,
                "roles": ["data", "reflectance"]
            })
        };
        json!({
            "red": band("red", "B04", 0.665),
            "nir": band("nir", "B08", 0.842),
            "tileinfo_metadata": {
                "href": format!("{base}/assets/{id}/tileInfo.json"),
                "type": "application/json",
                "roles": ["metadata"]
            }
        })
    }
}

/// Returns the demo's file of places: five that are seen, one at sea, one that is no area at all.
pub(super) fn places() -> String {
    let box_of = |name: &str, west: f64, south: f64, east: f64, north: f64| {
        json!({
            "type": "Feature",
            "id": name,
            "properties": {"name": name},
            "geometry": {"type": "Polygon", "coordinates": [[
                [west, south], [east, south], [east, north], [west, north], [west, south]
            ]]}
        })
    };
    json!({
        "type": "FeatureCollection",
        "features": [
            box_of("vineyards", 10.9, 46.2, 11.2, 46.4),
            box_of("river", 11.5, 46.1, 12.6, 46.3),
            box_of("karst", 13.6, 45.96, 14.1, 46.3),
            box_of("basin", 14.6, 46.1, 15.2, 46.2),
            box_of("hills", 15.3, 46.9, 16.1, 47.4),
            box_of("open sea", -30.0, 40.0, -29.0, 41.0),
            {"type": "Feature", "id": "broken", "properties": {"name": "broken"},
             "geometry": {"type": "Polygon", "coordinates": [[[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]]}}
        ]
    })
    .to_string()
}
