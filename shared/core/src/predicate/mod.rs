//! Predicates over the columns of a row, as SQL writes them: `error_class = 'transient' AND attempts < 5`.
//!
//! Comparison (`= <> != < <= > >=`), `[NOT] IN (…)`, `[NOT] LIKE` (`%` and `_`), `IS [NOT] NULL`, `AND`, `OR`, `NOT` and
//! parentheses. What is compared with an absent value is neither true nor false, as in SQL.

mod lex;
mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use serde_json::Value;

use crate::{Class, Classify};

/// Bytes of a predicate's text at most.
pub const MAX_BYTES: usize = 8 << 10;
/// Parentheses and NOTs within one another at most.
pub const MAX_DEPTH: usize = 32;

/// A condition that a row fulfils or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicate(Expression);

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Compare(String, Operator, Literal),
    In(String, Vec<Literal>),
    Like(String, String),
    IsNull(String),
    /// A column that is true or false by itself.
    Column(String),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Text(String),
    Number(f64),
    Bool(bool),
}

/// A text that is no predicate.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PredicateError {
    /// Too long.
    #[error("the predicate has {bytes} bytes, the limit is {MAX_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Too deep.
    #[error("the predicate is nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// A text or name that does not end.
    #[error("the quote at byte {at} has no end")]
    Quote {
        /// Where it begins.
        at: usize,
    },
    /// A character that stands nowhere in a predicate.
    #[error("{letter:?} at byte {at} is not understood")]
    Letter {
        /// The character.
        letter: char,
        /// Where.
        at: usize,
    },
    /// Something else was expected.
    #[error("expected {expected}, found {found} at byte {at}")]
    Expected {
        /// What.
        expected: &'static str,
        /// What is there.
        found: String,
        /// Where.
        at: usize,
    },
    /// A column that the table does not have.
    #[error("there is no column {column:?}; there are {known}")]
    Column {
        /// Its name.
        column: String,
        /// The names there are.
        known: String,
    },
}

impl Classify for PredicateError {
    fn class(&self) -> Class {
        Class::Invalid
    }
}

impl std::str::FromStr for Predicate {
    type Err = PredicateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.len();
        if bytes > MAX_BYTES {
            return Err(PredicateError::TooLong { bytes });
        }
        parse::parse(lex::words(text)?, bytes).map(Self)
    }
}

impl Predicate {
    /// Returns whether a row fulfils it; `value` returns a column's value, absent or JSON null for none.
    pub fn holds<'a>(&self, value: &impl Fn(&str) -> Option<&'a Value>) -> bool {
        self.0.is_true(value) == Some(true)
    }

    /// Checks that a table has every column that is named.
    ///
    /// # Errors
    /// [`PredicateError::Column`] for the first that it lacks.
    pub fn check_columns(&self, known: &[&str]) -> Result<(), PredicateError> {
        let mut named = Vec::new();
        self.0.columns(&mut named);
        match named.into_iter().find(|column| !known.contains(column)) {
            None => Ok(()),
            Some(column) => Err(PredicateError::Column {
                column: column.to_owned(),
                known: known.join(", "),
            }),
        }
    }
}

impl Expression {
    /// True, false, or neither.
    fn is_true<'a>(&self, value: &impl Fn(&str) -> Option<&'a Value>) -> Option<bool> {
        let of = |column: &str| value(column).filter(|value| !value.is_null());
        match self {
            Self::Compare(column, operator, literal) => {
                let ordering = literal.compare(of(column)?)?;
                Some(operator.takes(ordering))
            }
            Self::In(column, literals) => {
                let found = of(column)?;
                let mut equal = literals.iter().map(|literal| literal.compare(found));
                Some(equal.any(|ordering| ordering == Some(Ordering::Equal)))
            }
            Self::Like(column, pattern) => {
                let text: Vec<char> = of(column)?.as_str()?.chars().collect();
                Some(is_like(&text, &pattern.chars().collect::<Vec<_>>()))
            }
            Self::IsNull(column) => Some(of(column).is_none()),
            Self::Column(column) => of(column)?.as_bool(),
            Self::Not(inner) => inner.is_true(value).map(|is| !is),
            Self::And(all) => fold(all.iter().map(|one| one.is_true(value)), false),
            Self::Or(any) => fold(any.iter().map(|one| one.is_true(value)), true),
        }
    }

    fn columns<'a>(&'a self, named: &mut Vec<&'a str>) {
        match self {
            Self::Compare(column, ..)
            | Self::In(column, _)
            | Self::Like(column, _)
            | Self::IsNull(column)
            | Self::Column(column) => named.push(column),
            Self::Not(inner) => inner.columns(named),
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.columns(named);
                }
            }
        }
    }
}

/// Joins answers of which one `decisive` settles all; else an answer that is neither leaves it open.
fn fold(answers: impl Iterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
    let mut result = Some(!decisive);
    for answer in answers {
        match answer {
            Some(answer) if answer == decisive => return Some(decisive),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

impl Operator {
    fn takes(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Unequal => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl Literal {
    /// Orders a value against the literal; values of another type are not comparable.
    fn compare(&self, value: &Value) -> Option<Ordering> {
        match (self, value) {
            (Self::Text(text), Value::String(value)) => Some(value.as_str().cmp(text)),
            (Self::Number(number), Value::Number(value)) => value.as_f64()?.partial_cmp(number),
            (Self::Bool(truth), Value::Bool(value)) => Some(value.cmp(truth)),
            _ => None,
        }
    }
}

/// Matches `%` to any letters and `_` to one, going back to the last `%` only, so that no pattern takes long.
fn is_like(text: &[char], pattern: &[char]) -> bool {
    let (mut at, mut place, mut star) = (0, 0, None);
    while let Some(letter) = text.get(at) {
        match pattern.get(place) {
            Some('%') => {
                star = Some((place, at));
                place += 1;
                continue;
            }
            Some(wanted) if *wanted == '_' || wanted == letter => {
                at += 1;
                place += 1;
                continue;
            }
            _ => {}
        }
        let Some((back, taken)) = star else {
            return false;
        };
        star = Some((back, taken + 1));
        (place, at) = (back + 1, taken + 1);
    }
    pattern.iter().skip(place).all(|letter| *letter == '%')
}
