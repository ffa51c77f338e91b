//! `swath validate`: verdicts on files, nothing else.

use std::fs::File;
use std::path::Path;

use serde::Serialize;
use swath_raster::{Expected, Outcome};

use crate::cli::ValidateArgs;
use crate::exit::Exit;
use crate::run::{CommandError, print_json, print_text};

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

/// Says of each file whether it is whole.
pub(crate) fn validate(arguments: &ValidateArgs) -> Result<Exit, CommandError> {
    let mut exit = Exit::Done;
    for path in &arguments.files {
        let mut file = File::open(path).map_err(|source| CommandError::File {
            path: path.clone(),
            source,
        })?;
        let expected = Expected {
            size_bytes: None,
            media_type: None,
            name: path.to_str(),
        };
        let verdict =
            swath_raster::validate(&mut file, &expected, arguments.level).map_err(|source| {
                CommandError::File {
                    path: path.clone(),
                    source,
                }
            })?;
        if verdict.outcome == Outcome::Bad {
            exit = Exit::Partial;
        }
        let line = Line {
            file: path,
            verdict: verdict.outcome.as_str(),
            level: arguments.level.as_str(),
            code: verdict.code.as_str(),
            reason: &verdict.reason,
            warnings: &verdict.warnings,
        };
        if arguments.json {
            print_json(&line);
        } else {
            print_text(&format!(
                "{:<10} {}  {}\n",
                line.verdict,
                path.display(),
                line.reason
            ));
        }
    }
    Ok(exit)
}
