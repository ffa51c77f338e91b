//! The first pass: which members items have, and of which types.

use std::collections::BTreeMap;

use super::instant::{Spelled, Spelling};
use super::scan::Cursor;
use super::{INSTANTS, unquoted};

/// Members that are told apart, rather more than there can be columns.
const MAX_SHAPES: usize = 65_536;
/// Objects and lists inside one another that are told apart.
const MAX_DEPTH: usize = 12;

/// What all items have in common; learnt from one after another, by any number of threads.
#[derive(Debug, Default)]
pub struct Inference {
    pub(super) item: Shape,
    /// Whether any `bbox` has heights.
    pub(super) bbox_has_z: bool,
    shapes: usize,
}

/// What is known of the values at one place of all items.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Nulls included.
    pub(super) seen: u64,
    pub(super) nulls: u64,
    pub(super) texts: u64,
    /// Integers of 64 bits, as they are spelled.
    pub(super) longs: u64,
    /// All other numbers.
    pub(super) doubles: u64,
    /// Doubles that end in `.0`.
    pub(super) tenths: u64,
    pub(super) booleans: u64,
    pub(super) lists: u64,
    pub(super) objects: u64,
    /// Of properties that are instants: how many values each spelling writes.
    pub(super) spellings: BTreeMap<Spelling, u64>,
    /// By key, quotes and all, in the order of canonical texts.
    pub(super) members: Vec<(Box<str>, Shape)>,
    pub(super) element: Option<Box<Shape>>,
}

/// Which object is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Item,
    Properties,
    Elsewhere,
}

impl Inference {
    /// Takes in an item's canonical text.
    pub fn learn(&mut self, canonical: &str) {
        let mut cursor = Cursor::new(canonical);
        let Self {
            item,
            bbox_has_z,
            shapes,
        } = self;
        let mut learning = Learning { shapes, bbox_has_z };
        learning.value(item, &mut cursor, 0, Place::Item);
    }

    /// Takes in what another has learnt.
    pub fn merge(&mut self, other: Self) {
        self.bbox_has_z |= other.bbox_has_z;
        self.item.merge(other.item, &mut self.shapes);
    }
}

impl Shape {
    /// Returns how many values there are, nulls left out.
    pub(super) fn values(&self) -> u64 {
        self.seen - self.nulls
    }

    /// Says whether most whole numbers here, and in all that lies inside, are spelled without a fraction.
    pub(super) fn is_bare(&self) -> bool {
        let (longs, tenths) = self.whole();
        longs > tenths
    }

    fn whole(&self) -> (u64, u64) {
        let members = self.members.iter().map(|(_, member)| member);
        let inner = members.chain(self.element.as_deref()).map(Self::whole);
        inner.fold((self.longs, self.tenths), |(a, b), (c, d)| (a + c, b + d))
    }

    fn merge(&mut self, other: Self, shapes: &mut usize) {
        self.seen += other.seen;
        self.nulls += other.nulls;
        self.texts += other.texts;
        self.longs += other.longs;
        self.doubles += other.doubles;
        self.tenths += other.tenths;
        self.booleans += other.booleans;
        self.lists += other.lists;
        self.objects += other.objects;
        for (spelling, count) in other.spellings {
            *self.spellings.entry(spelling).or_default() += count;
        }
        if let Some(element) = other.element {
            self.element.get_or_insert_default().merge(*element, shapes);
        }
        let mut place = 0;
        for (key, theirs) in other.members {
            if let Some(ours) = self.member(&mut place, &key, shapes) {
                ours.merge(theirs, shapes);
            }
        }
    }

    /// Finds a member, or adds it; keys come in order, and the place goes with them. `None` when there are too many.
    fn member(&mut self, place: &mut usize, key: &str, shapes: &mut usize) -> Option<&mut Self> {
        let is_at = |member: Option<&(Box<str>, Self)>| member.is_some_and(|(k, _)| **k == *key);
        // Most often the next member is the one.
        if !is_at(self.members.get(*place)) {
            let rest = self.members.get(*place..).unwrap_or_default();
            *place += rest.partition_point(|(known, _)| known.as_ref() < key);
        }
        if !is_at(self.members.get(*place)) {
            if *shapes >= MAX_SHAPES {
                return None;
            }
            *shapes += 1;
            self.members.insert(*place, (key.into(), Self::default()));
        }
        let found = self.members.get_mut(*place);
        *place += 1;
        found.map(|(_, shape)| shape)
    }
}

struct Learning<'a> {
    shapes: &'a mut usize,
    bbox_has_z: &'a mut bool,
}

impl Learning<'_> {
    fn value(&mut self, shape: &mut Shape, cursor: &mut Cursor<'_>, depth: usize, place: Place) {
        shape.seen += 1;
        match cursor.peek() {
            b'{' => {
                shape.objects += 1;
                self.object(shape, cursor, depth, place);
            }
            b'[' => {
                shape.lists += 1;
                self.list(shape, cursor, depth);
            }
            _ => scalar(shape, cursor.scalar()),
        }
    }

    fn list(&mut self, shape: &mut Shape, cursor: &mut Cursor<'_>, depth: usize) {
        let element = shape.element.get_or_insert_default();
        while cursor.next() {
            if depth < MAX_DEPTH {
                self.value(element, cursor, depth + 1, Place::Elsewhere);
            } else {
                cursor.value();
            }
        }
    }

    fn object(&mut self, shape: &mut Shape, cursor: &mut Cursor<'_>, depth: usize, place: Place) {
        let mut at = 0;
        while cursor.next() {
            // Most often the next member is the one.
            let next = shape.members.get(at);
            let expected = next.and_then(|(token, _)| cursor.key_if(token));
            let key = expected.unwrap_or_else(|| cursor.key());
            let known = if expected.is_some() {
                at += 1;
                shape.members.get_mut(at - 1).map(|(_, member)| member)
            } else if depth < MAX_DEPTH {
                shape.member(&mut at, key, self.shapes)
            } else {
                None
            };
            let Some(member) = known else {
                cursor.value();
                continue;
            };
            let inner = if place == Place::Item && key == "\"properties\"" {
                Place::Properties
            } else {
                Place::Elsewhere
            };
            let mut before = *cursor;
            self.value(member, cursor, depth + 1, inner);
            if place == Place::Item && key == "\"bbox\"" {
                *self.bbox_has_z |= count(&mut before) == SIX;
            } else if place == Place::Properties && is_instant(key) {
                let text = unquoted(before.value());
                for spelling in Spelled::read(&text)
                    .into_iter()
                    .flat_map(Spelled::spellings)
                {
                    *member.spellings.entry(spelling).or_default() += 1;
                }
            }
        }
    }
}

/// Numbers of a `bbox` with heights.
const SIX: usize = 6;

fn count(list: &mut Cursor<'_>) -> usize {
    let mut count = 0;
    while list.peek() == b'[' || count > 0 {
        if !list.next() {
            break;
        }
        list.value();
        count += 1;
    }
    count
}

fn is_instant(key: &str) -> bool {
    let name = key.trim_matches('"');
    INSTANTS.contains(&name)
}

fn scalar(shape: &mut Shape, token: &str) {
    match token.as_bytes() {
        [b'"', ..] => shape.texts += 1,
        [b't' | b'f', ..] => shape.booleans += 1,
        [b'n', ..] => shape.nulls += 1,
        number => {
            let is_whole = !number.iter().any(|b| matches!(b, b'.' | b'e' | b'E'));
            // Eighteen digits are a number of 64 bits.
            if is_whole && (number.len() <= 18 || token.parse::<i64>().is_ok()) {
                shape.longs += 1;
            } else {
                shape.doubles += 1;
                shape.tenths += u64::from(token.ends_with(".0"));
            }
        }
    }
}
