//! What a check may say, and how deep it looked.

use std::fmt;

use serde::{Deserialize, Serialize};
use swath_core::Level;

use crate::kind::Kind;

/// Says what to make of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything the level asks for was checked and holds.
    Good,
    /// The file is not what was promised or cannot be read.
    Bad,
    /// Nothing wrong was found, but something could not be checked.
    Unverified,
}

impl Outcome {
    /// The lowercase name used in tables and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Unverified => "unverified",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal $outcome:ident $retry:literal;)*) => {
        /// The closed list of what a verdict can mean; the text form is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable snake-case name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The outcome that this code always goes with.
            pub const fn outcome(self) -> Outcome {
                match self { $(Self::$name => Outcome::$outcome,)* }
            }

            /// Whether fetching the same file again may help.
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retry,)* }
            }
        }
    };
}

codes! {
    /// Everything the level asks for holds.
    Ok = "ok" Good false;
    /// The level was `none`, so nothing was looked at.
    NotChecked = "not_checked" Unverified false;
    /// The level was `size` and no size was promised.
    SizeUnknown = "size_unknown" Unverified false;
    /// The content is of no kind this crate can check.
    UnknownKind = "unknown_kind" Unverified false;
    /// The structure holds, but some data use a codec or layout that cannot be decoded here.
    UnverifiedCodec = "unverified_codec" Unverified false;
    /// The structure holds, but some chunks are larger than the decoder's memory limit.
    UnverifiedLimit = "unverified_limit" Unverified false;
    /// The file holds no bytes.
    Empty = "empty" Bad true;
    /// The size differs from the promised one.
    SizeMismatch = "size_mismatch" Bad true;
    /// The file ends before something that it says it holds.
    Truncated = "truncated" Bad true;
    /// The structure contradicts itself or the format's rules.
    Malformed = "malformed" Bad false;
    /// A header asks for more than any reader should grant.
    LimitExceeded = "limit_exceeded" Bad false;
    /// The structure holds, but data in it do not decode or fail their checksum.
    DecodeFailed = "decode_failed" Bad false;
    /// A raster was promised and the content is recognisably something else.
    MediaMismatch = "media_mismatch" Bad false;
    /// A raster was promised and the content is no known format.
    NotRaster = "not_raster" Bad false;
    /// The body is an HTML page.
    ErrorBodyHtml = "error_body_html" Bad true;
    /// The body is a login page: credentials are missing or expired.
    ErrorBodyLogin = "error_body_login" Bad false;
    /// The body is a storage service's XML error that asks to slow down or try later.
    ErrorBodyXmlThrottle = "error_body_xml_throttle" Bad true;
    /// The body is a storage service's XML error about credentials or rights.
    ErrorBodyXmlDenied = "error_body_xml_denied" Bad false;
    /// The body is a storage service's XML error that says the object is not there.
    ErrorBodyXmlMissing = "error_body_xml_missing" Bad false;
    /// The body is another XML document where a raster was promised, or another XML error.
    ErrorBodyXml = "error_body_xml" Bad false;
    /// The body is a JSON error that asks to slow down or try later.
    ErrorBodyJsonThrottle = "error_body_json_throttle" Bad true;
    /// The body is a JSON error about credentials or rights.
    ErrorBodyJsonDenied = "error_body_json_denied" Bad false;
    /// The body is another JSON document where a raster was promised.
    ErrorBodyJson = "error_body_json" Bad false;
}

impl Code {
    /// Whether credentials or rights are at fault, so that all fetches will fail alike.
    pub const fn is_denied(self) -> bool {
        matches!(
            self,
            Self::ErrorBodyLogin | Self::ErrorBodyXmlDenied | Self::ErrorBodyJsonDenied
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Says what the walk through a TIFF file found; counts are over all images of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TiffReport {
    /// Whether offsets have 64 bits.
    pub bigtiff: bool,
    /// Whether numbers are stored with the most significant byte first.
    pub big_endian: bool,
    /// Directories walked, those of sub-images, masks and overviews included.
    pub ifds: u64,
    /// Directories that describe an image.
    pub images: u64,
    /// Width of the first image in pixels.
    pub width: u64,
    /// Height of the first image in pixels.
    pub height: u64,
    /// Compression scheme of the first image, as its registered number.
    pub compression: u16,
    /// Tiles of all images, sparse ones included.
    pub tiles: u64,
    /// Strips of all images, sparse ones included.
    pub strips: u64,
    /// Tiles and strips that hold no data and read as "no data".
    pub sparse: u64,
    /// Tiles and strips whose byte range overlaps another's without being the same.
    pub overlapping: u64,
    /// Tiles and strips that share exactly one byte range with another.
    pub shared: u64,
    /// Tiles and strips that were decoded or, uncompressed, compared with their size.
    pub decoded: u64,
    /// Of these, the ones that were decoded in part: at `window` the beginnings of large chunks.
    pub decoded_partly: u64,
    /// Tiles and strips that were asked for but could not be decoded here.
    pub undecoded: u64,
    /// Bytes after the last one that a directory refers to.
    pub trailing_bytes: u64,
    /// Whether the layout is that of a Cloud Optimized GeoTIFF: tiled, directories before the data.
    pub cloud_optimized: bool,
}

/// Says what was found out about one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// What to make of the file.
    pub outcome: Outcome,
    /// How deep the check was asked to look.
    pub level: Level,
    /// Why, as a stable name.
    pub code: Code,
    /// Why, for people: what, which and the limit.
    pub reason: String,
    /// What the content is.
    pub kind: Kind,
    /// The size of the file in bytes.
    pub size_bytes: u64,
    /// Whether fetching the file again may help.
    pub retryable: bool,
    /// Oddities that do not change the outcome.
    pub warnings: Vec<String>,
    /// What the walk found, if the content is a TIFF file and its first directory could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiff: Option<TiffReport>,
}

impl Verdict {
    /// Whether the file was checked as asked and holds.
    pub fn is_good(&self) -> bool {
        self.outcome == Outcome::Good
    }

    /// Whether the file must not be used.
    pub fn is_bad(&self) -> bool {
        self.outcome == Outcome::Bad
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.outcome, self.code, self.reason)
    }
}
