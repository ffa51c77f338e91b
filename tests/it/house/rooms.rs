//! What lies where, and how large it may be.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::tree::{File, files, no_faults, root, stdout};

/// What a newcomer sees at the top.
const ROOMS: [&str; 5] = ["functions", "shared", "infra", "tests", "events"];

const BESIDE: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "rust-toolchain.toml",
];

const HIDDEN: [&str; 9] = [
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".config",
    ".deny.toml",
    ".github",
    ".gitignore",
    ".rustfmt.toml",
    ".typos.toml",
];

/// Lines of one file, its tests left out.
const MOST_LINES: usize = 600;

/// Bytes of one file; the lock file excepted.
const MOST_BYTES: u64 = 200 << 10;

#[test]
fn a_newcomer_sees_only_the_rooms() {
    let allowed: BTreeSet<&str> = ROOMS.into_iter().chain(BESIDE).chain(HIDDEN).collect();
    let files = files();
    let seen: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| file.path.split('/').next())
        .collect();
    let strange: Vec<String> = seen
        .difference(&allowed)
        .map(|name| (*name).to_owned())
        .collect();
    no_faults("the top level has only its rooms", &strange);
    let missing: Vec<String> = ROOMS
        .into_iter()
        .chain(BESIDE)
        .filter(|name| !seen.contains(name))
        .map(str::to_owned)
        .collect();
    no_faults("the top level lacks", &missing);
}

#[test]
fn no_source_file_is_forgotten() {
    let files = files();
    let by_path: BTreeMap<&str, &File> = files
        .iter()
        .map(|file| (file.path.as_str(), file))
        .collect();
    let source = |file: &&File| {
        file.is("rs") && (file.path.contains("/src/") || file.path.starts_with("tests/it/"))
    };
    let mut faults = Vec::new();
    for File { path, .. } in files.iter().filter(source) {
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let (folder, module) = match name {
            "lib.rs" | "main.rs" => continue,
            "mod.rs" => folder.rsplit_once('/').unwrap_or_default(),
            _ => (folder, name.trim_end_matches(".rs")),
        };
        let parents = ["/lib.rs", "/main.rs", "/mod.rs", ".rs"].map(|end| format!("{folder}{end}"));
        let names = [format!("mod {module};"), format!("#[path = \"{name}\"]")];
        let declares = |file: &&File| names.iter().any(|it| file.text().contains(it));
        if !parents
            .iter()
            .filter_map(|path| by_path.get(path.as_str()).copied())
            .any(|file| declares(&file))
        {
            faults.push(format!("{path} is in no crate"));
        }
    }
    no_faults("a file that no `mod` names is never compiled", &faults);
}

#[test]
fn files_stay_small() {
    let mut faults = Vec::new();
    for file in files().iter().filter(|file| file.path != "Cargo.lock") {
        let bytes = std::fs::metadata(&file.place).unwrap().len();
        if bytes > MOST_BYTES {
            faults.push(format!(
                "{} has {bytes} bytes of {MOST_BYTES} at most",
                file.path
            ));
        }
        if file.ships() || file.path.starts_with("tests/src/") {
            let lines = file.code().lines().count();
            if lines > MOST_LINES {
                faults.push(format!(
                    "{} has {lines} lines of {MOST_LINES} at most, its tests left out",
                    file.path
                ));
            }
        }
    }
    no_faults(
        "a file is too large to be read at a sitting or to be kept in git",
        &faults,
    );
}

#[test]
fn commands_can_be_started() {
    let mut git = Command::new("git");
    git.current_dir(root()).args([
        "-c",
        "safe.directory=*",
        "ls-files",
        "-s",
        "--",
        ".ci/run",
        "tests/run",
        "tests/emulator",
        "tests/judges/run",
        "tests/tools",
    ]);
    let listed = stdout(&mut git);
    assert!(listed.lines().count() >= 4, "git lists {listed}");
    let faults: Vec<String> = listed
        .lines()
        .filter(|line| !line.starts_with("100755"))
        .map(str::to_owned)
        .collect();
    no_faults("a script has lost its executable bit", &faults);
}
