//! Environment variables: all written down, none promised in vain.

use std::collections::BTreeSet;

use super::tree::{File, files, no_faults};

/// The one table of environment variables.
const ENVIRONMENT: &str = "infra/docs/environment.md";

#[test]
fn every_environment_variable_is_written_down() {
    let files = files();
    let table = files
        .iter()
        .find(|file| file.path == ENVIRONMENT)
        .map(File::text)
        .unwrap_or_default();
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.ships()) {
        let code = file.code();
        for name in variables(code.split('"')) {
            if !table.contains(&format!("`{name}`")) {
                faults.push(format!(
                    "{} reads {name}, which {ENVIRONMENT} does not have",
                    file.path
                ));
            }
            let documented =
                |line: &str| line.trim_start().starts_with("///") && line.contains(name);
            if file.path.starts_with("functions/")
                && !(file.path.ends_with("/config.rs") && code.lines().any(documented))
            {
                faults.push(format!("{} reads {name}; a function's config.rs does that, with the name in the field's doc", file.path));
            }
        }
    }
    no_faults("a variable is read that no document names", &faults);
}

#[test]
fn no_variable_is_promised_that_nothing_reads() {
    let files = files();
    let mut code = String::new();
    for file in files
        .iter()
        .filter(|file| file.ships() || file.path.starts_with("tests/"))
    {
        if !file.path.starts_with("tests/it/house") && !file.is("toml") {
            code.push_str(&String::from_utf8_lossy(
                &std::fs::read(&file.place).unwrap(),
            ));
        }
    }
    let mut faults = Vec::new();
    for path in [ENVIRONMENT, "README.md", "infra/template.yaml"] {
        let Some(text) = files.iter().find(|file| file.path == path).map(File::text) else {
            continue;
        };
        let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        let ours = variables(words)
            .into_iter()
            .filter(|name| name.starts_with("SWATH_"));
        faults.extend(
            ours.filter(|name| !code.contains(name))
                .map(|name| format!("{path} names {name}")),
        );
    }
    no_faults("a variable is set or described that no code knows", &faults);
}

fn variables<'a>(words: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let name = |word: &str| {
        word.bytes()
            .all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == b'_')
    };
    let long = |word: &str, prefix: &str| word.len() > prefix.len() && word.starts_with(prefix);
    words
        .filter(|word| name(word) && (long(word, "SWATH_") || long(word, "AWS_")))
        .collect()
}
