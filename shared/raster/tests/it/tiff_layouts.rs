//! Whole TIFF files of every shape are good, or unverified where no decoder knows them.

use std::io::{Seek, SeekFrom, Write};

use swath_raster::{Code, Expected, Level, Outcome, validate};

use crate::support::{
    DEFLATE, FAX4, FORMS, Form, Image, JPEG, LZW, NONE, PACKBITS, TILES, ZSTD, check, chunk_range,
    say, write,
};

fn good(file: &[u8], what: &str) {
    for level in [Level::Structure, Level::Window, Level::Full] {
        let verdict = check(file, level);
        assert_eq!(
            (verdict.outcome, verdict.code),
            (Outcome::Good, Code::Ok),
            "{what}: {verdict}"
        );
        assert!(
            verdict.warnings.is_empty(),
            "{what}: {:?}",
            verdict.warnings
        );
    }
}

/// T11.
#[test]
fn every_codec_in_every_form_is_good() {
    let mut files = 0;
    for form in FORMS {
        for compression in [NONE, DEFLATE, LZW, PACKBITS, ZSTD, 32946] {
            for tile in [None, Some((16, 32))] {
                let compressed_as = if compression == 32946 {
                    DEFLATE
                } else {
                    compression
                };
                let mut image = Image {
                    compression: compressed_as,
                    tile,
                    ..Image::default()
                };
                image.tags.push((259, 3, vec![u64::from(compression)]));
                good(
                    &write(form, &[image]),
                    &format!("{form:?} {compression} {tile:?}"),
                );
                files += 1;
            }
        }
    }
    assert_eq!(files, 48);
    say(
        "T11",
        "6 codecs in 8 layouts",
        "48 good",
        format!("{files} good"),
    );
}

/// T12.
#[test]
fn every_depth_and_plane_order_is_good() {
    for (bits, format) in [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 1),
        (7, 1),
        (12, 1),
        (16, 2),
        (16, 3),
        (24, 3),
        (32, 3),
        (64, 3),
        (64, 6),
        (128, 6),
    ] {
        for (samples, planar) in [(1, false), (3, false), (3, true), (5, true)] {
            for compression in [NONE, DEFLATE, LZW] {
                let tags = vec![(339, 3, vec![format; usize::from(samples)])];
                let image = Image {
                    bits,
                    samples,
                    planar,
                    compression,
                    tags,
                    ..Image::default()
                };
                let what = format!(
                    "{bits} bits, {samples} samples, planar {planar}, scheme {compression}"
                );
                good(&write(Form::default(), &[image]), &what);
            }
        }
    }
    say("T12", "depths, formats and plane orders", "good", "good");
}

/// T12.
#[test]
fn predictors_do_not_stand_in_the_way() {
    for (predictor, bits, format) in [(2, 8, 1), (2, 16, 1), (2, 32, 2), (3, 32, 3), (3, 64, 3)] {
        let tags = vec![(317, 3, vec![predictor]), (339, 3, vec![format])];
        let image = Image {
            bits,
            compression: DEFLATE,
            tags,
            ..Image::default()
        };
        good(
            &write(Form::default(), &[image]),
            &format!("predictor {predictor}, {bits} bits"),
        );
    }
    let tags = vec![(317, 3, vec![3])];
    let verdict = check(
        &write(
            Form::default(),
            &[Image {
                compression: DEFLATE,
                tags,
                ..Image::default()
            }],
        ),
        Level::Structure,
    );
    assert_eq!(verdict.code, Code::Malformed, "{verdict}");
    say("T12", "predictors 2 and 3", "good", "good");
}

#[test]
fn jpeg_and_fax_strips_and_tiles_are_good() {
    let base = Image {
        width: 40,
        height: 24,
        rows_per_strip: 8,
        ..Image::default()
    };
    good(
        &write(
            Form::default(),
            &[Image {
                compression: JPEG,
                ..base.clone()
            }],
        ),
        "jpeg strips",
    );
    good(
        &write(
            Form::default(),
            &[Image {
                compression: JPEG,
                tile: Some((16, 16)),
                ..base.clone()
            }],
        ),
        "jpeg tiles",
    );
    good(
        &write(
            Form::default(),
            &[Image {
                compression: FAX4,
                bits: 1,
                ..base
            }],
        ),
        "fax",
    );
}

/// T11.
#[test]
fn a_codec_that_is_not_decoded_here_is_unverified_and_never_bad() {
    let schemes = [
        2, 3, 6, 9, 10, 99, 32766, 32771, 32809, 34661, 34676, 34712, 34887, 34892, 34925, 34933,
        50001, 50002,
    ];
    for scheme in schemes {
        let image = Image {
            tags: vec![(259, 3, vec![scheme])],
            ..Image::default()
        };
        let file = write(Form::default(), &[image]);
        assert_eq!(
            check(&file, Level::Structure).code,
            Code::Ok,
            "scheme {scheme}"
        );
        for level in [Level::Window, Level::Full] {
            let verdict = check(&file, level);
            assert_eq!(
                verdict.outcome,
                Outcome::Unverified,
                "scheme {scheme}: {verdict}"
            );
            assert_eq!(verdict.code, Code::UnverifiedCodec);
        }
    }
    let image = Image {
        tags: vec![(259, 3, vec![8193])],
        ..Image::default()
    };
    assert_eq!(
        check(&write(Form::default(), &[image]), Level::Structure).code,
        Code::Malformed
    );
    say(
        "T11",
        "18 codecs that are not decoded",
        "unverified_codec",
        "unverified_codec",
    );
}

/// T13.
#[test]
fn all_directories_of_a_pyramid_with_masks_are_walked() {
    let tiled = |width, height, subfile| Image {
        width,
        height,
        tile: Some((16, 16)),
        compression: DEFLATE,
        subfile,
        ..Image::default()
    };
    let mut main = tiled(64, 48, 0);
    main.children = vec![tiled(16, 12, 1), tiled(8, 6, 1)];
    let images = [main, tiled(64, 48, 4), tiled(32, 24, 1), tiled(32, 24, 5)];
    for form in FORMS {
        let file = write(form, &images);
        let report = check(&file, Level::Full).tiff.unwrap();
        assert_eq!(
            (report.ifds, report.images, report.tiles),
            (6, 6, 12 + 1 + 1 + 12 + 4 + 4)
        );
        assert_eq!(
            (report.bigtiff, report.big_endian, report.decoded),
            (form.bigtiff, form.big_endian, report.tiles)
        );
        good(&file, "pyramid");
    }
    say(
        "T13",
        "pyramid with masks and SubIFDs in 4 forms",
        "6 of 6 IFDs",
        "6 of 6 IFDs",
    );
}

#[test]
fn sub_images_that_are_listed_and_chained_are_walked_once() {
    let child = |width| Image {
        width,
        ..Image::default()
    };
    let mut file = write(
        Form::default(),
        &[Image {
            children: vec![child(20), child(10)],
            ..Image::default()
        }],
    );
    // Chain the first child to the second as well, as writers of microscope pyramids do.
    let long =
        |file: &[u8], at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let main = long(&file, 4);
    let entries = usize::from(u16::from_le_bytes(file[main..main + 2].try_into().unwrap()));
    let list = (0..entries)
        .map(|n| main + 2 + 12 * n)
        .find(|at| file[*at..*at + 2] == 330_u16.to_le_bytes())
        .unwrap();
    let children = long(&file, list + 8);
    let (first, second) = (long(&file, children), long(&file, children + 4));
    let next = first
        + 2
        + 12 * usize::from(u16::from_le_bytes(
            file[first..first + 2].try_into().unwrap(),
        ));
    file[next..next + 4].copy_from_slice(&(second as u32).to_le_bytes());
    let verdict = check(&file, Level::Structure);
    assert_eq!(verdict.code, Code::Ok, "{verdict}");
    assert_eq!(verdict.tiff.unwrap().ifds, 3);
}

/// T10.
#[test]
fn sparse_tiles_are_counted_and_good() {
    let image = Image {
        width: 64,
        height: 64,
        tile: Some((16, 16)),
        compression: DEFLATE,
        sparse: (3..13).collect(),
        ..Image::default()
    };
    let verdict = check(
        &write(Form::default(), std::slice::from_ref(&image)),
        Level::Full,
    );
    assert_eq!((verdict.outcome, verdict.code), (Outcome::Good, Code::Ok));
    let report = verdict.tiff.unwrap();
    assert_eq!((report.tiles, report.sparse, report.decoded), (16, 10, 6));
    // An image without any data may leave its arrays out altogether.
    let blank = Image {
        tags: vec![(324, 0, vec![]), (325, 0, vec![])],
        ..image
    };
    let report = check(&write(Form::default(), &[blank]), Level::Full)
        .tiff
        .unwrap();
    assert_eq!((report.tiles, report.sparse), (16, 16));
    say(
        "T10",
        "10 of 16 tiles sparse, then all",
        "good, counted",
        "good, counted",
    );
}

/// T9.
#[test]
fn data_beyond_four_gibibytes_are_found() {
    for form in [FORMS[2], FORMS[3]] {
        let far = 5 << 30;
        let image = Image {
            height: 8,
            tags: vec![(273, 16, vec![far]), (279, 16, vec![320])],
            ..Image::default()
        };
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&write(form, &[image])).unwrap();
        file.set_len(far + 320).unwrap();
        let verdict = validate(&mut file, &Expected::default(), Level::Full).unwrap();
        assert_eq!(
            (verdict.code, verdict.size_bytes),
            (Code::Ok, far + 320),
            "{verdict}"
        );
        file.set_len(far + 319).unwrap();
        file.seek(SeekFrom::Start(7)).unwrap();
        let verdict = validate(&mut file, &Expected::default(), Level::Structure).unwrap();
        assert_eq!(verdict.code, Code::Truncated);
        assert_eq!(
            verdict.reason,
            "1 of 1 strip of image 0 lies past the end of the file (5.3 GB)"
        );
    }
    say(
        "T9",
        "BigTIFF in both byte orders, data at 5 GiB",
        "ok; truncated when a byte is missing",
        "ok; truncated when a byte is missing",
    );
}

#[test]
fn what_old_writers_do_is_good_with_a_warning() {
    let strips = Image::default();
    let one = Image {
        rows_per_strip: 30,
        ..strips.clone()
    };
    let with = |image: &Image, tag, kind, values: Vec<u64>| Image {
        tags: vec![(tag, kind, values)],
        ..image.clone()
    };
    let without = |image: &Image, tag| Image {
        without: vec![tag],
        ..image.clone()
    };
    let mut zipped = one.clone();
    zipped.compression = DEFLATE;
    let cases = [
        ("no byte counts", without(&one, 279), 1),
        ("a byte count of 0", with(&one, 279, 4, vec![0]), 1),
        ("a byte count too small", with(&one, 279, 4, vec![9]), 1),
        (
            "a byte count past the end",
            with(&one, 279, 4, vec![99_999]),
            1,
        ),
        (
            "the last byte count past the end",
            with(&strips, 279, 4, vec![320, 320, 320, 99_999]),
            1,
        ),
        (
            "one byte count too many",
            with(&strips, 279, 4, vec![320, 320, 320, 240, 320]),
            1,
        ),
        (
            "a compressed strip without byte count",
            without(&zipped, 279),
            0,
        ),
        ("no rows per strip", without(&one, 278), 0),
        (
            "all rows per strip",
            with(&one, 278, 4, vec![0xffff_ffff]),
            0,
        ),
        ("no photometric interpretation", without(&strips, 262), 0),
        ("no planar configuration", without(&strips, 284), 0),
    ];
    for (what, image, warnings) in cases {
        let verdict = check(&write(Form::default(), &[image]), Level::Full);
        assert_eq!(
            (verdict.outcome, verdict.code),
            (Outcome::Good, Code::Ok),
            "{what}: {verdict}"
        );
        assert!(
            verdict.warnings.len() >= warnings,
            "{what}: {:?}",
            verdict.warnings
        );
    }
}

#[test]
fn reversed_bits_are_read_either_way() {
    for reverse in [false, true] {
        let image = Image {
            rows_per_strip: 30,
            compression: DEFLATE,
            tags: vec![(266, 3, vec![2])],
            ..Image::default()
        };
        let mut file = write(Form::default(), &[image]);
        let (start, length) = chunk_range(&file, crate::support::STRIPS, 0);
        if reverse {
            file[start..start + length]
                .iter_mut()
                .for_each(|byte| *byte = byte.reverse_bits());
        }
        assert_eq!(
            check(&file, Level::Full).code,
            Code::Ok,
            "reversed: {reverse}"
        );
    }
}

#[test]
fn a_chunk_that_is_shared_or_overlaps_is_counted() {
    let image = Image {
        width: 32,
        height: 32,
        tile: Some((16, 16)),
        ..Image::default()
    };
    let file = write(Form::default(), std::slice::from_ref(&image));
    let (start, _) = chunk_range(&file, TILES, 0);
    let start = start as u64;
    let tags = vec![(324, 4, vec![start, start, start + 100, start + 512])];
    let verdict = check(
        &write(Form::default(), &[Image { tags, ..image }]),
        Level::Full,
    );
    let report = verdict.tiff.clone().unwrap();
    assert_eq!(
        (verdict.code, report.shared, report.overlapping),
        (Code::Ok, 1, 1),
        "{:?}",
        verdict.warnings
    );
}

#[test]
fn the_tiles_of_a_volume_are_all_walked() {
    let image = Image {
        width: 32,
        height: 32,
        tile: Some((16, 64)),
        compression: DEFLATE,
        tags: vec![(32997, 3, vec![8]), (32998, 3, vec![4]), (323, 3, vec![16])],
        ..Image::default()
    };
    // A tile of 64 rows holds the bytes of 4 layers of 16; the writer makes half of the tiles of two such rows.
    let file = write(Form::default(), std::slice::from_ref(&image));
    assert_eq!(check(&file, Level::Structure).code, Code::Malformed);
    let whole = Image {
        height: 32 * 8,
        tags: [image.tags, vec![(257, 3, vec![32])]].concat(),
        ..image
    };
    let file = write(Form::default(), std::slice::from_ref(&whole));
    let verdict = check(&file, Level::Full);
    assert_eq!(verdict.code, Code::Ok, "{verdict}");
    assert_eq!(
        verdict.tiff.map(|report| (report.tiles, report.decoded)),
        Some((8, 8))
    );
}
