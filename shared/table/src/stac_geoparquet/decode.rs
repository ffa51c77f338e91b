//! From rows back to items, exactly.

use std::collections::HashMap;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use serde::Deserialize;
use serde_json::{Map, Value};
use swath_core::TableName;

use super::build::{spell_geometry, whole};
use super::instant::Spelling;
use super::patch::Tree;
use super::{MEMBERS, REST, SIDES, push_step};
use crate::TableError;
use crate::geometry::wkb;
use crate::items::foreign::{self, Unreadable};

/// Reads the items of files that [`ItemFile`](super::ItemFile) wrote.
#[derive(Debug)]
pub(crate) struct Decoder {
    columns: Vec<Part>,
}

#[derive(Deserialize)]
struct Footer {
    form: String,
    version: u32,
    columns: HashMap<String, Flags>,
}

/// What the footer says of a column.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Flags {
    null: bool,
    bare: bool,
    instant: String,
}

/// A column, or a part of one, and how it is read.
#[derive(Debug)]
struct Part {
    name: String,
    null_is_value: bool,
    is_bare: bool,
    spelling: Option<Spelling>,
    /// Fields of a struct, or the element of a list.
    parts: Vec<Part>,
}

impl Decoder {
    /// Takes what the footer says; `None` when it is not that of such a file, or of a version to come.
    pub(crate) fn new(footer: &str, schema: &Schema) -> Option<Self> {
        let footer: Footer = serde_json::from_str(footer).ok()?;
        if footer.form != "stac-geoparquet" || footer.version != 1 {
            return None;
        }
        let part = |field: &Field| {
            let is_member = MEMBERS.contains(&field.name().as_str());
            let parent = if is_member { "" } else { "/properties" };
            Part::new(field, parent, &footer.columns)
        };
        let columns = schema.fields().iter().map(|field| part(field)).collect();
        Some(Self { columns })
    }

    /// Writes the item of one row as JSON text.
    ///
    /// # Errors
    /// When someone has changed the file.
    pub(crate) fn item(&self, batch: &RecordBatch, row: usize) -> Result<String, TableError> {
        let broken = |reason| TableError::Row {
            table: TableName::StacItems,
            row,
            reason,
        };
        let (mut item, mut properties) = (Map::new(), Map::new());
        let mut rest = None;
        item.insert("type".to_owned(), "Feature".into());
        item.insert("geometry".to_owned(), Value::Null);
        for (part, array) in self.columns.iter().zip(batch.columns()) {
            if part.name == REST {
                let texts = array.as_string_opt::<i32>();
                let texts = texts.ok_or_else(|| broken("swath:rest is no text"))?;
                rest = texts.is_valid(row).then(|| texts.value(row));
                continue;
            }
            let Some(value) = part.value(array, row).map_err(broken)? else {
                continue;
            };
            let is_member = MEMBERS.contains(&part.name.as_str());
            let value = match value {
                Value::Object(sides) if part.name == "bbox" => bbox(&sides),
                other => other,
            };
            let into = if is_member {
                &mut item
            } else {
                &mut properties
            };
            into.insert(part.name.clone(), value);
        }
        item.insert("properties".to_owned(), properties.into());
        let Some(rest) = rest else {
            return Ok(Value::Object(item).to_string());
        };
        let mut tree = Tree::from(Value::Object(item));
        tree.patch(rest)
            .ok_or_else(|| broken("swath:rest does not fit the item"))?;
        Ok(tree.to_string())
    }
}

/// Makes the list that STAC has of the struct that the file has.
fn bbox(sides: &Map<String, Value>) -> Value {
    let sides = SIDES.iter().filter_map(|side| sides.get(*side).cloned());
    sides.collect()
}

impl Part {
    fn new(field: &Field, parent: &str, columns: &HashMap<String, Flags>) -> Self {
        let mut path = parent.to_owned();
        push_step(&mut path, field.name());
        Self::at(field, &path, columns)
    }

    fn at(field: &Field, path: &str, columns: &HashMap<String, Flags>) -> Self {
        let flags = columns.get(path).cloned().unwrap_or_default();
        let mut parts: Vec<Self> = match field.data_type() {
            DataType::Struct(fields) => {
                let parts = fields.iter();
                parts.map(|part| Self::new(part, path, columns)).collect()
            }
            DataType::List(element) => vec![Self::at(element, &format!("{path}/*"), columns)],
            _ => Vec::new(),
        };
        if path == "/bbox" {
            for side in &mut parts {
                side.is_bare = flags.bare;
            }
        }
        Self {
            name: field.name().clone(),
            null_is_value: flags.null,
            is_bare: flags.bare,
            spelling: Spelling::of_name(&flags.instant),
            parts,
        }
    }

    fn value(&self, array: &dyn Array, row: usize) -> Result<Option<Value>, Unreadable> {
        if !array.is_valid(row) {
            return Ok(self.null_is_value.then_some(Value::Null));
        }
        Ok(Some(match array.data_type() {
            DataType::Struct(_) => {
                let mut members = Map::new();
                for (part, column) in self.parts.iter().zip(array.as_struct().columns()) {
                    if let Some(value) = part.value(column, row)? {
                        members.insert(part.name.clone(), value);
                    }
                }
                members.into()
            }
            DataType::List(_) => {
                let elements = array.as_list::<i32>().value(row);
                let part = self.parts.first().ok_or("a list without an element")?;
                let values = (0..elements.len())
                    .map(|row| Ok(part.value(&elements, row)?.unwrap_or(Value::Null)));
                values.collect::<Result<Value, Unreadable>>()?
            }
            DataType::Float64 if self.is_bare => {
                let number = array.as_primitive::<Float64Type>().value(row);
                whole(number).map_or_else(|| number.into(), Value::from)
            }
            DataType::Timestamp(..) => {
                let instants = array.as_primitive_opt::<TimestampMicrosecondType>();
                let micros = instants
                    .ok_or("an instant that is no microseconds")?
                    .value(row);
                let text = self.spelling.unwrap_or_default().write(micros);
                text.ok_or("an instant beyond the calendar")?.into()
            }
            DataType::Binary if self.is_bare => {
                let geometry = wkb::read(array.as_binary::<i32>().value(row));
                let geometry = geometry.ok_or("bytes that are not WKB")?;
                serde_json::from_str(&spell_geometry(&geometry, true))
                    .map_err(|_| "a geometry with coordinates that are no numbers")?
            }
            _ => return foreign::value(array, row),
        }))
    }
}
