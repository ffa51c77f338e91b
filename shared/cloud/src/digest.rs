//! Digests of a file, taken while its bytes go by.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// A digest that a catalog promises: `file:checksum`, a multihash in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

/// Bytes of a digest below which a cut one proves nothing.
const LEAST_DIGEST_BYTES: usize = 8;

impl Checksum {
    /// Reads a multihash: code and length as varints, then the digest, which may be cut; nothing for algorithms that are
    /// not computed here and for text that is no multihash.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = bytes_of_hex(text.trim())?;
        let (code, rest) = varint(&bytes)?;
        let (length, digest) = varint(rest)?;
        let (algorithm, longest) = match code {
            0xd5 => (Algorithm::Md5, 16),
            0x11 => (Algorithm::Sha1, 20),
            0x12 => (Algorithm::Sha256, 32),
            0x13 => (Algorithm::Sha512, 64),
            _ => return None,
        };
        let whole = u64::try_from(digest.len()) == Ok(length);
        let proves = (LEAST_DIGEST_BYTES..=longest).contains(&digest.len());
        (whole && proves).then(|| Self {
            algorithm,
            digest: digest.to_vec(),
        })
    }

    /// Returns whether the promise is of another SHA-256 than this one (lower-case hex); of other algorithms it says no.
    pub fn contradicts(&self, sha256: &str) -> bool {
        self.algorithm == Algorithm::Sha256 && !sha256.starts_with(&hex(&self.digest))
    }

    /// Returns the promise in words: algorithm and hex digest.
    pub fn shown(&self) -> String {
        let name = match self.algorithm {
            Algorithm::Md5 => "md5",
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        };
        format!("{name}:{}", hex(&self.digest))
    }
}

/// Digests under way: always SHA-256, and the promised one's algorithm where it is another.
#[derive(Clone, Debug)]
pub struct Hashing {
    sha256: Sha256,
    promised: Option<(Checksum, Other)>,
}

#[derive(Clone, Debug)]
enum Other {
    Md5(Md5),
    Sha1(Sha1),
    Same,
    Sha512(Sha512),
}

/// Digests of a whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// Whether the promised checksum is that of the bytes; absent without a promise.
    pub promise_kept: Option<bool>,
}

impl Hashing {
    /// Starts with no bytes.
    pub fn new(promised: Option<Checksum>) -> Self {
        let promised = promised.map(|checksum| {
            let other = match checksum.algorithm {
                Algorithm::Md5 => Other::Md5(Md5::new()),
                Algorithm::Sha1 => Other::Sha1(Sha1::new()),
                Algorithm::Sha256 => Other::Same,
                Algorithm::Sha512 => Other::Sha512(Sha512::new()),
            };
            (checksum, other)
        });
        let sha256 = Sha256::new();
        Self { sha256, promised }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        match &mut self.promised {
            Some((_, Other::Md5(hash))) => hash.update(bytes),
            Some((_, Other::Sha1(hash))) => hash.update(bytes),
            Some((_, Other::Sha512(hash))) => hash.update(bytes),
            Some((_, Other::Same)) | None => {}
        }
    }

    /// Forgets the bytes taken so far, not the promise.
    pub fn restart(&mut self) {
        *self = Self::new(self.promised.take().map(|(checksum, _)| checksum));
    }

    /// Returns the digests of the bytes taken so far.
    pub fn digests(&self) -> Digests {
        let sha256 = self.sha256.clone().finalize();
        let promise_kept = self.promised.as_ref().map(|(checksum, other)| match other {
            Other::Md5(hash) => hash.clone().finalize().starts_with(&checksum.digest),
            Other::Sha1(hash) => hash.clone().finalize().starts_with(&checksum.digest),
            Other::Sha512(hash) => hash.clone().finalize().starts_with(&checksum.digest),
            Other::Same => sha256.starts_with(&checksum.digest),
        });
        Digests {
            sha256: hex(&sha256),
            promise_kept,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect()
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|n| u8::try_from(n).ok())
    };
    pairs
        .iter()
        .map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?))
        .collect()
}

/// Reads an unsigned varint, 7 bits per byte, the least first.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(place + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(checksum: &str, bytes: &[u8]) -> Option<bool> {
        let mut hashing = Hashing::new(Checksum::parse(checksum));
        hashing.update(bytes);
        hashing.digests().promise_kept
    }

    #[test]
    fn checksums_of_every_known_algorithm_are_compared() {
        // `printf abc | md5sum` and its kin.
        let sha512 = "1340ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        for checksum in [
            "d50110900150983cd24fb0d6963f7d28e17f72",
            "1114a9993e364706816aba3e25717850c26c9cd0d89d",
            "1220ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "1220BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
            "1208ba7816bf8f01cfea",
            sha512,
        ] {
            assert_eq!(kept(checksum, b"abc"), Some(true), "{checksum}");
            assert_eq!(kept(checksum, b"abd"), Some(false), "{checksum}");
        }
    }

    #[test]
    fn what_cannot_be_compared_promises_nothing() {
        for text in [
            "",
            "zz",
            "12",
            "1220ba78",
            "1203ba7816",
            "1e20ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "900150983cd24fb0d6963f7d28e17f72",
            "ffffffffffffffffffffffff",
        ] {
            assert_eq!(Checksum::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_restart_forgets_the_bytes_and_keeps_the_promise() {
        let promise = Checksum::parse("d50110900150983cd24fb0d6963f7d28e17f72");
        let mut hashing = Hashing::new(promise);
        hashing.update(b"wrong");
        hashing.restart();
        hashing.update(b"abc");
        assert_eq!(hashing.digests().promise_kept, Some(true));
    }
}
