//! Twenty thousand broken files: no panic, no hang, and the same verdict twice.

use std::cell::Cell;
use std::io::Cursor;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use swath_raster::synth::{CogSpec, cog};
use swath_raster::{Expected, Level, validate};

use crate::support::{DEFLATE, FAX4, FORMS, Form, Image, JPEG, LZW, NONE, PACKBITS, ZSTD, write};

pub(crate) fn fixtures() -> Vec<Vec<u8>> {
    let mut files = vec![cog(&CogSpec {
        width: 40,
        height: 30,
        tile: 16,
        overviews: 1,
        seed: 1,
        predictor: true,
    })];
    for form in FORMS {
        for compression in [NONE, DEFLATE, LZW, PACKBITS, ZSTD] {
            for tile in [None, Some((16, 16))] {
                files.push(write(
                    form,
                    &[Image {
                        width: 24,
                        height: 20,
                        compression,
                        tile,
                        ..Image::default()
                    }],
                ));
            }
        }
    }
    let child = Image {
        width: 8,
        height: 8,
        compression: DEFLATE,
        ..Image::default()
    };
    let parent = Image {
        samples: 3,
        planar: true,
        bits: 16,
        children: vec![child.clone()],
        ..Image::default()
    };
    files.push(write(FORMS[2], &[parent, child]));
    files.push(write(
        Form::default(),
        &[Image {
            height: 16,
            compression: JPEG,
            ..Image::default()
        }],
    ));
    files.push(write(
        Form::default(),
        &[Image {
            bits: 1,
            compression: FAX4,
            ..Image::default()
        }],
    ));
    files.push(write(
        Form::default(),
        &[Image {
            tags: vec![(259, 3, vec![34887])],
            ..Image::default()
        }],
    ));
    files.push(crate::formats::jp2());
    files
}

#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Number(prop::sample::Index, u32),
    Zero(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Copy(prop::sample::Index, prop::sample::Index, u8),
}

pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    let extreme = prop_oneof![
        Just(0_u32),
        Just(1),
        Just(0xffff),
        Just(0x7fff_ffff),
        Just(0x8000_0000),
        Just(u32::MAX),
        any::<u32>()
    ];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, value)| Mutation::Set(at, value)),
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        4 => (at(), extreme).prop_map(|(at, value)| Mutation::Number(at, value)),
        1 => (at(), any::<u8>()).prop_map(|(at, length)| Mutation::Zero(at, length)),
        1 => at().prop_map(Mutation::Cut),
        2 => (at(), at(), any::<u8>()).prop_map(|(from, to, length)| Mutation::Copy(from, to, length)),
    ]
}

pub(crate) fn mutate(file: &mut Vec<u8>, mutation: &Mutation) {
    if file.is_empty() {
        return;
    }
    let length = file.len();
    // Most of what can go wrong is in the directory, which the writer puts last and the header first.
    match mutation {
        Mutation::Set(at, value) => file[at.index(length)] = *value,
        Mutation::Flip(at, bit) => file[at.index(length)] ^= 1 << bit,
        Mutation::Number(at, value) => {
            let at = at.index(length);
            let end = length.min(at + 4);
            file[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
        }
        Mutation::Zero(at, count) => {
            let at = at.index(length);
            file[at..length.min(at + usize::from(*count))].fill(0);
        }
        Mutation::Cut(at) => file.truncate(at.index(length)),
        Mutation::Copy(from, to, count) => {
            let (from, to) = (from.index(length), to.index(length));
            let count = usize::from(*count).min(length - from).min(length - to);
            file.copy_within(from..from + count, to);
        }
    }
}

#[test]
fn twenty_thousand_mutated_files_neither_panic_nor_hang() {
    let files = fixtures();
    let strategy = (
        any::<prop::sample::Index>(),
        prop::collection::vec(mutation(), 1..6),
    );
    let config = Config {
        cases: 20_000,
        failure_persistence: None,
        ..Config::default()
    };
    let (slowest, start) = (Cell::new(Duration::ZERO), Instant::now());
    let result = TestRunner::new(config).run(&strategy, |(file, mutations)| {
        let mut file = file.get(&files).clone();
        for mutation in &mutations {
            mutate(&mut file, mutation);
        }
        let started = Instant::now();
        let first = validate(&mut Cursor::new(&file), &Expected::default(), Level::Full).unwrap();
        slowest.set(slowest.get().max(started.elapsed()));
        prop_assert!(!first.reason.is_empty() && first.outcome == first.code.outcome());
        prop_assert_eq!(first.size_bytes, file.len() as u64);
        Ok(())
    });
    result.unwrap();
    let slowest = slowest.get();
    assert!(
        // Twenty times what is promised: other work on the machine is no fault of the file's.
        slowest < Duration::from_secs(20),
        "the slowest file took {slowest:?}"
    );
    eprintln!(
        "20000 mutated files in {:?}, the slowest in {slowest:?}",
        start.elapsed()
    );
}
