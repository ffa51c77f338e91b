//! What may depend on what.

use std::collections::BTreeSet;
use std::process::Command;

use super::tree::{Manifest, functions, manifests, no_faults, root, stdout};

/// Each shared crate, what it may take of ours, and what of others' it does without; a word covers all names it begins.
const LAYERS: [(&str, &str, &str); 6] = [
    (
        "core",
        "",
        "tokio async-trait aws arrow parquet object_store reqwest lambda",
    ),
    (
        "raster",
        "core",
        "tokio async-trait aws arrow parquet object_store reqwest lambda",
    ),
    ("table", "core", "iceberg datafusion aws reqwest lambda"),
    (
        "lake",
        "core table",
        "aws-sdk-s3 aws-sdk-sqs aws_lambda datafusion lambda opendal reqwest",
    ),
    (
        "cloud",
        "core",
        "arrow parquet iceberg datafusion lambda aws_lambda",
    ),
    (
        "lambda",
        "core cloud",
        "arrow parquet iceberg datafusion reqwest aws-sdk",
    ),
];

/// Each function, and which shared crates it may take besides `core`, `cloud` and `lambda`.
const FUNCTIONS: [(&str, &str); 9] = [
    ("plan", "table"),
    ("search", ""),
    ("download", "raster"),
    ("list", "table"),
    ("ingest", "raster"),
    ("write", "table"),
    ("commit", "table lake"),
    ("repair", "table lake"),
    ("maintain", "lake"),
];

/// Functions whose whole tree stays free of these, for their cold start's sake.
const LIGHT: [&str; 2] = ["search", "download"];

const HEAVY: &str = "arrow parquet iceberg datafusion";

fn begins_any(name: &str, prefixes: &str) -> bool {
    prefixes
        .split_whitespace()
        .any(|prefix| name.starts_with(prefix))
}

#[test]
fn dependencies_point_one_way() {
    let mut faults = Vec::new();
    for Manifest {
        folder,
        dependencies,
        ..
    } in &manifests()
    {
        let room = folder.rsplit('/').next().unwrap_or_default();
        let layer = match folder.split('/').next() {
            Some("shared") => LAYERS.iter().find(|(name, ..)| *name == room).copied(),
            Some("functions") => FUNCTIONS
                .iter()
                .find(|(name, _)| *name == room)
                .map(|(name, may)| (*name, *may, "datafusion opendal")),
            _ => continue,
        };
        let Some((_, may, must_not)) = layer else {
            faults.push(format!("{folder} has no place among the layers"));
            continue;
        };
        let shell = if folder.starts_with("functions/") {
            "core cloud lambda"
        } else {
            ""
        };
        for name in dependencies {
            let fits = match name.strip_prefix("swath-") {
                Some(ours) => may
                    .split(' ')
                    .chain(shell.split(' '))
                    .any(|room| room == ours),
                None => !begins_any(name, must_not),
            };
            if !fits {
                faults.push(format!("{folder} depends on {name}"));
            }
        }
    }
    no_faults("a crate takes what its layer may not have", &faults);
}

#[test]
fn nothing_depends_on_the_tests_and_only_they_and_the_binary_on_functions() {
    let functions = functions();
    let mut faults = Vec::new();
    for Manifest {
        folder,
        dependencies,
        ..
    } in &manifests()
    {
        for name in dependencies
            .iter()
            .filter_map(|name| name.strip_prefix("swath-"))
        {
            let function = functions.iter().any(|function| function == name);
            if name == "tests" || (function && !["infra/local", "tests"].contains(&folder.as_str()))
            {
                faults.push(format!("{folder} depends on swath-{name}"));
            }
        }
    }
    no_faults("functions never depend on one another", &faults);
}

#[test]
fn search_and_download_carry_no_table_format() {
    let mut faults = Vec::new();
    for name in LIGHT {
        let package = format!("swath-{name}");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(root()).args([
            "tree",
            "-p",
            &package,
            "-e",
            "normal",
            "--prefix",
            "none",
            "--offline",
        ]);
        let said = stdout(&mut cargo);
        let resolved: BTreeSet<&str> = said
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert!(
            resolved.contains("swath-core"),
            "cargo tree says nothing of use: {said}"
        );
        faults.extend(
            resolved
                .iter()
                .filter(|it| begins_any(it, HEAVY))
                .map(|it| format!("{package} carries {it}")),
        );
    }
    no_faults("a light function has grown heavy", &faults);
}

#[test]
fn every_member_takes_lints_version_and_licence_from_the_workspace() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut faults = Vec::new();
    for manifest in &manifests() {
        let folder = &manifest.folder;
        if !text.contains(&format!("    \"{folder}\",\n")) {
            faults.push(format!("{folder} is no member of the workspace"));
        }
        if !manifest
            .section("[lints]")
            .any(|line| line == "workspace = true")
        {
            faults.push(format!("{folder} takes no lints from the workspace"));
        }
        let inherited = ["version", "edition", "rust-version", "license", "publish"];
        let lacks = |key: &&str| {
            !manifest
                .section("[package]")
                .any(|line| line == format!("{key}.workspace = true"))
        };
        faults.extend(
            inherited
                .iter()
                .filter(|key| lacks(key))
                .map(|key| format!("{folder} has a {key} of its own")),
        );
        let (_, room) = folder.rsplit_once('/').unwrap_or(("", folder));
        if manifest.room() != room {
            faults.push(format!("{folder} is called {}", manifest.name));
        }
    }
    no_faults("a member goes its own way", &faults);
}
