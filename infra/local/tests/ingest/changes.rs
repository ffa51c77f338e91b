//! Archives that change: what is new, changed and gone since, and whether the catalog is what the archive is.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::world::{World, item};

impl World {
    fn census(&self, source: &str, more: &[&str]) -> (i32, Vec<Value>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
        command.args(["census", source, "--lake"]);
        command.arg(self.path("lake")).args(more);
        let folder = self.path("one");
        command.arg("--bucket");
        command.arg(format!("one=folder:{}", folder.display()));
        let done = command.output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = lines.collect();
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(
            !lines.is_empty() || done.status.code() != Some(0),
            "{error}"
        );
        let lines = if lines.is_empty() {
            vec![Value::from(error)]
        } else {
            lines
        };
        (done.status.code().unwrap(), lines)
    }

    /// Puts a version of items into the bucket; returns their lines of an inventory.
    fn versions(&self, numbers: impl IntoIterator<Item = usize>, version: u32) -> String {
        let mut lines = String::new();
        for number in numbers {
            let key = format!("a/{number}.stac.json");
            self.put(&format!("one/{key}"), item(number, version));
            writeln!(lines, r#""one","{key}","{version:02}{number:030x}""#).unwrap();
        }
        lines
    }

    fn delete(&self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            std::fs::remove_file(self.path(&format!("one/a/{number}.stac.json"))).unwrap();
        }
    }
}

fn figures(said: &Value, names: [&str; 4]) -> [u64; 4] {
    names.map(|name| {
        said[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name} in {said}"))
    })
}

const AMISS: [&str; 4] = ["missing", "stale", "extra", "rejected"];

#[test]
fn what_is_new_changed_and_gone_between_two_inventories_is_what_changes() {
    let world = World::new();
    let kept = world.versions(0..20, 1);
    let first = world.inventory("one.csv", &format!("{kept}{}", world.versions(20..30, 1)));
    assert_eq!(world.ingest(&first, &[]).0, 0);
    world.delete(25..30);
    let now = format!(
        "{}{}{}",
        world.versions(0..3, 2),
        world.versions(40..44, 1),
        world.versions(20..25, 1)
    );
    let kept: String = kept.lines().skip(3).flat_map(|line| [line, "\n"]).collect();
    let second = world.inventory("two.csv", &format!("{kept}{now}"));
    let (code, said) = world.ingest(&second, &["--against", &first]);
    assert_eq!(
        (
            code,
            figures(&said, ["listed", "taken", "items", "removed"])
        ),
        (0, [29, 12, 7, 5]),
        "{said}"
    );
    assert_eq!(world.ids(), 29);
    // The same two again are the same run.
    let (code, again) = world.ingest(&second, &["--against", &first]);
    assert_eq!(
        (code, &again["run_id"], &again["rows_written"]),
        (0, &said["run_id"], &0.into())
    );
    // What was gone and is back as it was is taken in again, though it was known before.
    let back = world.versions(25..27, 1);
    let third = world.inventory("three.csv", &format!("{kept}{now}{back}"));
    let (code, said) = world.ingest(&third, &["--against", &second]);
    assert_eq!((code, world.ids()), (0, 31), "{said}");
    let (code, said) = world.census(&third, &[]);
    assert_eq!((code, figures(&said[0], AMISS)), (0, [0; 4]), "{said:?}");
}

#[test]
fn a_census_names_what_is_missing_stale_and_extra_and_heals_exactly_that() {
    let world = World::new();
    let first = world.inventory("one.csv", &world.versions(0..30, 1));
    assert_eq!(world.ingest(&first, &[]).0, 0);
    let (code, said) = world.census(&first, &[]);
    assert_eq!(
        (
            code,
            figures(&said[0], ["same", "missing", "stale", "extra"])
        ),
        (0, [30, 0, 0, 0])
    );
    // Five were never told of, four changed, three are gone, one is broken.
    world.delete(27..30);
    let now = world.versions(30..35, 1) + &world.versions(0..4, 2);
    let broken = world.bucket("one", 35..36);
    world.put("one/a/35.stac.json", "{");
    let kept: String = world.versions(4..27, 1);
    let second = world.inventory("two.csv", &format!("{now}{broken}{kept}"));
    let (code, said) = world.census(&second, &[]);
    let sum = said.last().unwrap();
    assert_eq!((code, figures(sum, AMISS)), (7, [6, 4, 3, 0]), "{said:?}");
    assert_eq!(said.len(), 14, "each is named");
    assert_eq!(world.ids(), 30, "a census alone changes nothing");
    let (code, said) = world.census(&second, &["--heal"]);
    assert_eq!(
        (code, figures(&said[0], AMISS)),
        (0, [0, 0, 0, 1]),
        "{said:?}"
    );
    assert_eq!((said[0]["healed"].as_u64(), world.ids()), (Some(13), 32));
    let (code, said) = world.census(&second, &[]);
    assert_eq!(
        (code, figures(&said[0], AMISS)),
        (0, [0, 0, 0, 1]),
        "{said:?}"
    );
    let nothing = world.inventory("none.csv", "");
    let (code, said) = world.census(&nothing, &["--heal"]);
    assert_eq!((code, world.ids()), (3, 32), "{said:?}");
}

#[test]
fn a_census_knows_a_folder_and_leaves_other_sources_alone() {
    let world = World::new();
    world.versions(0..6, 1);
    let folder = world.path("one/a").to_str().unwrap().to_owned();
    assert_eq!(world.ingest(&folder, &[]).0, 0);
    let elsewhere = world.put("elsewhere/50.json", item(50, 1));
    assert_eq!(
        world.ingest(elsewhere.trim_end_matches("/50.json"), &[]).0,
        0
    );
    let (code, said) = world.census(&folder, &[]);
    assert_eq!(
        (
            code,
            figures(&said[0], ["same", "missing", "stale", "extra"])
        ),
        (0, [6, 0, 0, 0])
    );
    // Two objects hold one item: as long as one is there, the item stays.
    let copy = world.put("one/a/copy.stac.json", item(1, 1));
    assert_eq!(world.census(&folder, &["--heal"]).0, 0);
    world.delete([1, 2]);
    let (code, said) = world.census(&folder, &["--heal"]);
    assert_eq!((code, figures(&said[0], AMISS)), (0, [0; 4]), "{said:?}");
    assert_eq!(world.ids(), 6);
    std::fs::remove_file(copy).unwrap();
    assert_eq!(world.census(&folder, &["--heal"]).0, 0);
    assert_eq!(world.ids(), 5, "four of the folder and one from elsewhere");
}

/// A little of what `tests/judges/archive_days.py` does with a million keys.
#[test]
fn after_every_day_of_changes_the_catalog_is_what_the_bucket_is() {
    let world = World::new();
    let mut versions: Vec<u32> = vec![1; 40];
    let mut there: std::collections::BTreeSet<usize> = (0..40).collect();
    let list = |there: &std::collections::BTreeSet<usize>, versions: &[u32], day: usize| {
        let lines: String = there
            .iter()
            .map(|number| world.versions([*number], versions[*number]))
            .collect();
        world.inventory(&format!("day-{day}.csv"), &lines)
    };
    let mut before = list(&there, &versions, 0);
    assert_eq!(world.ingest(&before, &[]).0, 0);
    for day in 1..5 {
        let gone = (day * 7) % 40;
        if there.remove(&gone) {
            world.delete([gone]);
        }
        there.insert(versions.len());
        versions.push(1);
        let changed = *there.iter().nth(day * 3).unwrap();
        versions[changed] += 1;
        let today = list(&there, &versions, day);
        let (code, said) = world.ingest(&today, &["--against", &before]);
        assert_eq!(
            (
                code,
                figures(&said, ["taken", "items", "removed", "pending"])
            ),
            (0, [3, 2, 1, 0]),
            "{said}"
        );
        let found: std::collections::BTreeSet<String> =
            world.rows().0.into_iter().map(|(id, _)| id).collect();
        let truth = there
            .iter()
            .map(|number| format!("item-{number}"))
            .collect();
        assert_eq!(found, truth, "day {day}");
        before = today;
    }
    let (code, said) = world.census(&before, &[]);
    assert_eq!((code, figures(&said[0], AMISS)), (0, [0; 4]), "{said:?}");
}

#[test]
fn rasters_are_taken_in_by_their_headers_and_known_again() {
    let world = World::new();
    let raster = swath_raster::synth::cog(&swath_raster::synth::CogSpec::default());
    for name in [
        "one/x_20240601.tif",
        "two/x_20240602.TIF",
        "two/y.tif",
        "two/not.tif",
    ] {
        world.put(&format!("one/r/{name}"), &raster);
    }
    world.put("one/r/two/not.tif", "no raster");
    world.put("one/r/readme.json", "{}");
    let folder = world.path("one/r").to_str().unwrap().to_owned();
    let more = ["--from-rasters", "--name-pattern", "*_{YYYY}{MM}{DD}"];
    let (code, said) = world.ingest(&folder, &more);
    let names = ["taken", "items", "rejected", "pending"];
    // What nothing says is not made up: a raster of which it is not known when it was taken is no item.
    assert_eq!((code, figures(&said, names)), (7, [4, 2, 2, 0]), "{said}");
    let ids: std::collections::BTreeSet<String> =
        world.rows().0.into_iter().map(|(id, _)| id).collect();
    assert_eq!(
        ids.into_iter().collect::<Vec<_>>(),
        ["one_x_20240601", "two_x_20240602"]
    );
    std::fs::remove_file(world.path("one/r/one/x_20240601.tif")).unwrap();
    let all = ["--heal", "--include", "*.tif", "--include", "*.TIF"];
    let (code, said) = world.census(&folder, &all);
    assert_eq!(
        (
            code,
            figures(&said[0], ["same", "missing", "stale", "extra"])
        ),
        (0, [1, 0, 0, 0]),
        "{said:?}"
    );
}

#[test]
fn who_holds_the_pointers_is_asked_by_all_that_change_the_catalog() {
    let world = World::new();
    let kept = world.versions(0..2, 1);
    let without = item(9, 1).replace(r#""id":"item-9","#, "");
    let lines = [item(1, 1), without].map(|item| item.replace('\n', ""));
    world.ingest(&world.put("items.ndjson", lines.join("\n")), &[]);
    let inventory = world.inventory("inv.csv", &kept);
    let lake = world.path("lake");
    for words in [
        vec!["census", &inventory, "--heal"],
        vec!["quarantine", "replay"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
        command.args(&words).arg("--lake").arg(&lake);
        let folder = world.path("one");
        command.arg("--bucket");
        command.arg(format!("one=folder:{}", folder.display()));
        // Nobody can be asked: without a region there is no address of Glue.
        command
            .env("SWATH_POINTER", "glue:lab_")
            .env_remove("AWS_REGION")
            .env_remove("AWS_DEFAULT_REGION")
            .env("AWS_CONFIG_FILE", "/nowhere")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let done = command.output().unwrap();
        let error = String::from_utf8(done.stderr).unwrap();
        assert!(error.contains("of Glue: no region"), "{words:?}: {error}");
        assert_eq!(world.ids(), 1, "{words:?}");
    }
}
