//! A bucket of items in a folder, lists of it, and a lake.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use serde_json::Value;
use swath_cloud::store;
use swath_core::TableName;
use swath_lake::pointer::SqlitePointer;
use swath_lake::{Lake, Place};

/// A folder with a bucket of items, lists of it, and a lake.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
}

pub(super) fn item(number: usize, version: u32) -> String {
    let (west, south) = (number % 340, number / 340 % 150);
    let (west, south) = (
        i64::try_from(west).unwrap() - 170,
        i64::try_from(south).unwrap() - 75,
    );
    let (east, north) = (west + 1, south + 1);
    let year = 2015 + number % 3;
    format!(
        r#"{{"type":"Feature","stac_version":"1.0.0","id":"item-{number}","collection":"c","geometry":{{"type":"Polygon",
        "coordinates":[[[{west},{south}],[{east},{south}],[{east},{north}],[{west},{north}],[{west},{south}]]]}},
        "bbox":[{west},{south},{east},{north}],"properties":{{"datetime":"{year}-05-01T00:00:00Z",
        "updated":"2024-01-{version:02}T00:00:00Z"}},"links":[],"assets":{{}}}}"#
    )
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn put(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Puts items into a bucket's folder; returns the lines of an inventory of it.
    pub(super) fn bucket(&self, name: &str, numbers: impl IntoIterator<Item = usize>) -> String {
        let mut lines = String::new();
        for number in numbers {
            let key = format!("a/{number}.stac.json");
            self.put(&format!("{name}/{key}"), item(number, 1));
            writeln!(lines, r#""{name}","{key}","{number:032x}""#).unwrap();
        }
        lines
    }

    pub(super) fn inventory(&self, name: &str, lines: &str) -> String {
        self.put(name, format!("\"Bucket\",\"Key\",\"ETag\"\n{lines}"))
    }

    pub(super) fn command(&self, source: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
        command
            .args(["ingest", source, "--json", "--out"])
            .arg(self.path("lake"));
        for bucket in ["one", "two"] {
            let folder = self.path(bucket);
            command
                .arg("--bucket")
                .arg(format!("{bucket}=folder:{}", folder.display()));
        }
        command.args(more);
        command
    }

    pub(super) fn ingest(&self, source: &str, more: &[&str]) -> (i32, Value) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(source, more).output().unwrap();
        let text = String::from_utf8(stdout).unwrap();
        let said = serde_json::from_str(&text);
        let said = said.unwrap_or_else(|_| Value::String(String::from_utf8(stderr).unwrap()));
        (status.code().unwrap(), said)
    }

    /// Returns id and cell of every row, and how many rows there are.
    pub(super) fn rows(&self) -> (BTreeSet<(String, String)>, usize) {
        rows(&self.path("lake"))
    }

    pub(super) fn ids(&self) -> usize {
        let (rows, _) = self.rows();
        rows.into_iter()
            .map(|(id, _)| id)
            .collect::<BTreeSet<_>>()
            .len()
    }

    pub(super) fn files(&self, below: &str) -> usize {
        std::fs::read_dir(self.path(below)).map_or(0, Iterator::count)
    }
}

pub(super) fn rows(lake: &Path) -> (BTreeSet<(String, String)>, usize) {
    let store = store::open(lake.to_str().unwrap()).unwrap();
    let root = store.local_root.clone().unwrap();
    let place = Place::new(
        Arc::clone(&store.store),
        store.prefix.clone(),
        root.to_str().unwrap(),
    );
    let lake = Lake::existing(
        place,
        Arc::new(SqlitePointer::new(root.join("earthcatalog.db"))),
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let batches = runtime.block_on(lake.rows(TableName::StacItems)).unwrap();
    let (mut found, mut count) = (BTreeSet::new(), 0);
    for batch in batches {
        let text = |name: &str| {
            batch
                .column_by_name(name)
                .unwrap()
                .as_string::<i32>()
                .clone()
        };
        let (ids, cells) = (text("id"), text("grid_partition"));
        count += batch.num_rows();
        found.extend(
            (0..batch.num_rows())
                .map(|row| (ids.value(row).to_owned(), cells.value(row).to_owned())),
        );
    }
    (found, count)
}
