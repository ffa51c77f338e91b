//! `swath validate`: verdicts on files, nothing else.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use swath_core::Level;
use swath_raster::{Expected, Outcome, Verdict};

use crate::cli::ValidateArgs;
use crate::exit::Exit;
use crate::run::{print_json, print_text};

/// One line of `swath validate --json`.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a Path,
    verdict: &'static str,
    level: &'static str,
    code: &'a str,
    reason: &'a str,
    warnings: &'a [String],
}

/// Says of each file whether it is whole; one that cannot be read is bad, and the rest is looked at all the same.
pub(crate) fn validate(arguments: &ValidateArgs) -> Exit {
    let mut exit = Exit::Done;
    for path in &arguments.files {
        match verdict_of(path, arguments.level) {
            Ok(verdict) => {
                if verdict.outcome == Outcome::Bad && exit == Exit::Done {
                    exit = Exit::Partial;
                }
                let code = verdict.code.as_str();
                let words = (verdict.outcome, code, verdict.reason.as_str());
                tell(arguments, path, words, &verdict.warnings);
            }
            Err(error) => {
                exit = Exit::Input;
                let code = match error.kind() {
                    ErrorKind::NotFound => "gone",
                    ErrorKind::PermissionDenied => "forbidden",
                    _ => "unreadable",
                };
                let reason = format!("cannot be read: {error}");
                tell(arguments, path, (Outcome::Bad, code, &reason), &[]);
            }
        }
    }
    exit
}

fn verdict_of(path: &Path, level: Level) -> std::io::Result<Verdict> {
    let expected = Expected {
        size_bytes: None,
        media_type: None,
        name: path.to_str(),
    };
    swath_raster::validate(&mut File::open(path)?, &expected, level)
}

fn tell(
    arguments: &ValidateArgs,
    file: &Path,
    (outcome, code, reason): (Outcome, &str, &str),
    warnings: &[String],
) {
    let line = Line {
        file,
        verdict: outcome.as_str(),
        level: arguments.level.as_str(),
        code,
        reason,
        warnings,
    };
    if arguments.json {
        print_json(&line);
    } else {
        let verdict = line.verdict;
        print_text(&format!("{verdict:<10} {}  {reason}\n", file.display()));
    }
}
