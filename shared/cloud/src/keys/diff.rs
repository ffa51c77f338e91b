//! Two sorted lists side by side.

use std::cmp::Ordering;
use std::iter::Peekable;

use super::{Entry, KeysError};

/// What became of one object between two lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the new list has it.
    New(Entry),
    /// Both have it, with other bytes.
    Changed {
        /// As the old list has it.
        old: Entry,
        /// As the new list has it.
        new: Entry,
    },
    /// Only the old list has it.
    Deleted(Entry),
    /// Both have it, with the same bytes as far as they tell.
    Same(Entry),
}

/// The changes from one list to another, in the order of keys.
#[derive(Debug)]
pub struct Diff<A, B>
where
    A: Iterator<Item = Result<Entry, KeysError>>,
    B: Iterator<Item = Result<Entry, KeysError>>,
{
    old: Peekable<A>,
    new: Peekable<B>,
    ended: bool,
}

/// Compares two lists that are in the order of their keys' bytes, each key once, as [`super::Sorted`] gives them.
pub fn diff<A, B>(old: A, new: B) -> Diff<A, B>
where
    A: Iterator<Item = Result<Entry, KeysError>>,
    B: Iterator<Item = Result<Entry, KeysError>>,
{
    Diff {
        old: old.peekable(),
        new: new.peekable(),
        ended: false,
    }
}

impl<A, B> Diff<A, B>
where
    A: Iterator<Item = Result<Entry, KeysError>>,
    B: Iterator<Item = Result<Entry, KeysError>>,
{
    fn step(&mut self) -> Option<Result<Change, KeysError>> {
        let order = match (self.old.peek(), self.new.peek()) {
            (None, None) => return None,
            // A failure goes out before anything is said of what may lie behind it.
            (Some(Err(_)), _) | (_, None) => Ordering::Less,
            (_, Some(Err(_))) | (None, _) => Ordering::Greater,
            (Some(Ok(old)), Some(Ok(new))) => old.key.cmp(&new.key),
        };
        Some(match order {
            Ordering::Less => self.old.next()?.map(Change::Deleted),
            Ordering::Greater => self.new.next()?.map(Change::New),
            Ordering::Equal => match (self.old.next()?, self.new.next()?) {
                (Ok(old), Ok(new)) if old.differs(&new) => Ok(Change::Changed { old, new }),
                (Ok(_), Ok(new)) => Ok(Change::Same(new)),
                (Err(error), _) | (_, Err(error)) => Err(error),
            },
        })
    }
}

impl<A, B> Iterator for Diff<A, B>
where
    A: Iterator<Item = Result<Entry, KeysError>>,
    B: Iterator<Item = Result<Entry, KeysError>>,
{
    type Item = Result<Change, KeysError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.step();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}
