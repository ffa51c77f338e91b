//! A raster in STAC's words: <https://github.com/radiantearth/stac-spec>, version 1.1.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::footprint::{Footprint, footprint};
use super::moment::{NamePattern, of_name, of_tag};
use super::{Affine, GeoTiff, bands};

const PROJECTION: &str = "https://stac-extensions.github.io/projection/v2.0.0/schema.json";
const RASTER: &str = "https://stac-extensions.github.io/raster/v2.0.0/schema.json";
const FILE: &str = "https://stac-extensions.github.io/file/v2.1.0/schema.json";

/// Tags of GDAL that hold the moment of taking, the best first.
const MOMENTS: [&str; 4] = [
    "ACQUISITIONDATETIME",
    "ACQUISITION_DATETIME",
    "TIFFTAG_DATETIME",
    "datetime",
];

/// What is known of a file besides its content.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// The item's id.
    pub id: &'a str,
    /// The collection's id.
    pub collection: Option<&'a str>,
    /// Where the file lies, an absolute URI.
    pub href: &'a str,
    /// The file's name, in which a datetime may be found.
    pub name: &'a str,
    /// The multihash of the file's bytes, hex, if somebody has computed it.
    pub checksum: Option<&'a str>,
    /// Where names hold the datetime; goes before the file's tags.
    pub pattern: Option<&'a NamePattern>,
    /// The datetime, if it is known from elsewhere; goes before all.
    pub datetime: Option<OffsetDateTime>,
}

/// A file of which no item can be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ItemError {
    /// Nothing says when it was taken, and a STAC item has to.
    #[error("{href}: neither a tag nor the name says when it was taken")]
    NoDatetime {
        /// The file.
        href: String,
    },
    /// The pattern does not match the name.
    #[error("{href}: the name does not match the pattern for names, or gives no possible date")]
    OtherName {
        /// The file.
        href: String,
    },
}

impl ItemError {
    /// Returns the stable word for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoDatetime { .. } => "datetime_unknown",
            Self::OtherName { .. } => "name_unmatched",
        }
    }
}

impl GeoTiff {
    /// Makes the item of a file.
    ///
    /// Geometry and box are WGS 84, longitudes from -180 to 180, cut at the antimeridian; `proj:bbox` and
    /// `proj:transform` are in the file's own coordinates. Without a known place the geometry is null and there is
    /// no box. `swath:notes` lists what the file does not say, and what was taken for granted.
    ///
    /// # Errors
    /// When it is not known when the image was taken.
    pub fn item(&self, origin: &Origin<'_>) -> Result<Value, ItemError> {
        let mut notes = self.notes();
        let datetime = self.datetime(origin, &mut notes)?;
        let place = self.footprint();
        if let Err(why) = &place {
            notes.push(format!("the footprint is not known: {why}"));
        }
        let mut properties = Map::new();
        properties.insert("datetime".to_owned(), json!(datetime));
        self.projection(&mut properties);
        let bands = bands::bands(&self.facts, &self.metadata, &mut notes);
        let asset = self.asset(origin, bands);
        if !notes.is_empty() {
            properties.insert("swath:notes".to_owned(), json!(notes));
        }
        let mut item = Map::new();
        item.insert("type".to_owned(), json!("Feature"));
        item.insert("stac_version".to_owned(), json!("1.1.0"));
        item.insert(
            "stac_extensions".to_owned(),
            json!([PROJECTION, RASTER, FILE]),
        );
        item.insert("id".to_owned(), json!(origin.id));
        let (geometry, bbox) = place.map_or((Value::Null, None), |Footprint { geometry, bbox }| {
            (geometry, Some(bbox))
        });
        item.insert("geometry".to_owned(), geometry);
        if let Some(bbox) = bbox {
            item.insert("bbox".to_owned(), json!(bbox));
        }
        item.insert("properties".to_owned(), Value::Object(properties));
        let mut links = Vec::new();
        if let Some(collection) = origin.collection {
            links
                .push(json!({"rel": "collection", "href": collection, "type": "application/json"}));
            item.insert("collection".to_owned(), json!(collection));
        }
        item.insert("links".to_owned(), Value::Array(links));
        item.insert("assets".to_owned(), json!({"data": asset}));
        Ok(Value::Object(item))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.crs.notes.clone();
        notes.extend(self.facts.unread.iter().cloned());
        if let Some(why) = &self.metadata.broken {
            notes.push(format!(
                "GDAL's metadata cannot be read to their end: {why}"
            ));
        }
        if self.facts.mixed {
            notes.push("the samples differ in depth or format".to_owned());
        }
        notes
    }

    fn datetime(&self, origin: &Origin<'_>, notes: &mut Vec<String>) -> Result<String, ItemError> {
        let found = self.moment(origin, notes)?;
        // Years of more digits have no RFC 3339 form; they cannot come out of four-digit fields.
        found.format(&Rfc3339).map_err(|_| ItemError::NoDatetime {
            href: origin.href.to_owned(),
        })
    }

    fn moment(
        &self,
        origin: &Origin<'_>,
        notes: &mut Vec<String>,
    ) -> Result<OffsetDateTime, ItemError> {
        if let Some(datetime) = origin.datetime {
            return Ok(datetime);
        }
        if let Some(pattern) = origin.pattern {
            let href = || origin.href.to_owned();
            return pattern
                .instant(origin.name)
                .ok_or_else(|| ItemError::OtherName { href: href() });
        }
        for name in MOMENTS {
            let text = self.metadata.of_file.get(name);
            if let Some(found) = text.and_then(|text| of_tag(text)) {
                notes.push(format!("the datetime is GDAL's {name}, read as UTC"));
                return Ok(found);
            }
        }
        if let Some(found) = self.facts.datetime.as_deref().and_then(of_tag) {
            notes.push("the datetime is TIFF's DateTime (tag 306), read as UTC".to_owned());
            return Ok(found);
        }
        if let Some(found) = of_name(origin.name) {
            notes.push("the datetime is that of the file's name, read as UTC".to_owned());
            return Ok(found);
        }
        Err(ItemError::NoDatetime {
            href: origin.href.to_owned(),
        })
    }

    fn footprint(&self) -> Result<Footprint, String> {
        let affine = self.affine.as_ref().map_err(Clone::clone)?;
        let projection = self.crs.projection.as_ref().map_err(Clone::clone)?;
        footprint(self.sides(), affine, projection)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "sides are below 2^31, which the walk has checked"
    )]
    fn sides(&self) -> (f64, f64) {
        (self.facts.width as f64, self.facts.height as f64)
    }

    fn projection(&self, properties: &mut Map<String, Value>) {
        properties.insert("proj:code".to_owned(), json!(self.crs.code));
        let (width, height) = self.size();
        properties.insert("proj:shape".to_owned(), json!([height, width]));
        if let Ok(affine) = &self.affine {
            properties.insert("proj:bbox".to_owned(), json!(own_box(self.sides(), affine)));
            properties.insert("proj:transform".to_owned(), json!(affine.values));
        }
    }

    fn asset(&self, origin: &Origin<'_>, bands: Vec<Value>) -> Value {
        let mut asset = Map::new();
        asset.insert("href".to_owned(), json!(origin.href));
        let placed = self.affine.is_ok() || self.crs.code.is_some();
        let media_type = match (placed, self.facts.cloud_optimized) {
            (false, _) => "image/tiff",
            (true, false) => "image/tiff; application=geotiff",
            (true, true) => "image/tiff; application=geotiff; profile=cloud-optimized",
        };
        asset.insert("type".to_owned(), json!(media_type));
        asset.insert("roles".to_owned(), json!(["data"]));
        asset.insert("file:size".to_owned(), json!(self.size_bytes));
        if let Some(checksum) = origin.checksum {
            asset.insert("file:checksum".to_owned(), json!(checksum));
        }
        let order = if self.facts.big_endian {
            "big-endian"
        } else {
            "little-endian"
        };
        asset.insert("file:byte_order".to_owned(), json!(order));
        let sampling = if self.point { "point" } else { "area" };
        asset.insert("raster:sampling".to_owned(), json!(sampling));
        if let Some(resolution) = self.metres_per_pixel() {
            asset.insert("raster:spatial_resolution".to_owned(), json!(resolution));
        }
        if !bands.is_empty() {
            asset.insert("bands".to_owned(), Value::Array(bands));
        }
        Value::Object(asset)
    }

    /// Metres of a pixel's side, where the coordinates are lengths and pixels are square.
    fn metres_per_pixel(&self) -> Option<f64> {
        let projection = self.crs.projection.as_ref().ok()?;
        if projection.is_latlong() || self.crs.code.is_none() && self.metres.is_none() {
            return None;
        }
        let (across, down) = self.affine()?.pixel();
        let square = (across - down).abs() <= 1e-9 * across;
        square.then_some(across * projection.to_meter())
    }
}

/// The box around the pixels in the file's own coordinates: least x, least y, greatest x, greatest y.
fn own_box((width, height): (f64, f64), affine: &Affine) -> [f64; 4] {
    let corners = [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)];
    corners.into_iter().fold(
        [
            f64::INFINITY,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NEG_INFINITY,
        ],
        |[west, south, east, north], (column, row)| {
            let (x, y) = affine.at(column, row);
            [west.min(x), south.min(y), east.max(x), north.max(y)]
        },
    )
}
