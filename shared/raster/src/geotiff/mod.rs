//! STAC items out of `GeoTIFF` files, from their headers alone.
//!
//! [`describe`] reads the first directory of a file, [`GeoTiff::item`] says in STAC's words what it holds. What a file
//! does not say is left out of the item and named in it (`swath:notes`); nothing is guessed.

mod bands;
mod crs;
mod footprint;
mod item;
mod keys;
mod moment;
mod place;
mod ranged;

use std::io::{self, Read, Seek};

pub use item::{ItemError, Origin};
pub use moment::{NamePattern, PatternError};
pub use place::Affine;
pub use ranged::Ranged;

use crate::kind::{Kind, sniff};
use crate::source::{Source, Stop};
use crate::tiff::{self, Facts};
use crate::verdict::Code;
use bands::Metadata;
use crs::Crs;
use keys::Keys;

/// A file that cannot be described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// The source failed; nothing can be said about the file.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// The file is no TIFF, or a broken one.
    #[error("{code}: {reason}")]
    Refused {
        /// What is wrong, in a stable word.
        code: Code,
        /// What, which and the limit.
        reason: String,
    },
}

/// What the header of a `GeoTIFF` says.
#[derive(Debug)]
pub struct GeoTiff {
    facts: Facts,
    metadata: Metadata,
    crs: Crs,
    affine: Result<Affine, String>,
    point: bool,
    metres: Option<f64>,
    size_bytes: u64,
}

/// Reads what a file's first directory says; pixels and further directories are not touched.
///
/// # Errors
/// When the file is no TIFF, its first directory is broken or lies past its end, or `source` fails.
pub fn describe<R: Read + Seek>(source: &mut R) -> Result<GeoTiff, DescribeError> {
    let mut source = Source::new(source)?;
    let head = source.up_to(0, 512)?;
    let kind = sniff(&head);
    if kind != Kind::Tiff {
        let code = if kind == Kind::Empty {
            Code::Empty
        } else {
            Code::NotRaster
        };
        return Err(DescribeError::Refused {
            code,
            reason: format!("the content is {kind}, not TIFF"),
        });
    }
    let facts = tiff::facts(&mut source).map_err(|stop| match stop {
        Stop::Io(error) => DescribeError::Io(error),
        Stop::Verdict { code, reason } => DescribeError::Refused { code, reason },
    })?;
    let keys = Keys::read(&facts);
    let metadata = facts.gdal_metadata.as_deref();
    Ok(GeoTiff {
        metadata: metadata.map(Metadata::parse).unwrap_or_default(),
        crs: Crs::of(&keys),
        affine: place::affine(&facts, &keys),
        point: keys.is_point(),
        metres: crs::unit_size(&keys).ok(),
        size_bytes: source.size(),
        facts,
    })
}

impl GeoTiff {
    /// Width and height in pixels.
    pub fn size(&self) -> (u64, u64) {
        (self.facts.width, self.facts.height)
    }

    /// The code of the coordinate reference system, `EPSG:32633`.
    pub fn code(&self) -> Option<&str> {
        self.crs.code.as_deref()
    }

    /// The way from pixels to coordinates.
    pub fn affine(&self) -> Option<Affine> {
        self.affine.as_ref().ok().copied()
    }
}
