//! The manifest: which files, in which format, with which columns, and how each can be proven whole.

use std::io::Read as _;

use md5::{Digest as _, Md5};
use serde::Deserialize;
use swath_cloud::sources::{LocalFile, Sources};
use swath_core::hex;

use super::{InventoryError, Layout, Needs};

/// Bytes of a manifest's checksum.
const CHECKSUM: usize = 4 << 10;

/// The format of an inventory's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CSV, compressed or not; keys are URL-encoded.
    Csv,
    /// Parquet.
    Parquet,
    /// ORC.
    Orc,
}

impl Format {
    fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            "orc" => Some(Self::Orc),
            _ => None,
        }
    }

    /// Tells the format by a file's name.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        Self::named(name.rsplit('.').next()?)
    }
}

/// A manifest of an inventory, checked as far as it can be without its files.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Where it lies.
    pub address: String,
    /// The bucket that it is about.
    pub source_bucket: Option<String>,
    /// The format of its files.
    pub format: Format,
    /// Of CSV, the names of the columns in their order.
    pub columns: Option<Vec<String>>,
    /// Its files.
    pub files: Vec<ManifestFile>,
}

/// One file of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestFile {
    /// What the manifest calls it: a key of the destination bucket, or a bare name.
    pub key: String,
    /// Its MD5 in hex.
    #[serde(default, rename = "MD5checksum")]
    pub md5: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    source_bucket: Option<String>,
    file_format: String,
    #[serde(default)]
    file_schema: Option<String>,
    files: Vec<ManifestFile>,
}

/// Says whether a folder's name is the moment of an inventory: `2024-06-01T01-00Z`.
pub fn is_dated(name: &str) -> bool {
    let shape = name
        .bytes()
        .map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    let shape: Vec<u8> = shape.collect();
    shape == b"0000-00-00T00-00Z"
}

impl Manifest {
    /// Reads a manifest and, where there is one beside it, its checksum.
    ///
    /// # Errors
    /// When it is none, or not whole, or its files have no keys.
    pub async fn open(
        address: &str,
        bytes: &[u8],
        sources: &Sources,
    ) -> Result<Self, InventoryError> {
        let beside = format!("{}manifest.checksum", folder(address));
        if address != beside
            && let Ok(promised) = sources.read(&beside, CHECKSUM).await
        {
            let promised = String::from_utf8_lossy(&promised);
            check(address, &hex(&Md5::digest(bytes)), promised.trim())?;
        }
        let wire: Wire =
            serde_json::from_slice(bytes).map_err(|source| InventoryError::Manifest {
                at: address.to_owned(),
                source,
            })?;
        let Some(format) = Format::named(&wire.file_format) else {
            return Err(InventoryError::Format {
                at: address.to_owned(),
                format: wire.file_format,
            });
        };
        let schema = wire.file_schema.unwrap_or_default();
        let columns: Vec<String> = schema
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        if format == Format::Csv && !columns.iter().any(|name| name.eq_ignore_ascii_case("key")) {
            return Err(InventoryError::Schema {
                at: address.to_owned(),
                column: "Key",
                found: schema,
            });
        }
        Ok(Self {
            address: address.to_owned(),
            source_bucket: wire.source_bucket,
            format,
            columns: (format == Format::Csv).then_some(columns),
            files: wire.files,
        })
    }

    pub(super) fn layout(&self, needs: Needs) -> Layout {
        Layout {
            format: self.format,
            columns: self.columns.clone(),
            needs,
        }
    }

    /// Brings one file here and proves it whole.
    ///
    /// # Errors
    /// When it is not there, cannot be had, or is not what the manifest promises.
    pub async fn fetch(
        &self,
        file: &ManifestFile,
        sources: &Sources,
    ) -> Result<LocalFile, InventoryError> {
        let places = places(&self.address, &file.key);
        for place in &places {
            if let Ok(Some(path)) = sources.file(place)
                && !path.is_file()
            {
                continue;
            }
            match sources.copy(place).await {
                Ok(copy) => return prove(copy, file).await,
                Err(error) if error.is_gone() => {}
                Err(error) => {
                    return Err(InventoryError::Fetch {
                        file: place.clone(),
                        source: Box::new(error),
                    });
                }
            }
        }
        Err(InventoryError::Missing {
            file: file.key.clone(),
            tried: places.len(),
        })
    }
}

async fn prove(copy: LocalFile, file: &ManifestFile) -> Result<LocalFile, InventoryError> {
    let Some(promised) = file.md5.clone() else {
        return Ok(copy);
    };
    let key = file.key.clone();
    let prove = move || {
        let failed = InventoryError::read(&key);
        let mut input = std::fs::File::open(&copy.path).map_err(&failed)?;
        let mut hash = Md5::new();
        let mut block = vec![0; super::BLOCK];
        loop {
            match input.read(&mut block).map_err(&failed)? {
                0 => break,
                count => hash.update(block.get(..count).unwrap_or_default()),
            }
        }
        check(&key, &hex(&hash.finalize()), &promised)?;
        Ok(copy)
    };
    let ended = |_| InventoryError::Read {
        at: file.key.clone(),
        source: std::io::Error::other("a thread ended before its work was done"),
    };
    tokio::task::spawn_blocking(prove).await.map_err(ended)?
}

fn check(at: &str, found: &str, promised: &str) -> Result<(), InventoryError> {
    if found.eq_ignore_ascii_case(promised) {
        return Ok(());
    }
    Err(InventoryError::Checksum {
        at: at.to_owned(),
        found: found.to_owned(),
        promised: promised.to_owned(),
    })
}

/// Returns the folder that an address lies in, with the slash at its end.
fn folder(address: &str) -> &str {
    let end = address.rfind('/').map_or(0, |slash| slash + 1);
    address.get(..end).unwrap_or_default()
}

/// Returns where a file may lie: at its key in the manifest's bucket; below the manifest's folder or one of those above it, as
/// in a copy of the bucket or of a part of it; by its bare name beside the manifest, or in the data folder next to it.
fn places(manifest: &str, key: &str) -> Vec<String> {
    let mut places = Vec::new();
    let near = folder(manifest);
    let root = match manifest
        .strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
    {
        Some((bucket, _)) => format!("s3://{bucket}/"),
        None => String::new(),
    };
    if !root.is_empty() {
        places.push(format!("{root}{key}"));
    }
    let name = key.rsplit('/').next().unwrap_or(key);
    let mut above = near;
    loop {
        places.push(format!("{above}{key}"));
        let up = folder(above.trim_end_matches('/'));
        let is_top = up.is_empty() || up.ends_with("://") || up == above || above == root;
        if is_top {
            break;
        }
        above = up;
    }
    places.push(format!("{near}{name}"));
    places.push(format!("{near}data/{name}"));
    places.push(format!("{}data/{name}", folder(near.trim_end_matches('/'))));
    let mut unique: Vec<String> = Vec::new();
    for place in places {
        if !unique.contains(&place) {
            unique.push(place);
        }
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_looked_for_by_its_key_and_by_its_bare_name() {
        let manifest = "s3://inv/pre/src/daily/2024-06-01T01-00Z/manifest.json";
        let found = places(manifest, "pre/src/daily/data/x.csv.gz");
        assert_eq!(found[0], "s3://inv/pre/src/daily/data/x.csv.gz");
        let bare = places(manifest, "x.csv.gz");
        assert!(
            bare.contains(&"s3://inv/pre/src/daily/data/x.csv.gz".to_owned()),
            "{bare:?}"
        );
        assert!(bare.contains(&"s3://inv/pre/src/daily/2024-06-01T01-00Z/x.csv.gz".to_owned()));
        let local = places(
            "/copy/pre/src/daily/2024-06-01T01-00Z/manifest.json",
            "pre/src/daily/data/x.orc",
        );
        assert!(
            local.contains(&"/copy/pre/src/daily/data/x.orc".to_owned()),
            "{local:?}"
        );
        assert!(places("manifest.json", "a.csv").contains(&"a.csv".to_owned()));
    }

    #[test]
    fn a_moment_is_no_other_folder() {
        assert!(is_dated("2024-06-01T01-00Z"));
        assert!(!is_dated("data") && !is_dated("2024-06-01") && !is_dated("hive"));
    }
}
