//! CSV (RFC 4180): the first line names the columns; separators are commas, semicolons or tabs. Its columns are text.

use serde_json::{Map, Value};
use swath_core::aoi::Areas;

use super::{ReadError, geometry, geometry_column, take_row};

/// Reads areas from a table of text.
pub(super) fn read(text: &str, column: Option<&str>) -> Result<Areas, ReadError> {
    let separator = separator_of(text);
    let mut records = Records {
        rest: text,
        separator,
    };
    let names = records.next().unwrap_or_default();
    let names: Vec<String> = names
        .into_iter()
        .map(|name| name.trim().to_owned())
        .collect();
    let place = geometry_column(&names, column)?;
    let mut areas = Areas::default();
    let rows = records.filter(|record| record.iter().any(|field| !field.is_empty()));
    for (number, record) in (0..).zip(rows) {
        if record.len() != names.len() {
            areas.reject(
                number,
                format!(
                    "it has {} columns, the header has {}",
                    record.len(),
                    names.len()
                ),
            );
            continue;
        }
        let mut columns = Map::new();
        let mut shape = Err("it has no geometry".to_owned());
        for (at, (name, field)) in names.iter().zip(record).enumerate() {
            if at == place {
                shape = geometry::of_text(&field);
            } else {
                columns.insert(name.clone(), Value::String(field));
            }
        }
        take_row(&mut areas, number, shape, columns);
    }
    Ok(areas)
}

/// The separator that stands most often in the header.
fn separator_of(text: &str) -> char {
    let header = text.lines().next().unwrap_or_default();
    let count = |separator: char| header.matches(separator).count();
    [',', ';', '\t']
        .into_iter()
        .rev()
        .max_by_key(|separator| count(*separator))
        .unwrap_or(',')
}

/// Records, field by field; quoted fields may hold separators, line breaks and doubled quotes.
struct Records<'a> {
    rest: &'a str,
    separator: char,
}

impl Iterator for Records<'_> {
    type Item = Vec<String>;

    fn next(&mut self) -> Option<Vec<String>> {
        if self.rest.is_empty() {
            return None;
        }
        let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
        let mut characters = self.rest.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' if quoted => {
                    if characters.next_if(|(_, next)| *next == '"').is_some() {
                        field.push('"');
                    } else {
                        quoted = false;
                    }
                }
                '"' if field.is_empty() => quoted = true,
                '\n' if !quoted => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    fields.push(field);
                    return Some(fields);
                }
                '\r' if !quoted && characters.peek().is_some_and(|(_, next)| *next == '\n') => {}
                other if other == self.separator && !quoted => {
                    fields.push(std::mem::take(&mut field));
                }
                other => field.push(other),
            }
        }
        self.rest = "";
        fields.push(field);
        Some(fields)
    }
}
