//! Items out of a JSON document of any size, without holding more than one of them.

use std::io::{self, BufRead};

use crate::json::{MAX_BYTES, canonical};

/// What the next step through a document found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A text that should be an item was appended.
    Text,
    /// A text beyond the limit; its beginning was appended.
    TooLong,
    /// The document is not what it should be.
    Broken(&'static str),
    /// The document has ended.
    End,
}

/// Whether a byte is part of a string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

/// Cuts a document into items: the features of an ItemCollection, the elements of an array, or the object itself.
///
/// Only brackets and strings are looked at; whether an item is JSON is for its reader to say.
pub(super) struct Splitter {
    input: Box<dyn BufRead + Send>,
    block: Vec<u8>,
    /// How far the block has been looked at.
    at: usize,
    depth: usize,
    string: Text,
    /// Brackets around the elements; 0 as long as no list of items was met.
    list: usize,
    /// Whether what is read belongs to an element of the list.
    in_element: bool,
    /// What lies outside the elements.
    outer: Vec<u8>,
    is_done: bool,
}

impl Splitter {
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            block: Vec::new(),
            at: 0,
            depth: 0,
            string: Text::Outside,
            list: 0,
            in_element: false,
            outer: Vec::new(),
            is_done: false,
        }
    }

    /// Appends the next item.
    pub(super) fn next(&mut self, into: &mut Vec<u8>) -> io::Result<Step> {
        let begin = into.len();
        loop {
            // Taken out for the time being: the bytes are looked at while the state changes.
            let block = std::mem::take(&mut self.block);
            let rest = block.get(self.at..).unwrap_or_default();
            let mut found = None;
            for (index, byte) in rest.iter().enumerate() {
                found = self.byte(*byte, begin, into).map(|step| (step, index + 1));
                if found.is_some() {
                    break;
                }
            }
            self.block = block;
            if let Some((step, read)) = found {
                self.at += read;
                return Ok(step);
            }
            self.at = 0;
            self.block.clear();
            let next = self.input.fill_buf()?;
            self.block.extend_from_slice(next);
            let read = next.len();
            self.input.consume(read);
            if read == 0 {
                return Ok(self.end(into));
            }
        }
    }

    fn byte(&mut self, byte: u8, begin: usize, into: &mut Vec<u8>) -> Option<Step> {
        if self.string != Text::Outside {
            self.string = match (self.string, byte) {
                (Text::Inside, b'"') => Text::Outside,
                (Text::Inside, b'\\') => Text::Escaped,
                _ => Text::Inside,
            };
            self.put(byte, begin, into);
            return None;
        }
        let at_list = self.list > 0 && self.depth == self.list;
        match byte {
            b'"' => self.string = Text::Inside,
            b'{' | b'[' => return self.open(byte, begin, into),
            b'}' | b']' => return self.close(byte, begin, into),
            b',' if at_list => return self.separate(begin, into),
            _ => {}
        }
        if at_list && !byte.is_ascii_whitespace() {
            self.in_element = true;
        }
        self.put(byte, begin, into);
        None
    }

    fn open(&mut self, byte: u8, begin: usize, into: &mut Vec<u8>) -> Option<Step> {
        if self.list > 0 && self.depth == self.list {
            self.in_element = true;
        }
        self.depth += 1;
        self.put(byte, begin, into);
        let is_features = self.depth == 2 && ends_with_key(&self.outer);
        let is_array = self.depth == 1 && self.outer.trim_ascii() == b"[";
        if self.list == 0 && byte == b'[' && (is_features || is_array) {
            self.list = self.depth;
        }
        None
    }

    fn close(&mut self, byte: u8, begin: usize, into: &mut Vec<u8>) -> Option<Step> {
        if self.list > 0 && self.depth == self.list {
            let last = self.separate(begin, into);
            self.depth -= 1;
            self.list = usize::MAX;
            self.put(byte, begin, into);
            return last;
        }
        self.depth = self.depth.saturating_sub(1);
        self.put(byte, begin, into);
        None
    }

    /// Ends an element.
    fn separate(&mut self, begin: usize, into: &[u8]) -> Option<Step> {
        if !self.in_element {
            return None;
        }
        self.in_element = false;
        Some(if into.len() - begin > MAX_BYTES {
            Step::TooLong
        } else {
            Step::Text
        })
    }

    fn put(&mut self, byte: u8, begin: usize, into: &mut Vec<u8>) {
        if self.in_element {
            // One byte beyond the limit says that there were more.
            if into.len() - begin <= MAX_BYTES {
                into.push(byte);
            }
        } else if self.outer.len() <= MAX_BYTES {
            self.outer.push(byte);
        }
    }

    fn end(&mut self, into: &mut Vec<u8>) -> Step {
        if std::mem::replace(&mut self.is_done, true) {
            return Step::End;
        }
        if self.depth > 0 || self.string != Text::Outside {
            into.extend_from_slice(self.outer.get(..80).unwrap_or(&self.outer));
            return Step::Broken("the document ends before it should");
        }
        let outer = self.outer.trim_ascii();
        if self.list == 0 {
            if outer.is_empty() {
                return Step::End;
            }
            let is_too_long = outer.len() > MAX_BYTES;
            into.extend_from_slice(outer);
            return if is_too_long {
                Step::TooLong
            } else {
                Step::Text
            };
        }
        let frame = std::str::from_utf8(outer).ok().map(canonical);
        let is_collection =
            |text: &String| text == "[]" || text.contains("\"type\":\"FeatureCollection\"");
        if frame
            .and_then(Result::ok)
            .is_some_and(|text| is_collection(&text))
        {
            return Step::End;
        }
        into.extend_from_slice(outer.get(..80).unwrap_or(outer));
        Step::Broken("the document is no ItemCollection")
    }
}

/// Says whether the text ends in the member name `features`, a colon and an opening bracket.
fn ends_with_key(text: &[u8]) -> bool {
    let before = |text: &mut &[u8], last: &[u8]| {
        *text = text.trim_ascii_end();
        text.strip_suffix(last).is_some_and(|rest| {
            *text = rest;
            true
        })
    };
    let mut text = text;
    before(&mut text, b"[") && before(&mut text, b":") && before(&mut text, b"\"features\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (Vec<String>, Vec<Step>) {
        // A capacity of a few bytes: items span blocks.
        let bytes = io::Cursor::new(text.to_owned().into_bytes());
        let mut splitter = Splitter::new(Box::new(io::BufReader::with_capacity(7, bytes)));
        let (mut texts, mut odd) = (Vec::new(), Vec::new());
        loop {
            let mut item = Vec::new();
            match splitter.next(&mut item).unwrap() {
                Step::Text => texts.push(String::from_utf8(item).unwrap().trim().to_owned()),
                Step::End => return (texts, odd),
                step => odd.push(step),
            }
        }
    }

    #[test]
    fn the_features_of_a_collection_come_one_by_one() {
        let text = r#"{"type":"FeatureCollection","x":{"features":[9]},"features" : [ {"a":"],}\"{"} , {"b":[{}]}],
            "links":[{"features":[1]}]}"#;
        let (texts, odd) = split(text);
        assert_eq!(texts, [r#"{"a":"],}\"{"}"#, r#"{"b":[{}]}"#]);
        assert!(odd.is_empty(), "{odd:?}");
        assert_eq!(
            split("[1, {\"a\":[2,3]} ,\"x\"]").0,
            ["1", "{\"a\":[2,3]}", "\"x\""]
        );
        assert_eq!(
            split(r#"{"type":"FeatureCollection","features":[]}"#),
            (vec![], vec![])
        );
    }

    #[test]
    fn an_item_is_its_own_document() {
        let text = "\n{\"type\":\"Feature\",\n \"id\":\"a\"}\n";
        assert_eq!(split(text).0, [text.trim()]);
        assert!(split("  ").0.is_empty());
    }

    #[test]
    fn a_document_that_is_cut_off_keeps_what_came_before() {
        let (texts, odd) = split(r#"{"type":"FeatureCollection","features":[{"a":1},{"b""#);
        assert_eq!(texts, [r#"{"a":1}"#]);
        assert_eq!(odd, [Step::Broken("the document ends before it should")]);
        let (texts, odd) = split(r#"{"type":"Feature","features":[{"a":1}]}"#);
        assert_eq!(texts.len(), 1);
        assert_eq!(odd, [Step::Broken("the document is no ItemCollection")]);
    }
}
