//! Faults of peers that swath must not have, by the numbers that they once got; those of archives, and where each is shown.
//!
//! | fault | shown by |
//! |---|---|
//! | 10 a limited run, then the whole one | `archives::regression_10_…` |
//! | 11, 12 two inventories of a day; the same twice | `archives::regression_11_12_…` |
//! | 13 what is pending and what was never tried | `archives::regression_13_…`, of bulk runs `bulk_failures_…` here |
//! | 14 objects of two buckets in a chunk | `archives::regression_14_…` |
//! | 15 CSV without a header, and `--since` | `regression_15_…` here |
//! | 16 keys that are URL-encoded | `regression_16_…` here, and of the list function |
//! | 17 formats, a wrong MD5 | `tests/judges/inventory.py` |
//! | 36 one bad item among five hundred | `regression_36_…` here |
//! | 37 events of every kind, out of order | `regression_37_…` of the ingest function |
//! | 43 a private bucket of another region | `regression_43_…` of the sources in `shared/cloud` |
//!
//! And of bulk runs: chunks that are done are done for one source, one setting and one size of chunks; what failed is known
//! after the commit; what was staged and committed is never committed again; an item without a datetime has a year.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::world::{World, item};

#[test]
fn regression_15_a_list_without_a_header_and_a_time_since_when() {
    let world = World::new();
    let mut lines = String::new();
    for number in 0..12 {
        let key = format!("a/{number}.stac.json");
        world.put(&format!("one/{key}"), item(number, 1));
        let month = number + 1;
        let time = format!("2024-{month:02}-01T00:00:00.000Z");
        writeln!(
            lines,
            r#""one","{key}","v{number}","true","false","900","{time}","{number:032x}","STANDARD""#
        )
        .unwrap();
    }
    let inventory = world.put("inv.csv", lines);
    let (code, said) = world.ingest(&inventory, &["--since", "2024-09-01"]);
    assert_eq!(
        (code, &said["listed"], world.ids()),
        (0, &12.into(), 4),
        "{said}"
    );
    let (code, said) = world.ingest(
        &inventory,
        &["--since", "2024-03-01", "--until", "2024-05-01"],
    );
    assert_eq!(
        (code, &said["taken"], world.ids()),
        (0, &2.into(), 6),
        "{said}"
    );
}

#[test]
fn regression_16_keys_that_are_encoded_lead_to_their_objects() {
    let world = World::new();
    let mut lines = String::new();
    let keys = [
        ("a b/1.stac.json", "a+b/1.stac.json"),
        ("a b/2+2.stac.json", "a%20b/2%2B2.stac.json"),
        ("c/d/3.stac.json", "c%2Fd%2F3.stac.json"),
        ("\u{e9}/4%.stac.json", "%C3%A9/4%25.stac.json"),
        ("5,\u{a0}=&.stac.json", "5%2C%C2%A0%3D%26.stac.json"),
    ];
    for (number, (key, spelt)) in keys.into_iter().enumerate() {
        world.put(&format!("one/{key}"), item(number, 1));
        writeln!(lines, r#""one","{spelt}","{number:032x}""#).unwrap();
    }
    let (code, said) = world.ingest(&world.inventory("inv.csv", &lines), &[]);
    assert_eq!(
        (code, &said["gone"], world.ids()),
        (0, &0.into(), 5),
        "{said}"
    );
}

#[test]
fn regression_36_one_bad_item_among_five_hundred_is_kept_and_the_others_are_taken_in() {
    let world = World::new();
    let mut lines: Vec<String> = (0..500)
        .map(|number| item(number, 1).replace('\n', ""))
        .collect();
    lines[250] = lines[250].replace(r#""id":"item-250","#, "");
    let (code, said) = world.ingest(&world.put("items.ndjson", lines.join("\n")), &[]);
    assert_eq!(
        (code, &said["rejected"], world.ids()),
        (7, &1.into(), 499),
        "{said}"
    );
    let mut list = Command::new(env!("CARGO_BIN_EXE_swath"));
    list.args(["quarantine", "list", "--json", "--lake"])
        .arg(world.path("lake"));
    let listed = String::from_utf8(list.output().unwrap().stdout).unwrap();
    assert!(
        listed.lines().count() == 1 && listed.contains("no_id"),
        "{listed}"
    );
}

#[test]
fn bulk_failures_are_not_forgotten_when_the_rest_is_committed() {
    let world = World::new();
    let inventory = world.inventory("inv.csv", &world.bucket("one", 0..9));
    let stuck = world.path("one/a/4.stac.json");
    std::fs::remove_file(&stuck).unwrap();
    std::fs::create_dir(&stuck).unwrap();
    let bulk = ["--bulk", "--chunk-size", "3"];
    let (code, said) = world.ingest(&inventory, &bulk);
    assert_eq!(
        (code, &said["pending"], world.ids()),
        (7, &1.into(), 8),
        "{said}"
    );
    std::fs::remove_dir(&stuck).unwrap();
    world.bucket("one", 4..5);
    let (code, said) = world.ingest(&inventory, &[&bulk[..], &["--retry-pending"]].concat());
    assert_eq!(
        (code, &said["pending"], world.ids()),
        (0, &0.into(), 9),
        "{said}"
    );
    let (rows, count) = world.rows();
    assert_eq!(
        rows.len(),
        count,
        "what was committed is not committed again"
    );
}

#[test]
fn bulk_chunks_are_done_for_one_source_and_one_size_of_chunks() {
    let world = World::new();
    let first = world.inventory("first.csv", &world.bucket("one", 0..8));
    let (_, small) = world.ingest(&first, &["--bulk", "--chunk-size", "4"]);
    let before = world.rows();
    // Another size: chunk 0 holds other objects, and nothing of the first run speaks of it.
    let (code, large) = world.ingest(&first, &["--bulk", "--chunk-size", "5"]);
    assert_eq!((code, &large["known"]), (0, &8.into()), "{large}");
    assert_ne!(small["run_id"], large["run_id"]);
    assert_eq!(world.rows(), before);
    // Another source with chunks of the same numbers.
    let second = world.inventory("second.csv", &world.bucket("two", 8..16));
    let (code, said) = world.ingest(&second, &["--bulk", "--chunk-size", "4"]);
    assert_eq!(
        (code, &said["items"], world.ids()),
        (0, &8.into(), 16),
        "{said}"
    );
    assert_eq!(world.rows().0.len(), world.rows().1);
}

#[test]
fn bulk_items_without_a_datetime_have_a_year() {
    let world = World::new();
    let open = item(1, 1).replace(
        r#""datetime":"2016-05-01T00:00:00Z""#,
        r#""datetime":null,"start_datetime":"2017-01-01T00:00:00Z","end_datetime":"2018-01-01T00:00:00Z""#,
    );
    assert!(open.contains("null"));
    world.put("items/0.json", item(0, 1));
    world.put("items/1.json", open);
    let folder = world.path("items").to_str().unwrap().to_owned();
    let (code, said) = world.ingest(&folder, &["--bulk"]);
    assert_eq!((code, world.ids()), (0, 2), "{said}");
    let mut years = Vec::new();
    let warehouse = world.path("lake/warehouse");
    let mut folders = vec![warehouse];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            years.extend(name.strip_prefix("year=").map(str::to_owned));
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    years.sort_unstable();
    years.dedup();
    assert_eq!(years, ["2015", "2017"]);
}

fn collection(id: &str, license: &str) -> String {
    format!(
        r#"{{"type":"Collection","id":"{id}","stac_version":"1.0.0","description":"d","title":"T","license":"{license}",
        "extent":{{"spatial":{{"bbox":[[-180,-90,180,90]]}},"temporal":{{"interval":[[null,null]]}}}},"links":[]}}"#
    )
    .replace('\n', "")
}

impl World {
    /// Shows the collections of the lake.
    fn collections(&self, more: &[&str]) -> (i32, Vec<Value>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
        command.arg("collections").arg(self.path("lake"));
        let done = command.args(more).arg("--json").output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (done.status.code().unwrap(), lines.collect())
    }
}

#[test]
fn collections_are_taken_in_whatever_they_come_in() {
    let world = World::new();
    let none = r#"{"type":"Collection"}"#.to_owned();
    let lines = [collection("a", "one"), item(1, 1).replace('\n', ""), none];
    let (code, said) = world.ingest(&world.put("mixed.ndjson", lines.join("\n")), &[]);
    let figures = ["items", "others", "rejected"].map(|name| said[name].as_u64().unwrap());
    assert_eq!((code, figures), (7, [1, 1, 1]), "{said}");
    let answer = |ids: &[&str], next: &str| {
        let collections: Vec<_> = ids.iter().map(|id| collection(id, "two")).collect();
        let collections = collections.join(",");
        format!(r#"{{"collections":[{collections}],"links":[{next}]}}"#)
    };
    world.put("answers/2.json", answer(&["c"], ""));
    let next = r#"{"rel":"next","href":"./2.json"}"#;
    let first = world.put("answers/1.json", answer(&["a", "b"], next));
    let (code, said) = world.ingest(&first, &[]);
    assert_eq!((code, &said["others"]), (0, &3.into()), "{said}");
    let nowhere = world.put("answers/3.json", answer(&["e"], r#"{"rel":"next"}"#));
    let (code, said) = world.ingest(&nowhere, &[]);
    assert!(code != 0 && world.collections(&["e"]).0 == 5, "{said}");
    // A catalog's own collections are kept too.
    world.put("cat/a/1.stac.json", item(1, 1));
    let link = |rel: &str, href: &str| format!(r#""links":[{{"rel":"{rel}","href":"{href}"}}]"#);
    let own = collection("d", "three");
    let own = own.replace("\"links\":[]", &link("item", "../a/1.stac.json"));
    world.put("cat/d/collection.json", own);
    let child = link("child", "./d/collection.json");
    let root =
        format!(r#"{{"type":"Catalog","id":"r","description":"","stac_version":"1.0.0",{child}}}"#);
    let (code, said) = world.ingest(&world.put("cat/catalog.json", root), &[]);
    assert_eq!((code, &said["others"]), (0, &1.into()), "{said}");
    let (code, lines) = world.collections(&[]);
    let versions = |line: &Value| line["versions"].as_array().unwrap().len();
    let ids: Vec<_> = lines
        .iter()
        .map(|line| (line["id"].as_str().unwrap(), versions(line)))
        .collect();
    let expected = vec![("a", 2), ("b", 1), ("c", 1), ("d", 1)];
    assert_eq!((code, ids), (0, expected));
}

#[test]
fn a_collection_is_shown_as_it_came_last_and_in_each_of_its_versions() {
    let world = World::new();
    for license in ["one", "two"] {
        let name = format!("{license}.ndjson");
        let (code, said) = world.ingest(&world.put(&name, collection("a/b", license)), &[]);
        assert_eq!((code, &said["others"]), (0, &1.into()), "{said}");
    }
    let (code, shown) = world.collections(&["a/b"]);
    assert_eq!(
        (code, &shown[0]["collection"]["license"]),
        (0, &"two".into())
    );
    let mut licenses: Vec<_> = shown[0]["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| {
            let name = &version["version"].as_str().unwrap()[..8];
            let (code, shown) = world.collections(&["a/b", "--version", name]);
            assert_eq!(code, 0);
            shown[0]["collection"]["license"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    licenses.sort_unstable();
    assert_eq!(licenses, ["one", "two"]);
    // A version that is broken is not shown as another one.
    let first = &shown[0]["versions"][0];
    let at = format!("lake/{}", first["at"].as_str().unwrap());
    world.put(&at, "{");
    let name = first["version"].as_str().unwrap();
    assert_eq!(world.collections(&["a/b", "--version", name]), (5, vec![]));
    assert_eq!(world.collections(&["nowhere"]), (5, vec![]));
    assert_eq!(world.collections(&["a/b", "--version", "zzz"]), (5, vec![]));
}

#[test]
fn what_is_shown_of_the_quarantine_holds_no_secrets_and_what_is_kept_is_whole() {
    let world = World::new();
    let broken = r#"{"type":"Feature","assets":{"a":{"href":"https://h.example/a.tif?X-Amz-Signature=canary&x=1"}},"auth":{"Authorization":"Bearer canary""#;
    // It is JSON, but no item: the first is kept as text, this as a value.
    let nameless = r#"{"type":"Feature","href":"https://h.example/a.tif?X-Amz-Signature=canary","auth":{"Authorization":"Bearer canary"}}"#;
    let lines = format!("{broken}\n{nameless}");
    let (code, said) = world.ingest(&world.put("broken.ndjson", lines), &[]);
    assert_eq!((code, &said["rejected"]), (7, &2.into()), "{said}");
    let quarantine = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
        let done = command
            .arg("quarantine")
            .args(more)
            .arg("--lake")
            .arg(world.path("lake"));
        String::from_utf8(done.output().unwrap().stdout).unwrap()
    };
    let listed = quarantine(&["list"]);
    for line in listed.lines() {
        let path = line.split_whitespace().next().unwrap();
        let shown = quarantine(&["explain", path]);
        assert!(
            shown.contains("https://h.example/a.tif?[redacted]"),
            "{shown}"
        );
        for text in [&listed, &shown, &quarantine(&["list", "--json"])] {
            assert!(!text.contains("canary"), "{text}");
        }
        assert!(quarantine(&["explain", path, "--raw"]).contains("X-Amz-Signature=canary"));
    }
}

/// Six items of one cell and year.
fn six() -> String {
    let item = |number| item(0, 1).replace("item-0", &format!("item-{number}"));
    let lines: Vec<String> = (0..6)
        .map(|number| item(number).replace('\n', ""))
        .collect();
    lines.join("\n")
}

#[test]
fn the_names_of_earthcatalog_are_known_and_refuse_what_makes_no_sense() {
    let world = World::new();
    let mut help = Command::new(env!("CARGO_BIN_EXE_swath"));
    let help = help.args(["ingest", "--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let names = "--mode --chunk-size --since --limit --update-hash-index --staging-prefix --skip-inventory --skip-ingest \
        --retry-pending --compact-rows";
    for name in names.split_whitespace() {
        let is_there = help.contains(&format!("{name} ")) || help.contains(&format!("{name}\n"));
        assert!(is_there, "{name}");
    }
    let source = world.put("items.ndjson", six());
    for wrong in [
        ["--staging-prefix", "../elsewhere"],
        ["--staging-prefix", "/elsewhere"],
        ["--staging-prefix", "warehouse/x"],
        ["--staging-prefix", "swath_index"],
        ["--compact-rows", "0"],
        ["--chunk-size", "0"],
        ["--mode", "half"],
        ["--since", "yesterday"],
    ] {
        let (code, said) = world.ingest(&source, &wrong);
        assert_eq!(code, 2, "{wrong:?}: {said}");
    }
}

#[test]
fn the_names_of_earthcatalog_do_what_they_say() {
    let world = World::new();
    let source = world.put("items.ndjson", six());
    let few = ["--bulk", "--chunk-size", "1", "--compact-rows", "2"];
    let place = ["--staging-prefix", "bulk_ingest/20240601"];
    let (code, said) = world.ingest(&source, &[&few[..], &place].concat());
    let files = &said["files_registered"];
    assert_eq!((code, files, world.ids()), (0, &3.into(), 6), "{said}");
    assert_eq!(world.files("lake/bulk_ingest/20240601/chunks"), 6);
    // The place is no part of what the run is.
    let (code, again) = world.ingest(&source, &few);
    assert_eq!((code, &again["run_id"]), (0, &said["run_id"]));
    let usual = World::new();
    let source = usual.put("items.ndjson", six());
    let bulk = ["--bulk", "--chunk-size", "1"];
    let (_, said) = usual.ingest(&source, &[&bulk[..], &["--update-hash-index"]].concat());
    assert_eq!(
        (&said["files_registered"], usual.ids()),
        (&1.into(), 6),
        "{said}"
    );
    assert!(usual.path("lake/warehouse_id_hashes.parquet").exists());
    let meant = [&bulk[..], &["--compact-rows", "100000"]].concat();
    let (_, again) = usual.ingest(&source, &meant);
    assert_eq!(
        again["run_id"], said["run_id"],
        "100,000 is what is meant anyway"
    );
}
