//! JSON and markup: does the text close what it opens.

use std::io::{Read, Seek};

use crate::body::root_name;
use crate::kind::{Kind, lowercase_start};
use crate::source::{Checked, Source, Stop};

const BLOCK_BYTES: usize = 64 * 1024;
/// Deeper nesting is refused by JSON readers, too.
const MAX_DEPTH: usize = 4096;
const TAIL_BYTES: usize = 4096;

/// Where a scan through JSON stands.
#[derive(Debug, Default)]
struct Scan {
    /// The brackets that are open, as the bytes that close them.
    open: Vec<u8>,
    in_string: bool,
    escaped: bool,
    ended: bool,
}

/// Scans brackets and strings, a block at a time; the text must close exactly what it opens.
pub(super) fn json<R: Read + Seek>(source: &mut Source<'_, R>) -> Checked<()> {
    let mut scan = Scan::default();
    let mut at = if source.array_at::<3>(0)? == Some(*b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    while at < source.size() {
        let block = source.up_to(at, BLOCK_BYTES)?;
        for (place, byte) in block.iter().enumerate() {
            scan.step(*byte)
                .map_err(|what| Stop::malformed(format!("{what} at byte {}", at + place as u64)))?;
        }
        at += block.len() as u64;
    }
    if scan.ended {
        return Ok(());
    }
    let open = scan.open.len();
    Err(Stop::truncated(format!(
        "the JSON document ends with {open} brackets open"
    )))
}

impl Scan {
    fn step(&mut self, byte: u8) -> Result<(), &'static str> {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(());
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => Ok(()),
            _ if self.ended => self.another(byte),
            0 => Err("a zero byte stands in the JSON document"),
            b'"' => {
                self.in_string = true;
                Ok(())
            }
            b'{' => self.open(b'}'),
            b'[' => self.open(b']'),
            b'}' | b']' => self.close(byte),
            _ => Ok(()),
        }
    }

    fn open(&mut self, closing: u8) -> Result<(), &'static str> {
        if self.open.len() >= MAX_DEPTH {
            return Err("the JSON document is nested too deeply");
        }
        self.open.push(closing);
        Ok(())
    }

    fn close(&mut self, byte: u8) -> Result<(), &'static str> {
        if self.open.pop() != Some(byte) {
            return Err("a bracket closes what was not open");
        }
        self.ended = self.open.is_empty();
        Ok(())
    }

    /// Documents one to a line are a document each.
    fn another(&mut self, byte: u8) -> Result<(), &'static str> {
        self.ended = false;
        match byte {
            b'{' => self.open(b'}'),
            b'[' => self.open(b']'),
            0x1e => Ok(()),
            _ => Err("something follows the JSON document"),
        }
    }
}

/// The text must end with the end tag of its root element.
pub(super) fn markup<R: Read + Seek>(source: &mut Source<'_, R>, kind: Kind) -> Checked<()> {
    let head = source.up_to(0, BLOCK_BYTES)?;
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let root = root_name(&text);
    let tail = String::from_utf8_lossy(&source.tail(TAIL_BYTES)?).to_ascii_lowercase();
    let mut rest = tail.trim_end_matches(|c: char| c.is_whitespace() || c == '\0');
    // Comments may follow the root.
    while rest.ends_with("-->") {
        rest = rest
            .rfind("<!--")
            .and_then(|at| rest.get(..at))
            .unwrap_or_default()
            .trim_end();
    }
    let last = rest
        .rfind('<')
        .and_then(|at| rest.get(at..))
        .unwrap_or_default();
    let closes = last.ends_with('>')
        && (last
            .strip_prefix("</")
            .is_some_and(|name| closed_name(name) == root)
            || last.ends_with("/>"));
    // HTML may leave out its last tags, so only a cut within one counts.
    if closes || (kind == Kind::Html && rest.ends_with('>')) || lowercase_start(&head).is_empty() {
        return Ok(());
    }
    Err(Stop::truncated(format!(
        "the document does not end with the end of <{root}>"
    )))
}

fn closed_name(text: &str) -> &str {
    let name = text.trim_end_matches('>').trim_end();
    name.rsplit(':').next().unwrap_or_default()
}
