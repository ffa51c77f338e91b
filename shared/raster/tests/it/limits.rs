//! What twenty thousand broken copies of real and generated files cost at most: time, memory, and no panic.

use std::fs::{read, read_to_string};
use std::io::Cursor;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use swath_raster::synth::{CogSpec, cog};
use swath_raster::{Expected, Level, validate};

use crate::mutations::{fixtures, mutate, mutation};
use crate::real::folder;

const CASES: usize = 20_000;
/// Processor time that one file may take, seconds.
const LIMIT_S: f64 = 1.0;
/// Resident memory that all of them may add at their peak, MiB.
const LIMIT_MIB: u64 = 64;

/// The real files, the fixtures of the other tests, and COGs as large as a sample is taken of.
fn files() -> Vec<(String, Vec<u8>)> {
    let root = folder().join("tiff");
    let table = read_to_string(root.join("VERDICTS.tsv")).unwrap_or_default();
    let names = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next());
    let mut files: Vec<_> = names
        .map(|name| (name.to_owned(), read(root.join(name)).unwrap()))
        .collect();
    assert!(files.len() > 100, "no real files below {}", root.display());
    for (number, file) in fixtures().into_iter().enumerate() {
        files.push((format!("fixture {number}"), file));
    }
    for (width, tile) in [(300, 64), (700, 256), (1400, 128)] {
        let spec = CogSpec {
            width,
            height: width,
            tile,
            overviews: 2,
            seed: 1,
            predictor: true,
        };
        files.push((format!("COG of {width} pixels"), cog(&spec)));
    }
    files
}

/// Nanoseconds that this thread has been on a processor: other work on the machine does not count.
fn thread_ns() -> u64 {
    let text = read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// A line of the process's status, KiB.
fn status_kib(name: &str) -> u64 {
    let text = read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[ignore = "a minute of figures, for a release build on Linux with real data: \
            cargo nextest run --release --workspace --run-ignored only --no-capture -E 'test(keep_to_the_limits)'"]
fn twenty_thousand_mutations_of_real_files_keep_to_the_limits() {
    let files = files();
    let strategy = (
        any::<prop::sample::Index>(),
        prop::collection::vec(mutation(), 1..6),
    );
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    // The copy that is broken is none of the checks' memory: it is as large as the largest before they begin.
    let mut file = files
        .iter()
        .map(|(_, file)| file)
        .max_by_key(|file| file.len());
    let mut file = file.take().cloned().unwrap();
    // The peak so far is forgotten.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status_kib("VmHWM:");
    let (mut slowest, mut whose, mut bad) = (0, String::new(), 0);
    for _ in 0..CASES {
        let (index, mutations) = strategy.new_tree(&mut runner).unwrap().current();
        let (name, intact) = index.get(&files);
        file.clear();
        file.extend_from_slice(intact);
        for mutation in &mutations {
            mutate(&mut file, mutation);
        }
        let started = thread_ns();
        let verdict = validate(&mut Cursor::new(&file), &Expected::default(), Level::Full);
        let took = thread_ns() - started;
        bad += u32::from(verdict.unwrap().is_bad());
        if took > slowest {
            (slowest, whose) = (took, format!("{name}, {mutations:?}"));
        }
    }
    let peak = status_kib("VmHWM:");
    let grown = (peak - before) / 1024;
    let slowest = slowest as f64 / 1e9;
    eprintln!(
        "{CASES} mutations of {} files, {bad} of them bad: the slowest took {slowest:.3} s ({whose}), memory grew by {grown} MiB to {} MiB",
        files.len(),
        peak / 1024
    );
    assert!(slowest < LIMIT_S && grown < LIMIT_MIB);
}
