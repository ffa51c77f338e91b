//! The scanner: one pass over a text checks it, keeps its members and writes its canonical form.

use std::cell::Cell;

use super::strings::plain;
use super::{Document, JsonError, MAX_BYTES, MAX_DEPTH, MAX_OBJECTS, Member, unquote};

/// Members up to which the order of the last object of as many is remembered; those of more share one place.
const ORDERS: usize = 64;
/// Bytes and members above which a scanner leaves nothing behind: most items are small.
const LEFT: usize = 1 << 20;

/// Which object is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Document,
    /// A document whose properties and geometry nobody asks for.
    Members,
    Properties,
    Elsewhere,
}

/// Where a member lies in the canonical text: its begin, the end of its key, its end.
type Span = (usize, usize, usize);

pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Where the text begins that is canonical as it stands and not copied yet; it ends at `at`.
    run: usize,
    /// Bytes of white space skipped.
    spaces: usize,
    objects: usize,
    out: Vec<u8>,
    scratch: Scratch,
    pub(super) found: Document<'a>,
}

/// What a scanner leaves to the next one of its thread.
#[derive(Default)]
struct Scratch {
    spans: Vec<Span>,
    sorted: Vec<u8>,
    /// By the number of members, the order that the last object of so many was put into: alike objects come in rows.
    orders: Vec<Vec<usize>>,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, JsonError> {
        if text.len() > MAX_BYTES {
            return Err(JsonError::Length { bytes: text.len() });
        }
        Ok(Self {
            text,
            at: 0,
            run: 0,
            spaces: 0,
            objects: 0,
            out: Vec::with_capacity(text.len()),
            scratch: SCRATCH.take(),
            found: Document::default(),
        })
    }

    /// Returns the canonical text.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut scratch = self.scratch;
        scratch.spans.clear();
        if scratch.spans.capacity() < LEFT && scratch.sorted.capacity() < LEFT {
            SCRATCH.set(scratch);
        }
        self.out
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn syntax(&self) -> JsonError {
        JsonError::Syntax { at: self.at }
    }

    pub(super) fn space(&mut self) {
        const fn is_space(byte: Option<u8>) -> bool {
            matches!(byte, Some(b' ' | b'\t' | b'\n' | b'\r'))
        }
        if !is_space(self.peek()) {
            return;
        }
        self.copy();
        let begin = self.at;
        while is_space(self.peek()) {
            self.at += 1;
        }
        self.run = self.at;
        self.spaces += self.at - begin;
    }

    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at < self.text.len() {
            Err(self.syntax())
        } else {
            Ok(())
        }
    }

    fn slice(&self, begin: usize, end: usize) -> &'a str {
        self.text.get(begin..end).unwrap_or_default()
    }

    /// Copies the run that has ended.
    pub(super) fn copy(&mut self) {
        let run = self.text.as_bytes().get(self.run..self.at);
        self.out.extend_from_slice(run.unwrap_or_default());
        self.run = self.at;
    }

    /// Returns how long the canonical text is so far.
    fn written(&self) -> usize {
        self.out.len() + (self.at - self.run)
    }

    pub(super) fn value(&mut self, depth: usize, place: Place) -> Result<(), JsonError> {
        self.space();
        match self.peek() {
            Some(b'{') if depth < MAX_DEPTH => self.object(depth, place),
            Some(b'[') if depth < MAX_DEPTH => self.array(depth),
            Some(b'{' | b'[') => Err(JsonError::Depth),
            Some(b'"') => self.string(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => self.number(),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), JsonError> {
        if !self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let begin = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == begin {
            Err(self.syntax())
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1, Place::Elsewhere)?;
            self.space();
            let next = self.peek();
            match next {
                Some(byte @ (b',' | b']')) => {
                    self.at += 1;
                    if byte == b']' {
                        return Ok(());
                    }
                }
                _ => return Err(self.syntax()),
            }
        }
    }

    fn object(&mut self, depth: usize, place: Place) -> Result<(), JsonError> {
        self.objects += 1;
        if self.objects > MAX_OBJECTS {
            return Err(JsonError::Objects);
        }
        self.at += 1;
        let (first_span, begin) = (self.scratch.spans.len(), self.written());
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.member(depth, place)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.syntax()),
            }
        }
        self.sort(first_span, begin)?;
        self.scratch.spans.truncate(first_span);
        self.at += 1;
        Ok(())
    }

    fn member(&mut self, depth: usize, place: Place) -> Result<(), JsonError> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.syntax());
        }
        let (key_at, begin) = (self.at, self.written());
        self.string()?;
        let (key_end, key_out) = (self.at, self.written());
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.syntax());
        }
        self.at += 1;
        self.space();
        let (value_at, spaces, value_out) = (self.at, self.spaces, self.written());
        let key = (place != Place::Elsewhere)
            .then(|| unquote(self.slice(key_at, key_end)).unwrap_or_default());
        let is_properties = place == Place::Document && key.as_deref() == Some("properties");
        let inner = if is_properties {
            Place::Properties
        } else {
            Place::Elsewhere
        };
        self.value(depth + 1, inner)?;
        let span = (begin, key_out, self.written());
        self.scratch.spans.push(span);
        if let Some(key) = key {
            let found = Member {
                key,
                value: self.slice(value_at, self.at),
                spaced: self.spaces > spaces,
            };
            self.record(place, found, value_out);
        }
        Ok(())
    }

    fn record(&mut self, place: Place, member: Member<'a>, value_out: usize) {
        if place == Place::Properties {
            self.found.properties.push(member);
            return;
        }
        if place == Place::Document && member.key == "geometry" {
            self.copy();
            let bytes = self.out.get(value_out..).unwrap_or_default();
            self.found.geometry = String::from_utf8_lossy(bytes).into_owned();
        }
        self.found.members.push(member);
    }

    /// Puts the members of the object whose text begins at `begin` in order.
    fn sort(&mut self, first_span: usize, begin: usize) -> Result<(), JsonError> {
        self.copy();
        let out = &self.out;
        let key = |span: &Span| out.get(span.0..span.1).unwrap_or_default();
        let Scratch {
            spans,
            sorted,
            orders,
        } = &mut self.scratch;
        let spans = spans.get(first_span..).unwrap_or_default();
        if spans.is_sorted_by(|a, b| key(a) < key(b)) {
            return Ok(());
        }
        let count = spans.len();
        let slot = count.min(ORDERS);
        if orders.len() <= slot {
            orders.resize_with(slot + 1, Vec::new);
        }
        let Some(order) = orders.get_mut(slot) else {
            return Ok(());
        };
        let at = |place: &usize| spans.get(*place).map(key).unwrap_or_default();
        let is_order = |order: &[usize]| order.is_sorted_by(|a, b| at(a) < at(b));
        if order.len() != count || !is_order(order) {
            order.clear();
            order.extend(0..count);
            order.sort_unstable_by(|a, b| at(a).cmp(at(b)));
            let twice = order.windows(2).find_map(|pair| match pair {
                [a, b] if at(a) == at(b) => Some(at(a)),
                _ => None,
            });
            if let Some(key) = twice {
                let key = String::from_utf8_lossy(key).trim_matches('"').to_owned();
                return Err(JsonError::Duplicate { key });
            }
        }
        sorted.clear();
        for span in order.iter().filter_map(|place| spans.get(*place)) {
            if !sorted.is_empty() {
                sorted.push(b',');
            }
            let member = out.get(span.0..span.2);
            sorted.extend_from_slice(member.unwrap_or_default());
        }
        self.out.truncate(begin);
        self.out.extend_from_slice(sorted);
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            self.at += plain(rest);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.syntax()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let begin = self.at;
        self.at += 1;
        let code = self.peek();
        match code {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'/' | b'u') => {
                self.at = begin;
                self.copy();
                self.at += 2;
                if code == Some(b'u') {
                    let character = self.unicode(begin)?;
                    self.push_char(character);
                } else {
                    self.out.push(b'/');
                }
                self.run = self.at;
            }
            _ => return Err(JsonError::Syntax { at: begin }),
        }
        Ok(())
    }

    fn push_char(&mut self, character: char) {
        match character {
            '"' => self.out.extend_from_slice(b"\\\""),
            '\\' => self.out.extend_from_slice(b"\\\\"),
            '\u{8}' => self.out.extend_from_slice(b"\\b"),
            '\u{c}' => self.out.extend_from_slice(b"\\f"),
            '\n' => self.out.extend_from_slice(b"\\n"),
            '\r' => self.out.extend_from_slice(b"\\r"),
            '\t' => self.out.extend_from_slice(b"\\t"),
            control @ '\0'..'\u{20}' => {
                self.out
                    .extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
            }
            other => self
                .out
                .extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    /// Reads what follows `\u`, and the second half of a pair.
    fn unicode(&mut self, begin: usize) -> Result<char, JsonError> {
        let lone = JsonError::Surrogate { at: begin };
        let first = self.hex()?;
        if !(0xD800..0xE000).contains(&first) {
            return char::from_u32(first).ok_or(lone);
        }
        if !self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with("\\u"))
        {
            return Err(lone);
        }
        self.at += 2;
        let second = self.hex()?;
        if first >= 0xDC00 || !(0xDC00..0xE000).contains(&second) {
            return Err(lone);
        }
        char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or(lone)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .ok_or_else(|| self.syntax())?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(self.syntax());
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| self.syntax())
    }
}
