//! What peers lose, double or never notice.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use rand::Rng as _;

use crate::world::{World, item};

#[test]
fn regression_10_a_run_with_a_limit_is_no_part_of_the_run_without() {
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
fn regression_11_12_two_inventories_of_one_day_are_two_runs_and_the_same_twice_is_one() {
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
fn regression_13_what_is_pending_is_tried_again_besides_what_was_never_tried() {
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
fn regression_14_a_chunk_may_hold_objects_of_two_buckets() {
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
        println!("{killed} kills of a run of {count} items");
        assert_eq!(wild.rows(), calm.rows(), "after {killed} kills");
        let (rows, count) = wild.rows();
        assert_eq!(rows.len(), count, "no row is there twice");
    }
}
