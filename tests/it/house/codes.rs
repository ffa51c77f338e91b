//! Codes of failures: all in one table, none used that is not there, and the page for people says the same.

use std::collections::BTreeSet;

use swath_core::code::CODES;

use super::tree::{files, no_faults};

/// The page for people.
const PAGE: &str = "infra/docs/failures.md";

/// Where codes are given to failures: a function that returns them, or a member that holds one.
const GIVERS: [&str; 8] = [
    "fn code(&self) -> &'static str {",
    "fn source_code(",
    "Failure::of(",
    "code: \"",
    "codes! {\n",
    "faults.add(",
    "needed(item,",
    "fn of_checksum(",
];

#[test]
fn every_code_in_use_is_in_the_table() {
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for file in files().iter().filter(|file| file.ships()) {
        let code = file.code();
        if file.path == "shared/core/src/code.rs" {
            continue;
        }
        for giver in GIVERS {
            for (at, _) in code.match_indices(giver) {
                let rest = &code[at + giver.len()..];
                for word in given(giver, rest) {
                    if swath_core::code::entry(&word).is_none() && !is_no_failure(&word) {
                        faults.push(format!("{}: {word}", file.path));
                    }
                    used.insert(word);
                }
            }
        }
    }
    no_faults("a code is used that the table does not have", &faults);
    let unused = CODES.iter().map(|entry| entry.code);
    let unused: Vec<_> = unused.filter(|code| !used.contains(*code)).collect();
    no_faults(
        "the table has a code that nothing uses",
        &unused.into_iter().map(str::to_owned).collect::<Vec<_>>(),
    );
}

/// Verdicts on files that may be used: they stand in the column `validation`, and are no failures.
fn is_no_failure(code: &str) -> bool {
    [
        "ok",
        "not_checked",
        "size_unknown",
        "unknown_kind",
        "unverified_codec",
        "unverified_limit",
    ]
    .contains(&code)
}

/// Returns the codes that stand behind a giver.
fn given(giver: &str, rest: &str) -> Vec<String> {
    let end = match giver {
        "faults.add(" | "needed(item," => rest.find(')').unwrap_or(rest.len()),
        "Failure::of(" | "code: \"" => rest.find([',', '\n']).unwrap_or(rest.len()),
        // To the brace that ends the item.
        _ => rest.find("\n}").map_or(rest.len(), |end| end + 1),
    };
    let end = if giver.ends_with('{') && !giver.starts_with("codes") {
        rest.find("\n    }").unwrap_or(end)
    } else {
        end
    };
    let text = if giver.ends_with('"') {
        format!("\"{}", &rest[..end])
    } else {
        rest[..end].to_owned()
    };
    let nth = |n: usize| text.split('"').skip(1).step_by(2).skip(n).take(1).collect();
    let words: Vec<_> = match giver {
        "faults.add(" if !text.trim_start().starts_with('"') => Vec::new(),
        "faults.add(" => nth(0),
        "needed(item," => nth(1),
        _ => text.split('"').skip(1).step_by(2).collect(),
    };
    words
        .into_iter()
        .filter(|word| {
            let plain = |letter: u8| letter.is_ascii_lowercase() || letter == b'_';
            !word.is_empty() && word.bytes().all(plain)
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_page_of_failures_says_what_the_table_says() {
    let files = files();
    let page = files.iter().find(|file| file.path == PAGE);
    let page = page.expect("the page is there").text();
    let line = |entry: &swath_core::code::Entry| {
        let classes = entry.classes.iter().map(|class| format!("`{class}`"));
        let classes: Vec<_> = classes.collect();
        format!(
            "| `{}` | {} | {} |",
            entry.code,
            classes.join(", "),
            entry.says
        )
    };
    let missing: Vec<_> = CODES
        .iter()
        .map(line)
        .filter(|line| !page.contains(line.as_str()))
        .collect();
    no_faults("the page lacks a code", &missing);
    let told = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(
        told,
        CODES.len() + 6,
        "the page has codes that the table does not"
    );
}
