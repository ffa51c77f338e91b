//! Other projects' files, read where they lie: the verdicts of GDAL, tifffile, Pillow and libtiff are the measure.

use std::fs::{File, read_to_string};
use std::path::PathBuf;

use swath_raster::{Code, Expected, Level, Outcome, validate};

#[allow(
    clippy::disallowed_methods,
    reason = "where real data lie is the machine's to say"
)]
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("SWATH_REAL_DATA").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../../shared/fixtures"
            ))
        },
        PathBuf::from,
    )
}

#[test]
fn real_files_are_judged_as_the_established_readers_judge_them() {
    let root = folder().join("tiff");
    let Ok(table) = read_to_string(root.join("VERDICTS.tsv")) else {
        eprintln!(
            "LEFT OUT: 3 checks on each of 128 real TIFF files; no {}",
            root.display()
        );
        return;
    };
    let (mut files, mut unverified) = (0, 0);
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (name, joint) = (columns[0], columns[columns.len() - 1]);
        for level in [Level::Structure, Level::Window, Level::Full] {
            let mut file = File::open(root.join(name)).unwrap();
            let expected = Expected {
                name: Some(name),
                ..Expected::default()
            };
            let verdict = validate(&mut file, &expected, level).unwrap();
            match joint {
                "good" => {
                    let known =
                        verdict.outcome == Outcome::Good || verdict.code == Code::UnverifiedCodec;
                    assert!(known, "{name} at {level}: {verdict}");
                }
                "bad" => assert_eq!(
                    verdict.outcome,
                    Outcome::Bad,
                    "{name} at {level}: {verdict}"
                ),
                _ => {}
            }
            unverified += u32::from(level == Level::Full && verdict.outcome == Outcome::Unverified);
        }
        files += 1;
    }
    eprintln!(
        "{files} real files at 3 levels, {unverified} of them with a codec that is not decoded here"
    );
    assert!(files > 100);
}
