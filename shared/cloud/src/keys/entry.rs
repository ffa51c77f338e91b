//! One object of a list.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// An object as a listing or an inventory has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// Its key, decoded.
    pub key: String,
    /// When it was last modified.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_modified: Option<OffsetDateTime>,
    /// Its entity tag, without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Its size, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl Entry {
    /// Says whether two states of one object hold other bytes, as far as the lists tell.
    ///
    /// Entity tags decide where both lists have them; else sizes and, where sizes are equal or missing, moments of change.
    /// A list that tells neither leaves an object unchanged.
    pub fn differs(&self, other: &Self) -> bool {
        if let (Some(one), Some(other)) = (&self.etag, &other.etag) {
            return one.trim_matches('"') != other.trim_matches('"');
        }
        let sizes = self.size.zip(other.size);
        let moments = self.last_modified.zip(other.last_modified);
        sizes.is_some_and(|(one, other)| one != other)
            || moments.is_some_and(|(one, other)| one != other)
    }
}

impl super::Keyed for Entry {
    fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
    }

    fn weight(&self) -> usize {
        let etag = self.etag.as_ref().map_or(0, String::len);
        self.key.len() + etag + size_of::<Self>()
    }

    /// Numbers and lengths in little endian: which of the three others there are, key, moment in nanoseconds, size, tag.
    fn write(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let has = |is_there, bit| if is_there { bit } else { 0_u8 };
        out.push(
            has(self.last_modified.is_some(), 1)
                | has(self.size.is_some(), 2)
                | has(self.etag.is_some(), 4),
        );
        out.extend((self.key.len() as u64).to_le_bytes());
        out.extend(self.key.as_bytes());
        if let Some(moment) = self.last_modified {
            out.extend(moment.unix_timestamp_nanos().to_le_bytes());
        }
        if let Some(size) = self.size {
            out.extend(size.to_le_bytes());
        }
        out.extend(self.etag.as_deref().unwrap_or_default().as_bytes());
        Ok(())
    }

    fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        read(bytes).ok_or_else(|| serde::de::Error::custom("no entry of a list"))
    }
}

fn read(bytes: &[u8]) -> Option<Entry> {
    let (&has, bytes) = bytes.split_first()?;
    let (length, bytes) = bytes.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (key, mut bytes) = bytes.split_at_checked(length)?;
    let mut entry = Entry {
        key: std::str::from_utf8(key).ok()?.to_owned(),
        last_modified: None,
        etag: None,
        size: None,
    };
    if has & 1 != 0 {
        let (moment, rest) = bytes.split_first_chunk()?;
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from_le_bytes(*moment));
        (entry.last_modified, bytes) = (Some(moment.ok()?), rest);
    }
    if has & 2 != 0 {
        let (size, rest) = bytes.split_first_chunk()?;
        (entry.size, bytes) = (Some(u64::from_le_bytes(*size)), rest);
    }
    if has & 4 != 0 {
        entry.etag = Some(std::str::from_utf8(bytes).ok()?.to_owned());
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::super::Keyed as _;
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_kept_aside_is_read_back(
            key in ".{0,20}",
            moment in proptest::option::of(-62_000_000_000_000_000_000_i128..250_000_000_000_000_000_000),
            size in proptest::option::of(proptest::num::u64::ANY),
            etag in proptest::option::of(".{0,9}"),
        ) {
            let moment = moment.map(|nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap());
            let entry = Entry { key, last_modified: moment, etag, size };
            let mut bytes = Vec::new();
            entry.write(&mut bytes).unwrap();
            proptest::prop_assert_eq!(Entry::read(&bytes).unwrap(), entry);
        }
    }
}
