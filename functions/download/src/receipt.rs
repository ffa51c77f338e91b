//! What is known of an asset from earlier runs: one small object per file, beside the lake.

use serde::{Deserialize, Serialize};
use swath_cloud::digest::Checksum;
use swath_cloud::publish::Present;
use swath_cloud::store::{Store, StoreError};
use swath_core::message::DownloadAsset;
use swath_core::row::AssetFile;
use swath_core::{Signing, digest_hex};

use crate::row::shown_href;

/// The version of the format that this code writes and reads.
const VERSION: u32 = 1;

/// The last lasting outcome for one file: published, or refused for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    version: u32,
    /// The file's key below its base.
    pub(crate) key: String,
    /// The outcome's row.
    pub(crate) row: AssetFile,
    /// How the href was signed.
    #[serde(default)]
    sign: Signing,
    /// Where else it was looked for, as tables may hold it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    alternate_hrefs: Vec<String>,
    /// The file as its store described it; absent when none was published.
    pub(crate) file: Option<FileFacts>,
}

/// How a store describes a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileFacts {
    pub(crate) size_bytes: u64,
    pub(crate) etag: Option<String>,
}

impl From<Present> for FileFacts {
    fn from(present: Present) -> Self {
        Self {
            size_bytes: present.size_bytes,
            etag: present.etag,
        }
    }
}

/// Returns where the receipt for the file at `key` below `out` lies, below the lake's base.
///
/// The base is part of the name: two folders filled from one lake do not take each other's receipts for their own.
pub(crate) fn path(out: &Store, key: &str) -> String {
    let digest = digest_hex(&[out.uri.as_bytes(), key.as_bytes()], 32);
    let folder = digest.get(..2).unwrap_or_default();
    format!("receipts/{folder}/{digest}.json")
}

/// Reads a receipt; one that cannot be understood is as good as none.
///
/// # Errors
/// When the store cannot be asked.
pub(crate) async fn load(lake: &Store, path: &str) -> Result<Option<Receipt>, StoreError> {
    let bytes = match lake.get(path).await {
        Ok(bytes) => bytes,
        Err(StoreError::Call {
            source: object_store::Error::NotFound { .. },
            ..
        }) => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice::<Receipt>(&bytes) {
        Ok(receipt) if receipt.version == VERSION => Ok(Some(receipt)),
        Ok(receipt) => {
            tracing::warn!(
                path,
                version = receipt.version,
                "a receipt of another version"
            );
            Ok(None)
        }
        Err(error) => {
            tracing::warn!(path, error = %error, "a receipt that cannot be read");
            Ok(None)
        }
    }
}

/// Writes a receipt, in the place of an earlier one.
///
/// # Errors
/// When the store does not take it.
pub(crate) async fn save(lake: &Store, path: &str, receipt: &Receipt) -> Result<(), StoreError> {
    // Rows are plain data, so this cannot fail; were it to, a missing receipt costs one look at the file.
    let Ok(bytes) = serde_json::to_vec(receipt) else {
        return Ok(());
    };
    lake.put(path, bytes.into()).await
}

impl Receipt {
    /// Writes down an outcome.
    pub(crate) fn new(
        key: &str,
        asked: &DownloadAsset,
        row: AssetFile,
        file: Option<FileFacts>,
    ) -> Self {
        let alternates = asked.alternate_hrefs.iter();
        Self {
            version: VERSION,
            key: key.to_owned(),
            sign: asked.job.sign,
            alternate_hrefs: alternates.map(|href| shown_href(href)).collect(),
            row,
            file,
        }
    }

    /// Returns whether the row says of a file what is asked now: valid, at least as deep, and of the promised bytes.
    pub(crate) fn proves(&self, asked: &DownloadAsset) -> bool {
        let size = self.row.out_file_sz;
        self.row.is_out_file_valid
            && self.row.validation_level >= asked.job.validate
            && asked
                .size_bytes
                .is_none_or(|promised| size == Some(promised))
            && !self.contradicts(asked.checksum.as_deref())
    }

    /// Returns whether the file that is there is the one that was written down, by size and entity tag.
    pub(crate) fn describes(&self, present: &Present) -> bool {
        self.file.as_ref().is_some_and(|file| {
            file.size_bytes == present.size_bytes
                && file.etag.is_some()
                && file.etag == present.etag
        })
    }

    /// Returns whether it was refused for good before wherever it is said to lie, at no deeper level than asked now.
    pub(crate) fn refuses(&self, asked: &DownloadAsset) -> bool {
        let mut alternates = asked.alternate_hrefs.iter();
        !self.row.is_out_file_valid
            && self.sign == asked.job.sign
            && self.row.source_href == shown_href(&asked.href)
            && alternates.all(|href| self.alternate_hrefs.contains(&shown_href(href)))
            && self.row.validation_level <= asked.job.validate
    }

    /// Returns whether a promised SHA-256 is another than the file's; other algorithms would need its bytes.
    fn contradicts(&self, promised: Option<&str>) -> bool {
        let sha256 = self.row.sha256.as_deref().unwrap_or_default();
        promised
            .and_then(Checksum::parse)
            .is_some_and(|promised| promised.contradicts(sha256))
    }
}
