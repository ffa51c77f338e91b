//! The second pass: items into columns.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder as _, BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, Fields};

use super::instant::{Spelled, Spelling};
use super::kept::{Kept, Step};
use super::layout::{Kind, Node};
use super::scan::Cursor;
use super::unquoted;
use crate::geometry::text::push_number;
use crate::geometry::{Geometry, wkb};
use crate::instant;

/// Whole doubles up to here are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A column being filled.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) token: Box<str>,
    null_is_value: bool,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Text(StringBuilder),
    Long(Int64Builder),
    Double(Float64Builder, bool),
    Boolean(BooleanBuilder),
    Instant(TimestampMicrosecondBuilder, Spelling),
    Geometry(BinaryBuilder, bool),
    List {
        ends: Vec<i32>,
        valid: NullBufferBuilder,
        element: Box<Column>,
        fields: Fields,
    },
    Struct {
        valid: NullBufferBuilder,
        columns: Vec<Column>,
        fields: Fields,
    },
}

impl Column {
    pub(super) fn new(node: &Node) -> Self {
        let values = match &node.kind {
            Kind::Text => Values::Text(StringBuilder::new()),
            Kind::Long => Values::Long(Int64Builder::new()),
            Kind::Double { bare } => Values::Double(Float64Builder::new(), *bare),
            Kind::Boolean => Values::Boolean(BooleanBuilder::new()),
            Kind::Instant(spelling) => {
                Values::Instant(TimestampMicrosecondBuilder::new(), *spelling)
            }
            Kind::Geometry { bare } => Values::Geometry(BinaryBuilder::new(), *bare),
            Kind::List(element) => Values::List {
                ends: vec![0],
                valid: NullBufferBuilder::new(0),
                element: Box::new(Self::new(element)),
                fields: node.fields(),
            },
            Kind::Struct(nodes) => Values::Struct {
                valid: NullBufferBuilder::new(0),
                columns: nodes.iter().map(Self::new).collect(),
                fields: node.fields(),
            },
        };
        Self {
            token: node.token.clone(),
            null_is_value: node.null_is_value,
            values,
        }
    }

    /// Appends the value of a member.
    fn push_at<'a>(&mut self, key: &'a str, cursor: &mut Cursor<'a>, kept: &mut Kept<'a>) {
        kept.path.push(Step::Key(key));
        self.push(cursor, kept);
        kept.path.pop();
    }

    /// Appends the value that comes next in an item.
    pub(super) fn push<'a>(&mut self, cursor: &mut Cursor<'a>, kept: &mut Kept<'a>) {
        if cursor.peek() == b'n' {
            cursor.scalar();
            self.push_null();
            if !self.null_is_value {
                kept.value("null");
            }
            return;
        }
        match (&mut self.values, cursor.peek()) {
            (Values::Struct { valid, columns, .. }, b'{') => {
                valid.append_non_null();
                push_members(columns, cursor, kept);
            }
            (
                Values::List {
                    ends,
                    valid,
                    element,
                    ..
                },
                b'[',
            ) => {
                valid.append_non_null();
                let last = ends.last().copied().unwrap_or(0);
                ends.push(last + push_elements(element, cursor, kept));
            }
            (values, b'{' | b'[') => values.push_json(cursor.value(), kept),
            (values, _) => {
                let token = cursor.scalar();
                if !values.push_scalar(token) {
                    kept.value(token);
                }
            }
        }
    }

    /// Appends nothing; says so if a null would be read as one that was written.
    pub(super) fn push_nothing(&mut self, kept: &mut Kept<'_>) {
        self.push_null();
        if self.null_is_value {
            kept.nothing(&self.token);
        }
    }

    pub(super) fn push_null(&mut self) {
        self.values.push_null();
    }

    /// Returns what was appended since the last time.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match &mut self.values {
            Values::Text(values) => {
                let (rows, bytes) = (values.len(), values.values_slice().len());
                let next = StringBuilder::with_capacity(more(rows), more(bytes));
                Arc::new(std::mem::replace(values, next).finish())
            }
            Values::Long(values) => {
                let next = Int64Builder::with_capacity(more(values.len()));
                Arc::new(std::mem::replace(values, next).finish())
            }
            Values::Double(values, _) => {
                let next = Float64Builder::with_capacity(more(values.len()));
                Arc::new(std::mem::replace(values, next).finish())
            }
            Values::Boolean(values) => Arc::new(values.finish()),
            Values::Instant(values, _) => {
                let next = TimestampMicrosecondBuilder::with_capacity(more(values.len()));
                let instants = std::mem::replace(values, next).finish();
                Arc::new(instants.with_timezone("UTC"))
            }
            Values::Geometry(values, _) => Arc::new(values.finish()),
            Values::List {
                ends,
                valid,
                element,
                fields,
            } => {
                let mut next = Vec::with_capacity(more(ends.len()));
                next.push(0);
                let ends = std::mem::replace(ends, next);
                let field = fields.first().map(Arc::clone).ok_or_else(|| {
                    ArrowError::SchemaError("a list without an element".to_owned())
                })?;
                let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
                let values = element.finish()?;
                Arc::new(ListArray::try_new(field, offsets, values, valid.finish())?)
            }
            Values::Struct {
                valid,
                columns,
                fields,
            } => {
                let arrays = columns.iter_mut().map(Self::finish);
                let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
                let fields = fields.clone();
                Arc::new(StructArray::try_new(fields, arrays, valid.finish())?)
            }
        })
    }
}

/// Returns how much room the next batch gets after one of this size, so that columns need not grow.
fn more(size: usize) -> usize {
    size + size / 8
}

/// Appends the members of an object to columns, both in the order of keys; what has no column is kept.
pub(super) fn push_members<'a>(
    columns: &mut [Column],
    cursor: &mut Cursor<'a>,
    kept: &mut Kept<'a>,
) {
    let mut columns = columns.iter_mut();
    while cursor.next() {
        // Most often the next column is the one.
        let next = columns.as_slice().first();
        let expected = next.and_then(|column| cursor.key_if(&column.token));
        if let (Some(key), Some(column)) = (expected, expected.and_then(|_| columns.next())) {
            column.push_at(key, cursor, kept);
        } else {
            let key = cursor.key();
            push_member(&mut columns, key, cursor, kept);
        }
    }
    for passed in columns {
        passed.push_nothing(kept);
    }
}

/// Appends the value of a key to its column; the columns before it get nothing.
pub(super) fn push_member<'a>(
    columns: &mut std::slice::IterMut<'_, Column>,
    key: &'a str,
    cursor: &mut Cursor<'a>,
    kept: &mut Kept<'a>,
) {
    let ahead = columns.as_slice();
    let passed = ahead.partition_point(|column| column.token.as_ref() < key);
    let next = ahead.get(passed);
    let has_column = next.is_some_and(|column| column.token.as_ref() == key);
    for column in columns.by_ref().take(passed) {
        column.push_nothing(kept);
    }
    if !has_column {
        kept.member(key, cursor.value());
        return;
    }
    if let Some(column) = columns.next() {
        column.push_at(key, cursor, kept);
    }
}

fn push_elements<'a>(element: &mut Column, cursor: &mut Cursor<'a>, kept: &mut Kept<'a>) -> i32 {
    let mut count = 0;
    while cursor.next() {
        kept.path.push(Step::Index(count));
        element.push(cursor, kept);
        kept.path.pop();
        count += 1;
    }
    count
}

impl Values {
    /// Appends an object or a list where none is expected.
    fn push_json(&mut self, json: &str, kept: &mut Kept<'_>) {
        let is_exact = match self {
            Self::Geometry(values, bare) => {
                push_geometry(values, json, *bare).is_some_and(|exact| exact.1)
            }
            Self::Text(values) => {
                values.append_value(json);
                false
            }
            other => {
                other.push_null();
                false
            }
        };
        if !is_exact {
            kept.value(json);
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Text(values) => values.append_null(),
            Self::Long(values) => values.append_null(),
            Self::Double(values, _) => values.append_null(),
            Self::Boolean(values) => values.append_null(),
            Self::Instant(values, _) => values.append_null(),
            Self::Geometry(values, _) => values.append_null(),
            Self::List { ends, valid, .. } => {
                valid.append_null();
                ends.push(ends.last().copied().unwrap_or(0));
            }
            Self::Struct { valid, columns, .. } => {
                valid.append_null();
                columns.iter_mut().for_each(Column::push_null);
            }
        }
    }

    /// Appends a text, a number or a truth value; returns whether the column gives it back.
    fn push_scalar(&mut self, token: &str) -> bool {
        match self {
            Self::Text(values) => {
                let is_text = token.starts_with('"');
                if is_text {
                    values.append_value(unquoted(token));
                } else {
                    values.append_value(token);
                }
                is_text
            }
            Self::Long(values) => {
                let number = token.parse::<i64>().ok();
                values.append_option(number);
                number.is_some() && token != "-0"
            }
            Self::Double(values, bare) => {
                let number = double(token, *bare);
                values.append_option(number.map(|(number, _)| number));
                number.is_some_and(|(_, is_exact)| is_exact)
            }
            Self::Boolean(values) => {
                let truth = match token {
                    "true" => Some(true),
                    "false" => Some(false),
                    _ => None,
                };
                values.append_option(truth);
                truth.is_some()
            }
            Self::Instant(values, spelling) => {
                let text = if token.starts_with('"') {
                    unquoted(token)
                } else {
                    "".into()
                };
                let spelled = Spelled::read(&text);
                let micros = spelled.map(|spelled| spelled.micros);
                values.append_option(micros.or_else(|| instant::parse(&text)));
                spelled.is_some_and(|spelled| spelled.is(*spelling))
            }
            other => {
                other.push_null();
                false
            }
        }
    }
}

/// Reads a number as a column of doubles has it, and says whether it is spelled as [`spell`] does.
pub(super) fn double(token: &str, bare: bool) -> Option<(f64, bool)> {
    if !token.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return None;
    }
    let number = token
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())?;
    if is_as_spelled(token, bare) {
        return Some((number, true));
    }
    let mut spelling = String::new();
    spell(number, bare, &mut spelling);
    Some((number, spelling == token))
}

/// Says of most numbers that [`spell`] writes, without writing them, that they are spelled so.
fn is_as_spelled(token: &str, bare: bool) -> bool {
    let digits = token.strip_prefix('-').unwrap_or(token);
    // Fifteen digits are the shortest spelling of their double, unless a zero at the end or an exponent is spare.
    if digits.len() > 16 || digits.starts_with("0.0000") {
        return false;
    }
    let point = digits.bytes().position(|byte| !byte.is_ascii_digit());
    match point.and_then(|point| digits.split_at_checked(point)) {
        None => bare && digits.len() < 16 && token != "-0",
        Some((_, ".0")) => !bare,
        Some((_, rest)) => {
            let fraction = rest.strip_prefix('.');
            let is_number = |fraction: &str| fraction.bytes().all(|byte| byte.is_ascii_digit());
            fraction.is_some_and(is_number) && !rest.ends_with('0')
        }
    }
}

/// Says of most geometries that [`spell_geometry`] writes, without writing them, that they are spelled so.
fn is_geometry_as_spelled(geometry: &Geometry, json: &str, bare: bool) -> bool {
    let inside = || {
        let json = json.strip_prefix(r#"{"coordinates":"#)?;
        let json = json
            .strip_suffix("\"}")?
            .strip_suffix(geometry.kind().as_str())?;
        json.strip_suffix(r#","type":""#)
    };
    let Some(list) = inside().filter(|list| !list.contains("[]")) else {
        return false;
    };
    let numbers = list
        .split(['[', ',', ']'])
        .filter(|token| !token.is_empty());
    // Numbers that positions have too many of are left out of the column.
    let mut count = 0;
    let mut counted = numbers.inspect(|_| count += 1);
    counted.all(|token| is_as_spelled(token, bare)) && count == geometry.numbers()
}

/// Spells a double: whole ones without a fraction where that is bare.
fn spell(number: f64, bare: bool, into: &mut String) {
    match whole(number).filter(|_| bare) {
        Some(number) => into.push_str(&number.to_string()),
        None => push_number(into, number),
    }
}

/// Returns a double without a fraction as an integer, as far as doubles are exact; `-0.0` is none.
pub(super) fn whole(number: f64) -> Option<i64> {
    let is_whole = number.fract() == 0.0 && number.abs() <= EXACT;
    // Display of a whole double is its digits.
    let digits =
        (is_whole && !(number == 0.0 && number.is_sign_negative())).then(|| number.to_string());
    digits.and_then(|digits| digits.parse().ok())
}

/// Appends a geometry, or null for what is none; returns it, and whether the column gives it back.
pub(super) fn push_geometry(
    values: &mut BinaryBuilder,
    json: &str,
    bare: bool,
) -> Option<(Geometry, bool)> {
    let Ok(geometry) = Geometry::parse(json) else {
        values.append_null();
        return None;
    };
    let mut bytes = Vec::new();
    wkb::write(&geometry, &mut bytes);
    values.append_value(&bytes);
    let is_exact =
        is_geometry_as_spelled(&geometry, json, bare) || spell_geometry(&geometry, bare) == json;
    Some((geometry, is_exact))
}

/// Spells a geometry in canonical form: whole numbers without a fraction where that is bare, all but `-0.0`.
pub(super) fn spell_geometry(geometry: &Geometry, bare: bool) -> String {
    let mut text = String::new();
    geometry.write_text(&mut text);
    if !bare || !text.contains(".0") {
        return text;
    }
    let mut spelled = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once(".0") {
        spelled.push_str(before);
        let is_whole = after.starts_with([',', ']']) && !before.ends_with("-0");
        spelled.push_str(if is_whole { "" } else { ".0" });
        rest = after;
    }
    spelled.push_str(rest);
    spelled
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> impl Strategy<Value = String> {
        "-?(0|[1-9][0-9]{0,17})([.](0{0,5}[0-9]{1,14}|0))?([eE][+-]?[0-9]{1,2})?"
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_taken_for_spelled_so_is_spelled_so(token in token(), bare: bool) {
            if is_as_spelled(&token, bare) {
                let mut spelling = String::new();
                spell(token.parse().unwrap(), bare, &mut spelling);
                prop_assert_eq!(spelling, token);
            }
        }
    }

    proptest! {
        #[test]
        fn a_geometry_taken_for_spelled_so_is_spelled_so(
            positions in proptest::collection::vec(proptest::collection::vec(token(), 2..5), 0..4),
            kind in proptest::sample::select(vec!["LineString", "MultiPoint", "Polygon"]),
            bare: bool
        ) {
            let positions: Vec<_> = positions.iter().map(|numbers| format!("[{}]", numbers.join(","))).collect();
            let ring = format!("[{}]", positions.join(","));
            let list = if kind == "Polygon" { format!("[{ring}]") } else { ring };
            let json = format!(r#"{{"coordinates":{list},"type":"{kind}"}}"#);
            if let Ok(geometry) = Geometry::parse(&json) && is_geometry_as_spelled(&geometry, &json, bare) {
                prop_assert_eq!(spell_geometry(&geometry, bare), json);
            }
        }
    }

    #[test]
    fn most_spellings_are_known_without_writing_them() {
        for (token, bare) in [
            ("10.5", true),
            ("-10.5", false),
            ("20", true),
            ("20.0", false),
            ("0", true),
            ("0.001", false),
        ] {
            assert!(is_as_spelled(token, bare), "{token} {bare}");
        }
        for (token, bare) in [
            ("20", false),
            ("20.0", true),
            ("1.50", false),
            ("1e5", true),
            ("-0", true),
        ] {
            assert!(!is_as_spelled(token, bare), "{token} {bare}");
        }
        let json =
            r#"{"coordinates":[[[0.5,1.25],[2.5,3.5],[4.5,5.5],[0.5,1.25]]],"type":"Polygon"}"#;
        let geometry = Geometry::parse(json).unwrap();
        assert!(is_geometry_as_spelled(&geometry, json, false));
        let with_more = json.replace(r#","type""#, r#","crs":null,"type""#);
        assert!(!is_geometry_as_spelled(&geometry, &with_more, false));
    }
}
