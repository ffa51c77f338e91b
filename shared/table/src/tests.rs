//! Files of all three tables: their footers, their keys, their rows.

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type};
use bytes::Bytes;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::{Value, json};
use swath_core::row::{AssetFile, AssetRow, Found, Sought};
use swath_core::{Class, Level, RunId, TableName};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::items::{Placed, encode_partition, read_items};
use crate::keys::{filter_rows, read_keys};
use crate::{Effort, EncodedFile, ItemRow, reader, rows, schema};

fn item(id: &str, geometry: &Value, updated: &str) -> ItemRow {
    let text = json!({
        "type": "Feature", "stac_version": "1.1.0", "id": id, "collection": "c", "geometry": geometry,
        "properties": {"datetime": "2024-01-01T00:00:00Z", "updated": updated}, "links": [], "assets": {},
    });
    ItemRow::parse(&text.to_string()).unwrap()
}

fn items() -> Vec<ItemRow> {
    let updated = "2024-02-01T00:00:00Z";
    vec![
        item(
            "a",
            &json!({"type": "Point", "coordinates": [1.5, -2.5]}),
            updated,
        ),
        item(
            "b",
            &json!({"type": "Polygon", "coordinates": [[[10.5, 3.5], [11.5, 3.5], [11.5, 4.5], [10.5, 3.5]]]}),
            updated,
        ),
        item(
            "c",
            &json!({"type": "Point", "coordinates": [1.5, 2.5, 100.5]}),
            updated,
        ),
        item("d", &Value::Null, updated),
    ]
}

fn encoded(rows: &[ItemRow], effort: Effort) -> EncodedFile {
    let placed: Vec<_> = rows.iter().map(|row| Placed { row, source: "s" }).collect();
    encode_partition("81eabffffffffff", &placed, effort).unwrap()
}

fn footer(bytes: &Bytes, key: &str) -> Value {
    let file = SerializedFileReader::new(bytes.clone()).unwrap();
    let pairs = file
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap();
    let pair = pairs.iter().find(|pair| pair.key == key).unwrap();
    serde_json::from_str(pair.value.as_ref().unwrap()).unwrap()
}

#[test]
fn the_geo_footer_names_what_is_in_the_file_and_no_more() {
    let bytes = encoded(&items(), Effort::Ingest).bytes;
    let side = |name: &str| json!(["geometry_bbox", name]);
    assert_eq!(
        footer(&bytes, "geo"),
        json!({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": {
            "encoding": "WKB", "geometry_types": ["Point", "Point Z", "Polygon"], "bbox": [1.5, -2.5, 11.5, 4.5],
            "covering": {"bbox": {"xmin": side("xmin"), "ymin": side("ymin"), "xmax": side("xmax"), "ymax": side("ymax")}},
        }}})
    );
    assert_eq!(
        footer(&bytes, "stac-geoparquet"),
        json!({"version": "1.0.0"})
    );
    let only_null = encoded(&items()[3..], Effort::Ingest).bytes;
    let column = &footer(&only_null, "geo")["columns"]["geometry"];
    assert_eq!(column["geometry_types"], json!([]));
    assert!(column.get("bbox").is_none());
}

#[test]
fn parquet_has_the_field_ids_utc_microseconds_and_no_embedded_arrow_schema() {
    for effort in [Effort::Ingest, Effort::Compact] {
        let file = SerializedFileReader::new(encoded(&items(), effort).bytes).unwrap();
        let metadata = file.metadata().file_metadata();
        let pairs = metadata.key_value_metadata().unwrap();
        assert!(pairs.iter().all(|pair| pair.key != "ARROW:schema"));
        let fields = metadata.schema_descr().root_schema().get_fields();
        let columns = schema::of(TableName::StacItems).columns;
        assert_eq!(fields.len(), columns.len());
        for (field, column) in fields.iter().zip(columns) {
            assert_eq!(field.name(), column.name);
            assert_eq!(field.get_basic_info().id(), column.id, "{}", column.name);
            if column.kind == schema::Kind::Timestamptz {
                let logical = field.get_basic_info().logical_type_ref();
                let expected = LogicalType::Timestamp {
                    is_adjusted_to_u_t_c: true,
                    unit: TimeUnit::MICROS,
                };
                assert_eq!(logical, Some(&expected));
            }
        }
        let bbox: Vec<_> = fields[28]
            .get_fields()
            .iter()
            .map(|f| f.get_basic_info().id())
            .collect();
        assert_eq!(bbox, [30, 31, 32, 33]);
        let sorting = file.metadata().row_group(0).sorting_columns().unwrap();
        let names: Vec<_> = sorting
            .iter()
            .map(|by| {
                metadata
                    .schema_descr()
                    .column(usize::try_from(by.column_idx).unwrap())
                    .path()
                    .string()
            })
            .collect();
        assert_eq!(names, ["platform", "datetime", "id"]);
    }
}

#[test]
fn a_row_keeps_its_key_when_its_content_changes() {
    let first = read_keys(
        TableName::StacItems,
        encoded(&items(), Effort::Ingest).bytes,
    )
    .unwrap();
    assert_eq!(first.len(), 4);
    assert_eq!(
        first
            .iter()
            .map(|key| key.key)
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        4
    );
    let changed = item("a", &Value::Null, "2024-03-01T00:00:00Z");
    let second = read_keys(
        TableName::StacItems,
        encoded(std::slice::from_ref(&changed), Effort::Compact).bytes,
    )
    .unwrap()[0];
    assert_eq!(second.key, first[0].key);
    assert_ne!(second.content, first[0].content);
    assert!(second.updated > first[0].updated && first[0].updated.is_some());
    let placed = [Placed {
        row: &changed,
        source: "s",
    }];
    let elsewhere = encode_partition("another cell", &placed, Effort::Ingest).unwrap();
    assert_ne!(
        read_keys(TableName::StacItems, elsewhere.bytes).unwrap()[0].key,
        second.key
    );
}

#[test]
fn rows_taken_out_leave_a_file_as_if_they_never_were() {
    let all = items();
    let file = encoded(&all, Effort::Ingest);
    let table = TableName::StacItems;
    assert_eq!(
        filter_rows(table, file.bytes.clone(), |_| true)
            .unwrap()
            .unwrap()
            .name,
        file.name
    );
    let left = filter_rows(table, file.bytes.clone(), |row| row == 1)
        .unwrap()
        .unwrap();
    let alone = encoded(&all[1..2], Effort::Ingest);
    assert_eq!(
        (left.rows, &left.bytes, &left.name),
        (1, &alone.bytes, &alone.name)
    );
    assert_eq!(
        footer(&left.bytes, "geo")["columns"]["geometry"]["bbox"],
        json!([10.5, 3.5, 11.5, 4.5])
    );
    assert!(read_items(left.bytes).unwrap()[0].contains("\"id\":\"b\""));
    assert!(filter_rows(table, file.bytes, |_| false).unwrap().is_none());
}

#[test]
fn bytes_that_are_no_whole_file_are_an_error_and_not_a_panic() {
    let bytes = encoded(&items(), Effort::Ingest).bytes;
    for end in [0, 4, 100, bytes.len() / 2, bytes.len() - 1] {
        let error = read_keys(TableName::StacItems, bytes.slice(..end)).unwrap_err();
        assert_eq!(swath_core::Classify::class(&error), Class::Invalid);
    }
    let error = read_keys(TableName::AssetRows, bytes).unwrap_err();
    assert!(error.to_string().contains("\"catalog\""), "{error}");
}

fn asset_row(number: u64) -> AssetRow {
    let instant = |day: i64| Some(OffsetDateTime::UNIX_EPOCH + time::Duration::days(day));
    AssetRow {
        sought: Sought {
            run_id: RunId::new("r"),
            row_id: format!("area {number}"),
            row_number: number,
            area: json!({"name": "x", "size": 1.5})
                .as_object()
                .unwrap()
                .clone(),
        }
        .into(),
        found: Found {
            catalog: "https://stac.example/".into(),
            collection: Some("c".into()),
            item_id: "i".into(),
            date: Some("2024-01-01T00:00:00Z".into()),
            item_bbox: None,
            item_properties: "{}".into(),
            asset_name: "B04".into(),
            href: "https://files.example/B04.tif".into(),
            asset_type: None,
            asset_roles: (0..number).map(|n| format!("role {n}")).collect(),
            file_size: Some(u64::MAX),
            file_checksum: None,
            datetime: instant(1),
            start_datetime: None,
            end_datetime: instant(2),
            alternate_hrefs: Vec::new(),
        }
        .into(),
    }
}

fn asset_file(last_update: OffsetDateTime) -> AssetFile {
    AssetFile {
        run_id: RunId::new("r"),
        catalog: "https://stac.example/".into(),
        collection: None,
        item_id: "i".into(),
        asset_name: "B04".into(),
        out_file_path: Some("/data/B04.tif".into()),
        out_file_sz: Some(5_000_000_000),
        is_out_file_valid: false,
        last_update,
        sha256: None,
        etag: Some("\"e\"".into()),
        source_href: "https://files.example/B04.tif".into(),
        attempts: 3,
        http_status: Some(503),
        error_class: Some(Class::Transient),
        error_code: Some("http".into()),
        error: Some("slow".into()),
        validation_level: Level::Window,
        validation: None,
        bytes_per_s: Some(1.5),
    }
}

#[test]
fn asset_rows_lie_in_the_columns_of_their_fields() {
    let rows = [asset_row(2), asset_row(0)];
    let file = rows::encode_asset_rows(&[&rows[0], &rows[1]], Effort::Ingest).unwrap();
    let again = rows::encode_asset_rows(&[&rows[1], &rows[0]], Effort::Ingest).unwrap();
    assert_eq!(file.bytes, again.bytes);
    let batch = reader::read(TableName::AssetRows, file.bytes.clone())
        .unwrap()
        .remove(0);
    let text = |name: &str, row| {
        batch
            .column_by_name(name)
            .unwrap()
            .as_string::<i32>()
            .value(row)
            .to_owned()
    };
    assert_eq!([text("row_id", 0), text("row_id", 1)], ["area 0", "area 2"]);
    assert_eq!(text("area", 0), r#"{"name":"x","size":1.5}"#);
    assert_eq!(text("href", 1), "https://files.example/B04.tif");
    let roles = batch
        .column_by_name("asset_roles")
        .unwrap()
        .as_list::<i32>();
    assert_eq!((roles.value(0).len(), roles.value(1).len()), (0, 2));
    assert!(batch.column_by_name("file_size").unwrap().is_null(0));
    assert!(batch.column_by_name("start_datetime").unwrap().is_null(0));
    let end = batch.column_by_name("end_datetime").unwrap();
    assert_eq!(
        end.as_primitive::<arrow_array::types::TimestampMicrosecondType>()
            .value(0),
        172_800_000_000
    );
    let keys = read_keys(TableName::AssetRows, file.bytes).unwrap();
    assert_ne!(keys[0].key, keys[1].key);
    assert_eq!(keys[0].content, None);
}

#[test]
fn every_attempt_at_an_asset_is_a_row_of_its_own() {
    let (early, late) = (
        datetime!(2024-01-01 00:00 UTC),
        datetime!(2024-01-01 00:00:00.000_001 UTC),
    );
    let files = [asset_file(late), asset_file(early)];
    let file = rows::encode_asset_files(&[&files[0], &files[1]], Effort::Ingest).unwrap();
    let keys = read_keys(TableName::AssetFiles, file.bytes.clone()).unwrap();
    assert_ne!(keys[0].key, keys[1].key);
    let alone = rows::encode_asset_files(&[&files[1]], Effort::Compact).unwrap();
    assert_eq!(
        read_keys(TableName::AssetFiles, alone.bytes).unwrap()[0].key,
        keys[0].key
    );
    let batch = reader::read(TableName::AssetFiles, file.bytes.clone())
        .unwrap()
        .remove(0);
    let text = |name: &str| {
        batch
            .column_by_name(name)
            .unwrap()
            .as_string::<i32>()
            .value(0)
            .to_owned()
    };
    assert_eq!(
        [text("error_class"), text("validation_level")],
        ["transient", "window"]
    );
    assert_eq!(
        batch
            .column_by_name("http_status")
            .unwrap()
            .as_primitive::<Int32Type>()
            .value(0),
        503
    );
    assert_eq!(
        batch
            .column_by_name("attempts")
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(0),
        3
    );
    assert!(
        !batch
            .column_by_name("is_out_file_valid")
            .unwrap()
            .as_boolean()
            .value(0)
    );
    let left = filter_rows(TableName::AssetFiles, file.bytes, |row| row == 0)
        .unwrap()
        .unwrap();
    assert_eq!(left.rows, 1);
}
