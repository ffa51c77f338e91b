//! Filters in CQL2 JSON, written as CQL2 text: <https://docs.ogc.org/is/21-065r2/21-065r2.html>. APIs that answer GET alone take
//! text alone.

use serde_json::Value;

/// Deeper filters are not written.
const DEEPEST: usize = 64;

/// Writes a filter of CQL2 JSON as CQL2 text; `None` when it holds something that is no CQL2.
pub fn to_text(filter: &Value) -> Option<String> {
    text(filter, 0)
}

fn text(value: &Value, depth: usize) -> Option<String> {
    if depth > DEEPEST {
        return None;
    }
    match value {
        Value::Bool(yes) => Some(if *yes { "TRUE" } else { "FALSE" }.to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(quoted(text)),
        Value::Array(values) => Some(format!("({})", list(values, depth)?)),
        Value::Null => None,
        Value::Object(members) => {
            if let Some(op) = members.get("op") {
                return operation(op.as_str()?, members.get("args")?.as_array()?, depth + 1);
            }
            if let Some(name) = members.get("property") {
                return Some(property(name.as_str()?));
            }
            if let Some(date) = members.get("date") {
                return Some(format!("DATE({})", quoted(date.as_str()?)));
            }
            if let Some(timestamp) = members.get("timestamp") {
                return Some(format!("TIMESTAMP({})", quoted(timestamp.as_str()?)));
            }
            if let Some(interval) = members.get("interval") {
                return Some(format!(
                    "INTERVAL({})",
                    list(interval.as_array()?, depth + 1)?
                ));
            }
            if let Some(bbox) = members.get("bbox") {
                return Some(format!("BBOX({})", list(bbox.as_array()?, depth + 1)?));
            }
            geometry(value)
        }
    }
}

fn operation(op: &str, args: &[Value], depth: usize) -> Option<String> {
    let arg = |at: usize| text(args.get(at)?, depth);
    let infix = |word: &str| {
        let args: Option<Vec<_>> = args.iter().map(|arg| text(arg, depth)).collect();
        let args = args.filter(|args| args.len() > 1)?;
        Some(format!("({})", args.join(&format!(" {word} "))))
    };
    match op.to_ascii_lowercase().as_str() {
        "and" => infix("AND"),
        "or" => infix("OR"),
        "not" => Some(format!("(NOT {})", arg(0)?)),
        "=" | "<>" | "<" | ">" | "<=" | ">=" if args.len() == 2 => infix(op),
        "+" | "-" | "*" | "/" | "%" | "^" | "div" => infix(op),
        "like" => infix("LIKE"),
        "between" => Some(format!("({} BETWEEN {} AND {})", arg(0)?, arg(1)?, arg(2)?)),
        "in" => Some(format!("({} IN {})", arg(0)?, arg(1)?)),
        "isnull" => Some(format!("({} IS NULL)", arg(0)?)),
        name if is_plain(name) => Some(format!(
            "{}({})",
            op.to_ascii_uppercase(),
            list(args, depth)?
        )),
        _ => None,
    }
}

fn list(values: &[Value], depth: usize) -> Option<String> {
    let values: Option<Vec<_>> = values.iter().map(|value| text(value, depth + 1)).collect();
    Some(values?.join(", "))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn property(name: &str) -> String {
    if is_plain(name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// Whether a name needs no quotation marks.
fn is_plain(name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(part)
}

/// Writes a geometry of `GeoJSON` as WKT.
fn geometry(value: &Value) -> Option<String> {
    let kind = value.get("type")?.as_str()?;
    if kind == "GeometryCollection" {
        let parts = value.get("geometries")?.as_array()?;
        let parts: Option<Vec<_>> = parts.iter().map(geometry).collect();
        return Some(format!("GEOMETRYCOLLECTION({})", parts?.join(", ")));
    }
    let depth = match kind {
        "Point" => 0,
        "LineString" | "MultiPoint" => 1,
        "Polygon" | "MultiLineString" => 2,
        "MultiPolygon" => 3,
        _ => return None,
    };
    let all = positions(value.get("coordinates")?, depth)?;
    let all = if depth == 0 { format!("({all})") } else { all };
    Some(format!("{}{all}", kind.to_ascii_uppercase()))
}

/// Writes positions that are nested this deep.
fn positions(value: &Value, depth: usize) -> Option<String> {
    let parts = value.as_array()?;
    if depth == 0 {
        let numbers: Option<Vec<_>> = parts
            .iter()
            .map(|n| Some(n.as_number()?.to_string()))
            .collect();
        return numbers.map(|numbers| numbers.join(" "));
    }
    let parts: Option<Vec<_>> = parts
        .iter()
        .map(|part| positions(part, depth - 1))
        .collect();
    Some(format!("({})", parts?.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_expression_has_its_text() {
        let cloud = json!({"property": "eo:cloud_cover"});
        let square =
            json!({"type": "Polygon", "coordinates": [[[0, 0], [1.5, 0], [1, 1], [0, 0]]]});
        for (filter, expected) in [
            (
                json!({"op": "<", "args": [cloud, 20]}),
                "(eo:cloud_cover < 20)",
            ),
            (
                json!({"op": "and", "args": [
                    {"op": ">=", "args": [cloud, 1.5]},
                    {"op": "not", "args": [{"op": "=", "args": [{"property": "id"}, "O'Hara"]}]},
                ]}),
                "((eo:cloud_cover >= 1.5) AND (NOT (id = 'O''Hara')))",
            ),
            (
                json!({"op": "like", "args": [{"property": "odd name"}, "a%"]}),
                "(\"odd name\" LIKE 'a%')",
            ),
            (
                json!({"op": "between", "args": [cloud, 1, 2]}),
                "(eo:cloud_cover BETWEEN 1 AND 2)",
            ),
            (
                json!({"op": "in", "args": [{"property": "id"}, ["a", "b"]]}),
                "(id IN ('a', 'b'))",
            ),
            (
                json!({"op": "isNull", "args": [cloud]}),
                "(eo:cloud_cover IS NULL)",
            ),
            (
                json!({"op": "s_intersects", "args": [{"property": "geometry"}, square]}),
                "S_INTERSECTS(geometry, POLYGON((0 0, 1.5 0, 1 1, 0 0)))",
            ),
            (
                json!({"op": "t_after", "args": [{"property": "datetime"}, {"timestamp": "2024-01-01T00:00:00Z"}]}),
                "T_AFTER(datetime, TIMESTAMP('2024-01-01T00:00:00Z'))",
            ),
            (
                json!({"op": "t_during", "args": [{"property": "datetime"}, {"interval": ["2024-01-01", ".."]}]}),
                "T_DURING(datetime, INTERVAL('2024-01-01', '..'))",
            ),
            (
                json!({"op": "=", "args": [{"op": "casei", "args": [{"property": "platform"}]}, {"op": "casei", "args": ["X"]}]}),
                "(CASEI(platform) = CASEI('X'))",
            ),
            (
                json!({"op": ">", "args": [{"op": "+", "args": [cloud, 1]}, 2]}),
                "((eo:cloud_cover + 1) > 2)",
            ),
            (
                json!({"op": "s_within", "args": [{"property": "geometry"}, {"type": "Point", "coordinates": [1, 2]}]}),
                "S_WITHIN(geometry, POINT(1 2))",
            ),
        ] {
            assert_eq!(to_text(&filter).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_no_filter_has_no_text() {
        let mut deep = json!(true);
        for _ in 0..100 {
            deep = json!({"op": "not", "args": [deep]});
        }
        for filter in [
            json!({"op": "<", "args": [1]}),
            json!({"op": "; DROP", "args": [1, 2]}),
            json!({"op": "=", "args": [{"property": "a"}, null]}),
            json!({"eq": ["a", 1]}),
            json!({"op": "and"}),
            deep,
        ] {
            assert_eq!(to_text(&filter), None, "{filter}");
        }
    }
}
