//! `swath download` and `swath repair` as a user runs them, against a server that answers by script.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::too_many_lines,
    reason = "helpers of tests may panic as tests do"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use swath_cloud::clock::{Clock as _, SystemClock};
use swath_cloud::digest::Hashing;
use swath_cloud::fetch::testing::{Answer, ScriptedServer};
use swath_raster::synth::{CogSpec, cog};
use swath_table::plain::row_of;

/// Files that the server has; every third is broken until it heals.
const FILES: usize = 12;

fn tiff(number: usize) -> Bytes {
    let side = 128 + 64 * u32::try_from(number % 4).unwrap();
    let spec = CogSpec {
        width: side,
        height: side,
        tile: 64,
        overviews: 1,
        ..CogSpec::default()
    };
    cog(&spec).into()
}

struct World {
    folder: tempfile::TempDir,
    server: ScriptedServer,
    healed: Arc<AtomicBool>,
}

impl World {
    async fn new() -> Self {
        let healed = Arc::new(AtomicBool::new(false));
        let heals = Arc::clone(&healed);
        let files: Vec<Bytes> = (0..FILES).map(tiff).collect();
        let server = ScriptedServer::start(move |request| {
            let path = request.path.split('?').next().unwrap();
            let name = path.trim_start_matches('/').trim_end_matches(".tif");
            let Some(body) = name.parse().ok().and_then(|n: usize| files.get(n)) else {
                return Answer::new(404, "none");
            };
            let number: usize = name.parse().unwrap();
            match number % 3 {
                0 if !heals.load(Ordering::SeqCst) => {
                    Answer::new(200, body.slice(..body.len() / 2))
                }
                1 if request.number == 0 => Answer::new(503, "busy"),
                _ => Answer::file(request, body, &format!("\"{number}\"")),
            }
        })
        .await
        .unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            server,
            healed,
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Writes the rows; every asset is there twice, as two areas would have it.
    fn rows(&self) -> PathBuf {
        let mut text = "item_id,asset_name,href,collection\n".to_owned();
        for number in (0..FILES).chain(0..FILES) {
            let href = self.server.url(&format!("/{number}.tif?sig=canary"));
            text.push_str(&format!("i/{number},B04,{href},s2\n"));
        }
        let path = self.path("rows.csv");
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn swath(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swath"));
    command.args(arguments).stdin(Stdio::null());
    command
}

async fn run(arguments: &[&str]) -> (i32, Vec<Value>, String) {
    let mut command = swath(arguments);
    let output = tokio::task::spawn_blocking(move || command.output());
    let Output {
        status,
        stdout,
        stderr,
    } = output.await.unwrap().unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    let lines = stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let lines: Vec<Value> = lines.collect();
    assert!(
        !stdout.contains("canary") && !stderr.contains("canary"),
        "a secret is shown"
    );
    (status.code().unwrap(), lines, stderr)
}

/// The names and contents of all rasters below a folder.
fn rasters(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "tif") {
                let bytes = std::fs::read(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

fn figures(lines: &[Value], names: [&str; 5]) -> [u64; 5] {
    let last = lines.last().unwrap();
    names.map(|name| last[name].as_u64().unwrap())
}

/// What the tables say of each asset, but for times, attempts, rates and the folder.
fn told(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut folders = vec![folder.join("warehouse")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "parquet") {
                let bytes = Bytes::from(std::fs::read(&path).unwrap());
                let rows = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
                for batch in rows.build().unwrap().map(Result::unwrap) {
                    for row in (0..batch.num_rows()).map(|row| row_of(&batch, row)) {
                        let facts = FACTS.map(|name| row.get(name).cloned().unwrap_or_default());
                        let path = row.get("out_file_path").and_then(Value::as_str);
                        let path = path.map(|path| path.rsplit("out/").next().unwrap());
                        let key = format!("{} {}", row["item_id"], row["asset_name"]);
                        let facts = format!("{facts:?} {path:?}");
                        found.entry(key).or_default().insert(facts);
                    }
                }
            }
        }
    }
    found
}

const FACTS: [&str; 8] = [
    "collection",
    "sha256",
    "out_file_sz",
    "is_out_file_valid",
    "error_class",
    "error_code",
    "validation_level",
    "validation",
];
const COUNTED: [&str; 5] = ["assets", "good", "rejected", "downloaded", "rows_added"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_become_files_once_and_a_repair_brings_the_rest() {
    let world = World::new().await;
    let (rows, out) = (world.rows(), world.path("out"));
    let (rows, out) = (rows.to_str().unwrap(), out.to_str().unwrap());
    let download = ["download", rows, "--out-dir", out, "--json"];
    let (code, lines, _) = run(&download).await;
    assert_eq!((code, figures(&lines, COUNTED)), (7, [12, 8, 4, 8, 12]));
    assert_eq!(rasters(Path::new(out)).len(), 8);

    let requests = world.server.seen().len();
    let (code, lines, _) = run(&download).await;
    assert_eq!((code, figures(&lines, COUNTED)), (7, [12, 8, 4, 0, 0]));
    assert_eq!(
        world.server.seen().len(),
        requests,
        "nothing is asked for twice"
    );

    world.healed.store(true, Ordering::SeqCst);
    let repair = ["repair", "--out", out, "--json"];
    let (code, lines, _) = run(&repair).await;
    assert_eq!((code, figures(&lines, COUNTED)), (0, [4, 4, 0, 4, 4]));
    let (code, lines, _) = run(&repair).await;
    assert_eq!((code, figures(&lines, COUNTED)), (0, [0, 0, 0, 0, 0]));
    let expected: Vec<_> = (0..FILES).map(tiff).collect();
    for (path, bytes) in rasters(Path::new(out)) {
        let item = path
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap();
        let number: usize = item.strip_prefix("i%2F").unwrap().parse().unwrap();
        assert_eq!(bytes, expected[number], "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_finds_files_that_are_gone_or_changed_and_files_of_nobody() {
    let world = World::new().await;
    world.healed.store(true, Ordering::SeqCst);
    let (rows, out) = (world.rows(), world.path("out"));
    let (rows, out_text) = (rows.to_str().unwrap(), out.to_str().unwrap());
    let (code, ..) = run(&["download", rows, "--out-dir", out_text, "--json"]).await;
    assert_eq!(code, 0);
    let whole = rasters(&out);
    std::fs::remove_file(out.join("s2/i%2F1/B04.tif")).unwrap();
    std::fs::write(out.join("s2/i%2F2/B04.tif"), b"short").unwrap();
    let flipped = out.join("s2/i%2F3/B04.tif");
    let mut bytes = std::fs::read(&flipped).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&flipped, bytes).unwrap();
    std::fs::write(out.join("stray.tif"), b"x").unwrap();
    let repair = ["repair", "--out", out_text, "--check", "--json"];
    let (code, lines, _) = run(&repair).await;
    assert_eq!(code, 0);
    assert_eq!(
        (&lines[0]["gone"], &lines[0]["changed"]),
        (&1.into(), &2.into())
    );
    let unknown = lines[0]["unknown_files"].as_array().unwrap();
    assert!(unknown.len() == 1 && unknown[0].as_str().unwrap().ends_with("stray.tif"));
    std::fs::remove_file(out.join("stray.tif")).unwrap();
    assert!(rasters(&out) == whole, "every file is as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_assets_of_one_name_are_refused_before_the_first_byte_or_parted() {
    let world = World::new().await;
    let (rows, out) = (world.rows(), world.path("out"));
    let (rows, out) = (rows.to_str().unwrap(), out.to_str().unwrap());
    let named = [
        "download",
        rows,
        "--out-dir",
        out,
        "--json",
        "--name",
        "{asset_name}{ext}",
    ];
    let (code, _, stderr) = run(&named).await;
    assert!(code == 3 && stderr.contains("B04.tif"), "{code}: {stderr}");
    assert_eq!(world.server.seen().len(), 0);

    let (code, lines, _) = run(&[&named[..], &["--dry-run"]].concat()).await;
    assert!(code == 3 && lines.is_empty());
    let estimate = ["download", rows, "--out-dir", out, "--json", "--dry-run"];
    let (code, lines, _) = run(&estimate).await;
    assert_eq!((code, &lines[0]["requests"]), (0, &12.into()));
    assert_eq!(world.server.seen().len(), 0);

    let (code, lines, _) = run(&[&named[..], &["--on-collision", "hash"]].concat()).await;
    assert_eq!((code, figures(&lines, COUNTED)[1]), (7, 8));
    assert_eq!(rasters(Path::new(out)).len(), 8);

    let unknown = ["repair", "--out", out, "--where", "colour = 'red'"];
    let (code, _, stderr) = run(&unknown).await;
    assert!(
        code == 3 && stderr.contains("no column \"colour\""),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_of_what_was_downloaded_lead_to_the_files() {
    let world = World::new().await;
    world.healed.store(true, Ordering::SeqCst);
    let (rows, out) = (world.rows(), world.path("out"));
    let (given, written) = (world.path("items.ndjson"), world.path("local.ndjson"));
    let mut text = String::new();
    // The last item is in no file and its catalog is no API.
    for number in 0..FILES - 1 {
        let item = serde_json::json!({
            "type": "Feature", "stac_version": "1.0.0", "id": format!("i/{number}"),
            "collection": "s2", "geometry": null, "links": [],
            "properties": {"datetime": "2024-06-01T00:00:00Z"},
            "stac_extensions": ["https://stac-extensions.github.io/file/v2.0.0/schema.json"],
            "assets": {
                "B04": {"href": world.server.url(&format!("/{number}.tif?sig=canary")), "roles": ["data"]},
                "B05": {"href": "https://h.example/b"},
            },
        });
        text.push_str(&format!("{item}\n"));
    }
    std::fs::write(&given, text).unwrap();
    let path = |path: &'_ PathBuf| path.to_str().unwrap().to_owned();
    let (code, lines, _) = run(&[
        "download",
        &path(&rows),
        "--out-dir",
        &path(&out),
        "--write-items",
        &path(&written),
        "--items",
        &path(&given),
        "--json",
    ])
    .await;
    let summary = lines.last().unwrap();
    assert_eq!((code, &summary["items_written"]), (7, &11.into()));
    let missing = summary["items_missing"].as_array().unwrap();
    assert!(missing.len() == 1 && missing[0].as_str().unwrap().contains("i/11"));
    let text = std::fs::read_to_string(written).unwrap();
    assert!(text.lines().count() == 11 && !text.contains("canary"));
    for (number, line) in text.lines().enumerate() {
        let item: Value = serde_json::from_str(line).unwrap();
        let asset = &item["assets"]["B04"];
        let bytes = std::fs::read(asset["href"].as_str().unwrap()).unwrap();
        assert!(bytes == tiff(number));
        assert_eq!(asset["file:size"], bytes.len());
        assert!(asset["file:checksum"].as_str().unwrap().starts_with("1220"));
        let origin = asset["alternate"]["origin"]["href"].as_str().unwrap();
        assert!(origin.ends_with(&format!("/{number}.tif")), "{origin}");
        assert_eq!(
            (&asset["roles"][0], &item["stac_version"]),
            (&"data".into(), &"1.0.0".into())
        );
        assert_eq!(item["assets"]["B05"]["href"], "https://h.example/b");
        assert_eq!(item["stac_extensions"].as_array().unwrap().len(), 2);
    }
}

/// A disk that is full: a file system of its own, seen by one process and its children alone.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_named_and_leaves_no_half_file() {
    let world = World::new().await;
    let (rows, out, lake) = (world.rows(), world.path("out"), world.path("lake"));
    std::fs::create_dir(&out).unwrap();
    let script = "mount -t tmpfs -o size=200k none \"$1\" || exit 99
        \"$2\" download \"$3\" --out-dir \"$1\" --lake \"$4\" --concurrency 1 --json; code=$?
        find \"$1\" -type f -exec sha256sum {} \\;
        exit $code";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.args([
        &*out,
        Path::new(env!("CARGO_BIN_EXE_swath")),
        &*rows,
        &*lake,
    ]);
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    let Ok(output) = ran.unwrap() else {
        println!("NOT RUN: no unshare on this machine");
        return;
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(99) || stderr.contains("unshare") {
        println!("NOT RUN: no file system may be mounted here: {stderr}");
        return;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let (told, there): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with('{'));
    let told: Vec<Value> = told
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = told.last().unwrap();
    assert!(
        summary["failures"].to_string().contains("No space left"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(6), "{text}");
    let good = told.iter().filter(|line| line["good"] == true);
    let good: BTreeSet<&str> = good.map(|line| line["sha256"].as_str().unwrap()).collect();
    let there: BTreeSet<&str> = there.iter().map(|line| &line[..64]).collect();
    // One that was put in its place while the run came to its end is whole too, and found by the next run.
    let whole: BTreeSet<String> = (0..FILES)
        .map(|number| {
            let mut hashing = Hashing::new(None);
            hashing.update(&tiff(number));
            hashing.digests().sha256
        })
        .collect();
    assert!(!good.is_empty() && there.len() < 8, "{text}");
    assert!(good.is_subset(&there), "{text}");
    assert!(there.iter().all(|one| whole.contains(*one)), "{text}");
    println!(
        "full disk: {} of 8 files, each whole, then {}",
        good.len(),
        summary["failures"]
    );
}

/// Killed at random times, then the same command: the end is the calm run's. `SWATH_KILLS` sets how often, 6 by default.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_killed_ends_like_a_calm_one() {
    let kills = std::env::var("SWATH_KILLS").ok();
    let kills: u64 = kills.and_then(|text| text.parse().ok()).unwrap_or(6);
    let calm = World::new().await;
    let (rows, out) = (calm.rows(), calm.path("out"));
    let out_text = out.to_str().unwrap().to_owned();
    let download = [
        "download",
        rows.to_str().unwrap(),
        "--out-dir",
        &out_text,
        "--json",
    ];
    let (_, lines, _) = run(&download).await;
    let (expected, figures_expected) = (rasters(&out), figures(&lines, COUNTED));
    let told_expected = told(&out);
    assert!(told_expected.len() == FILES && told_expected.values().all(|facts| facts.len() == 1));
    for seed in 0..kills {
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let world = World::new().await;
        let (rows, out) = (world.rows(), world.path("out"));
        let out_text = out.to_str().unwrap().to_owned();
        let download = [
            "download",
            rows.to_str().unwrap(),
            "--out-dir",
            &out_text,
            "--json",
        ];
        let mut child = swath(&download)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        SystemClock
            .sleep(Duration::from_millis(random.random_range(1..1500)))
            .await;
        child.kill().unwrap();
        child.wait().unwrap();
        let (code, lines, _) = run(&download).await;
        let [assets, good, rejected, ..] = figures(&lines, COUNTED);
        assert_eq!(
            (code, [assets, good, rejected]),
            (7, [12, 8, 4]),
            "seed {seed}"
        );
        assert!(
            rasters(&out) == expected,
            "seed {seed}: other files than a calm run's"
        );
        let (_, lines, _) = run(&download).await;
        assert_eq!(
            figures(&lines, COUNTED)[3..],
            [0, 0],
            "seed {seed}: something was left"
        );
        let table = run(&[
            "repair",
            "--out",
            &out_text,
            "--dry-run",
            "--json",
            "--where",
            "item_id LIKE '%'",
        ])
        .await;
        assert_eq!(
            table.1[0]["requests"], figures_expected[0],
            "seed {seed}: rows are missing"
        );
        assert_eq!(told(&out), told_expected, "seed {seed}: other rows");
        let staged = std::fs::read_dir(out.join(".swath-staging")).map_or(0, Iterator::count);
        println!("kill {seed}: {staged} staged files left for the sweep");
    }
}
