//! What the columns do not give back of an item, while its row is made.

use std::fmt::Write as _;

use super::{REMOVED, push_step, unquoted};

/// One step into an item.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    /// A key, quotes and all.
    Key(&'a str),
    Index(i32),
}

/// Steps that most walks are long.
const STEPS: usize = 16;

/// Values by pointer, and where the walk is.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    pub(super) path: Vec<Step<'a>>,
    values: String,
    removed: String,
    count: u64,
}

impl<'a> Kept<'a> {
    /// Begins an item.
    pub(super) fn new() -> Self {
        Self {
            path: Vec::with_capacity(STEPS),
            values: String::new(),
            removed: String::new(),
            count: 0,
        }
    }

    /// Keeps a value of the place where the walk is.
    pub(super) fn value(&mut self, json: &str) {
        let pointer = self.pointer();
        let values = &mut self.values;
        values.push_str(if values.is_empty() { "" } else { "," });
        crate::items::push_key(values, &pointer);
        values.push_str(json);
        self.count += 1;
    }

    /// Notes that the item has no such member where the walk is.
    pub(super) fn nothing(&mut self, key: &str) {
        let mut pointer = self.pointer();
        push_step(&mut pointer, &unquoted(key));
        let pointer = serde_json::Value::from(pointer);
        let removed = &mut self.removed;
        removed.push_str(if removed.is_empty() { "" } else { "," });
        // Writing to a String cannot fail.
        let _ = write!(removed, "{pointer}");
        self.count += 1;
    }

    /// Keeps a value of a member of the place where the walk is.
    pub(super) fn member(&mut self, key: &'a str, json: &str) {
        self.path.push(Step::Key(key));
        self.value(json);
        self.path.pop();
    }

    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) => push_step(&mut pointer, &unquoted(key)),
                Step::Index(index) => {
                    let _ = write!(pointer, "/{index}");
                }
            }
        }
        pointer
    }

    /// Ends an item: returns what is kept of it as a JSON object, and how many values that are.
    pub(super) fn finish(self) -> Option<(String, u64)> {
        if self.count == 0 {
            return None;
        }
        let mut text = String::from("{");
        if !self.removed.is_empty() {
            let _ = write!(text, "\"{REMOVED}\":[{}]", self.removed);
            text.push_str(if self.values.is_empty() { "" } else { "," });
        }
        text.push_str(&self.values);
        text.push('}');
        Some((text, self.count))
    }
}
