//! JSON as items need it: checked to the last byte, members kept as they were spelled, one canonical form for hashing.

use std::borrow::Cow;
use std::cell::Cell;

/// Objects and arrays inside one another.
pub const MAX_DEPTH: usize = 128;
/// Bytes of one item.
pub const MAX_BYTES: usize = 16 << 20;
/// Objects in one item: assets and links are objects, positions are not.
pub const MAX_OBJECTS: usize = 65_536;
/// Members up to which the order of the last object of as many is remembered; those of more share one place.
const ORDERS: usize = 64;
/// Bytes and members above which a scanner leaves nothing behind: most items are small.
const LEFT: usize = 1 << 20;

/// Text that is not JSON as an item may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON.
    #[error("not JSON at byte {at}")]
    Syntax {
        /// Where.
        at: usize,
    },
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A member given twice: readers would disagree on which counts.
    #[error("member {key:?} occurs twice in one object")]
    Duplicate {
        /// The member's key.
        key: String,
    },
    /// An escape that is half a character, which no UTF-8 text can hold.
    #[error("unpaired surrogate at byte {at}")]
    Surrogate {
        /// Where.
        at: usize,
    },
    /// Too deep.
    #[error("nested deeper than {MAX_DEPTH}")]
    Depth,
    /// Too many objects.
    #[error("more than {MAX_OBJECTS} objects")]
    Objects,
    /// Too long.
    #[error("{bytes} bytes, at most {MAX_BYTES} are taken")]
    Length {
        /// Its length.
        bytes: usize,
    },
}

/// A member of an object, as it was spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) value: &'a str,
    /// Whether there is white space inside the value, outside its strings.
    spaced: bool,
}

/// An object of the shape of an item.
#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    /// Its members.
    pub(crate) members: Vec<Member<'a>>,
    /// The members of its member `properties`, if that is an object.
    pub(crate) properties: Vec<Member<'a>>,
    /// The canonical text of its member `geometry`.
    pub(crate) geometry: String,
    /// The canonical text.
    pub(crate) canonical: Vec<u8>,
}

impl<'a> Member<'a> {
    /// Returns the value without white space outside strings.
    pub(crate) fn compact(&self) -> Cow<'a, str> {
        if !self.spaced {
            return Cow::Borrowed(self.value);
        }
        let (mut in_string, mut escaped) = (false, false);
        let kept = self.value.chars().filter(|c| {
            let keep = in_string || !c.is_ascii_whitespace();
            match *c {
                '"' if !escaped => in_string = !in_string,
                _ => {}
            }
            escaped = in_string && *c == '\\' && !escaped;
            keep
        });
        Cow::Owned(kept.collect())
    }

    /// Returns the value if it is a string.
    pub(crate) fn as_str(&self) -> Option<Cow<'a, str>> {
        unquote(self.value)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value == "null"
    }

    pub(crate) fn is_number(&self) -> bool {
        self.value
            .starts_with(|c: char| c == '-' || c.is_ascii_digit())
    }
}

impl<'a> Document<'a> {
    /// Reads an object.
    pub(crate) fn read(text: &'a str) -> Result<Self, JsonError> {
        Self::read_as(text, Place::Document)
    }

    /// Reads an object, its members and canonical text alone.
    pub(crate) fn read_members(text: &'a str) -> Result<Self, JsonError> {
        Self::read_as(text, Place::Members)
    }

    fn read_as(text: &'a str, place: Place) -> Result<Self, JsonError> {
        let mut scanner = Scanner::new(text)?;
        scanner.space();
        if scanner.peek() != Some(b'{') {
            scanner.value(0, Place::Elsewhere)?;
            return Err(JsonError::NotAnObject);
        }
        scanner.value(0, place)?;
        scanner.end()?;
        scanner.copy();
        let mut document = std::mem::take(&mut scanner.found);
        document.canonical = scanner.finish();
        Ok(document)
    }
}

/// Reads a JSON string.
pub(crate) fn unquote(token: &str) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_some() {
        return serde_json::from_str(token).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Writes any JSON text in its canonical form: no white space, members sorted by the bytes of their keys, strings with
/// the fewest escapes, numbers as they were spelled.
///
/// # Errors
/// When the text is not JSON, has a member twice, or is beyond the limits of an item.
pub fn canonical(text: &str) -> Result<String, JsonError> {
    let mut scanner = Scanner::new(text)?;
    scanner.value(0, Place::Elsewhere)?;
    scanner.end()?;
    scanner.copy();
    String::from_utf8(scanner.finish()).map_err(|error| JsonError::Syntax {
        at: error.utf8_error().valid_up_to(),
    })
}

/// Which object is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    /// A document whose properties and geometry nobody asks for.
    Members,
    Properties,
    Elsewhere,
}

/// Where a member lies in the canonical text: its begin, the end of its key, its end.
type Span = (usize, usize, usize);

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Where the text begins that is canonical as it stands and not copied yet; it ends at `at`.
    run: usize,
    /// Bytes of white space skipped.
    spaces: usize,
    objects: usize,
    out: Vec<u8>,
    scratch: Scratch,
    found: Document<'a>,
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
    fn new(text: &'a str) -> Result<Self, JsonError> {
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
    fn finish(self) -> Vec<u8> {
        let mut scratch = self.scratch;
        scratch.spans.clear();
        if scratch.spans.capacity() < LEFT && scratch.sorted.capacity() < LEFT {
            SCRATCH.set(scratch);
        }
        self.out
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn syntax(&self) -> JsonError {
        JsonError::Syntax { at: self.at }
    }

    fn space(&mut self) {
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

    fn end(&mut self) -> Result<(), JsonError> {
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
    fn copy(&mut self) {
        let run = self.text.as_bytes().get(self.run..self.at);
        self.out.extend_from_slice(run.unwrap_or_default());
        self.run = self.at;
    }

    /// Returns how long the canonical text is so far.
    fn written(&self) -> usize {
        self.out.len() + (self.at - self.run)
    }

    fn value(&mut self, depth: usize, place: Place) -> Result<(), JsonError> {
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

/// Bytes of a string that are looked at eight at a time: most are no longer.
const SHORT: usize = 32;

/// Returns how many bytes there are before the first that ends or changes a string: a quote, a backslash, a control.
fn plain(bytes: &[u8]) -> usize {
    let Some((short, long)) = bytes.split_at_checked(SHORT) else {
        return plain_words(bytes);
    };
    let found = plain_words(short);
    if found < SHORT {
        return found;
    }
    let end = memchr::memchr2(b'"', b'\\', long).unwrap_or(long.len());
    let text = long.get(..end).unwrap_or_default();
    // Without a branch, so that it takes many bytes at a time.
    let is_clean = text
        .iter()
        .fold(true, |clean, byte| clean & (*byte >= 0x20));
    SHORT + if is_clean { end } else { plain_words(text) }
}

/// As [`plain`], of a text that has no controls.
pub(crate) fn unescaped(bytes: &[u8]) -> usize {
    let Some((short, long)) = bytes.split_at_checked(SHORT) else {
        return plain_words(bytes);
    };
    match plain_words(short) {
        SHORT => SHORT + memchr::memchr2(b'"', b'\\', long).unwrap_or(long.len()),
        found => found,
    }
}

fn plain_words(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    // Eight at a time: a byte below the one looked for borrows from its high bit. Bytes above a hit may be marked
    // wrongly, the lowest mark never is.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let (words, rest) = bytes.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let backslashes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quotes | backslashes | controls) & HIGHS;
        if found != 0 {
            return place * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let end = rest.iter().position(is_special).unwrap_or(rest.len());
    words.len() * 8 + end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Damages a text that has everything JSON has.
    fn mutated() -> impl Strategy<Value = String> {
        let text = r#"{"a":[1,-0.5e+10,true,false,null,"x\n\"\u00e9\ud83d\ude00"],"b":{"":{},"c":[]},"z":" ","é":0}"#;
        let pieces = prop_oneof![
            any::<char>().prop_map(String::from),
            proptest::sample::select(vec![
                "\"", "\\", "\\u", "\\ud800", "{", "}", "[", "]", ",", ":", "0", "1", "-", ".",
                "e", " ", "\u{1}", "nul", ""
            ])
            .prop_map(str::to_owned),
        ];
        proptest::collection::vec((0..text.len(), 0..3_usize, pieces), 0..3).prop_map(
            move |edits| {
                let mut text: Vec<char> = text.chars().collect();
                for (at, cut, piece) in edits {
                    let at = at.min(text.len());
                    let end = (at + cut).min(text.len());
                    text.splice(at..end, piece.chars());
                }
                text.into_iter().collect()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn the_scanner_and_serde_json_agree_on_what_is_json(text in mutated()) {
            let ours = canonical(&text);
            let theirs = serde_json::from_str::<Value>(&text);
            match (&ours, &theirs) {
                // Their last member wins; their numbers must be doubles.
                (Err(JsonError::Duplicate { .. }), Ok(_)) => {}
                (Ok(_), Err(error)) if error.to_string().contains("out of range") => {}
                _ => prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{} {:?} {:?}", text, ours, theirs),
            }
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert_eq!(serde_json::from_str::<Value>(&ours).unwrap(), theirs);
                prop_assert_eq!(canonical(&ours).unwrap(), ours);
            }
        }
    }

    #[test]
    fn the_scanner_and_serde_json_agree_on_mutated_real_items() {
        let Some(items) = crate::items::tests::real_items() else {
            return;
        };
        let pieces: Vec<_> = "\" \\ \\u00 \\ud800 { } [ ] , : 0 1 - . e \u{1} nul"
            .split(' ')
            .collect();
        // Any sequence that is the same in every run.
        let mut state = 1_u64;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % below
        };
        let small: Vec<_> = items.iter().filter(|item| item.len() < 8000).collect();
        let mut refused = 0;
        for _ in 0..5000 {
            let mut bytes = small[next(small.len())].clone().into_bytes();
            for _ in 0..=next(2) {
                let at = next(bytes.len());
                let end = (at + next(3)).min(bytes.len());
                bytes.splice(at..end, pieces[next(pieces.len())].bytes());
            }
            let text = String::from_utf8_lossy(&bytes);
            let ours = canonical(&text);
            let theirs = serde_json::from_str::<Value>(&text);
            match (&ours, &theirs) {
                (Err(JsonError::Duplicate { .. }), Ok(_)) => {}
                (Ok(_), Err(error)) if error.to_string().contains("out of range") => {}
                (Ok(ours), Ok(theirs)) => {
                    assert_eq!(serde_json::from_str::<Value>(ours).unwrap(), *theirs);
                }
                _ => assert_eq!(ours.is_ok(), theirs.is_ok(), "{text} {ours:?} {theirs:?}"),
            }
            refused += usize::from(ours.is_err());
        }
        assert!((500..5000).contains(&refused), "{refused}");
    }

    #[test]
    fn canonical_text_has_sorted_keys_no_space_and_few_escapes() {
        let text = " { \"b\" : [ 1.0 , 1e5 ] , \"a\\u0062\" : \"\\u00e9\\/\\u001f\\u0009\" , \"a\" : { } } ";
        assert_eq!(
            canonical(text).unwrap(),
            r#"{"a":{},"ab":"é/\u001f\t","b":[1.0,1e5]}"#
        );
    }

    #[test]
    fn the_end_of_a_string_is_found_wherever_it_is() {
        for byte in 0..=u8::MAX {
            let is_special = matches!(byte, b'"' | b'\\' | 0..0x20);
            for (place, after) in [
                (0, 9),
                (3, 30),
                (7, 0),
                (8, 1),
                (13, 2),
                (21, 40),
                (31, 2),
                (32, 0),
                (45, 90),
            ] {
                // Neighbours that a borrow could reach.
                for other in [b'!', b'#', b'[', b']', b' ', 0x80, 0xff] {
                    let mut bytes = vec![other; place];
                    bytes.push(byte);
                    bytes.resize(place + 1 + after, other);
                    let end = if is_special { place } else { bytes.len() };
                    assert_eq!(plain(&bytes), end, "{byte} {place} {other}");
                    if byte >= 0x20 {
                        assert_eq!(unescaped(&bytes), end, "{byte} {place} {other}");
                    }
                    bytes.push(b'"');
                    assert_eq!(plain(&bytes), end.min(bytes.len() - 1), "{byte} {place}");
                }
            }
        }
    }

    #[test]
    fn depth_ends_at_its_limit_on_a_small_stack() {
        let check = || {
            let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert!(canonical(&nested(MAX_DEPTH)).is_ok());
            assert_eq!(canonical(&nested(MAX_DEPTH + 1)), Err(JsonError::Depth));
            assert_eq!(canonical(&nested(1_000_000)), Err(JsonError::Depth));
        };
        std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(check)
            .unwrap()
            .join()
            .unwrap();
    }

    #[test]
    fn an_item_beyond_all_use_is_refused_by_its_length() {
        let text = format!("\"{}\"", " ".repeat(MAX_BYTES));
        assert_eq!(
            canonical(&text),
            Err(JsonError::Length { bytes: text.len() })
        );
    }
}
