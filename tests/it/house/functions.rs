//! How a function is built.

use std::collections::BTreeSet;

use super::tree::{files, functions, no_faults, root};

/// Lines of a function's `main.rs`, attributes, comments and blank lines left out.
const MOST_LINES_OF_MAIN: usize = 25;

#[test]
fn every_function_has_its_six_files() {
    let functions = functions();
    assert!(!functions.is_empty(), "functions/ is empty");
    let mut faults = Vec::new();
    for name in &functions {
        let source = root().join("functions").join(name).join("src");
        let files = [
            "main.rs",
            "config.rs",
            "context.rs",
            "handler.rs",
            "lib.rs",
            &format!("{name}.rs"),
        ]
        .map(str::to_owned);
        let missing = files.iter().filter(|file| !source.join(file).is_file());
        faults.extend(missing.map(|file| format!("functions/{name}/src has no {file}")));
    }
    no_faults("a function is not built like the others", &faults);
}

#[test]
fn a_functions_main_is_a_sentence() {
    let mut faults = Vec::new();
    for file in files()
        .iter()
        .filter(|file| file.path.starts_with("functions/") && file.path.ends_with("/src/main.rs"))
    {
        let text = file.text();
        let says =
            |line: &&str| !line.is_empty() && !line.starts_with("//") && !line.starts_with('#');
        let lines = text.lines().map(str::trim).filter(says).count();
        if lines > MOST_LINES_OF_MAIN {
            faults.push(format!("{} has {lines} lines", file.path));
        }
    }
    no_faults(
        &format!("main says config, context, serve in at most {MOST_LINES_OF_MAIN} lines"),
        &faults,
    );
}

#[test]
fn use_cases_name_no_lambda_type() {
    let shell = ["lib.rs", "main.rs", "config.rs", "context.rs", "handler.rs"];
    let mut faults = Vec::new();
    for file in files()
        .iter()
        .filter(|file| file.path.starts_with("functions/") && file.ships())
    {
        let (_, name) = file.path.rsplit_once('/').unwrap_or_default();
        let strict: &[&str] = if shell.contains(&name) {
            &[]
        } else {
            &["swath_lambda"]
        };
        let events: &[&str] = if ["main.rs", "handler.rs"].contains(&name) {
            &[]
        } else {
            &["lambda_runtime", "aws_lambda_events"]
        };
        let code = file.code();
        let named = strict
            .iter()
            .chain(events)
            .filter(|word| code.contains(**word));
        faults.extend(named.map(|word| format!("{} names {word}", file.path)));
    }
    no_faults("only the handler knows that it runs in Lambda", &faults);
}

#[test]
fn every_sample_event_is_json_for_a_function() {
    let (functions, mut faults) = (functions(), Vec::new());
    let mut served = BTreeSet::new();
    for file in files()
        .iter()
        .filter(|file| file.path.starts_with("events/") && !file.is("md"))
    {
        let parts: Vec<&str> = file.path.split('/').collect();
        let ["events", function, _] = parts.as_slice() else {
            faults.push(format!("{} lies in no function's folder", file.path));
            continue;
        };
        if !functions.iter().any(|name| name == function) {
            faults.push(format!("{}: there is no function {function}", file.path));
        }
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&file.text()) {
            faults.push(format!("{}: {error}", file.path));
        }
        served.insert((*function).to_owned());
    }
    let without = functions.iter().filter(|name| !served.contains(*name));
    faults.extend(without.map(|name| format!("events/{name} has no event")));
    no_faults("a sample event is of no use", &faults);
}
