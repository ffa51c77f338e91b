//! Digests of a file, taken while its bytes go by.

use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// A digest that somebody promises: a catalog by `file:checksum`, a multihash in hex, or a host by its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    /// Returns the length of its digest in bytes.
    fn bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
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
        let algorithm = match code {
            0xd5 => Algorithm::Md5,
            0x11 => Algorithm::Sha1,
            0x12 => Algorithm::Sha256,
            0x13 => Algorithm::Sha512,
            _ => return None,
        };
        let whole = u64::try_from(digest.len()) == Ok(length);
        let proves = (LEAST_DIGEST_BYTES..=algorithm.bytes()).contains(&digest.len());
        (whole && proves).then(|| Self {
            algorithm,
            digest: digest.to_vec(),
        })
    }

    /// Takes a whole digest; nothing when it is of another length than its algorithm's.
    pub(crate) fn whole(algorithm: Algorithm, digest: Vec<u8>) -> Option<Self> {
        (digest.len() == algorithm.bytes()).then_some(Self { algorithm, digest })
    }

    /// Takes a whole digest in hex.
    pub(crate) fn whole_hex(algorithm: Algorithm, digest: &str) -> Option<Self> {
        Self::whole(algorithm, bytes_of_hex(digest)?)
    }

    /// Returns whether the promise is of another SHA-256 than this one (lower-case hex); of other algorithms it says no.
    pub fn contradicts(&self, sha256: &str) -> bool {
        self.algorithm == Algorithm::Sha256 && !sha256.starts_with(&hex(&self.digest))
    }

    /// Returns the promise in words: algorithm and hex digest.
    pub fn shown(&self) -> String {
        let name = match self.algorithm {
            Algorithm::Crc32 => "crc32",
            Algorithm::Crc32c => "crc32c",
            Algorithm::Crc64Nvme => "crc64nvme",
            Algorithm::Md5 => "md5",
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        };
        format!("{name}:{}", hex(&self.digest))
    }
}

/// Digests under way: always SHA-256, and the promised ones' algorithms where they are others.
#[derive(Clone, Debug)]
pub struct Hashing {
    sha256: Sha256,
    promised: Option<Promise>,
    /// What the host says of the body under way.
    said: Vec<Promise>,
}

/// A promised digest, and its own under way.
#[derive(Clone, Debug)]
struct Promise {
    checksum: Checksum,
    other: Other,
}

#[derive(Clone, Debug)]
enum Other {
    Crc(Box<Crc>),
    Md5(Md5),
    Sha1(Sha1),
    Same,
    Sha512(Sha512),
}

impl Promise {
    fn new(checksum: Checksum) -> Self {
        let crc = |algorithm| Other::Crc(Box::new(Crc::new(algorithm)));
        let other = match checksum.algorithm {
            Algorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            Algorithm::Md5 => Other::Md5(Md5::new()),
            Algorithm::Sha1 => Other::Sha1(Sha1::new()),
            Algorithm::Sha256 => Other::Same,
            Algorithm::Sha512 => Other::Sha512(Sha512::new()),
        };
        Self { checksum, other }
    }

    fn update(&mut self, bytes: &[u8]) {
        match &mut self.other {
            Other::Crc(hash) => hash.update(bytes),
            Other::Md5(hash) => hash.update(bytes),
            Other::Sha1(hash) => hash.update(bytes),
            Other::Sha512(hash) => hash.update(bytes),
            Other::Same => {}
        }
    }

    fn is_kept(&self, sha256: &[u8]) -> bool {
        let digest = &self.checksum.digest;
        match &self.other {
            Other::Crc(hash) => hash.finalize().to_be_bytes().ends_with(digest),
            Other::Md5(hash) => hash.clone().finalize().starts_with(digest),
            Other::Sha1(hash) => hash.clone().finalize().starts_with(digest),
            Other::Sha512(hash) => hash.clone().finalize().starts_with(digest),
            Other::Same => sha256.starts_with(digest),
        }
    }
}

/// Digests of a whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// Whether the promised checksum is that of the bytes; absent without a promise.
    pub promise_kept: Option<bool>,
    /// The checksum that the host sent along and the bytes do not have, in words.
    pub host_broken: Option<String>,
}

impl Hashing {
    /// Starts with no bytes.
    pub fn new(promised: Option<Checksum>) -> Self {
        Self {
            sha256: Sha256::new(),
            promised: promised.map(Promise::new),
            said: Vec::new(),
        }
    }

    /// Takes what the host says of the body that begins now.
    pub(crate) fn expect(&mut self, said: Vec<Checksum>) {
        self.said = said.into_iter().map(Promise::new).collect();
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        for promise in self.promised.iter_mut().chain(&mut self.said) {
            promise.update(bytes);
        }
    }

    /// Forgets the bytes taken so far and what the host said of them, not the promise.
    pub fn restart(&mut self) {
        *self = Self::new(self.promised.take().map(|promise| promise.checksum));
    }

    /// Returns the digests of the bytes taken so far.
    pub fn digests(&self) -> Digests {
        let sha256 = self.sha256.clone().finalize();
        let promise = self.promised.as_ref();
        let broken = self.said.iter().find(|said| !said.is_kept(&sha256));
        Digests {
            sha256: hex(&sha256),
            promise_kept: promise.map(|promise| promise.is_kept(&sha256)),
            host_broken: broken.map(|said| said.checksum.shown()),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
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
