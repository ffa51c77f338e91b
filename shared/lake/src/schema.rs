//! The tables as Iceberg describes them: schema, partition spec, properties.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::{
    DEFAULT_SCHEMA_NAME_MAPPING, FormatVersion, ListType, MappedField, NameMapping, NestedField,
    NestedFieldRef, PrimitiveType, Schema, SortOrder, StructType, TableMetadata,
    TableMetadataBuilder, Transform, Type, UnboundPartitionField, UnboundPartitionSpec,
};
use iceberg::{Error, ErrorKind, Result};
use swath_core::TableName;
use swath_table::schema::{Column, Kind, of};

/// Fields of the partition spec of items: `EarthCatalog` reads them by place.
const SPEC: [(i32, &str, &str, Transform); 2] = [
    (
        1000,
        "grid_partition",
        "grid_partition",
        Transform::Identity,
    ),
    (1001, "datetime", "year", Transform::Year),
];

/// Returns the metadata of a table that holds nothing yet.
pub(crate) fn fresh(
    table: TableName,
    location: String,
    mut properties: HashMap<String, String>,
) -> Result<TableMetadata> {
    let columns = of(table).columns;
    let schema = Schema::builder().with_fields(ours(table)).build()?;
    properties.insert(
        DEFAULT_SCHEMA_NAME_MAPPING.to_owned(),
        name_mapping(&schema)?,
    );
    // Iceberg renumbers the fields of a new table, top level first. So the table begins with the columns whose ids are
    // what that gives (of items those of EarthCatalog), and gets the rest in a second schema, which keeps its ids.
    let begin = Schema::builder()
        .with_fields(fields(leading(columns)))
        .build()?;
    let builder = TableMetadataBuilder::new(
        begin,
        spec(table)?,
        SortOrder::unsorted_order(),
        location,
        FormatVersion::V2,
        properties,
    )?;
    Ok(builder.add_current_schema(schema)?.build()?.metadata)
}

/// The columns from the first one on that Iceberg's numbering leaves as they are.
fn leading(columns: &[Column]) -> &[Column] {
    let in_place = (1..)
        .zip(columns)
        .take_while(|(id, column)| *id == column.id && !matches!(column.kind, Kind::Struct(_)));
    columns.split_at(in_place.count()).0
}

/// Returns the fields of files of ours.
pub(crate) fn ours(table: TableName) -> Vec<NestedFieldRef> {
    fields(of(table).columns)
}

fn fields(columns: &[Column]) -> Vec<NestedFieldRef> {
    columns
        .iter()
        .map(|column| Arc::new(field(column)))
        .collect()
}

fn field(column: &Column) -> NestedField {
    NestedField::new(column.id, column.name, kind(column.kind), column.required)
}

fn kind(kind: Kind) -> Type {
    Type::Primitive(match kind {
        Kind::String => PrimitiveType::String,
        Kind::Binary => PrimitiveType::Binary,
        Kind::Boolean => PrimitiveType::Boolean,
        Kind::Int => PrimitiveType::Int,
        Kind::Long => PrimitiveType::Long,
        Kind::Double => PrimitiveType::Double,
        Kind::Timestamptz => PrimitiveType::Timestamptz,
        Kind::Struct(columns) => return Type::Struct(StructType::new(fields(columns))),
        Kind::List(element) => {
            return Type::List(ListType::new(Arc::new(field(element))));
        }
    })
}

fn spec(table: TableName) -> Result<UnboundPartitionSpec> {
    let builder = UnboundPartitionSpec::builder().with_spec_id(0);
    if table != TableName::StacItems {
        return Ok(builder.build());
    }
    let fields = SPEC.map(|(field_id, column, name, transform)| {
        of(table)
            .column(column)
            .map(|column| UnboundPartitionField {
                source_id: column.id,
                field_id: Some(field_id),
                name: name.to_owned(),
                transform,
            })
    });
    Ok(builder
        .add_partition_fields(fields.into_iter().flatten())?
        .build())
}

/// Returns whether a table has columns that files of ours lack: to write its files anew would lose them.
pub(crate) fn has_more(table: TableName, metadata: &TableMetadata) -> bool {
    let fields = metadata.current_schema().as_struct().fields();
    fields
        .iter()
        .any(|field| of(table).column(&field.name).is_none())
}

/// Writes how columns of files without field ids are found: by name.
pub(crate) fn name_mapping(schema: &Schema) -> Result<String> {
    let fields = schema.as_struct().fields();
    let mapping = NameMapping::new(fields.iter().map(|field| mapped(field)).collect());
    serde_json::to_string(&mapping).map_err(|source| {
        Error::new(ErrorKind::DataInvalid, "the name mapping cannot be written").with_source(source)
    })
}

fn mapped(field: &NestedField) -> MappedField {
    let nested = match field.field_type.as_ref() {
        Type::Struct(inner) => inner.fields().iter().map(|field| mapped(field)).collect(),
        Type::List(list) => vec![mapped(&list.element_field)],
        _ => Vec::new(),
    };
    MappedField::new(Some(field.id), vec![field.name.clone()], nested)
}

/// Compares a table that is there with what our files need: the schema to give it, if it lacks columns of ours.
///
/// # Errors
/// What does not fit, in words.
pub(crate) fn reconcile(
    table: TableName,
    metadata: &TableMetadata,
) -> std::result::Result<Option<Schema>, String> {
    if metadata.format_version() != FormatVersion::V2 {
        let found = metadata.format_version();
        return Err(format!("its format version is {found}, not v2"));
    }
    check_spec(table, metadata)?;
    let current = metadata.current_schema();
    let mut all = current.as_struct().fields().to_vec();
    let known = all.len();
    for wanted in fields(of(table).columns) {
        match all.iter().find(|field| field.name == wanted.name) {
            Some(found) if found.id != wanted.id || found.field_type != wanted.field_type => {
                return Err(format!(
                    "its column {:?} is field {} of type {}, not field {} of type {}",
                    found.name, found.id, found.field_type, wanted.id, wanted.field_type
                ));
            }
            Some(found) if found.required && !wanted.required => {
                return Err(format!("its column {:?} must not be null", found.name));
            }
            Some(_) => {}
            None if wanted.id <= metadata.last_column_id() || wanted.required => {
                return Err(format!("its field {} is not {:?}", wanted.id, wanted.name));
            }
            None => all.push(wanted),
        }
    }
    if let Some(foreign) = all
        .iter()
        .find(|field| field.required && of(table).column(&field.name).is_none())
    {
        return Err(format!("it demands a column {:?}", foreign.name));
    }
    if all.len() == known {
        return Ok(None);
    }
    let schema = Schema::builder().with_fields(all).build();
    schema.map(Some).map_err(|error| error.to_string())
}

/// Says why files of ours cannot be part of a table, if its partitions are not as ours.
pub(crate) fn check_spec(
    table: TableName,
    metadata: &TableMetadata,
) -> std::result::Result<(), String> {
    let found = metadata.default_partition_spec().fields();
    let wanted: &[_] = if table == TableName::StacItems {
        &SPEC
    } else {
        &[]
    };
    let same = found.len() == wanted.len()
        && found
            .iter()
            .zip(wanted)
            .all(|(found, (_, column, _, transform))| {
                found.transform == *transform
                    && metadata.current_schema().name_by_field_id(found.source_id) == Some(*column)
            });
    if same {
        return Ok(());
    }
    let names: Vec<_> = found
        .iter()
        .map(|field| format!("{}({})", field.transform, field.name))
        .collect();
    Err(format!("it is partitioned by [{}]", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(table: TableName) -> TableMetadata {
        fresh(table, "/lake/t".to_owned(), HashMap::new()).unwrap()
    }

    #[test]
    fn a_new_table_has_the_ids_of_our_files() {
        for table in TableName::ALL {
            let metadata = made(table);
            let found = metadata.current_schema().as_struct().fields();
            assert_eq!(found, fields(of(table).columns).as_slice(), "{table}");
            assert_eq!(metadata.last_column_id(), of(table).last_column_id());
            assert_eq!(metadata.format_version(), FormatVersion::V2);
            assert_eq!(reconcile(table, &metadata), Ok(None));
        }
    }

    #[test]
    fn items_are_partitioned_as_earthcatalog_reads_them() {
        let metadata = made(TableName::StacItems);
        let spec = serde_json::to_value(metadata.default_partition_spec().as_ref()).unwrap();
        let expected = serde_json::json!({"spec-id": 0, "fields": [
            {"source-id": 2, "field-id": 1000, "name": "grid_partition", "transform": "identity"},
            {"source-id": 4, "field-id": 1001, "name": "year", "transform": "year"},
        ]});
        assert_eq!(spec, expected);
        assert_eq!(metadata.last_partition_id(), 1001);
        let begin = metadata.schema_by_id(0).unwrap();
        assert_eq!(begin.highest_field_id(), 28);
        for table in [TableName::AssetRows, TableName::AssetFiles] {
            assert!(made(table).default_partition_spec().is_unpartitioned());
        }
    }

    #[test]
    fn the_name_mapping_names_every_field_nested_ones_too() {
        let metadata = made(TableName::StacItems);
        let mapping: serde_json::Value =
            serde_json::from_str(&metadata.properties()[DEFAULT_SCHEMA_NAME_MAPPING]).unwrap();
        let bbox = &mapping[28];
        assert_eq!(bbox["field-id"], 29);
        assert_eq!(bbox["names"], serde_json::json!(["geometry_bbox"]));
        assert_eq!(bbox["fields"][3]["field-id"], 33);
        assert_eq!(bbox["fields"][3]["names"], serde_json::json!(["ymax"]));
    }

    fn earthcatalogs(columns: &[Column], extra: Option<NestedField>) -> TableMetadata {
        let mut all = fields(columns);
        all.extend(extra.map(Arc::new));
        let schema = Schema::builder().with_fields(all).build().unwrap();
        let spec = spec(TableName::StacItems).unwrap();
        let order = SortOrder::unsorted_order();
        let (location, version) = ("/lake/t".to_owned(), FormatVersion::V2);
        TableMetadataBuilder::new(schema, spec, order, location, version, HashMap::new())
            .and_then(TableMetadataBuilder::build)
            .unwrap()
            .metadata
    }

    #[test]
    fn a_table_of_earthcatalog_gets_our_columns() {
        let items = TableName::StacItems;
        let theirs = earthcatalogs(&of(items).columns[..28], None);
        let schema = reconcile(items, &theirs).unwrap().unwrap();
        let evolved = theirs
            .into_builder(None)
            .add_current_schema(schema)
            .unwrap();
        let evolved = evolved.build().unwrap().metadata;
        let found = evolved.current_schema().as_struct().fields();
        assert_eq!(found, fields(of(items).columns).as_slice());
        assert_eq!(reconcile(items, &evolved), Ok(None));
    }

    #[test]
    fn a_table_whose_fields_differ_is_refused_with_the_field() {
        let items = TableName::StacItems;
        let text = Type::Primitive(PrimitiveType::String);
        let taken = NestedField::optional(29, "quality", text);
        let theirs = earthcatalogs(&of(items).columns[..28], Some(taken));
        let error = reconcile(items, &theirs).unwrap_err();
        assert_eq!(error, "its field 29 is not \"geometry_bbox\"");
        let number = Type::Primitive(PrimitiveType::Long);
        let other = NestedField::optional(5, "platform", number);
        let theirs = earthcatalogs(&of(items).columns[..4], Some(other));
        let error = reconcile(items, &theirs).unwrap_err();
        assert_eq!(
            error,
            "its column \"platform\" is field 5 of type long, not field 5 of type string"
        );
        let error = reconcile(TableName::AssetRows, &made(items)).unwrap_err();
        assert_eq!(
            error,
            "it is partitioned by [identity(grid_partition), year(year)]"
        );
    }
}
