//! A walk over canonical text: nothing is checked again.

use crate::json::unescaped;

/// A place in canonical text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the next byte, 0 at the end: the first byte of a value says its type.
    pub(super) fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn since(&self, begin: usize) -> &'a str {
        self.text.get(begin..self.at).unwrap_or_default()
    }

    /// Reads a string, quotes and all.
    fn string(&mut self) -> &'a str {
        let begin = self.at;
        self.at += 1;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            self.at += unescaped(rest);
            match self.peek() {
                b'\\' => self.at += 2,
                0 => break,
                _ => {
                    self.at += 1;
                    break;
                }
            }
        }
        self.since(begin)
    }

    /// Reads a number or a word.
    fn word(&mut self) -> &'a str {
        let begin = self.at;
        let rest = self.text.as_bytes().get(begin..).unwrap_or_default();
        let ends = rest.iter().position(|b| matches!(b, b',' | b']' | b'}'));
        self.at += ends.unwrap_or(rest.len());
        self.since(begin)
    }

    /// Reads a value that is no list and no object.
    pub(super) fn scalar(&mut self) -> &'a str {
        if self.peek() == b'"' {
            self.string()
        } else {
            self.word()
        }
    }

    /// Reads any value.
    pub(super) fn value(&mut self) -> &'a str {
        let begin = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                b'"' => {
                    self.string();
                }
                b',' | b':' => self.at += 1,
                0 => break,
                _ => {
                    self.word();
                }
            }
            if depth == 0 {
                break;
            }
        }
        self.since(begin)
    }

    /// Enters an object or a list, or goes on to its next part; `false` when there is none, and it is left.
    pub(super) fn next(&mut self) -> bool {
        match self.peek() {
            b'{' | b'[' | b',' => self.at += 1,
            _ => {}
        }
        let is_end = matches!(self.peek(), b'}' | b']' | 0);
        self.at += usize::from(is_end);
        !is_end
    }

    /// Reads the key of a member if it is this one, quotes and all, and goes on to its value.
    pub(super) fn key_if(&mut self, token: &str) -> Option<&'a str> {
        let end = self.at + token.len();
        let next = self.text.as_bytes().get(self.at..end)?;
        if !are_equal(next, token.as_bytes()) {
            return None;
        }
        let key = self.text.get(self.at..end);
        self.at = end + 1;
        key
    }

    /// Reads the key of a member, quotes and all, and goes on to its value.
    pub(super) fn key(&mut self) -> &'a str {
        let key = self.string();
        self.at += 1;
        key
    }
}

/// Compares texts of one length; keys are too short for a call to pay.
fn are_equal(a: &[u8], b: &[u8]) -> bool {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut words = a.iter().zip(b);
    let mut rest = a_rest.iter().zip(b_rest);
    words.all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b))
        && rest.all(|(a, b)| a == b)
}
