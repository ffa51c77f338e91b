//! What a file is, by its first bytes, and what a media type or a name promises.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the content of a file is, told from its bytes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// TIFF, `BigTIFF`, GeoTIFF or Cloud Optimized GeoTIFF.
    Tiff,
    /// JPEG 2000 in its box format.
    Jp2,
    /// A bare JPEG 2000 codestream.
    J2k,
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// HDF5, which NetCDF 4 is too.
    Hdf5,
    /// NetCDF 3: classic, 64-bit offset or 64-bit data.
    NetCdf,
    /// GRIB, edition 1 or 2.
    Grib,
    /// LAS or LAZ point clouds, COPC too.
    Las,
    /// Apache Parquet.
    Parquet,
    /// ZIP, which SAFE archives, KMZ and zipped Zarr are too.
    Zip,
    /// Gzip.
    Gzip,
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// HTML.
    Html,
    /// No bytes at all.
    Empty,
    /// None of the above.
    Unknown,
}

impl Kind {
    /// The lowercase name used in tables and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tiff => "tiff",
            Self::Jp2 => "jp2",
            Self::J2k => "j2k",
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
            Self::Hdf5 => "hdf5",
            Self::NetCdf => "netcdf",
            Self::Grib => "grib",
            Self::Las => "las",
            Self::Parquet => "parquet",
            Self::Zip => "zip",
            Self::Gzip => "gzip",
            Self::Json => "json",
            Self::Xml => "xml",
            Self::Html => "html",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the format holds pixels or gridded values.
    pub const fn is_raster(self) -> bool {
        matches!(
            self,
            Self::Tiff
                | Self::Jp2
                | Self::J2k
                | Self::Png
                | Self::Jpeg
                | Self::Webp
                | Self::Hdf5
                | Self::NetCdf
                | Self::Grib
        )
    }

    /// Whether content of kind `self` is what a promise of kind `promised` means.
    pub(crate) fn satisfies(self, promised: Self) -> bool {
        let family = |kind| match kind {
            Self::J2k => Self::Jp2,
            Self::NetCdf => Self::Hdf5,
            other => other,
        };
        family(self) == family(promised)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

const SIGNATURES: [(&[u8], Kind); 22] = [
    (b"II*\0", Kind::Tiff),
    (b"MM\0*", Kind::Tiff),
    (b"II+\0", Kind::Tiff),
    (b"MM\0+", Kind::Tiff),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Kind::Jp2),
    (b"\xff\x4f\xff\x51", Kind::J2k),
    (b"\x89PNG\r\n\x1a\n", Kind::Png),
    (b"\xff\xd8\xff", Kind::Jpeg),
    (b"\x89HDF\r\n\x1a\n", Kind::Hdf5),
    (b"CDF\x01", Kind::NetCdf),
    (b"CDF\x02", Kind::NetCdf),
    (b"CDF\x05", Kind::NetCdf),
    (b"GRIB", Kind::Grib),
    (b"LASF", Kind::Las),
    (b"PAR1", Kind::Parquet),
    (b"PK\x03\x04", Kind::Zip),
    (b"PK\x05\x06", Kind::Zip),
    (b"PK\x06\x06", Kind::Zip),
    (b"\x1f\x8b", Kind::Gzip),
    (b"II*", Kind::Tiff),
    (b"MM\0", Kind::Tiff),
    (b"II+", Kind::Tiff),
];

/// Tells a kind from the first bytes of a file (some kB are enough).
pub(crate) fn sniff(head: &[u8]) -> Kind {
    if head.is_empty() {
        return Kind::Empty;
    }
    for (signature, kind) in SIGNATURES {
        let full = signature.len() > 3 || kind != Kind::Tiff || head.len() == signature.len();
        if full && head.starts_with(signature) {
            return kind;
        }
    }
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return Kind::Webp;
    }
    sniff_text(head)
}

/// Whether a file of these few bytes is the beginning of a TIFF header, cut short.
pub(crate) fn is_cut_tiff_header(head: &[u8]) -> bool {
    !head.is_empty() && (b"II*\0".starts_with(head) || b"II+\0".starts_with(head))
        || !head.is_empty() && (b"MM\0*".starts_with(head) || b"MM\0+".starts_with(head))
}

fn sniff_text(head: &[u8]) -> Kind {
    let text = lowercase_start(head);
    if text.starts_with("<?xml") || text.starts_with("<error") {
        return if is_html_root(&text) {
            Kind::Html
        } else {
            Kind::Xml
        };
    }
    if is_html_root(&text) {
        return Kind::Html;
    }
    if text.starts_with('<')
        && text
            .chars()
            .nth(1)
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '!')
    {
        return Kind::Xml;
    }
    let mut rest = text.chars().filter(|c| !c.is_whitespace());
    match (rest.next(), rest.next()) {
        (Some('{'), Some('"' | '}') | None) => Kind::Json,
        (Some('['), Some('{' | '[' | '"' | ']' | '-' | '0'..='9' | 't' | 'f' | 'n') | None) => {
            Kind::Json
        }
        _ => Kind::Unknown,
    }
}

/// The first kilobyte as lowercase text, without byte order mark and leading blanks.
pub(crate) fn lowercase_start(head: &[u8]) -> String {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let head = head.get(..1024).unwrap_or(head);
    String::from_utf8_lossy(head)
        .trim_start()
        .to_ascii_lowercase()
}

/// Whether the first element is one that only HTML has, after prologue and comments.
fn is_html_root(text: &str) -> bool {
    const ROOTS: [&str; 7] = [
        "<!doctype html",
        "<html",
        "<head",
        "<body",
        "<script",
        "<title",
        "<meta ",
    ];
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if ROOTS.iter().any(|root| rest.starts_with(root)) {
            return true;
        }
        let end = if rest.starts_with("<!--") {
            "-->"
        } else if rest.starts_with("<?") {
            "?>"
        } else {
            return false;
        };
        match rest.split_once(end) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
}

/// Tells what a media type or, failing that, a name's extension promises.
pub(crate) fn promised(media_type: Option<&str>, name: Option<&str>) -> Option<Kind> {
    media_type
        .and_then(of_media_type)
        .or_else(|| name.and_then(of_name))
}

fn of_media_type(media_type: &str) -> Option<Kind> {
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    Some(match essence.as_str() {
        "image/tiff"
        | "image/vnd.stac.geotiff"
        | "image/x.geotiff"
        | "image/geotiff"
        | "image/tif" => Kind::Tiff,
        "image/jp2" | "image/jpx" | "image/jpm" => Kind::Jp2,
        "image/j2c" | "image/x-jp2-codestream" => Kind::J2k,
        "image/png" => Kind::Png,
        "image/jpeg" | "image/jpg" => Kind::Jpeg,
        "image/webp" => Kind::Webp,
        "application/x-hdf5" | "application/x-hdf" | "application/hdf5" => Kind::Hdf5,
        "application/netcdf" | "application/x-netcdf" | "application/vnd.netcdf" => Kind::NetCdf,
        "application/grib" | "application/wmo-grib2" | "application/grib2" => Kind::Grib,
        "application/vnd.laszip" | "application/vnd.laszip+copc" | "application/vnd.las" => {
            Kind::Las
        }
        "application/vnd.apache.parquet" | "application/x-parquet" | "application/parquet" => {
            Kind::Parquet
        }
        "application/zip" | "application/x-zip-compressed" => Kind::Zip,
        "application/gzip" | "application/x-gzip" => Kind::Gzip,
        "application/xml" | "text/xml" => Kind::Xml,
        "text/html" | "application/xhtml+xml" => Kind::Html,
        "application/json" | "application/geo+json" => Kind::Json,
        other if other.ends_with("+json") => Kind::Json,
        other if other.ends_with("+xml") => Kind::Xml,
        _ => return None,
    })
}

fn of_name(name: &str) -> Option<Kind> {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "tif" | "tiff" | "btf" | "gtiff" => Kind::Tiff,
        "jp2" | "jpx" => Kind::Jp2,
        "j2k" | "j2c" | "jpc" => Kind::J2k,
        "png" => Kind::Png,
        "jpg" | "jpeg" => Kind::Jpeg,
        "webp" => Kind::Webp,
        "h5" | "hdf5" | "he5" => Kind::Hdf5,
        "nc" | "nc4" | "cdf" => Kind::NetCdf,
        "grib" | "grib2" | "grb" | "grb2" => Kind::Grib,
        "las" | "laz" => Kind::Las,
        "parquet" => Kind::Parquet,
        "zip" | "kmz" => Kind::Zip,
        "gz" | "tgz" => Kind::Gzip,
        "xml" | "kml" | "gml" => Kind::Xml,
        "html" | "htm" => Kind::Html,
        "json" | "geojson" => Kind::Json,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Kind, promised, sniff};

    #[test]
    fn content_is_told_from_its_first_bytes() {
        let cases: [(&[u8], Kind); 20] = [
            (b"", Kind::Empty),
            (b"II*\0\x08\0\0\0", Kind::Tiff),
            (b"MM\0+\0\x08\0\0", Kind::Tiff),
            (b"MM\0", Kind::Tiff),
            (b"MMORPG", Kind::Unknown),
            (b"RIFF\x04\0\0\0WEBP", Kind::Webp),
            (b"RIFF\x04\0\0\0WAVE", Kind::Unknown),
            (b"  \n<!DOCTYPE html><html>", Kind::Html),
            (b"\xef\xbb\xbf<html lang=en>", Kind::Html),
            (
                b"<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC>",
                Kind::Html,
            ),
            (b"<!-- proxy --> <HTML>", Kind::Html),
            (
                b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>",
                Kind::Xml,
            ),
            (b"<Error><Code>AccessDenied</Code></Error>", Kind::Xml),
            (b"<Metadata>", Kind::Xml),
            (b"< 5 metres", Kind::Unknown),
            (b"{\"type\": \"Feature\"}", Kind::Json),
            (b"[1, 2]", Kind::Json),
            (b"[section]\nkey=1", Kind::Unknown),
            (b"{not json", Kind::Unknown),
            (b"PK\x03\x04....", Kind::Zip),
        ];
        for (head, kind) in cases {
            assert_eq!(sniff(head), kind, "{:?}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn the_media_type_promises_before_the_name() {
        let cog = "image/tiff; application=geotiff; profile=cloud-optimized";
        assert_eq!(promised(Some(cog), Some("B04.jp2")), Some(Kind::Tiff));
        assert_eq!(
            promised(Some("application/octet-stream"), Some("B04.JP2")),
            Some(Kind::Jp2)
        );
        assert_eq!(
            promised(None, Some("https://host/a.tif?sig=abc.png")),
            Some(Kind::Tiff)
        );
        assert_eq!(
            promised(Some("application/geo+json"), None),
            Some(Kind::Json)
        );
        assert_eq!(promised(None, Some("README")), None);
    }
}
