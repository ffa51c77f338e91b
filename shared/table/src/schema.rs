//! The tables' columns: names, field ids and types, from which the Arrow, Parquet and Iceberg schemas are derived.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use swath_core::TableName;

/// The Arrow metadata key by which a field id reaches the Parquet file.
pub const FIELD_ID_KEY: &str = "PARQUET:field_id";

/// One column of a table, or one field inside a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The Iceberg field id; never given to another column.
    pub id: i32,
    /// The name.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// Whether every row has a value.
    pub required: bool,
}

/// A column's type, in Iceberg's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    String,
    /// Bytes.
    Binary,
    /// True or false.
    Boolean,
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    Long,
    /// IEEE 754 double.
    Double,
    /// Microseconds since 1970 in UTC.
    Timestamptz,
    /// Named fields.
    Struct(&'static [Column]),
    /// Values of one type; the field's name is `element`.
    List(&'static Column),
}

/// The columns of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSchema {
    /// The table.
    pub table: TableName,
    /// Its columns, in the order they are written.
    pub columns: &'static [Column],
}

const fn optional(id: i32, name: &'static str, kind: Kind) -> Column {
    Column {
        id,
        name,
        kind,
        required: false,
    }
}

const fn required(id: i32, name: &'static str, kind: Kind) -> Column {
    Column {
        id,
        name,
        kind,
        required: true,
    }
}

/// Columns 1 to 28 are EarthCatalog's own, ids, names and types; ours begin at 29:
///
/// - `geometry_bbox`: the box round `geometry` with xmin <= xmax, for pruning and as `GeoParquet`'s covering;
/// - `_datetime_null`: the item has no instant; `datetime` then is its `start_datetime`, else `end_datetime`, else
///   `created`, else 1970, since every row needs a year;
/// - `_filled`: comma-separated names of columns whose value the item does not have;
/// - `stac_rest`: the item's JSON without what the columns hold exactly, see [`items`](crate::items);
/// - `content_hash`: `xxh3` (128 bits, hex) of the item's canonical JSON, see [`canonical`](crate::json::canonical);
/// - `source`: the STAC API or file that the item came from.
static STAC_ITEMS: TableSchema = TableSchema {
    table: TableName::StacItems,
    columns: &[
        optional(1, "id", Kind::String),
        optional(2, "grid_partition", Kind::String),
        optional(3, "geometry", Kind::Binary),
        optional(4, "datetime", Kind::Timestamptz),
        optional(5, "platform", Kind::String),
        optional(6, "percent_valid_pixels", Kind::Long),
        optional(7, "date_dt", Kind::Long),
        optional(8, "proj:code", Kind::String),
        optional(9, "assets", Kind::String),
        optional(10, "links", Kind::String),
        optional(11, "stac_version", Kind::String),
        optional(12, "type", Kind::String),
        optional(13, "start_datetime", Kind::Timestamptz),
        optional(14, "version", Kind::String),
        optional(15, "sat:orbit_state", Kind::String),
        optional(16, "scene_1_id", Kind::String),
        optional(17, "scene_2_id", Kind::String),
        optional(18, "scene_1_frame", Kind::String),
        optional(19, "scene_2_frame", Kind::String),
        optional(20, "mid_datetime", Kind::String),
        optional(21, "created", Kind::Timestamptz),
        optional(22, "updated", Kind::Timestamptz),
        optional(23, "end_datetime", Kind::Timestamptz),
        optional(24, "stac_extensions", Kind::String),
        optional(25, "collection", Kind::String),
        optional(26, "latitude", Kind::Double),
        optional(27, "longitude", Kind::Double),
        optional(28, "bbox", Kind::String),
        optional(
            29,
            "geometry_bbox",
            Kind::Struct(&[
                optional(30, "xmin", Kind::Double),
                optional(31, "ymin", Kind::Double),
                optional(32, "xmax", Kind::Double),
                optional(33, "ymax", Kind::Double),
            ]),
        ),
        optional(34, "_datetime_null", Kind::Boolean),
        optional(35, "_filled", Kind::String),
        optional(36, "stac_rest", Kind::String),
        optional(37, "content_hash", Kind::String),
        optional(38, "source", Kind::String),
    ],
};

static ASSET_ROWS: TableSchema = TableSchema {
    table: TableName::AssetRows,
    columns: &[
        required(1, "run_id", Kind::String),
        required(2, "row_id", Kind::String),
        required(3, "row_number", Kind::Long),
        required(4, "area", Kind::String),
        required(5, "catalog", Kind::String),
        optional(6, "collection", Kind::String),
        required(7, "item_id", Kind::String),
        optional(8, "date", Kind::String),
        optional(9, "item_bbox", Kind::String),
        required(10, "item_properties", Kind::String),
        required(11, "asset_name", Kind::String),
        required(12, "href", Kind::String),
        optional(13, "asset_type", Kind::String),
        required(
            14,
            "asset_roles",
            Kind::List(&required(20, "element", Kind::String)),
        ),
        optional(15, "file_size", Kind::Long),
        optional(16, "file_checksum", Kind::String),
        optional(17, "datetime", Kind::Timestamptz),
        optional(18, "start_datetime", Kind::Timestamptz),
        optional(19, "end_datetime", Kind::Timestamptz),
        optional(
            21,
            "alternate_hrefs",
            Kind::List(&required(22, "element", Kind::String)),
        ),
    ],
};

static ASSET_FILES: TableSchema = TableSchema {
    table: TableName::AssetFiles,
    columns: &[
        required(1, "run_id", Kind::String),
        required(2, "catalog", Kind::String),
        optional(3, "collection", Kind::String),
        required(4, "item_id", Kind::String),
        required(5, "asset_name", Kind::String),
        optional(6, "out_file_path", Kind::String),
        optional(7, "out_file_sz", Kind::Long),
        required(8, "is_out_file_valid", Kind::Boolean),
        required(9, "last_update", Kind::Timestamptz),
        optional(10, "sha256", Kind::String),
        optional(11, "etag", Kind::String),
        required(12, "source_href", Kind::String),
        required(13, "attempts", Kind::Long),
        optional(14, "http_status", Kind::Int),
        optional(15, "error_class", Kind::String),
        optional(16, "error_code", Kind::String),
        optional(17, "error", Kind::String),
        required(18, "validation_level", Kind::String),
        optional(19, "validation", Kind::String),
        optional(20, "bytes_per_s", Kind::Double),
    ],
};

/// `content_hash` is of what was found and how it ended, not of how long it took: the same again is no new version.
static AREA_STATUS: TableSchema = TableSchema {
    table: TableName::AreaStatus,
    columns: &[
        required(1, "run_id", Kind::String),
        required(2, "row_id", Kind::String),
        required(3, "row_number", Kind::Long),
        required(4, "catalog", Kind::String),
        required(5, "status", Kind::String),
        required(6, "pages", Kind::Long),
        required(7, "requests", Kind::Long),
        optional(8, "matched", Kind::Long),
        required(9, "returned", Kind::Long),
        required(10, "items", Kind::Long),
        required(11, "assets", Kind::Long),
        required(12, "rejected", Kind::Long),
        required(13, "lightened", Kind::Long),
        required(14, "elapsed_ms", Kind::Long),
        required(15, "finished", Kind::Timestamptz),
        optional(16, "stopped", Kind::String),
        optional(17, "error_class", Kind::String),
        optional(18, "error", Kind::String),
        required(19, "content_hash", Kind::String),
    ],
};

/// Returns the schema of a table.
///
/// The ids of `asset_rows` and `asset_files` are numbered breadth-first, those of `stac_items` in the order in which the
/// columns joined the table: a catalog that renumbers fields on creation must be given the ids again.
pub fn of(table: TableName) -> &'static TableSchema {
    match table {
        TableName::StacItems => &STAC_ITEMS,
        TableName::AssetRows => &ASSET_ROWS,
        TableName::AssetFiles => &ASSET_FILES,
        TableName::AreaStatus => &AREA_STATUS,
    }
}

impl TableSchema {
    /// Returns the Arrow schema; every field, nested ones too, carries its id under [`FIELD_ID_KEY`].
    pub fn arrow(&self) -> SchemaRef {
        static SCHEMAS: OnceLock<[SchemaRef; 4]> = OnceLock::new();
        let schemas = SCHEMAS.get_or_init(|| {
            TableName::ALL.map(|table| Arc::new(Schema::new(fields(of(table).columns))))
        });
        let [items, rows, files, status] = schemas;
        Arc::clone(match self.table {
            TableName::StacItems => items,
            TableName::AssetRows => rows,
            TableName::AssetFiles => files,
            TableName::AreaStatus => status,
        })
    }

    /// Returns the top-level column with this name.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the highest field id in use, nested fields included.
    pub fn last_column_id(&self) -> i32 {
        self.columns.iter().map(highest_id).max().unwrap_or(0)
    }
}

fn highest_id(column: &Column) -> i32 {
    let nested = match column.kind {
        Kind::Struct(fields) => fields.iter().map(highest_id).max(),
        Kind::List(element) => Some(highest_id(element)),
        _ => None,
    };
    nested.map_or(column.id, |id| id.max(column.id))
}

fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(field).collect()
}

fn field(column: &Column) -> Field {
    let id = HashMap::from([(FIELD_ID_KEY.to_owned(), column.id.to_string())]);
    Field::new(column.name, data_type(column.kind), !column.required).with_metadata(id)
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::String => DataType::Utf8,
        Kind::Binary => DataType::Binary,
        Kind::Boolean => DataType::Boolean,
        Kind::Int => DataType::Int32,
        Kind::Long => DataType::Int64,
        Kind::Double => DataType::Float64,
        Kind::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Struct(columns) => DataType::Struct(fields(columns)),
        Kind::List(element) => DataType::List(Arc::new(field(element))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ids(columns: &[Column], into: &mut Vec<i32>) {
        for column in columns {
            into.push(column.id);
            match column.kind {
                Kind::Struct(fields) => ids(fields, into),
                Kind::List(element) => ids(std::slice::from_ref(element), into),
                _ => {}
            }
        }
    }

    #[test]
    fn every_field_of_a_table_has_an_id_of_its_own_and_none_is_skipped() {
        for table in TableName::ALL {
            let mut found = Vec::new();
            ids(of(table).columns, &mut found);
            let unique: BTreeSet<_> = found.iter().copied().collect();
            assert_eq!(unique.len(), found.len(), "{table}");
            let last = of(table).last_column_id();
            assert_eq!(unique, (1..=last).collect(), "{table}");
        }
    }

    #[test]
    fn the_first_28_columns_are_those_of_earthcatalog() {
        let expected = "id:s grid_partition:s geometry:b datetime:t platform:s percent_valid_pixels:l date_dt:l \
            proj:code:s assets:s links:s stac_version:s type:s start_datetime:t version:s sat:orbit_state:s \
            scene_1_id:s scene_2_id:s scene_1_frame:s scene_2_frame:s mid_datetime:s created:t updated:t \
            end_datetime:t stac_extensions:s collection:s latitude:d longitude:d bbox:s";
        let found: Vec<String> = STAC_ITEMS
            .columns
            .iter()
            .take(28)
            .enumerate()
            .map(|(index, column)| {
                assert_eq!(column.id, i32::try_from(index).unwrap() + 1);
                assert!(!column.required);
                let kind = match column.kind {
                    Kind::String => 's',
                    Kind::Binary => 'b',
                    Kind::Timestamptz => 't',
                    Kind::Long => 'l',
                    Kind::Double => 'd',
                    other => panic!("{other:?}"),
                };
                format!("{}:{kind}", column.name)
            })
            .collect();
        assert_eq!(
            found.join(" "),
            expected.split_whitespace().collect::<Vec<_>>().join(" ")
        );
    }

    #[test]
    fn nested_arrow_fields_carry_their_ids() {
        let schema = of(TableName::StacItems).arrow();
        let DataType::Struct(children) =
            schema.field_with_name("geometry_bbox").unwrap().data_type()
        else {
            panic!("not a struct")
        };
        let found: Vec<_> = children
            .iter()
            .map(|c| c.metadata()[FIELD_ID_KEY].as_str())
            .collect();
        assert_eq!(found, ["30", "31", "32", "33"]);
        let schema = of(TableName::AssetRows).arrow();
        let DataType::List(element) = schema.field_with_name("asset_roles").unwrap().data_type()
        else {
            panic!("not a list")
        };
        assert_eq!(element.name(), "element");
        assert_eq!(element.metadata()[FIELD_ID_KEY], "20");
    }
}
