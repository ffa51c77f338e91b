use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray,
    TimestampMillisecondArray,
};
use serde_json::json;

use super::*;

fn of(text: &str) -> Areas {
    read(&Bytes::copy_from_slice(text.as_bytes()), None).unwrap()
}

fn ids(areas: &Areas) -> Vec<&str> {
    areas
        .areas
        .iter()
        .map(|area| area.row_id.as_str())
        .collect()
}

const FEATURE: &str = r#"{"type":"Feature","id":"a","properties":{"n":1.50},"geometry":{"type":"Point","coordinates":[1.0,2]}}"#;

#[test]
fn lines_and_sequences_are_rows_of_their_own() {
    let pretty = FEATURE.replace(',', ",\n");
    for text in [
        format!("{FEATURE}\n\n{{\"type\":\"Point\",\"coordinates\":[3,4]}}\nnonsense\n"),
        format!(
            "\u{1e}{pretty}\n\u{1e}{{\"type\":\"Point\",\"coordinates\":[3,4]}}\n\u{1e}nonsense\n"
        ),
    ] {
        let areas = of(&text);
        assert_eq!(ids(&areas)[0], "a");
        assert_eq!(areas.areas.len(), 2, "{text}");
        assert_eq!(areas.areas[0].columns["n"].to_string(), "1.5");
        assert_eq!(areas.rejected[0].row_number, 2);
    }
    assert_eq!(of(FEATURE).areas.len(), 1);
    assert_eq!(of(&pretty).areas.len(), 1, "one document on many lines");
}

#[test]
fn a_csv_with_geojson_wkt_and_cells_is_read_row_by_row() {
    let text = "id;name;geometry\r\n1;\"a;\"\"b\"\"\";\"{\"\"type\"\":\"\"Point\"\",\"\"coordinates\"\":[1.50,2]}\"\r\n2;c;POLYGON ((0 0, 1 0, 1 1, 0 0))\r\n3;d;81eabffffffffff\r\n4;e;soon\r\n5;f\r\n\r\n6;\"g\nh\";POINT Z (1 2 3)";
    let areas = of(text);
    assert_eq!(ids(&areas), ["1", "2", "3", "6"]);
    assert_eq!(areas.areas[0].columns["name"], "a;\"b\"");
    assert_eq!(
        areas.areas[0].geometry.get(),
        r#"{"type":"Point","coordinates":[1.50,2]}"#
    );
    assert!(areas.areas[2].geometry.get().contains("Polygon"));
    assert_eq!(areas.areas[3].columns["name"], "g\nh");
    let rejected: Vec<_> = areas.rejected.iter().map(|row| row.row_number).collect();
    assert_eq!(rejected, [3, 4]);
    assert!(areas.rejected[0].reason.contains("soon"));
}

#[test]
fn wkt_is_read_in_the_spellings_that_files_use() {
    for (wkt, expected) in [
        (
            "point(1 2)",
            json!({"type": "Point", "coordinates": [1.0, 2.0]}),
        ),
        (
            "SRID=4326;LINESTRING M (1 2 9, 3 4 9)",
            json!({"type": "LineString", "coordinates": [[1.0, 2.0], [3.0, 4.0]]}),
        ),
        (
            "MULTIPOINT ((1 2), (3 4))",
            json!({"type": "MultiPoint", "coordinates": [[1.0, 2.0], [3.0, 4.0]]}),
        ),
        (
            "MULTIPOINT (1 2, 3 4)",
            json!({"type": "MultiPoint", "coordinates": [[1.0, 2.0], [3.0, 4.0]]}),
        ),
        (
            "MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))",
            json!({"type": "MultiPolygon", "coordinates":
            [[[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]], [[[5.0, 5.0], [6.0, 5.0], [6.0, 6.0], [5.0, 5.0]]]]}),
        ),
        (
            "GEOMETRYCOLLECTION(POINT(1 2))",
            json!({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1.0, 2.0]}]}),
        ),
    ] {
        let text = geometry::of_text(wkt).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            expected,
            "{wkt}"
        );
    }
    for wkt in [
        "POINT",
        "POINT(1)",
        "POINT(a b)",
        "CIRCLE(1 2)",
        "POINT(1 2) x",
        "POLYGON((0 0,1 0",
        &"(".repeat(100),
    ] {
        assert!(geometry::of_text(wkt).is_err(), "{wkt}");
    }
}

#[test]
fn a_table_without_geometries_is_named_with_its_columns() {
    let error = read(&Bytes::from_static(b"a,b\n1,2\n"), None).unwrap_err();
    assert!(error.to_string().contains("a, b"), "{error}");
    let named = read(&Bytes::from_static(b"a,b\n1,POINT(1 2)\n"), Some("b")).unwrap();
    assert_eq!(named.areas.len(), 1);
}

#[test]
fn parquet_columns_keep_their_types() {
    let mut wkb = vec![1, 1, 0, 0, 0];
    wkb.extend(
        [1.5_f64, 2.0]
            .iter()
            .flat_map(|number| number.to_le_bytes()),
    );
    let batch = arrow_array::RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![7, 8])) as ArrayRef),
        (
            "geom",
            Arc::new(BinaryArray::from_opt_vec(vec![Some(&wkb), Some(b"no")])),
        ),
        ("half", Arc::new(Float64Array::from(vec![0.5, 1.0]))),
        ("yes", Arc::new(BooleanArray::from(vec![true, false]))),
        ("name", Arc::new(StringArray::from(vec![Some("a"), None]))),
        (
            "at",
            Arc::new(TimestampMillisecondArray::from(vec![1_000, 2_000])),
        ),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let areas = read(&Bytes::from(bytes), None).unwrap();
    assert_eq!(ids(&areas), ["7"]);
    let columns = Value::Object(areas.areas[0].columns.clone());
    assert_eq!(
        columns,
        json!({"id": 7, "half": 0.5, "yes": true, "name": "a", "at": "1970-01-01T00:00:01Z"})
    );
    assert_eq!(
        serde_json::from_str::<Value>(areas.areas[0].geometry.get()).unwrap()["coordinates"],
        json!([1.5, 2.0])
    );
    assert_eq!(areas.rejected[0].row_number, 1);
    assert!(read(&Bytes::from_static(b"PAR1 cut short"), None).is_err());
}
