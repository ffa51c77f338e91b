//! Items into one `GeoParquet` file as they come, in bounded memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;

use swath_core::{TableName, chain};
use swath_table::items::{Placed, batch};
use swath_table::{Effort, Expected, FileWriter, ItemRow, TableError};

use super::note;

/// Bytes of items' texts in a row group.
const BYTES: usize = 8 << 20;
/// Items in a row group at most; the writer's own bound is larger.
const ITEMS: usize = 4096;

/// A file of items in the making; within each row group they are sorted, as its footer says.
pub(super) struct ItemFile {
    writer: FileWriter<BufWriter<File>>,
    /// The API that the items come from.
    source: String,
    /// Items that wait for their row group to be full.
    waiting: Vec<ItemRow>,
    /// Bytes of their texts.
    bytes: usize,
    /// Texts that are no items, by the code of what is wrong with them.
    rejected: BTreeMap<&'static str, u64>,
}

impl ItemFile {
    pub(super) fn new(output: BufWriter<File>, source: String) -> Result<Self, TableError> {
        let (table, rows) = (TableName::StacItems, Expected::MANY);
        Ok(Self {
            writer: FileWriter::new(table, output, Effort::Ingest, rows)?,
            source,
            waiting: Vec::new(),
            bytes: 0,
            rejected: BTreeMap::new(),
        })
    }

    /// Adds an item; what is none is named and counted.
    pub(super) fn add(&mut self, text: &str) -> Result<(), TableError> {
        match ItemRow::parse(text) {
            Ok(row) => self.waiting.push(row),
            Err(error) => {
                *self.rejected.entry(error.code()).or_default() += 1;
                note(&format!("an item is left out: {}", chain(&error)));
            }
        }
        self.bytes += text.len();
        if self.bytes >= BYTES || self.waiting.len() >= ITEMS {
            self.end_group()?;
        }
        Ok(())
    }

    /// Ends the file; returns it and what was left out.
    pub(super) fn finish(
        mut self,
    ) -> Result<(BufWriter<File>, BTreeMap<&'static str, u64>), TableError> {
        self.end_group()?;
        let (output, _) = self.writer.finish()?;
        Ok((output, self.rejected))
    }

    fn end_group(&mut self) -> Result<(), TableError> {
        self.bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let source = self.source.as_str();
        let mut placed: Vec<_> = waiting.iter().map(|row| Placed { row, source }).collect();
        placed.sort_by(|a, b| a.order().cmp(&b.order()));
        self.writer.write(&batch(None, &placed)?)?;
        self.writer.end_group()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_table::items::ItemReader;

    #[test]
    fn items_of_a_row_group_are_sorted_and_what_is_none_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.parquet");
        let output = BufWriter::new(File::create(&path).unwrap());
        let mut file = ItemFile::new(output, "https://stac.example/".to_owned()).unwrap();
        let item = |id: &str| {
            format!(
                r#"{{"type":"Feature","id":"{id}","geometry":null,"properties":{{"datetime":"2024-06-01T00:00:00Z"}},"assets":{{}}}}"#
            )
        };
        for id in ["b", "a"] {
            file.add(&item(id)).unwrap();
        }
        file.end_group().unwrap();
        file.add(r#"{"type":"Collection","id":"c"}"#).unwrap();
        for id in ["d", "c"] {
            file.add(&item(id)).unwrap();
        }
        let (output, rejected) = file.finish().unwrap();
        drop(output.into_inner().unwrap());
        assert_eq!(rejected.values().sum::<u64>(), 1);
        let read = ItemReader::open(File::open(&path).unwrap()).unwrap();
        let texts: Vec<_> = read.map(|item| item.unwrap().0).collect();
        let ids: Vec<_> = texts
            .iter()
            .map(|text| ItemRow::parse(text).unwrap().id().to_owned())
            .collect();
        assert_eq!(ids, ["a", "b", "c", "d"]);
    }
}
