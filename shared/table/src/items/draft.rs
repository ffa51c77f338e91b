//! From an item's text to its row.

use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_128;

use super::place::{self, COLUMNS, Shape};
use super::{ItemError, ItemRow, Value};
use crate::geometry::text::push_number;
use crate::geometry::{Geometry, wkb};
use crate::instant;
use crate::json::{Document, JsonError, Member};

/// An item's row in the making.
pub(super) struct Draft<'a> {
    row: ItemRow,
    /// Names of columns that hold what the item does not have.
    filled: Vec<&'static str>,
    /// Members to be kept as they are.
    rest: Vec<Member<'a>>,
    /// Properties to be kept as they are.
    rest_properties: Vec<Member<'a>>,
}

/// How far a column holds a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// The value can be made from the column exactly as it was spelled.
    Exact,
    /// The column has the value, the spelling is kept beside it.
    Respelt,
    /// The column is null because the value is.
    Null,
    /// The value is of a type that the column does not take.
    Clash,
}

impl<'a> Draft<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, ItemError> {
        let document = Document::read(text)?;
        let mut draft = Self {
            row: ItemRow {
                values: [Value::Null; COLUMNS],
                texts: String::with_capacity(text.len() + 256),
                wkb: None,
                extent: None,
                geometry: None,
                clashes: 0,
                content: xxh3_128(&document.canonical),
            },
            filled: Vec::new(),
            rest: Vec::new(),
            rest_properties: Vec::new(),
        };
        check_type(&document)?;
        let mut has_properties = false;
        for member in document.members {
            if member.key == place::PROPERTIES {
                has_properties = true;
                draft.properties(member);
            } else {
                let fit = draft.member(&member, &document.geometry);
                draft.keep(fit, member, false);
            }
        }
        if !has_properties {
            draft.filled.push(place::PROPERTIES);
        }
        if draft.row.id().is_empty() {
            return Err(ItemError::NoId);
        }
        for property in document.properties {
            let fit = draft.property(&property);
            draft.keep(fit, property, true);
        }
        Ok(draft)
    }

    pub(super) fn finish(mut self) -> ItemRow {
        self.fill_members();
        self.fill_instants();
        let hash = format!("{:032x}", self.row.content);
        self.set_text(place::CONTENT_HASH, &hash);
        if !self.filled.is_empty() {
            let filled = self.filled.join(",");
            self.set_text(place::FILLED, &filled);
        }
        self.write_rest();
        self.row
    }

    fn keep(&mut self, fit: Fit, member: Member<'a>, is_property: bool) {
        if fit == Fit::Clash {
            self.row.clashes += 1;
        }
        if fit == Fit::Exact {
            return;
        }
        if is_property {
            self.rest_properties.push(member);
        } else {
            self.rest.push(member);
        }
    }

    /// Properties that are an object are read one by one; anything else is kept whole.
    fn properties(&mut self, member: Member<'a>) {
        if !member.value.starts_with('{') {
            self.row.clashes += usize::from(!member.is_null());
            self.rest.push(member);
        }
    }

    fn member(&mut self, member: &Member<'_>, canonical_geometry: &str) -> Fit {
        match member.key.as_ref() {
            "id" => self.string_only(place::ID, member),
            "type" => self.string_only(place::TYPE, member),
            "stac_version" => self.string(place::STAC_VERSION, member),
            "collection" => self.string(place::COLLECTION, member),
            "stac_extensions" => self.json(place::STAC_EXTENSIONS, member, '['),
            "links" => self.json(place::LINKS, member, '['),
            "assets" => self.json(place::ASSETS, member, '{'),
            "bbox" => self.bbox(member),
            "geometry" => self.geometry(member, canonical_geometry),
            // No column, so nothing clashes.
            _ => Fit::Respelt,
        }
    }

    fn property(&mut self, member: &Member<'_>) -> Fit {
        match place::of_property(&member.key) {
            Some((place, Shape::Text)) => self.string(place, member),
            Some((place, Shape::Instant)) => self.instant(place, member),
            Some((place, Shape::Long)) => self.long(place, member),
            Some((place, Shape::Double)) => self.double(place, member),
            None => Fit::Respelt,
        }
    }

    fn set(&mut self, place: usize, value: Value) {
        if let Some(column) = self.row.values.get_mut(place) {
            *column = value;
        }
    }

    fn set_text(&mut self, place: usize, text: &str) {
        let begin = self.row.texts.len();
        self.row.texts.push_str(text);
        self.set(place, Value::Text(begin, begin + text.len()));
    }

    fn is_null(&self, place: usize) -> bool {
        self.row.value(place) == Value::Null
    }

    fn string_only(&mut self, place: usize, member: &Member<'_>) -> Fit {
        let Some(text) = member.as_str() else {
            return Fit::Clash;
        };
        self.set_text(place, &text);
        Fit::Exact
    }

    /// A number or a truth value in a column of texts can be searched as its spelling.
    fn string(&mut self, place: usize, member: &Member<'_>) -> Fit {
        if member.is_null() {
            return Fit::Null;
        }
        if !member.value.starts_with(['{', '[', '"']) {
            self.set_text(place, member.value);
            return Fit::Clash;
        }
        self.string_only(place, member)
    }

    fn json(&mut self, place: usize, member: &Member<'_>, opening: char) -> Fit {
        if member.is_null() {
            return Fit::Null;
        }
        if !member.value.starts_with(opening) {
            return Fit::Clash;
        }
        self.set_text(place, &member.compact());
        Fit::Exact
    }

    fn instant(&mut self, place: usize, member: &Member<'_>) -> Fit {
        if member.is_null() {
            return Fit::Null;
        }
        let Some(text) = member.as_str() else {
            return Fit::Clash;
        };
        let Some(micros) = instant::parse(&text) else {
            return Fit::Clash;
        };
        self.set(place, Value::Instant(micros));
        if instant::spell(micros).as_deref() == Some(text.as_ref()) {
            Fit::Exact
        } else {
            Fit::Respelt
        }
    }

    fn long(&mut self, place: usize, member: &Member<'_>) -> Fit {
        if member.is_null() {
            return Fit::Null;
        }
        if !member.is_number() {
            return Fit::Clash;
        }
        if let Ok(number) = member.value.parse::<i64>() {
            self.set(place, Value::Long(number));
            let is_exact = number != 0 || member.value == "0";
            return if is_exact { Fit::Exact } else { Fit::Respelt };
        }
        let Some(number) = member.value.parse().ok().and_then(whole) else {
            return Fit::Clash;
        };
        self.set(place, Value::Long(number));
        Fit::Respelt
    }

    fn double(&mut self, place: usize, member: &Member<'_>) -> Fit {
        if member.is_null() {
            return Fit::Null;
        }
        let number = member.value.parse::<f64>().ok().filter(|n| n.is_finite());
        let Some(number) = number.filter(|_| member.is_number()) else {
            return Fit::Clash;
        };
        self.set(place, Value::Double(number));
        let mut spelling = String::new();
        push_number(&mut spelling, number);
        if spelling == member.value {
            Fit::Exact
        } else {
            Fit::Respelt
        }
    }

    /// The column has four numbers, as they were spelled; heights are kept beside it.
    fn bbox(&mut self, member: &Member<'_>) -> Fit {
        if member.is_null() {
            return Fit::Null;
        }
        let compact = member.compact();
        let inner = compact
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let numbers: Vec<&str> = inner.unwrap_or_default().split(',').collect();
        let is_number = |text: &&str| text.parse::<f64>().is_ok_and(f64::is_finite);
        if !numbers.iter().all(is_number) {
            return Fit::Clash;
        }
        let (sides, fit) = match *numbers {
            [west, south, east, north] => ([west, south, east, north], Fit::Exact),
            [west, south, _, east, north, _] => ([west, south, east, north], Fit::Respelt),
            _ => return Fit::Clash,
        };
        self.set_text(place::BBOX, &format!("[{}]", sides.join(", ")));
        fit
    }

    fn geometry(&mut self, member: &Member<'_>, canonical: &str) -> Fit {
        if member.is_null() {
            return Fit::Null;
        }
        let Ok(geometry) = Geometry::parse(member.value) else {
            return Fit::Clash;
        };
        let mut bytes = Vec::new();
        wkb::write(&geometry, &mut bytes);
        let mut text = String::with_capacity(canonical.len());
        geometry.write_text(&mut text);
        self.row.wkb = Some(bytes);
        self.row.extent = geometry.extent();
        self.row.geometry = Some(geometry);
        if text == canonical {
            Fit::Exact
        } else {
            Fit::Respelt
        }
    }

    /// Readers of stac-geoparquet expect these of every row.
    fn fill_members(&mut self) {
        let lists = [
            (place::STAC_EXTENSIONS, "stac_extensions", "[]"),
            (place::LINKS, "links", "[]"),
            (place::ASSETS, "assets", "{}"),
        ];
        for (place, name, nothing) in lists {
            if self.is_null(place) {
                self.set_text(place, nothing);
                self.filled.push(name);
            }
        }
        if let (true, Some(extent)) = (self.is_null(place::BBOX), self.row.extent) {
            let mut text = String::from("[");
            for (index, side) in extent.into_iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                push_number(&mut text, side);
            }
            text.push(']');
            self.set_text(place::BBOX, &text);
            self.filled.push("bbox");
        }
    }

    /// Every row has a `datetime`, for the year, and an interval, by which readers prune.
    fn fill_instants(&mut self) {
        let had_datetime = self.row.instant(place::DATETIME);
        self.set(place::DATETIME_NULL, Value::Boolean(had_datetime.is_none()));
        let others = [place::START_DATETIME, place::END_DATETIME, place::CREATED];
        let datetime = had_datetime
            .or_else(|| others.into_iter().find_map(|place| self.row.instant(place)))
            .unwrap_or(0);
        let intervals = [
            (place::DATETIME, "datetime"),
            (place::START_DATETIME, "start_datetime"),
            (place::END_DATETIME, "end_datetime"),
        ];
        for (place, name) in intervals {
            if self.is_null(place) {
                self.set(place, Value::Instant(datetime));
                self.filled.push(name);
            }
        }
    }

    /// Writes what no column holds, in the item's own order.
    fn write_rest(&mut self) {
        if self.rest.is_empty() && self.rest_properties.is_empty() {
            return;
        }
        let mut text = String::from("{");
        push_members(&mut text, &self.rest);
        if !self.rest_properties.is_empty() {
            text.push_str(if self.rest.is_empty() { "" } else { "," });
            text.push_str("\"properties\":{");
            push_members(&mut text, &self.rest_properties);
            text.push('}');
        }
        text.push('}');
        self.set_text(place::STAC_REST, &text);
    }
}

/// Reads an item's text without making a row of it.
pub(super) fn canonical(text: &str) -> Result<String, ItemError> {
    let document = Document::read_members(text)?;
    check_type(&document)?;
    let id = document.members.iter().find(|member| member.key == "id");
    if id.and_then(Member::as_str).is_none_or(|id| id.is_empty()) {
        return Err(ItemError::NoId);
    }
    // What was read as text is written as text.
    String::from_utf8(document.canonical).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        ItemError::Json(JsonError::Syntax { at })
    })
}

fn check_type(document: &Document<'_>) -> Result<(), ItemError> {
    let found = document.members.iter().find(|member| member.key == "type");
    match found.map(|member| member.value) {
        Some("\"Feature\"") => Ok(()),
        Some(other) => Err(ItemError::OtherType(other.chars().take(80).collect())),
        None => Err(ItemError::OtherType("nothing".to_owned())),
    }
}

fn push_members(into: &mut String, members: &[Member<'_>]) {
    for (index, member) in members.iter().enumerate() {
        into.push_str(if index == 0 { "" } else { "," });
        push_key(into, &member.key);
        into.push_str(&member.compact());
    }
}

/// Appends `"key":`.
pub(crate) fn push_key(into: &mut String, key: &str) {
    // Writing to a String cannot fail; Display of a JSON value is its text.
    let _ = write!(into, "{}:", serde_json::Value::from(key));
}

/// Returns a double without fraction as an integer, as far as doubles are exact.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = number.fract() == 0.0 && number.abs() <= EXACT;
    // Display of a whole double is its digits.
    is_whole.then(|| number.to_string().parse().ok()).flatten()
}
