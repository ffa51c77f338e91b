//! Whole runs over files in a folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use swath_table::items::ItemReader;
use swath_table::json::canonical;
use swath_table::{Effort, Repair, Validation};

use super::{EncodeRequest, FileForm, Report, encode};

fn item(id: &str, geometry: &str, properties: &str) -> String {
    format!(
        "{{\"type\":\"Feature\",\"stac_version\":\"1.0.0\",\"id\":\"{id}\",\"collection\":\"c\",\
         \"geometry\":{geometry},\"properties\":{properties},\"links\":[],\"assets\":{{}}}}"
    )
}

/// Items of every kind of geometry, some in several cells, some in none.
fn mixed() -> Vec<String> {
    let wide = r#"{"type":"Polygon","coordinates":[[[0,0],[30,0],[30,30],[0,30],[0,0]]]}"#;
    let split = r#"{"type":"MultiPolygon","coordinates":[[[[179,0],[180,0],[180,1],[179,1],[179,0]]],[[[-180,0],[-179,0],[-179,1],[-180,1],[-180,0]]]]}"#;
    let line = r#"{"type":"LineString","coordinates":[[1,1],[1.5,2]]}"#;
    let geometries = [
        wide,
        split,
        line,
        "null",
        r#"{"type":"Point","coordinates":[9,9,100.5]}"#,
    ];
    let mut items = Vec::new();
    for (number, geometry) in geometries.iter().cycle().take(40).enumerate() {
        // Equal instants on purpose: the id decides the order.
        let year = 2019 + number % 3;
        let properties = format!(
            "{{\"datetime\":\"{year}-06-01T00:00:00Z\",\"platform\":\"p{}\",\"n\":{number}.50}}",
            number % 2
        );
        items.push(item(
            &format!("i{}", 97 * number % 40),
            geometry,
            &properties,
        ));
    }
    items.push(item(
        "null-time",
        line,
        r#"{"datetime":null,"start_datetime":"2020-01-01T00:00:00Z"}"#,
    ));
    items
}

fn run(inputs: &[PathBuf], out: &Path, grid: Option<&str>) -> Report {
    encode(&request(inputs, out, grid)).unwrap()
}

fn request(inputs: &[PathBuf], out: &Path, grid: Option<&str>) -> EncodeRequest {
    EncodeRequest {
        inputs: inputs.to_vec(),
        source: None,
        out: out.to_owned(),
        grid: grid.map(|grid| grid.parse().unwrap()),
        form: FileForm::Table,
        quarantine: Some(out.with_extension("rejected")),
        check: true,
        effort: Effort::Ingest,
        threads: 2,
        validation: Validation::None,
        repairs: Vec::new(),
        schemas: None,
    }
}

fn files(folder: &Path, into: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.insert(path);
        }
    }
}

fn items_of<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> BTreeSet<String> {
    let mut items = BTreeSet::new();
    for path in paths {
        for item in ItemReader::open(fs::File::open(path).unwrap()).unwrap() {
            items.insert(canonical(&item.unwrap().0).unwrap());
        }
    }
    items
}

#[test]
fn items_come_back_equal_whatever_they_are_spelled_in() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let items = mixed();
    let expected: BTreeSet<String> = items.iter().map(|i| canonical(i).unwrap()).collect();
    fs::write(at("a.ndjson"), items.join("\n")).unwrap();
    let collection = format!(
        "{{\"type\":\"FeatureCollection\",\"features\":[{}]}}",
        items.join(" ,\n")
    );
    fs::write(at("b.json"), collection).unwrap();
    fs::write(at("c"), format!("[{}]", items.join(","))).unwrap();
    let one = run(&[at("a.ndjson")], &at("one.parquet"), None);
    assert_eq!(
        (one.items, one.rows, one.checked, one.files),
        (41, 41, 41, 1)
    );
    for input in ["a.ndjson", "b.json", "c", "one.parquet"] {
        let out = at(&format!("{input}.out"));
        let report = run(&[at(input)], &out, Some("h3:1"));
        assert_eq!(report.items, 41, "{input}");
        assert!(
            report.rows > 100 && report.checked == report.rows,
            "{report:?}"
        );
        assert!(report.rejected.is_empty(), "{report:?}");
        let mut found = BTreeSet::new();
        files(&out, &mut found);
        assert_eq!(found.len() as u64, report.files);
        assert_eq!(items_of(&found), expected, "{input}");
    }
}

#[test]
fn another_order_of_the_items_gives_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut items = mixed();
    let mut names = Vec::new();
    for turn in 0..3 {
        let out = folder.path().join(format!("out{turn}"));
        let input = folder.path().join("in.ndjson");
        fs::write(&input, items.join("\n")).unwrap();
        run(&[input], &out, Some("h3:2"));
        let mut found = BTreeSet::new();
        files(&out, &mut found);
        let below = found
            .iter()
            .map(|path| path.strip_prefix(&out).unwrap().to_owned());
        names.push(below.collect::<BTreeSet<_>>());
        items.reverse();
        items.rotate_left(turn + 7);
    }
    assert!(names[0].len() > 10);
    assert_eq!(names[0], names[1]);
    assert_eq!(names[0], names[2]);
}

#[test]
fn what_is_no_item_is_named_and_kept_and_its_neighbours_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (good, input, out) = (
        mixed(),
        folder.path().join("in.ndjson"),
        folder.path().join("o.parquet"),
    );
    let mut bytes = format!("{}\n{{\"type\":\"Feature\",\n\n{}\n", good[0], good[1]).into_bytes();
    bytes.extend_from_slice(b"{\"type\":\"Collection\",\"id\":\"c\"}\n\"\xff\"\n");
    fs::write(&input, bytes).unwrap();
    let report = run(&[input], &out, None);
    assert_eq!((report.items, report.checked), (2, 2));
    let codes: Vec<_> = report
        .rejected
        .iter()
        .map(|(code, count)| (*code, *count))
        .collect();
    assert_eq!(
        codes,
        [("not_an_item", 1), ("not_json", 1), ("not_utf8", 1)]
    );
    let kept = fs::read_to_string(out.with_extension("rejected")).unwrap();
    let kept: Vec<serde_json::Value> = kept
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let spots: Vec<_> = kept
        .iter()
        .map(|line| line["number"].as_u64().unwrap())
        .collect();
    assert_eq!(spots, [2, 5, 6]);
    assert_eq!(kept[0]["item"], "{\"type\":\"Feature\",\n");
    assert_eq!(kept[2]["item_hex"], "22ff220a");
}

#[test]
fn items_against_the_rules_are_kept_out_and_mended_ones_are_kept_as_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (
        folder.path().join("in.ndjson"),
        folder.path().join("o.parquet"),
    );
    let point = r#"{"type":"Point","coordinates":[1.5,2.5]}"#;
    let dated = r#"{"datetime":"2024-01-01T00:00:00Z"}"#;
    let whole = item("whole", "null", dated).replace(",\"collection\":\"c\"", "");
    let lines = [
        item("no-box", point, dated),
        whole,
        item("no-time", "null", "{}"),
    ];
    fs::write(&input, lines.join("\n")).unwrap();
    let mut asked = request(std::slice::from_ref(&input), &out, None);
    asked.validation = Validation::Core;
    let report = encode(&asked).unwrap();
    assert_eq!((report.items, report.checked), (1, 1));
    let codes: Vec<_> = report.rejected.iter().map(|(c, n)| (*c, *n)).collect();
    assert_eq!(codes, [("no_bbox", 1), ("no_datetime", 1)]);
    asked.repairs = vec![Repair::BboxMissing];
    let report = encode(&asked).unwrap();
    assert_eq!((report.items, report.repaired["bbox-missing"]), (2, 1));
    let kept = fs::read_to_string(out.with_extension("rejected")).unwrap();
    let repaired = kept
        .lines()
        .find(|line| line.contains("\"repaired\""))
        .unwrap();
    let repaired: serde_json::Value = serde_json::from_str(repaired).unwrap();
    assert_eq!(repaired["item"].as_str().unwrap().trim_end(), lines[0]);
    assert_eq!(
        (&repaired["number"], &repaired["reason"]),
        (&1.into(), &"bbox-missing".into())
    );
}

#[test]
fn one_file_of_stac_geoparquet_keeps_the_order_of_the_input_and_every_item() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.ndjson");
    // More than one batch of input, so that threads take turns.
    let items: Vec<String> = (0..150).flat_map(|_| mixed()).collect();
    fs::write(&input, items.join("\n")).unwrap();
    let once = |threads| {
        let out = folder.path().join(format!("{threads}.parquet"));
        let mut request = request(std::slice::from_ref(&input), &out, None);
        request.form = FileForm::StacGeoparquet;
        request.threads = threads;
        let report = encode(&request).unwrap();
        let count = items.len() as u64;
        assert_eq!(
            (report.items, report.rows, report.checked),
            (count, count, count)
        );
        // Numbers with a zero at their end, positions of whole degrees.
        assert!(report.clashes > 0);
        fs::read(out).unwrap()
    };
    let bytes = once(1);
    assert!(bytes == once(3));
    let found = swath_table::items::read_items(bytes::Bytes::from(bytes)).unwrap();
    for (found, item) in found.iter().zip(&items) {
        assert_eq!(canonical(found).unwrap(), canonical(item).unwrap());
    }
}
