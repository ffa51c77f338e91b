//! Which columns a file has, and how they are read back.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde_json::{Map, Value, json};

use super::instant::Spelling;
use super::shape::{Inference, Shape};
use super::{INSTANTS, MAX_COLUMNS, MEMBERS, REST, SIDES, push_step, unquoted};

/// The columns of a file of items.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Members of the item that are columns, in the order of their keys; neither `geometry` nor `bbox`.
    pub(super) members: Vec<Node>,
    /// Properties, in the order of their keys.
    pub(super) properties: Vec<Node>,
    /// Whether `bbox` has `zmin` and `zmax`.
    pub(super) bbox_has_z: bool,
    /// Whether whole numbers of `bbox` are spelled without a fraction.
    pub(super) bbox_is_bare: bool,
    /// The same of the positions of `geometry`.
    pub(super) geometry_is_bare: bool,
}

/// A column, or a part of one.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its key in canonical text, quotes and all.
    pub(super) token: Box<str>,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Whether a null is a null that was written, rather than nothing.
    pub(super) null_is_value: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Text,
    Long,
    /// Whole numbers are spelled `1` when it is bare, else `1.0`.
    Double {
        bare: bool,
    },
    Boolean,
    Instant(Spelling),
    Geometry {
        bare: bool,
    },
    List(Box<Node>),
    Struct(Vec<Node>),
}

/// What a place of an item must be, whatever was found there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Must {
    Anything,
    Text,
    Instant,
    Geometry,
    /// A list of objects.
    Objects,
    Texts,
    /// An object of objects.
    Assets,
    Asset,
}

impl Layout {
    /// Gives every place of the items a column; beyond [`MAX_COLUMNS`] only those that most items have.
    pub fn of(inference: &Inference) -> Self {
        let mut least = 1;
        loop {
            let layout = Self::with_at_least(inference, least);
            if layout.columns() <= MAX_COLUMNS || least > inference.item.seen {
                return layout;
            }
            least *= 2;
        }
    }

    fn with_at_least(inference: &Inference, least: u64) -> Self {
        let plan = Plan { least };
        let item = &inference.item;
        let empty = Shape::default();
        let found = |name: &str| {
            let token = format!("\"{name}\"");
            let mut members = item.members.iter();
            let found = members.find(|(key, _)| key.as_ref() == token);
            found.map_or(&empty, |(_, shape)| shape)
        };
        let mut members = Vec::new();
        for (name, must) in [
            ("assets", Must::Assets),
            ("collection", Must::Text),
            ("id", Must::Text),
            ("links", Must::Objects),
            ("stac_extensions", Must::Texts),
            ("stac_version", Must::Text),
        ] {
            let shape = found(name);
            if name != "collection" || shape.seen > 0 {
                members.extend(plan.node(&format!("\"{name}\""), shape, item.objects, must));
            }
        }
        let bbox = found("bbox").element.as_deref();
        Self {
            members,
            properties: plan.properties(found("properties")),
            bbox_has_z: inference.bbox_has_z,
            geometry_is_bare: found("geometry").is_bare(),
            bbox_is_bare: bbox.is_some_and(Shape::is_bare),
        }
    }

    fn columns(&self) -> usize {
        let all = self.members.iter().chain(&self.properties);
        all.map(Node::columns).sum()
    }

    /// Returns the columns' schema, with `swath:rest` or without; in the order of [`in_order`].
    pub(super) fn schema(&self, has_rest: bool) -> SchemaRef {
        let mut fields = vec![
            Field::new("geometry", DataType::Binary, true),
            Field::new("bbox", DataType::Struct(sides(self.bbox_has_z)), true),
            Field::new("type", DataType::Utf8, true),
        ];
        fields.extend(self.properties.iter().map(Node::field));
        fields.extend(self.members.iter().map(Node::field));
        if has_rest {
            fields.push(Field::new(REST, DataType::Utf8, true));
        }
        let named = fields
            .into_iter()
            .map(|field| (field.name().clone(), field));
        Arc::new(Schema::new(in_order(named)))
    }

    /// Writes the footer: what [`Decoder`](super::Decoder) has to know of columns.
    pub(super) fn footer(&self) -> String {
        let mut columns = Map::new();
        for node in &self.members {
            node.describe("", &mut columns);
        }
        for node in &self.properties {
            node.describe("/properties", &mut columns);
        }
        let bare = [
            ("/bbox", self.bbox_is_bare),
            ("/geometry", self.geometry_is_bare),
        ];
        for (path, _) in bare.iter().filter(|(_, is_bare)| *is_bare) {
            columns.insert((*path).to_owned(), json!({"bare": true}));
        }
        json!({"form": "stac-geoparquet", "version": 1, "columns": columns}).to_string()
    }
}

/// Puts columns in the order of a file: what names and places an item, its properties, its links and assets.
pub(super) fn in_order<N: AsRef<str>, T>(columns: impl Iterator<Item = (N, T)>) -> Vec<T> {
    const BEFORE: [&str; 7] = [
        "type",
        "id",
        "collection",
        "stac_version",
        "stac_extensions",
        "geometry",
        "bbox",
    ];
    const AFTER: [&str; 3] = ["links", "assets", REST];
    let rank = |name: &str| {
        let place = |names: &[&str]| names.iter().position(|known| *known == name);
        let after = place(&AFTER).map_or(BEFORE.len(), |place| BEFORE.len() + 1 + place);
        place(&BEFORE).unwrap_or(after)
    };
    let mut columns: Vec<_> = columns.collect();
    columns.sort_by_key(|(name, _)| rank(name.as_ref()));
    columns.into_iter().map(|(_, column)| column).collect()
}

/// Returns the fields of `bbox`.
pub(super) fn sides(has_z: bool) -> Fields {
    let sides = SIDES.iter().filter(|side| has_z || !side.starts_with('z'));
    sides
        .map(|side| Field::new(*side, DataType::Float64, true))
        .collect()
}

impl Node {
    fn columns(&self) -> usize {
        match &self.kind {
            Kind::List(element) => element.columns(),
            Kind::Struct(fields) => fields.iter().map(Self::columns).sum(),
            _ => 1,
        }
    }

    fn field(&self) -> Field {
        let kind = match &self.kind {
            Kind::Text => DataType::Utf8,
            Kind::Long => DataType::Int64,
            Kind::Double { .. } => DataType::Float64,
            Kind::Boolean => DataType::Boolean,
            Kind::Instant(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Geometry { .. } => DataType::Binary,
            Kind::List(element) => DataType::List(Arc::new(element.field())),
            Kind::Struct(_) => DataType::Struct(self.fields()),
        };
        Field::new(&self.name, kind, true)
    }

    /// Returns the fields of a struct.
    pub(super) fn fields(&self) -> Fields {
        match &self.kind {
            Kind::Struct(nodes) => nodes.iter().map(Self::field).collect(),
            Kind::List(element) => [Arc::new(element.field())].into_iter().collect(),
            _ => Fields::empty(),
        }
    }

    fn describe(&self, parent: &str, into: &mut Map<String, Value>) {
        let mut path = parent.to_owned();
        match self.token.as_ref() {
            "" => path.push_str("/*"),
            _ => push_step(&mut path, &self.name),
        }
        let mut flags = Map::new();
        if self.null_is_value {
            flags.insert("null".to_owned(), true.into());
        }
        match &self.kind {
            Kind::Double { bare: true } | Kind::Geometry { bare: true } => {
                flags.insert("bare".to_owned(), true.into());
            }
            Kind::Instant(spelling) => {
                flags.insert("instant".to_owned(), spelling.name().into());
            }
            Kind::List(element) => element.describe(&path, into),
            Kind::Struct(fields) => fields.iter().for_each(|field| field.describe(&path, into)),
            _ => {}
        }
        if !flags.is_empty() {
            into.insert(path, flags.into());
        }
    }
}

/// Which places get a column.
struct Plan {
    /// Those that so many items have.
    least: u64,
}

impl Plan {
    fn properties(&self, shape: &Shape) -> Vec<Node> {
        let mut nodes = Vec::new();
        for (token, property) in &shape.members {
            let name = unquoted(token);
            let is_taken = |taken: &&str| taken.eq_ignore_ascii_case(&name);
            let others = [REST, "grid_partition", "geometry_bbox"];
            if MEMBERS.iter().chain(&others).any(is_taken) {
                continue;
            }
            let must = match name.as_ref() {
                PROJ_GEOMETRY => Must::Geometry,
                name if INSTANTS.contains(&name) => Must::Instant,
                _ => Must::Anything,
            };
            nodes.extend(self.node(token, property, shape.objects, must));
        }
        let datetime = "\"datetime\"";
        if !nodes.iter().any(|node| node.token.as_ref() == datetime) {
            let none = Shape::default();
            nodes.extend(self.node(datetime, &none, 0, Must::Instant));
            nodes.sort_by(|a, b| a.token.cmp(&b.token));
        }
        nodes
    }

    /// Makes a column of a place that objects have, so many of them; `None` where Parquet has none for it.
    fn node(&self, token: &str, shape: &Shape, parents: u64, must: Must) -> Option<Node> {
        let name = unquoted(token);
        let is_needed = must != Must::Anything && must != Must::Asset;
        if (shape.seen < self.least && !is_needed) || name.is_empty() || name.contains('\0') {
            return None;
        }
        Some(Node {
            token: token.into(),
            name: name.into_owned(),
            kind: self.kind(shape, must)?,
            null_is_value: shape.nulls > parents.saturating_sub(shape.seen),
        })
    }

    fn kind(&self, shape: &Shape, must: Must) -> Option<Kind> {
        let values = shape.values();
        let empty = Shape::default();
        let element = shape.element.as_deref().unwrap_or(&empty);
        Some(match must {
            Must::Instant => Kind::Instant(spelling_of(shape)),
            Must::Geometry => Kind::Geometry {
                bare: shape.is_bare(),
            },
            Must::Texts => list_of(Kind::Text),
            Must::Objects => {
                let mut fields = self.fields(element, must);
                for token in ["\"href\"", "\"rel\"", "\"title\"", "\"type\""] {
                    if !fields.iter().any(|field| field.token.as_ref() == token) {
                        fields.extend(self.node(token, &empty, 0, Must::Text));
                    }
                }
                fields.sort_by(|a, b| a.token.cmp(&b.token));
                list_of(Kind::Struct(fields))
            }
            Must::Assets | Must::Asset => filled(self.fields(shape, must))?,
            Must::Anything if values == 0 => Kind::Text,
            Must::Anything if shape.objects == values => filled(self.fields(shape, must))?,
            Must::Anything if shape.lists == values => list_of(self.kind(element, Must::Anything)?),
            Must::Anything if shape.longs == values => Kind::Long,
            Must::Anything if shape.longs + shape.doubles == values => Kind::Double {
                bare: shape.is_bare(),
            },
            Must::Anything if shape.booleans == values => Kind::Boolean,
            Must::Anything | Must::Text => Kind::Text,
        })
    }

    /// Makes the columns of an object's members.
    fn fields(&self, shape: &Shape, parent: Must) -> Vec<Node> {
        let members = shape.members.iter();
        let nodes = members.map(|(token, member)| {
            let must = match (parent, unquoted(token).as_ref()) {
                (Must::Assets, _) => Must::Asset,
                (Must::Asset, PROJ_GEOMETRY) => Must::Geometry,
                _ => Must::Anything,
            };
            self.node(token, member, shape.objects, must)
        });
        nodes.flatten().collect()
    }
}

/// The one property that is a geometry.
const PROJ_GEOMETRY: &str = "proj:geometry";

fn list_of(kind: Kind) -> Kind {
    Kind::List(Box::new(Node {
        token: "".into(),
        name: "element".to_owned(),
        kind,
        null_is_value: true,
    }))
}

/// Parquet has no struct without fields.
fn filled(fields: Vec<Node>) -> Option<Kind> {
    (!fields.is_empty()).then_some(Kind::Struct(fields))
}

fn spelling_of(shape: &Shape) -> Spelling {
    let most = shape
        .spellings
        .iter()
        .rev()
        .max_by_key(|(_, count)| **count);
    most.map(|(spelling, _)| *spelling).unwrap_or_default()
}
