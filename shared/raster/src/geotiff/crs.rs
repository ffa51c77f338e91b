//! Which coordinate reference system a file is in, and how to get from it to WGS 84.

use proj4rs::Proj;
use proj4rs::errors::Error;

use super::keys::{Keys, key};

/// A coordinate reference system, as far as the file says.
#[derive(Debug)]
pub(super) struct Crs {
    /// `EPSG:32633`; none when the file defines its system by parameters, or not at all.
    pub(super) code: Option<String>,
    /// The way to WGS 84, or why there is none.
    pub(super) projection: Result<Proj, String>,
    /// What was taken for granted on the way.
    pub(super) notes: Vec<String>,
}

const PROJECTED: u16 = 1;
const GEOGRAPHIC: u16 = 2;

impl Crs {
    /// Finds the system of a file's keys.
    pub(super) fn of(keys: &Keys) -> Self {
        if keys.is_empty() {
            return Self::unknown("the file names no coordinate reference system");
        }
        let model = keys.code(key::MODEL_TYPE);
        let projected = keys.raw(key::PROJECTED_CRS).is_some() || model == Some(PROJECTED);
        if projected && model != Some(GEOGRAPHIC) {
            return Self::projected(keys);
        }
        if model.is_none_or(|model| model == GEOGRAPHIC) {
            if let Some(code) = keys.code(key::GEODETIC_CRS) {
                return Self::epsg(code);
            }
            if keys.raw(key::GEODETIC_CRS).is_some() {
                return Self::by_parameters(keys, "+proj=longlat");
            }
        }
        Self::unknown("the file's keys name neither a projected nor a geographic system")
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self {
            code: None,
            projection: Err(why.into()),
            notes: Vec::new(),
        }
    }

    fn epsg(code: u16) -> Self {
        let mut crs = match crs_definitions::from_code(code) {
            Some(definition) => Self::defined(definition.proj4),
            None => Self::unknown(format!("EPSG:{code} is not among the systems known here")),
        };
        crs.code = Some(format!("EPSG:{code}"));
        crs
    }

    fn projected(keys: &Keys) -> Self {
        if let Some(code) = keys.code(key::PROJECTED_CRS) {
            return Self::epsg(code);
        }
        if let Some(code) = utm_code(keys) {
            return Self::epsg(code);
        }
        match method(keys) {
            Ok(projection) => Self::by_parameters(keys, &projection),
            Err(why) => Self::unknown(why),
        }
    }

    fn by_parameters(keys: &Keys, projection: &str) -> Self {
        let (datum, unit) = match (datum(keys), unit(keys)) {
            (Ok(datum), Ok(unit)) => (datum, unit),
            (Err(why), _) | (_, Err(why)) => return Self::unknown(why),
        };
        let mut crs = Self::defined(&format!("{projection} {datum} {unit} +no_defs"));
        crs.notes.push(
            "the coordinate reference system is defined by parameters and has no code".to_owned(),
        );
        crs
    }

    /// Takes a PROJ definition; datums that need a grid of shifts are used without one, which is said.
    fn defined(definition: &str) -> Self {
        let failed = |error: &Error| format!("the system {definition:?} cannot be used: {error}");
        let (projection, notes) = match Proj::from_proj_string(definition) {
            Ok(projection) if !needs_grid(definition) => (Ok(projection), Vec::new()),
            Ok(_) | Err(Error::NadGridNotAvailable) => {
                let without = Proj::from_proj_string(&without_grid(definition));
                let note = "the datum's grid of shifts is not applied: the footprint may be off by some 200 m";
                (
                    without.map_err(|error| failed(&error)),
                    vec![note.to_owned()],
                )
            }
            Err(error) => (Err(failed(&error)), Vec::new()),
        };
        Self {
            code: None,
            projection,
            notes,
        }
    }
}

fn needs_grid(definition: &str) -> bool {
    definition.contains("+datum=NAD27")
        || (definition.contains("+nadgrids=") && !definition.contains("+nadgrids=@null"))
}

fn without_grid(definition: &str) -> String {
    definition
        .split_whitespace()
        .filter(|word| !word.starts_with("+nadgrids="))
        .map(|word| match word {
            "+datum=NAD27" => "+ellps=clrk66",
            "+datum=nzgd49" => "+ellps=intl",
            other => other,
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// The code of a UTM zone that is given by its projection and a well-known datum.
fn utm_code(keys: &Keys) -> Option<u16> {
    let projection = keys.code(key::PROJECTION)?;
    let (zone, south) = match projection {
        16001..=16060 => (projection - 16000, false),
        16101..=16160 => (projection - 16100, true),
        _ => return None,
    };
    let metres = keys.raw(key::LINEAR_UNITS).is_none_or(|unit| unit == 9001);
    let base = match (keys.code(key::GEODETIC_CRS)?, south) {
        (4326, false) => 32600,
        (4326, true) => 32700,
        (4269, false) if zone <= 23 => 26900,
        (4267, false) if zone <= 22 => 26700,
        (4258, false) if (28..=38).contains(&zone) => 25800,
        (4322, false) => 32200,
        (4322, true) => 32300,
        _ => return None,
    };
    metres.then_some(base + zone)
}

/// Puts a projection given by its method and parameters into PROJ's words.
fn method(keys: &Keys) -> Result<String, String> {
    use key::{
        CENTER_LAT, CENTER_LON, CENTER_SCALE, FALSE_ORIGIN_LAT, FALSE_ORIGIN_LON, ORIGIN_LAT,
        ORIGIN_LON, PARALLEL_1, PARALLEL_2, POLE_LON, SCALE,
    };
    if let Some(projection) = keys.code(key::PROJECTION) {
        match projection {
            16001..=16060 => return Ok(format!("+proj=utm +zone={}", projection - 16000)),
            16101..=16160 => return Ok(format!("+proj=utm +zone={} +south", projection - 16100)),
            _ => {}
        }
    }
    let lat = keys.first(&[ORIGIN_LAT, FALSE_ORIGIN_LAT, CENTER_LAT]);
    let lon = keys.first(&[ORIGIN_LON, FALSE_ORIGIN_LON, CENTER_LON, POLE_LON]);
    let scale = [SCALE, CENTER_SCALE]
        .iter()
        .find_map(|id| keys.number(*id))
        .unwrap_or(1.0);
    let (first, second) = (keys.first(&[PARALLEL_1]), keys.first(&[PARALLEL_2]));
    let words = match keys.raw(key::METHOD) {
        Some(1) => format!("+proj=tmerc +lat_0={lat} +lon_0={lon} +k={scale}"),
        Some(7) if keys.number(PARALLEL_1).is_some() => {
            format!("+proj=merc +lat_ts={first} +lon_0={lon}")
        }
        Some(7) => format!("+proj=merc +lon_0={lon} +k={scale}"),
        Some(8) => format!("+proj=lcc +lat_1={first} +lat_2={second} +lat_0={lat} +lon_0={lon}"),
        Some(9) => format!("+proj=lcc +lat_1={lat} +lat_0={lat} +lon_0={lon} +k_0={scale}"),
        Some(10) => format!("+proj=laea +lat_0={lat} +lon_0={lon}"),
        Some(11) => format!("+proj=aea +lat_1={first} +lat_2={second} +lat_0={lat} +lon_0={lon}"),
        Some(13) => {
            format!("+proj=eqdc +lat_1={first} +lat_2={second} +lat_0={lat} +lon_0={lon}")
        }
        Some(14) => format!("+proj=stere +lat_0={lat} +lon_0={lon} +k={scale}"),
        Some(15) => {
            let pole = if lat < 0.0 { -90 } else { 90 };
            let lon = keys.first(&[POLE_LON, ORIGIN_LON, CENTER_LON]);
            let by_scale = lat.abs() >= 90.0 || lat == 0.0;
            let how = if by_scale {
                format!("+k={scale}")
            } else {
                format!("+lat_ts={lat}")
            };
            format!("+proj=stere +lat_0={pole} +lon_0={lon} {how}")
        }
        Some(16) => format!("+proj=sterea +lat_0={lat} +lon_0={lon} +k={scale}"),
        Some(17) => {
            let lat = keys.first(&[PARALLEL_1, CENTER_LAT, ORIGIN_LAT]);
            format!("+proj=eqc +lat_ts={lat} +lon_0={lon}")
        }
        Some(18) => format!("+proj=cass +lat_0={lat} +lon_0={lon}"),
        Some(24) => format!("+proj=sinu +lon_0={lon}"),
        Some(28) => format!("+proj=cea +lat_ts={first} +lon_0={lon}"),
        Some(other) => return Err(format!("projection method {other} is not known here")),
        None => return Err("the file's keys name no projection".to_owned()),
    };
    // False origins are given in the file's own unit, PROJ takes them in metres.
    let metres = unit_size(keys)?;
    let (x, y) = offsets(keys);
    Ok(format!("{words} +x_0={} +y_0={}", x * metres, y * metres))
}

fn offsets(keys: &Keys) -> (f64, f64) {
    let x = [
        key::FALSE_EASTING,
        key::FALSE_ORIGIN_EASTING,
        key::CENTER_EASTING,
    ];
    let y = [
        key::FALSE_NORTHING,
        key::FALSE_ORIGIN_NORTHING,
        key::CENTER_NORTHING,
    ];
    (keys.first(&x), keys.first(&y))
}

/// Metres of one unit of length.
pub(super) fn unit_size(keys: &Keys) -> Result<f64, String> {
    match keys.raw(key::LINEAR_UNITS) {
        None | Some(9001) => Ok(1.0),
        Some(9002) => Ok(0.3048),
        Some(9003) => Ok(1200.0 / 3937.0),
        Some(9036) => Ok(1000.0),
        Some(other) => keys
            .number(key::LINEAR_UNIT_SIZE)
            .filter(|size| *size > 0.0)
            .ok_or_else(|| format!("the unit of length {other} is not known here")),
    }
}

fn unit(keys: &Keys) -> Result<String, String> {
    const DEGREE: u16 = 9102;
    match keys.raw(key::ANGULAR_UNITS) {
        None | Some(DEGREE) => {}
        Some(other) => return Err(format!("the unit of angle {other} is not known here")),
    }
    Ok(format!("+to_meter={}", unit_size(keys)?))
}

/// The datum or, where that has no known shift, the ellipsoid, which is then taken for that of WGS 84.
fn datum(keys: &Keys) -> Result<String, String> {
    if let Some(lon) = keys
        .number(key::PRIME_MERIDIAN_LON)
        .filter(|lon| *lon != 0.0)
    {
        return Err(format!(
            "a prime meridian at {lon} degrees is not known here"
        ));
    }
    let geographic = keys.code(key::GEODETIC_CRS);
    if let Some(definition) = geographic.and_then(crs_definitions::from_code) {
        let words = definition.proj4.split_whitespace();
        let datum: Vec<&str> = words
            .filter(|word| !word.starts_with("+proj=") && *word != "+no_defs")
            .collect();
        return Ok(datum.join(" "));
    }
    if keys.code(key::GEODETIC_DATUM) == Some(6326) {
        return Ok("+datum=WGS84".to_owned());
    }
    if let Some(major) = keys.number(key::SEMI_MAJOR) {
        if let Some(minor) = keys.number(key::SEMI_MINOR) {
            return Ok(format!("+a={major} +b={minor}"));
        }
        return Ok(
            match keys.number(key::INVERSE_FLATTENING).filter(|rf| *rf != 0.0) {
                Some(flattening) => format!("+a={major} +rf={flattening}"),
                None => format!("+a={major} +b={major}"),
            },
        );
    }
    let ellipsoid = match keys.code(key::ELLIPSOID) {
        Some(7030) => "WGS84",
        Some(7019) => "GRS80",
        Some(7043) => "WGS72",
        Some(7008) => "clrk66",
        Some(7012) => "clrk80",
        Some(7022) => "intl",
        Some(7004) => "bessel",
        Some(7024) => "krass",
        Some(7001) => "airy",
        _ => return Err("the file's keys name no datum and no ellipsoid known here".to_owned()),
    };
    Ok(format!("+ellps={ellipsoid}"))
}
