//! Entries of the index as compressed, checked bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_128;

use super::run::Unsound;

/// How hard blocks are compressed: ids are alike, and this costs least.
const LEVEL: i32 = 1;

/// Most bytes that a block may unfold to: far more than any that is written.
const MOST: usize = 256 << 20;

/// Writes a value as compressed JSON.
pub(super) fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, Unsound> {
    let json = serde_json::to_vec(value).map_err(Unsound::Json)?;
    zstd::bulk::compress(&json, LEVEL).map_err(Unsound::Compression)
}

/// Reads back what [`pack`] wrote, given its checksum.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8], sum: &str) -> Result<T, Unsound> {
    if checksum(bytes) != sum {
        return Err(Unsound::Checksum);
    }
    let size = zstd::zstd_safe::get_frame_content_size(bytes);
    let size = size
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|size| *size <= MOST).ok_or(Unsound::Checksum)?;
    let json = zstd::bulk::decompress(bytes, size).map_err(Unsound::Compression)?;
    serde_json::from_slice(&json).map_err(Unsound::Json)
}

/// Returns the checksum of bytes, 32 hex digits.
pub(super) fn checksum(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}
