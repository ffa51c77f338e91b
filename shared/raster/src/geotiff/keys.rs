//! `GeoKeys`: GeoTIFF's own directory of what the coordinates mean (OGC 19-008r4, section 7).

use std::collections::BTreeMap;

use crate::tiff::Facts;

/// The value "it is defined by other keys".
pub(super) const USER_DEFINED: u16 = 32767;

pub(super) mod key {
    pub(in crate::geotiff) const MODEL_TYPE: u16 = 1024;
    pub(in crate::geotiff) const RASTER_TYPE: u16 = 1025;
    pub(in crate::geotiff) const GEODETIC_CRS: u16 = 2048;
    pub(in crate::geotiff) const GEODETIC_DATUM: u16 = 2050;
    pub(in crate::geotiff) const ANGULAR_UNITS: u16 = 2054;
    pub(in crate::geotiff) const ELLIPSOID: u16 = 2056;
    pub(in crate::geotiff) const SEMI_MAJOR: u16 = 2057;
    pub(in crate::geotiff) const SEMI_MINOR: u16 = 2058;
    pub(in crate::geotiff) const INVERSE_FLATTENING: u16 = 2059;
    pub(in crate::geotiff) const PRIME_MERIDIAN_LON: u16 = 2061;
    pub(in crate::geotiff) const PROJECTED_CRS: u16 = 3072;
    pub(in crate::geotiff) const PROJECTION: u16 = 3074;
    pub(in crate::geotiff) const METHOD: u16 = 3075;
    pub(in crate::geotiff) const LINEAR_UNITS: u16 = 3076;
    pub(in crate::geotiff) const LINEAR_UNIT_SIZE: u16 = 3077;
    pub(in crate::geotiff) const PARALLEL_1: u16 = 3078;
    pub(in crate::geotiff) const PARALLEL_2: u16 = 3079;
    pub(in crate::geotiff) const ORIGIN_LON: u16 = 3080;
    pub(in crate::geotiff) const ORIGIN_LAT: u16 = 3081;
    pub(in crate::geotiff) const FALSE_EASTING: u16 = 3082;
    pub(in crate::geotiff) const FALSE_NORTHING: u16 = 3083;
    pub(in crate::geotiff) const FALSE_ORIGIN_LON: u16 = 3084;
    pub(in crate::geotiff) const FALSE_ORIGIN_LAT: u16 = 3085;
    pub(in crate::geotiff) const FALSE_ORIGIN_EASTING: u16 = 3086;
    pub(in crate::geotiff) const FALSE_ORIGIN_NORTHING: u16 = 3087;
    pub(in crate::geotiff) const CENTER_LON: u16 = 3088;
    pub(in crate::geotiff) const CENTER_LAT: u16 = 3089;
    pub(in crate::geotiff) const CENTER_EASTING: u16 = 3090;
    pub(in crate::geotiff) const CENTER_NORTHING: u16 = 3091;
    pub(in crate::geotiff) const SCALE: u16 = 3092;
    pub(in crate::geotiff) const CENTER_SCALE: u16 = 3093;
    pub(in crate::geotiff) const POLE_LON: u16 = 3095;
}

/// The keys of one file: codes, and numbers.
#[derive(Debug, Default)]
pub(super) struct Keys {
    codes: BTreeMap<u16, u16>,
    numbers: BTreeMap<u16, f64>,
}

impl Keys {
    /// Takes the keys out of their tags; entries that point outside of them are passed over.
    pub(super) fn read(facts: &Facts) -> Self {
        const IN_PLACE: u16 = 0;
        const IN_DOUBLES: u16 = 34736;
        let mut keys = Self::default();
        for entry in facts.keys.chunks_exact(4).skip(1) {
            let [id, place, _, value] = *entry else {
                continue;
            };
            match place {
                IN_PLACE => {
                    keys.codes.insert(id, value);
                }
                IN_DOUBLES => {
                    if let Some(number) = facts.doubles.get(usize::from(value)) {
                        keys.numbers.insert(id, *number);
                    }
                }
                _ => {}
            }
        }
        keys
    }

    pub(super) fn is_empty(&self) -> bool {
        self.codes.is_empty() && self.numbers.is_empty()
    }

    /// A code that says something: neither "undefined" nor "user-defined".
    pub(super) fn code(&self, id: u16) -> Option<u16> {
        self.raw(id).filter(|code| *code != USER_DEFINED)
    }

    /// A code as it stands, without "undefined".
    pub(super) fn raw(&self, id: u16) -> Option<u16> {
        self.codes.get(&id).copied().filter(|code| *code != 0)
    }

    pub(super) fn number(&self, id: u16) -> Option<f64> {
        self.numbers
            .get(&id)
            .copied()
            .filter(|value| value.is_finite())
    }

    /// The first of some keys that holds a number, 0 when none does.
    pub(super) fn first(&self, ids: &[u16]) -> f64 {
        ids.iter().find_map(|id| self.number(*id)).unwrap_or(0.0)
    }

    /// Whether coordinates are those of pixels' centres.
    pub(super) fn is_point(&self) -> bool {
        const PIXEL_IS_POINT: u16 = 2;
        self.code(key::RASTER_TYPE) == Some(PIXEL_IS_POINT)
    }
}
