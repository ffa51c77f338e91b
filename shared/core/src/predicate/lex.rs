//! Words of a predicate.

use super::PredicateError;

/// A word and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A keyword or a column's name.
    Name(String),
    /// A name in double quotes: never a keyword.
    Quoted(String),
    Text(String),
    Number(f64),
    Sign(&'static str),
}

const SIGNS: [&str; 10] = ["<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", ","];

pub(super) fn words(text: &str) -> Result<Vec<Word>, PredicateError> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let Some(letter) = rest.chars().next() else {
            return Ok(words);
        };
        let (kind, length) = word(rest, letter, at)?;
        words.push(Word { at, kind });
        rest = rest.get(length..).unwrap_or_default();
    }
}

fn word(rest: &str, letter: char, at: usize) -> Result<(Kind, usize), PredicateError> {
    if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
        return Ok((Kind::Sign(sign), sign.len()));
    }
    match letter {
        '\'' => quoted(rest, '\'', at).map(|(text, length)| (Kind::Text(text), length)),
        '"' => quoted(rest, '"', at).map(|(text, length)| (Kind::Quoted(text), length)),
        _ if letter.is_ascii_digit() || letter == '-' || letter == '.' => {
            let number = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
            let end = rest.find(|letter| !number(letter)).unwrap_or(rest.len());
            let digits = rest.get(..end).unwrap_or_default();
            let value: Option<f64> = digits.parse().ok().filter(|value: &f64| value.is_finite());
            let value = value.ok_or(PredicateError::Letter { letter, at })?;
            Ok((Kind::Number(value), end))
        }
        _ if letter.is_ascii_alphabetic() || letter == '_' => {
            let name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            let end = rest.find(|letter| !name(letter)).unwrap_or(rest.len());
            let text = rest.get(..end).unwrap_or_default();
            Ok((Kind::Name(text.to_owned()), end))
        }
        _ => Err(PredicateError::Letter { letter, at }),
    }
}

/// Reads a quoted text, in which a doubled quote stands for one; returns its length, quotes included.
fn quoted(rest: &str, quote: char, at: usize) -> Result<(String, usize), PredicateError> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((place, letter)) = letters.next() {
        if letter != quote {
            text.push(letter);
        } else if letters.peek().is_some_and(|(_, next)| *next == quote) {
            letters.next();
            text.push(quote);
        } else {
            return Ok((text, place + 1));
        }
    }
    Err(PredicateError::Quote { at })
}
