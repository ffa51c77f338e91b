//! What the rows tell of an asset's file, and whether the file agrees.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use serde_json::{Map, Value};
use swath_cloud::publish::{self, PublishError};
use swath_cloud::store::Store;
use swath_core::message::Check;
use swath_core::stac::parse_datetime;
use swath_table::plain::row_of;

/// One row: its columns by name, absent where the row has no value.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The columns.
    pub columns: Map<String, Value>,
    /// The row's number in the order of the batches, from 0.
    pub number: usize,
}

/// How a file compares with its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is as the row says, as far as was looked.
    AsTold,
    /// It is not there.
    Gone,
    /// It has another size or content.
    Changed,
}

/// Returns the newest row of every asset, in the order of their catalogs, collections and ids; of two of one time, the
/// later one in the batches.
pub fn newest(batches: &[RecordBatch]) -> Vec<Told> {
    let mut newest: BTreeMap<[Option<String>; 4], Told> = BTreeMap::new();
    let mut number = 0;
    for batch in batches {
        for row in 0..batch.num_rows() {
            let columns = row_of(batch, row);
            let told = Told { columns, number };
            number += 1;
            let key = ["catalog", "collection", "item_id", "asset_name"];
            let key = key.map(|name| told.text(name).map(str::to_owned));
            match newest.get(&key) {
                Some(known) if known.age() < told.age() => {}
                _ => {
                    newest.insert(key, told);
                }
            }
        }
    }
    newest.into_values().collect()
}

impl Told {
    /// Returns the text in a column.
    pub fn text(&self, column: &str) -> Option<&str> {
        let text = self.columns.get(column)?.as_str();
        text.filter(|text| !text.is_empty())
    }

    /// Orders rows from new to old; one without a time is older than all.
    fn age(&self) -> Reverse<Option<time::OffsetDateTime>> {
        Reverse(self.text("last_update").and_then(parse_datetime))
    }

    /// Returns the file's key below the folder of files, if the row names one in it.
    pub fn key(&self, out: &Store) -> Option<String> {
        let path = self.text("out_file_path")?;
        let below = match &out.local_root {
            Some(root) => {
                let path = path.strip_prefix("file://").unwrap_or(path);
                let below = std::path::Path::new(path).strip_prefix(root).ok()?;
                below.to_str()?.to_owned()
            }
            None => path
                .strip_prefix(&out.uri)?
                .trim_start_matches('/')
                .to_owned(),
        };
        (!below.is_empty() && !below.split('/').any(|part| part == "..")).then_some(below)
    }

    /// Compares the file with its row: its size and, where contents are looked at, its SHA-256.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub async fn look(&self, out: &Store, key: &str, check: Check) -> Result<State, PublishError> {
        let Some(present) = publish::present(out, key).await? else {
            return Ok(State::Gone);
        };
        let size = self.columns.get("out_file_sz").and_then(Value::as_u64);
        if size.is_some_and(|size| size != present.size_bytes) {
            return Ok(State::Changed);
        }
        let (Some(sha256), Check::Contents) = (self.text("sha256"), check) else {
            return Ok(State::AsTold);
        };
        let (_, digests) = publish::read_back(out, key, None, None).await?;
        Ok(if sha256 == digests.sha256 {
            State::AsTold
        } else {
            State::Changed
        })
    }
}
