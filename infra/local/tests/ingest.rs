//! Archives taken in by the binary: what peers lose, double or never notice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic as tests do"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use rand::Rng as _;
use serde_json::Value;
use swath_cloud::store;
use swath_core::TableName;
use swath_lake::pointer::SqlitePointer;
use swath_lake::{Lake, Place};

/// A folder with a bucket of items, lists of it, and a lake.
struct World {
    folder: tempfile::TempDir,
}

fn item(number: usize, version: u32) -> String {
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
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Puts items into a bucket's folder; returns the lines of an inventory of it.
    fn bucket(&self, name: &str, numbers: impl IntoIterator<Item = usize>) -> String {
        let mut lines = String::new();
        for number in numbers {
            let key = format!("a/{number}.stac.json");
            self.put(&format!("{name}/{key}"), item(number, 1));
            writeln!(lines, r#""{name}","{key}","{number:032x}""#).unwrap();
        }
        lines
    }

    fn inventory(&self, name: &str, lines: &str) -> String {
        self.put(name, format!("\"Bucket\",\"Key\",\"ETag\"\n{lines}"))
    }

    fn command(&self, source: &str, more: &[&str]) -> Command {
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

    fn ingest(&self, source: &str, more: &[&str]) -> (i32, Value) {
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
    fn rows(&self) -> (BTreeSet<(String, String)>, usize) {
        rows(&self.path("lake"))
    }

    fn ids(&self) -> usize {
        let (rows, _) = self.rows();
        rows.into_iter()
            .map(|(id, _)| id)
            .collect::<BTreeSet<_>>()
            .len()
    }

    fn files(&self, below: &str) -> usize {
        std::fs::read_dir(self.path(below)).map_or(0, Iterator::count)
    }
}

fn rows(lake: &Path) -> (BTreeSet<(String, String)>, usize) {
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

#[test]
fn a_run_with_a_limit_is_no_part_of_the_run_without() {
    let world = World::new();
    let inventory = world.inventory("inv.csv", &world.bucket("one", 0..30));
    let (code, limited) = world.ingest(&inventory, &["--limit", "10"]);
    assert_eq!((code, world.ids()), (0, 10), "{limited}");
    let (code, all) = world.ingest(&inventory, &[]);
    assert_eq!((code, world.ids()), (0, 30), "{all}");
    assert_ne!(limited["run_id"], all["run_id"]);
    assert_eq!(all["known"], 10, "what is known is not fetched: {all}");
}

#[test]
fn two_inventories_of_one_day_are_two_runs_and_the_same_twice_is_one() {
    let world = World::new();
    let first = world.bucket("one", 0..10);
    let second = world.bucket("one", 10..25);
    let morning = world.inventory("morning.csv", &first);
    let evening = world.inventory("evening.csv", &format!("{first}{second}"));
    let (_, one) = world.ingest(&morning, &[]);
    let (_, two) = world.ingest(&evening, &[]);
    assert_ne!(one["run_id"], two["run_id"]);
    assert_eq!(
        (&two["known"], &two["items_processed"]),
        (&10.into(), &15.into())
    );
    assert_eq!(world.ids(), 25);
    let before = world.rows();
    // Gone, to show that nothing is fetched again.
    std::fs::remove_dir_all(world.path("one")).unwrap();
    let (code, again) = world.ingest(&evening, &[]);
    assert_eq!((code, &again["run_id"]), (0, &two["run_id"]));
    assert_eq!(
        (&again["items_processed"], &again["rows_written"]),
        (&0.into(), &0.into())
    );
    assert_eq!(world.rows(), before);
}

#[test]
fn what_is_pending_is_tried_again_besides_what_was_never_tried() {
    let world = World::new();
    let lines = world.bucket("one", 0..6);
    let inventory = world.inventory("inv.csv", &lines);
    // A folder in the place of a file cannot be read now.
    let stuck = world.path("one/a/2.stac.json");
    std::fs::remove_file(&stuck).unwrap();
    std::fs::create_dir(&stuck).unwrap();
    let (code, said) = world.ingest(&inventory, &["--chunk-size", "2"]);
    assert_eq!((code, &said["pending"]), (7, &1.into()), "{said}");
    // One chunk more that is not done.
    let run = said["run_id"].as_str().unwrap();
    std::fs::remove_file(world.path(&format!("lake/runs/{run}/receipts/000002.json"))).unwrap();
    std::fs::remove_file(world.path(&format!("lake/runs/{run}/done.json"))).unwrap();
    std::fs::remove_dir(&stuck).unwrap();
    world.bucket("one", 2..3);
    let (code, said) = world.ingest(&inventory, &["--chunk-size", "2", "--retry-pending"]);
    assert_eq!(
        (code, &said["pending"], &said["chunks_done"]),
        (0, &0.into(), &3.into()),
        "{said}"
    );
    assert_eq!(world.ids(), 6);
}

#[test]
fn a_chunk_may_hold_objects_of_two_buckets() {
    let world = World::new();
    let lines = world.bucket("one", 0..5) + &world.bucket("two", 5..9);
    let (code, said) = world.ingest(&world.inventory("inv.csv", &lines), &[]);
    assert_eq!((code, world.ids()), (0, 9), "{said}");
}

#[test]
fn bad_objects_are_kept_with_their_reasons_and_gone_ones_are_counted() {
    let world = World::new();
    let lines = world.bucket("one", 0..40);
    world.put("one/a/3.stac.json", "<Error>SlowDown</Error>");
    world.put("one/a/4.stac.json", &item(4, 1)[..60]);
    world.put("one/a/5.stac.json", r#"{"type":"Feature"}"#);
    world.put("one/a/6.stac.json", r#"{"type":"Collection","id":"c"}"#);
    std::fs::remove_file(world.path("one/a/7.stac.json")).unwrap();
    let inventory = world.inventory("inv.csv", &lines);
    let (code, said) = world.ingest(&inventory, &[]);
    assert_eq!(code, 7, "{said}");
    let figures =
        ["rejected", "gone", "others", "pending"].map(|name| said[name].as_u64().unwrap());
    assert_eq!((figures, world.ids()), ([3, 1, 1, 0], 35), "{said}");
    assert_eq!(world.files("lake/quarantine/objects"), 2);
    assert_eq!(world.files("lake/quarantine/items"), 1);
    // Well now: a replay brings them in and takes them out of quarantine.
    world.bucket("one", 3..5);
    let mut replay = Command::new(env!("CARGO_BIN_EXE_swath"));
    replay
        .args(["quarantine", "replay", "--lake"])
        .arg(world.path("lake"));
    replay
        .arg("--bucket")
        .arg(format!("one=folder:{}", world.path("one").display()));
    assert_eq!(
        replay.output().unwrap().status.code(),
        Some(7),
        "the item without an id stays"
    );
    assert_eq!(
        (world.ids(), world.files("lake/quarantine/objects")),
        (37, 0)
    );
}

#[test]
fn a_bulk_run_makes_one_file_a_bucket_and_a_full_one_replaces_all_in_one_snapshot() {
    let world = World::new();
    let items = |numbers: std::ops::Range<usize>, version| {
        numbers
            .map(|number| item(number, version).replace('\n', "") + "\n")
            .collect::<String>()
    };
    let calm = World::new();
    let (code, _) = calm.ingest(&calm.put("all.ndjson", items(0..120, 1)), &[]);
    assert_eq!(code, 0);
    // Newer and older versions of the same items in one run.
    let mixed = items(0..60, 2) + &items(0..120, 1);
    let (code, said) = world.ingest(
        &world.put("mixed.ndjson", mixed),
        &["--bulk", "--chunk-size", "25"],
    );
    assert_eq!((code, &said["chunks"]), (0, &8.into()), "{said}");
    assert_eq!(world.rows(), calm.rows());
    let buckets: BTreeSet<_> = world
        .rows()
        .0
        .into_iter()
        .map(|(id, cell)| {
            let number: usize = id.trim_start_matches("item-").parse().unwrap();
            (cell, number % 3)
        })
        .collect();
    assert_eq!(
        said["files_registered"],
        buckets.len(),
        "one file for each cell and year"
    );
    let (code, said) = world.ingest(
        &world.put("few.ndjson", items(5..15, 3)),
        &["--mode", "full", "--chunk-size", "4"],
    );
    assert_eq!((code, world.ids()), (0, 10), "{said}");
    let (code, said) = world.ingest(&world.put("none.ndjson", ""), &["--mode", "full"]);
    assert_eq!((code, world.ids()), (3, 10), "{said}");
    let (code, _) = world.ingest(
        &world.put("more.ndjson", items(100..110, 1)),
        &["--mode", "auto"],
    );
    assert_eq!((code, world.ids()), (0, 20), "auto removes nothing");
}

#[test]
fn a_catalog_that_runs_in_circles_is_crawled_once() {
    let world = World::new();
    world.bucket("cat", 0..3);
    let link = |rel: &str, href: &str| format!(r#"{{"rel":"{rel}","href":"{href}"}}"#);
    let catalog = |links: &[String]| {
        let links = links.join(",");
        format!(
            r#"{{"type":"Catalog","id":"c","description":"","stac_version":"1.0.0","links":[{links}]}}"#
        )
    };
    let root = world.put(
        "cat/catalog.json",
        catalog(&[
            link("child", "./sub/catalog.json"),
            link("item", "a/0.stac.json"),
        ]),
    );
    world.put(
        "cat/sub/catalog.json",
        catalog(&[
            link("child", "../catalog.json"),
            link("item", "../a/1.stac.json"),
            link("item", "../a/2.stac.json"),
            link("item", "../a/0.stac.json"),
        ]),
    );
    let (code, said) = world.ingest(&root, &[]);
    assert_eq!(
        (code, &said["taken"], world.ids()),
        (0, &3.into(), 3),
        "{said}"
    );
}

/// Runs until done, killing the process again and again at random moments.
fn killed(world: &World, source: &str, more: &[&str], kills: u32) -> u32 {
    let mut done = 0;
    for _ in 0..kills {
        let mut child = world
            .command(source, more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let looks = rand::rng().random_range(0..400);
        let mut ended = false;
        for _ in 0..looks {
            if child.try_wait().unwrap().is_some() {
                ended = true;
                break;
            }
            // Looking at the folder takes some time, more the farther the run is.
            let _size = world.files("lake/warehouse");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if ended {
            break;
        }
        done += 1;
    }
    done
}

#[test]
fn a_run_that_is_killed_again_and_again_comes_to_what_a_calm_one_does() {
    // How often, and of how many items: the defaults are for every day.
    #[allow(clippy::disallowed_methods, reason = "how much a test does")]
    let asked = std::env::var("SWATH_TEST_KILLS").unwrap_or_else(|_| "4:90".to_owned());
    let (kills, count) = asked.split_once(':').unwrap();
    let (kills, count): (u32, usize) = (kills.parse().unwrap(), count.parse().unwrap());
    let size = (count / 6).to_string();
    for more in [
        &["--chunk-size", size.as_str()][..],
        &["--chunk-size", size.as_str(), "--bulk"],
    ] {
        let (calm, wild) = (World::new(), World::new());
        for world in [&calm, &wild] {
            world.inventory("inv.csv", &world.bucket("one", 0..count));
        }
        let source = |world: &World| world.path("inv.csv").to_str().unwrap().to_owned();
        assert_eq!(calm.ingest(&source(&calm), more).0, 0);
        let killed = killed(&wild, &source(&wild), more, kills);
        let (code, said) = wild.ingest(&source(&wild), more);
        assert_eq!(
            (code, &said["done"]),
            (0, &true.into()),
            "after {killed} kills: {said}"
        );
        assert_eq!(wild.rows(), calm.rows(), "after {killed} kills");
        let (rows, count) = wild.rows();
        assert_eq!(rows.len(), count, "no row is there twice");
    }
}
