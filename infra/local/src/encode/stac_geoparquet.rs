//! One file of stac-geoparquet from records that are texts.

use std::io::Write;

use swath_table::stac_geoparquet::{ItemFile, Layout};
use xxhash_rust::xxh3::xxh3_128;

use super::EncodeError;
use super::files::{Plan, Sequence, expected};
use super::index::Entry;

impl Plan {
    /// Writes the items as one file; returns the output, the rows, and the values kept beside their columns. The file is
    /// begun anew when some item turns out to have such values: most files need no column for them.
    pub(super) fn encode_items<W: Write + Send>(
        &self,
        layout: &Layout,
        entries: &[Entry],
        open: impl Fn() -> Result<W, EncodeError>,
        sequence: &mut Sequence,
    ) -> Result<(W, u64, u64), EncodeError> {
        let mut buffer = Vec::new();
        let mut has_rest = false;
        loop {
            *sequence = Sequence::default();
            let expected = expected(entries);
            let mut file = ItemFile::new(layout, has_rest, open()?, self.effort, expected);
            for entry in entries {
                let text = self.text(entry, &mut buffer)?;
                if self.check {
                    sequence.add(xxh3_128(text.as_bytes()));
                }
                file.push(text).map_err(EncodeError::table)?;
                if file.lacks_rest() {
                    break;
                }
            }
            if file.lacks_rest() {
                has_rest = true;
                continue;
            }
            let kept = file.kept();
            let (output, rows) = file.finish().map_err(EncodeError::table)?;
            return Ok((output, rows, kept));
        }
    }

    fn text<'a>(&'a self, entry: &Entry, buffer: &'a mut Vec<u8>) -> Result<&'a str, EncodeError> {
        let record = self.records.read(entry.at, buffer);
        let record = record.map_err(EncodeError::Spool)?;
        let text = record.split_first_chunk::<4>();
        text.and_then(|(_source, text)| std::str::from_utf8(text).ok())
            .ok_or(EncodeError::Record { at: entry.at })
    }
}
