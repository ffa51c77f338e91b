//! The files that the demonstration downloads are real Cloud Optimized GeoTIFF files.

use std::io::Cursor;

use swath_raster::synth::{CogSpec, cog};
use swath_raster::{Code, Level};
use tiff::decoder::{Decoder, DecodingResult};

use crate::support::check;

#[test]
fn a_made_file_is_cloud_optimized_and_whole() {
    for (width, height, tile, overviews) in [
        (1, 1, 16, 0),
        (100, 70, 64, 1),
        (513, 300, 256, 2),
        (640, 640, 512, 3),
    ] {
        for predictor in [false, true] {
            let verdict = check(
                &cog(&CogSpec {
                    width,
                    height,
                    tile,
                    overviews,
                    seed: 5,
                    predictor,
                }),
                Level::Full,
            );
            assert_eq!(verdict.code, Code::Ok, "{verdict}");
            assert!(verdict.warnings.is_empty(), "{:?}", verdict.warnings);
            let report = verdict.tiff.unwrap();
            assert!(report.cloud_optimized);
            assert_eq!(
                (report.width, report.height),
                (u64::from(width), u64::from(height))
            );
            assert_eq!(
                (report.images, report.sparse),
                (u64::from(overviews) + 1, 0)
            );
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_bytes_and_another_does_not() {
    let make = |seed| {
        cog(&CogSpec {
            width: 200,
            height: 200,
            tile: 64,
            seed,
            ..CogSpec::default()
        })
    };
    assert_eq!(make(1), make(1));
    assert_ne!(make(1), make(2));
}

#[test]
fn the_default_is_between_one_and_four_megabytes() {
    let size = cog(&CogSpec::default()).len();
    assert!((1_000_000..4_000_000).contains(&size), "{size} bytes");
}

fn pixels(file: &[u8], image: usize) -> Vec<u16> {
    let mut decoder = Decoder::new(Cursor::new(file)).unwrap();
    decoder.seek_to_image(image).unwrap();
    match decoder.read_image().unwrap() {
        DecodingResult::U16(pixels) => pixels,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_independent_decoder_reads_the_same_pixels_with_and_without_predictor() {
    let spec = CogSpec {
        width: 150,
        height: 90,
        tile: 64,
        overviews: 1,
        seed: 3,
        predictor: true,
    };
    let (with, without) = (
        cog(&spec),
        cog(&CogSpec {
            predictor: false,
            ..spec
        }),
    );
    let full = pixels(&with, 0);
    assert_eq!(full, pixels(&without, 0));
    assert!(full.iter().max() > full.iter().min());
    let half: Vec<u16> = full
        .chunks(150)
        .step_by(2)
        .flat_map(|row| row.iter().step_by(2).copied())
        .collect();
    assert_eq!(pixels(&with, 1), half);
}
