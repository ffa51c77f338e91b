//! What is no item: named on standard error, kept with its reason where a file was asked for; what was mended is kept as it
//! came.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::EncodeError;
use super::input::Spot;

/// A text that is not taken, or not as it came.
pub(super) struct Rejected {
    pub(super) source: Arc<str>,
    pub(super) spot: Spot,
    /// A short stable code.
    pub(super) code: &'static str,
    /// The same for people.
    pub(super) reason: String,
    pub(super) text: Vec<u8>,
}

/// A rejected text as it is kept: one JSON object a line.
#[derive(Serialize)]
struct Kept<'a> {
    source: &'a str,
    unit: &'a str,
    number: u64,
    code: &'a str,
    reason: &'a str,
    /// The text, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<&'a str>,
    /// Its bytes in hex, if it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    item_hex: Option<String>,
}

/// Where rejected texts go.
pub(super) struct Quarantine {
    file: Option<(PathBuf, BufWriter<File>)>,
}

impl Quarantine {
    /// Opens the file, if there is to be one; what it held before is gone.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, EncodeError> {
        let open = |path: &Path| {
            let file = File::create(path).map_err(|source| EncodeError::Write {
                path: path.to_owned(),
                source,
            })?;
            Ok::<_, EncodeError>((path.to_owned(), BufWriter::new(file)))
        };
        Ok(Self {
            file: path.map(open).transpose()?,
        })
    }

    /// Names a text that is not taken, on standard error.
    pub(super) fn tell(rejected: &Rejected) {
        let Rejected {
            source,
            spot,
            code,
            reason,
            ..
        } = rejected;
        let (unit, number) = (spot.unit, spot.number);
        // A closed standard error is no reason to lose the rest.
        let _ignored = writeln!(
            std::io::stderr().lock(),
            "{source}: {unit} {number}: {code}: {reason}"
        );
    }

    /// Keeps a text, where a file was asked for.
    pub(super) fn keep(&mut self, rejected: &Rejected) -> Result<(), EncodeError> {
        let Rejected {
            source,
            spot,
            code,
            reason,
            text,
        } = rejected;
        let (unit, number) = (spot.unit, spot.number);
        let Some((path, file)) = &mut self.file else {
            return Ok(());
        };
        let item = std::str::from_utf8(text).ok();
        let kept = Kept {
            source,
            unit,
            number,
            code,
            reason,
            item,
            item_hex: item.is_none().then(|| swath_core::hex(text)),
        };
        let mut line = serde_json::to_vec(&kept).unwrap_or_default();
        line.push(b'\n');
        file.write_all(&line).map_err(|source| EncodeError::Write {
            path: path.clone(),
            source,
        })
    }

    /// Sees to it that all is kept.
    pub(super) fn finish(self) -> Result<(), EncodeError> {
        let Some((path, mut file)) = self.file else {
            return Ok(());
        };
        file.flush()
            .map_err(|source| EncodeError::Write { path, source })
    }
}
