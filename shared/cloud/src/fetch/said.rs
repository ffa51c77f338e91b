//! The checksums that hosts send along: RFC 1864, Amazon S3, Azure Blob Storage, Google Cloud Storage.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ETAG, HeaderMap, HeaderName};

use super::headers::text;
use crate::digest::{Algorithm, Checksum};

/// Headers that bear one digest in base64 of the whole body.
const DIGESTS: [(&str, Algorithm); 7] = [
    ("x-amz-checksum-sha256", Algorithm::Sha256),
    ("x-amz-checksum-crc64nvme", Algorithm::Crc64Nvme),
    ("x-amz-checksum-crc32c", Algorithm::Crc32c),
    ("x-amz-checksum-crc32", Algorithm::Crc32),
    ("x-amz-checksum-sha1", Algorithm::Sha1),
    ("content-md5", Algorithm::Md5),
    ("x-ms-blob-content-md5", Algorithm::Md5),
];
/// Google's: `crc32c=...,md5=...`, each in base64.
const GOOGLE: &str = "x-goog-hash";

/// Returns what the headers of a whole body say of its bytes. Digests of parts, which end with `-N`, say nothing of the
/// whole, and what cannot be read says nothing at all.
pub(super) fn checksums(headers: &HeaderMap) -> Vec<Checksum> {
    let mut said: Vec<Checksum> = DIGESTS
        .iter()
        .filter_map(|(name, algorithm)| of_base64(*algorithm, value(headers, name)?))
        .collect();
    for line in headers.get_all(GOOGLE) {
        let pairs = line.to_str().unwrap_or_default().split(',');
        said.extend(pairs.filter_map(|pair| match pair.trim().split_once('=')? {
            ("crc32c", digest) => of_base64(Algorithm::Crc32c, digest),
            ("md5", digest) => of_base64(Algorithm::Md5, digest),
            _ => None,
        }));
    }
    if said.is_empty() {
        said.extend(of_etag(headers));
    }
    said
}

/// Reads S3's entity tag, which is the MD5 of objects that went up in one piece and are not encrypted with keys of others.
/// Other hosts' tags may be as long and mean nothing.
fn of_etag(headers: &HeaderMap) -> Option<Checksum> {
    let from_s3 = headers.contains_key("x-amz-request-id") || headers.contains_key("x-amz-id-2");
    let encryption = value(headers, "x-amz-server-side-encryption");
    let own_key = encryption.is_none_or(|how| how == "AES256")
        && !headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
    if !from_s3 || !own_key {
        return None;
    }
    let tag = text(headers, &ETAG)?.strip_prefix('"')?.strip_suffix('"')?;
    Checksum::whole_hex(Algorithm::Md5, tag)
}

fn of_base64(algorithm: Algorithm, digest: &str) -> Option<Checksum> {
    Checksum::whole(algorithm, STANDARD.decode(digest.trim()).ok()?)
}

fn value<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    text(headers, &HeaderName::from_static(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Hashing;

    /// Says of each set of headers whether the bytes keep to it; nothing when it says nothing.
    fn kept(pairs: &[(&str, &str)], bytes: &[u8]) -> Option<bool> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        let said = checksums(&pairs.collect());
        if said.is_empty() {
            return None;
        }
        let mut hashing = Hashing::new(None);
        hashing.expect(said);
        hashing.update(bytes);
        Some(hashing.digests().host_broken.is_none())
    }

    #[test]
    fn checksums_of_every_host_are_compared() {
        // The check values of the algorithms for the digits 1 to 9, in base64.
        for (name, value) in [
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
            ("x-amz-checksum-crc32c", "4waSgw=="),
            ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
            ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
            (
                "x-amz-checksum-sha256",
                "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
            ),
            ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
            ("x-ms-blob-content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
            (
                "x-goog-hash",
                "crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfG2JNCw==",
            ),
        ] {
            assert_eq!(kept(&[(name, value)], b"123456789"), Some(true), "{name}");
            assert_eq!(kept(&[(name, value)], b"123456780"), Some(false), "{name}");
        }
    }

    #[test]
    fn digests_of_parts_and_rubbish_say_nothing() {
        for (name, value) in [
            ("x-amz-checksum-crc32", "y/Q5Jg==-3"),
            ("x-amz-checksum-sha256", "y/Q5Jg=="),
            ("content-md5", "none"),
            ("x-goog-hash", "sha3=y/Q5Jg=="),
        ] {
            assert_eq!(kept(&[(name, value)], b"123456789"), None, "{name}");
        }
    }

    #[test]
    fn a_tag_is_a_digest_only_where_the_store_says_so() {
        let tag = ("etag", "\"25f9e794323b453885f5181f1b624d0b\"");
        let s3 = ("x-amz-request-id", "1");
        assert_eq!(kept(&[tag, s3], b"123456789"), Some(true));
        assert_eq!(kept(&[tag, s3], b"x"), Some(false));
        let plain = ("x-amz-server-side-encryption", "AES256");
        assert_eq!(kept(&[tag, s3, plain], b"x"), Some(false));
        let keys = ("x-amz-server-side-encryption", "aws:kms");
        assert_eq!(kept(&[tag, s3, keys], b"x"), None);
        assert_eq!(kept(&[tag], b"x"), None);
        let parts = ("etag", "\"25f9e794323b453885f5181f1b624d0b-2\"");
        assert_eq!(kept(&[parts, s3], b"x"), None);
    }
}
