//! What the binary says to its caller when it is given what it cannot use.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic as tests do"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const FIELD: &str = r#"{"type":"Polygon","coordinates":[[[10.9,46.2],[11.2,46.2],[11.2,46.4],[10.9,46.4],[10.9,46.2]]]}"#;
const SEA: &str = r#"{"type":"Point","coordinates":[-30,40]}"#;

fn swath(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_swath"))
        .args(arguments)
        .output()
        .unwrap()
}

/// The demo's upstream in a process of its own, ended with the test.
struct Upstream {
    process: Child,
    url: String,
}

impl Upstream {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_swath"))
            .arg("serve-items")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = said["url"].as_str().unwrap().to_owned();
        Self { process, url }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing left to do then.
        let _killed = self.process.kill();
        let _waited = self.process.wait();
    }
}

/// Runs `swath run` in a folder of its own over the areas given as text.
fn run_in(folder: &Path, areas: &str, catalog: &str, more: &[&str]) -> Output {
    let aois = folder.join("aois.geojson");
    std::fs::write(&aois, areas).unwrap();
    let out = folder.join("out");
    let mut arguments = vec![
        "run",
        "--aois",
        aois.to_str().unwrap(),
        "--catalog",
        catalog,
    ];
    if !more.contains(&"--out") {
        arguments.extend(["--out", out.to_str().unwrap()]);
    }
    arguments.extend(more);
    swath(&arguments)
}

fn run(areas: &str, catalog: &str, more: &[&str]) -> Output {
    run_in(tempfile::tempdir().unwrap().path(), areas, catalog, more)
}

#[track_caller]
fn ends(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_missing_argument_is_a_usage_error() {
    ends(&swath(&["run"]), 2, &["--aois"]);
    ends(&swath(&["fly"]), 2, &["fly"]);
}

#[test]
fn help_names_every_exit_code() {
    let help = swath(&["run", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "130 "] {
        assert!(
            text.contains(&format!("\n  {code}")),
            "no {code:?} in {text}"
        );
    }
}

#[test]
fn areas_that_cannot_be_read_are_an_input_error() {
    let arguments = [
        "run",
        "--aois",
        "/no/such.geojson",
        "--catalog",
        "http://127.0.0.1:1/",
        "--out",
        "/no/such",
    ];
    ends(&swath(&arguments), 3, &["/no/such.geojson"]);
    ends(&run("{", "http://127.0.0.1:1/", &[]), 3, &["not JSON"]);
}

#[test]
fn a_datetime_that_is_none_is_named_before_anything_is_asked() {
    ends(
        &run(FIELD, "http://127.0.0.1:1/", &["--datetime", "next summer"]),
        3,
        &["next summer"],
    );
}

#[test]
fn a_refused_connection_is_a_catalog_error() {
    ends(
        &run(FIELD, "http://127.0.0.1:1/", &[]),
        4,
        &["127.0.0.1:1", "refused"],
    );
}

#[test]
fn an_output_that_is_a_file_is_an_output_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let out = file.join("below");
    let output = run_in(
        folder.path(),
        FIELD,
        "http://127.0.0.1:1/",
        &["--out", out.to_str().unwrap()],
    );
    ends(&output, 6, &["file"]);
}

#[test]
fn what_the_upstream_makes_of_a_request_decides_the_code() {
    let upstream = Upstream::start();
    let url = upstream.url.as_str();
    ends(&run(r#"{"type":"Topology"}"#, url, &[]), 3, &["Topology"]);
    let broken = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":null}]}"#;
    ends(
        &run(broken, url, &[]),
        3,
        &["no usable area", "no geometry"],
    );
    ends(&run(SEA, url, &[]), 5, &[]);
    ends(
        &run(FIELD, &format!("{url}collections"), &["--assets", "red"]),
        4,
        &["collections"],
    );
    ends(
        &run(FIELD, url, &["--assets", "ultraviolet"]),
        3,
        &["ultraviolet", "red", "nir"],
    );
}

#[test]
fn a_run_that_is_repeated_does_nothing_twice() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let summary = || {
        let output = run_in(
            folder.path(),
            FIELD,
            &upstream.url,
            &["--assets", "red", "--json"],
        );
        ends(&output, 0, &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        let last = text.lines().last().unwrap();
        serde_json::from_str::<serde_json::Value>(last).unwrap()
    };
    let (first, second) = (summary(), summary());
    assert_eq!(first["items"], 4);
    assert_eq!(
        (&first["good"], &first["downloaded"]),
        (&4.into(), &4.into())
    );
    assert!(first["rows_added"].as_u64().unwrap() > 0);
    assert_eq!(
        (
            &second["good"],
            &second["downloaded"],
            &second["rows_added"]
        ),
        (&4.into(), &0.into(), &0.into())
    );
    assert_eq!(second["snapshot"], first["snapshot"]);
}

#[test]
fn two_lists_of_objects_are_compared_key_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let list = |name: &str, lines: &[&str]| {
        let path = folder.path().join(name);
        std::fs::write(&path, lines.join("\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let old = list(
        "old.ndjson",
        &[
            r#"{"key":"b","etag":"1"}"#,
            r#"{"key":"a","etag":"1"}"#,
            r#"{"key":"d","etag":"1"}"#,
        ],
    );
    let new = list(
        "new.ndjson",
        &[
            r#"{"key":"d","etag":"1"}"#,
            r#"{"key":"c","etag":"1"}"#,
            r#"{"key":"b","etag":"2"}"#,
        ],
    );
    let told = swath(&["diff", &old, &new]);
    assert_eq!(told.status.code(), Some(0));
    let told = String::from_utf8(told.stdout).unwrap();
    let changes: Vec<(String, String)> = told
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| {
            (
                line["change"].as_str().unwrap().to_owned(),
                line["key"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = [("deleted", "a"), ("changed", "b"), ("new", "c")];
    assert_eq!(
        changes,
        expected.map(|(change, key)| (change.to_owned(), key.to_owned()))
    );
    assert_eq!(swath(&["diff", &old, &old]).status.code(), Some(5));
    let broken = list("broken.ndjson", &[r#"{"key":"a"}"#, r#"{"name":"b"}"#]);
    let refused = swath(&["diff", &old, &broken]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("line 2")
    );
    let missing = folder.path().join("none");
    assert_eq!(
        swath(&["diff", &old, missing.to_str().unwrap()])
            .status
            .code(),
        Some(3)
    );
}

#[test]
fn a_file_that_cannot_be_read_keeps_no_other_from_its_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.json");
    std::fs::write(&file, "{}").unwrap();
    let (lost, file) = (
        folder.path().join("lost.tif").display().to_string(),
        file.display().to_string(),
    );
    let output = swath(&["validate", "--json", &lost, &file]);
    ends(&output, 3, &[]);
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["verdict"], &lines[0]["code"]),
        (&"bad".into(), &"gone".into())
    );
    assert_eq!(lines[1]["file"], file.as_str());
    assert_ne!(lines[1]["verdict"], "bad");
}
