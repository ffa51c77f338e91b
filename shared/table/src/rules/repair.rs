//! Mending what may be mended, without touching what need not be.

use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Repaired, UnknownName};
use crate::geometry::Geometry;
use crate::geometry::text::push_number;
use crate::items::push_key;
use crate::json::{Document, Member};

/// One thing that may be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// A ring that does not end where it began gets its first position once more.
    RingsClosed,
    /// A missing bbox is made from the geometry.
    BboxMissing,
    /// South and north, low and high of a bbox change places where they are the wrong way round.
    BboxOrder,
    /// An instant without a zone is one of UTC; a date is its midnight.
    DatetimeZone,
    /// A missing `datetime` beside a whole interval becomes null.
    DatetimeNull,
    /// Missing or null `links` and `assets` become empty.
    ListsMissing,
}

impl Repair {
    /// All repairs, in the order in which they are made.
    pub const ALL: [Self; 6] = [
        Self::RingsClosed,
        Self::BboxMissing,
        Self::BboxOrder,
        Self::DatetimeZone,
        Self::DatetimeNull,
        Self::ListsMissing,
    ];

    /// Returns the name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RingsClosed => "rings-closed",
            Self::BboxMissing => "bbox-missing",
            Self::BboxOrder => "bbox-order",
            Self::DatetimeZone => "datetime-zone",
            Self::DatetimeNull => "datetime-null",
            Self::ListsMissing => "lists-missing",
        }
    }
}

impl FromStr for Repair {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|repair| repair.as_str() == text);
        found.ok_or_else(|| UnknownName::new(text, &Self::ALL.map(Self::as_str)))
    }
}

/// Repairs by name, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repairs(pub Vec<Repair>);

impl FromStr for Repairs {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.split(',').map(str::trim);
        let repairs = names.filter(|name| !name.is_empty()).map(Repair::from_str);
        repairs.collect::<Result<_, _>>().map(Self)
    }
}

/// Mends an item; `None` when nothing was to be mended, or the text is no item at all. Members that are not mended stay as
/// they were spelled.
pub(super) fn repair(text: &str, repairs: &[Repair]) -> Option<Repaired> {
    if repairs.is_empty() {
        return None;
    }
    let document = Document::read(text).ok()?;
    let mut item = Parts {
        members: owned(&document.members),
        properties: owned(&document.properties),
    };
    let made: Vec<_> = repairs
        .iter()
        .copied()
        .filter(|repair| item.mend(*repair).is_some())
        .collect();
    (!made.is_empty()).then(|| Repaired {
        text: item.text(),
        repairs: made,
    })
}

fn owned(members: &[Member<'_>]) -> Vec<(String, String)> {
    let pair = |member: &Member<'_>| (member.key.clone().into_owned(), member.value.to_owned());
    members.iter().map(pair).collect()
}

/// An item as names and texts of values, in its own order.
struct Parts {
    members: Vec<(String, String)>,
    properties: Vec<(String, String)>,
}

fn find<'a>(parts: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = parts.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

fn set(parts: &mut Vec<(String, String)>, name: &str, value: String) {
    match parts.iter_mut().find(|(key, _)| key == name) {
        Some((_, old)) => *old = value,
        None => parts.push((name.to_owned(), value)),
    }
}

impl Parts {
    /// Makes one repair; `None` when there was nothing to repair.
    fn mend(&mut self, repair: Repair) -> Option<()> {
        match repair {
            Repair::RingsClosed => {
                let mut geometry = self.geometry()?;
                if !geometry.close_rings() {
                    return None;
                }
                let mut text = String::new();
                geometry.write_text(&mut text);
                set(&mut self.members, "geometry", text);
            }
            Repair::BboxMissing => {
                if find(&self.members, "bbox").is_some_and(|bbox| bbox != "null") {
                    return None;
                }
                let bbox = numbers(&self.geometry()?.extent()?);
                set(&mut self.members, "bbox", bbox);
            }
            Repair::BboxOrder => {
                let bbox = in_order(find(&self.members, "bbox")?)?;
                set(&mut self.members, "bbox", bbox);
            }
            Repair::DatetimeZone => return self.mend_zones(),
            Repair::DatetimeNull => {
                let has = |name| find(&self.properties, name).is_some_and(|text| text != "null");
                if find(&self.properties, "datetime").is_some()
                    || !(has("start_datetime") && has("end_datetime"))
                {
                    return None;
                }
                set(&mut self.properties, "datetime", "null".to_owned());
            }
            Repair::ListsMissing => {
                let lacks = |name| find(&self.members, name).is_none_or(|text| text == "null");
                let lacking = [("links", "[]"), ("assets", "{}")];
                let lacking = lacking.map(|(name, nothing)| (lacks(name), name, nothing));
                let mut all = lacking.into_iter().filter(|(lacks, ..)| *lacks).peekable();
                all.peek()?;
                for (_, name, nothing) in all {
                    set(&mut self.members, name, nothing.to_owned());
                }
            }
        }
        Some(())
    }

    fn geometry(&self) -> Option<Geometry> {
        Geometry::parse(find(&self.members, "geometry")?).ok()
    }

    fn mend_zones(&mut self) -> Option<()> {
        let names = [
            "datetime",
            "start_datetime",
            "end_datetime",
            "created",
            "updated",
        ];
        let mut is_mended = false;
        for name in names {
            let Some(mended) = find(&self.properties, name).and_then(with_zone) else {
                continue;
            };
            set(&mut self.properties, name, mended);
            is_mended = true;
        }
        is_mended.then_some(())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        push_object(&mut text, &self.members, Some(&self.properties));
        text
    }
}

fn push_object(
    text: &mut String,
    members: &[(String, String)],
    properties: Option<&[(String, String)]>,
) {
    text.push('{');
    for (place, (key, value)) in members.iter().enumerate() {
        text.push_str(if place == 0 { "" } else { "," });
        push_key(text, key);
        match properties {
            Some(properties) if key == "properties" && value.starts_with('{') => {
                push_object(text, properties, None);
            }
            _ => text.push_str(value),
        }
    }
    text.push('}');
}

fn numbers(numbers: &[f64]) -> String {
    let mut text = String::from("[");
    for (place, number) in numbers.iter().enumerate() {
        text.push_str(if place == 0 { "" } else { "," });
        push_number(&mut text, *number);
    }
    text.push(']');
    text
}

/// Puts a bbox in order; `None` when it is, or is none.
fn in_order(bbox: &str) -> Option<String> {
    let mut sides: Vec<f64> = serde_json::from_str(bbox).ok()?;
    // West may lie east of east: such a box crosses the antimeridian.
    let pairs: &[(usize, usize)] = match sides.len() {
        4 => &[(1, 3)],
        6 => &[(1, 4), (2, 5)],
        _ => return None,
    };
    let mut is_mended = false;
    for (low, high) in pairs {
        if sides.get(*low)? > sides.get(*high)? {
            sides.swap(*low, *high);
            is_mended = true;
        }
    }
    is_mended.then(|| numbers(&sides))
}

/// Gives an instant its zone; `None` when it has one, or is no instant.
fn with_zone(json: &str) -> Option<String> {
    let text: String = serde_json::from_str(json).ok()?;
    if OffsetDateTime::parse(&text, &Rfc3339).is_ok() {
        return None;
    }
    let date = format!("{text}T00:00:00Z");
    let local = format!("{}Z", text.replacen(' ', "T", 1));
    [local, date]
        .into_iter()
        .find(|mended| OffsetDateTime::parse(mended, &Rfc3339).is_ok())
        .map(|mended| format!("\"{mended}\""))
}
