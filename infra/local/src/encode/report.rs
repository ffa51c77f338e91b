//! What `swath encode` says when it is done.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::files::Written;

/// What was encoded.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Items that went in.
    pub(crate) items: u64,
    /// Rows that were written; an item has one for each of its cells.
    pub(crate) rows: u64,
    /// Files.
    pub(crate) files: u64,
    /// Bytes of all files.
    pub(crate) bytes: u64,
    /// Rows that were read back and are the items that came in.
    pub(crate) checked: u64,
    /// Values that their columns do not take, or not as they are spelled; they are kept beside them.
    pub(crate) clashes: u64,
    /// What was no item, by reason.
    pub(crate) rejected: BTreeMap<&'static str, u64>,
    /// Items that were mended, by repair.
    pub(crate) repaired: BTreeMap<&'static str, u64>,
}

impl Report {
    pub(super) fn written(&mut self, written: Written) {
        self.files = written.files;
        self.rows = written.rows;
        self.bytes = written.bytes;
        self.checked = written.checked;
        self.clashes += written.kept;
    }

    /// Returns the report for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, count: u64| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<22} {count:>12}");
        };
        line("items", self.items);
        line("rows", self.rows);
        line("files", self.files);
        line("bytes", self.bytes);
        if self.checked > 0 {
            line("rows read back equal", self.checked);
        }
        if self.clashes > 0 {
            line("values kept beside", self.clashes);
        }
        for (name, count) in &self.repaired {
            line(&format!("repaired: {name}"), *count);
        }
        for (code, count) in &self.rejected {
            line(&format!("rejected: {code}"), *count);
        }
        text
    }
}
