//! TIFF files whose header or directories are broken are bad, for the right reason and at little cost.

use std::io::Cursor;

use swath_raster::synth::{CogSpec, cog};
use swath_raster::{Code, Expected, Level, Outcome, validate};

use crate::support::{
    Counted, DEFLATE, FORMS, Form, Image, JPEG, LZW, NONE, PACKBITS, TILES, ZSTD, check,
    chunk_range, deflate, say, write,
};

/// The file cut at every 64th of its length.
fn cuts(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    (1..64).map(|part| &file[..file.len() * part / 64])
}

/// T3.
#[test]
fn a_cog_cut_at_every_64th_is_refused_by_its_structure_alone() {
    let mut missed_by_decoder = 0;
    let specs = [
        CogSpec {
            width: 300,
            height: 200,
            tile: 64,
            overviews: 2,
            seed: 1,
            predictor: true,
        },
        CogSpec {
            width: 512,
            height: 512,
            tile: 256,
            overviews: 1,
            seed: 2,
            predictor: false,
        },
        CogSpec {
            width: 100,
            height: 100,
            tile: 128,
            overviews: 0,
            seed: 3,
            predictor: true,
        },
    ];
    for spec in specs {
        let file = cog(&spec);
        assert_eq!(check(&file, Level::Full).code, Code::Ok);
        let refused = cuts(&file)
            .filter(|cut| check(cut, Level::Structure).code == Code::Truncated)
            .count();
        assert_eq!(refused, 63, "{spec:?}");
        say(
            "T3",
            &format!("COG of {} pixels cut at each 64th", spec.width),
            "63/63 truncated",
            format!("{refused}/63"),
        );
        missed_by_decoder += cuts(&file)
            .filter(|cut| decodes_first_and_opens(cut))
            .count();
    }
    // What opening and decoding one tile would have let through: the reason for the walk.
    assert!(missed_by_decoder > 63, "{missed_by_decoder}");
}

fn decodes_first_and_opens(file: &[u8]) -> bool {
    tiff::decoder::Decoder::new(Cursor::new(file)).is_ok()
}

#[test]
fn every_form_cut_at_every_64th_is_refused() {
    for form in FORMS {
        for compression in [NONE, DEFLATE, LZW, PACKBITS, ZSTD, JPEG] {
            for tile in [None, Some((16, 16))] {
                let image = Image {
                    compression,
                    tile,
                    height: 32,
                    ..Image::default()
                };
                let overview = Image {
                    width: 20,
                    height: 16,
                    subfile: 1,
                    ..image.clone()
                };
                let file = write(form, &[image, overview]);
                let refused = cuts(&file)
                    .filter(|cut| check(cut, Level::Structure).outcome == Outcome::Bad)
                    .count();
                assert_eq!(refused, 63, "{form:?} {compression} {tile:?}");
            }
        }
    }
}

/// T2.
#[test]
fn nothing_or_a_part_of_the_header_is_no_file() {
    assert_eq!(check(b"", Level::Structure).code, Code::Empty);
    for form in FORMS {
        let file = write(form, &[Image::default()]);
        for length in 1..16 {
            let verdict = check(&file[..length], Level::Structure);
            assert_eq!(
                verdict.code,
                Code::Truncated,
                "{form:?}, {length} bytes: {verdict}"
            );
            assert!(verdict.retryable);
        }
    }
    say(
        "T2",
        "0 to 15 bytes of 4 forms",
        "empty or truncated",
        "empty or truncated",
    );
}

#[test]
fn an_offset_into_the_header_is_not_read_as_pixels() {
    let image = Image {
        tags: vec![(273, 4, vec![8, 0, 16, 24])],
        ..Image::default()
    };
    let verdict = check(&write(Form::default(), &[image]), Level::Structure);
    assert_eq!(verdict.code, Code::Malformed);
    assert_eq!(
        verdict.reason,
        "1 of 4 strips of image 0 lies within the file's header"
    );
}

/// T5.
#[test]
fn sizes_beyond_reason_are_refused_before_anything_is_allocated() {
    let huge = Image {
        tags: vec![
            (256, 4, vec![1 << 31]),
            (257, 4, vec![1 << 31]),
            (278, 4, vec![1 << 31]),
        ],
        ..Image::default()
    };
    let wide = Image {
        tags: vec![(256, 4, vec![0x7fff_ffff]), (257, 4, vec![0x7fff_ffff])],
        ..Image::default()
    };
    for (image, code) in [(huge, Code::LimitExceeded), (wide, Code::Malformed)] {
        let file = write(Form::default(), &[Image { height: 1, ..image }]);
        let mut source = Counted::new(&file);
        let verdict = validate(&mut source, &Expected::default(), Level::Full).unwrap();
        assert_eq!(verdict.code, code, "{verdict}");
        assert!(source.read < 4096, "{} bytes were read", source.read);
        let got = format!("{} after {} bytes", verdict.code.as_str(), source.read);
        say("T5", "2^31 pixels a side", "refused within 4096 bytes", got);
    }
}

#[test]
fn a_strip_that_claims_to_hold_gigabytes_is_refused_in_little_memory() {
    for compression in [DEFLATE, LZW, PACKBITS, ZSTD, JPEG] {
        let tags = vec![
            (256, 4, vec![60_000]),
            (257, 4, vec![60_000]),
            (278, 4, vec![60_000]),
        ];
        let file = write(
            Form::default(),
            &[Image {
                compression,
                height: 8,
                tags,
                ..Image::default()
            }],
        );
        let mut source = Counted::new(&file);
        let verdict = validate(&mut source, &Expected::default(), Level::Full).unwrap();
        // Readers fill up a JPEG that is smaller than its strip.
        let expected = if compression == JPEG {
            Code::UnverifiedLimit
        } else {
            Code::DecodeFailed
        };
        assert_eq!(verdict.code, expected, "scheme {compression}: {verdict}");
        assert!(source.read < 16_384, "{} bytes were read", source.read);
    }
}

/// T6.
#[test]
fn an_array_longer_than_the_file_is_refused_before_it_is_read() {
    for (tag, form) in [
        (324_u16, FORMS[0]),
        (325, FORMS[1]),
        (324, FORMS[2]),
        (325, FORMS[3]),
    ] {
        let image = Image {
            width: 32,
            height: 32,
            tile: Some((16, 16)),
            ..Image::default()
        };
        let mut file = write(form, &[image]);
        let entry = form
            .number(u64::from(tag), 2)
            .into_iter()
            .chain(form.number(4, 2))
            .collect::<Vec<_>>();
        let at = file.windows(4).rposition(|window| window == entry).unwrap();
        let count = form.number(1 << 28, if form.bigtiff { 8 } else { 4 });
        file[at + 4..at + 4 + count.len()].copy_from_slice(&count);
        let mut source = Counted::new(&file);
        let verdict = validate(&mut source, &Expected::default(), Level::Full).unwrap();
        assert_eq!(verdict.code, Code::Truncated, "{verdict}");
        assert!(
            verdict
                .reason
                .contains(&format!("the 268435456 values of tag {tag}")),
            "{verdict}"
        );
        assert!(source.read < 8192, "{} bytes were read", source.read);
        let got = format!("truncated after {} bytes", source.read);
        say("T6", "2^28 values", "truncated within 8192 bytes", got);
    }
}

/// T7.
#[test]
fn a_bomb_is_followed_no_further_than_its_tile_needs() {
    let bomb = deflate(&vec![0; 64 << 20]);
    let image = Image {
        width: 16,
        height: 16,
        tile: Some((16, 16)),
        tags: vec![(259, 3, vec![8])],
        ..Image::default()
    };
    let mut file = write(Form::default(), &[image]);
    let (entry, end) = (chunk_range(&file, TILES, 0), file.len() as u32);
    let directory = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
    for at in directory..file.len() - 4 {
        let value = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        if value == entry.0 && file[at - 8..at - 6] == 324_u16.to_le_bytes() {
            file[at..at + 4].copy_from_slice(&end.to_le_bytes());
        } else if value == entry.1 && file[at - 8..at - 6] == 325_u16.to_le_bytes() {
            file[at..at + 4].copy_from_slice(&(bomb.len() as u32).to_le_bytes());
        }
    }
    file.extend(&bomb);
    let mut source = Counted::new(&file);
    let verdict = validate(&mut source, &Expected::default(), Level::Full).unwrap();
    assert_eq!(verdict.code, Code::Ok, "{verdict}");
    assert!(
        source.read < 50_000 && bomb.len() > 60_000,
        "{} of {} bytes were read",
        source.read,
        bomb.len()
    );
    let got = format!("{} of {} bytes read", source.read, bomb.len());
    say("T7", "64 MiB in a 256 byte tile", "stops at its size", got);
}

fn small_directory(next: u32) -> Vec<u8> {
    let mut bytes = vec![1, 0, 254, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(next.to_le_bytes());
    bytes
}

/// A good file whose first directory is followed by the one at `next`.
fn followed_by(next: impl Fn(u32) -> u32) -> Vec<u8> {
    let mut file = write(
        Form::default(),
        &[Image {
            rows_per_strip: 30,
            ..Image::default()
        }],
    );
    let directory = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
    let entries = usize::from(u16::from_le_bytes(
        file[directory..directory + 2].try_into().unwrap(),
    ));
    let (link, end) = (directory + 2 + 12 * entries, file.len() as u32);
    file[link..link + 4].copy_from_slice(&next(end).to_le_bytes());
    file
}

/// T8.
#[test]
fn loops_and_endless_chains_of_directories_are_malformed_at_once() {
    let mut itself = followed_by(|end| end);
    itself.extend(small_directory(itself.len() as u32));
    let mut first = followed_by(|end| end);
    let back = u32::from_le_bytes(first[4..8].try_into().unwrap());
    first.extend(small_directory(back));
    let mut chain = followed_by(|end| end);
    for _ in 0..1_000_000 {
        let next = chain.len() as u32 + 18;
        chain.extend(small_directory(next));
    }
    let mut own_child = write(
        Form::default(),
        &[Image {
            tags: vec![(330, 4, vec![0])],
            ..Image::default()
        }],
    );
    let at = own_child
        .windows(4)
        .rposition(|window| window == [74, 1, 4, 0])
        .unwrap();
    let main = own_child[4..8].to_vec();
    own_child[at + 8..at + 12].copy_from_slice(&main);
    for (what, file) in [
        ("itself", itself),
        ("first", first),
        ("chain", chain),
        ("child", own_child),
    ] {
        // A cycle that is followed never comes to its end; the runner ends it and names the test.
        let verdict = check(&file, Level::Full);
        assert_eq!(verdict.code, Code::Malformed, "{what}: {verdict}");
    }
    say(
        "T8",
        "IFD loops, a self-pointing SubIFD, 10^6 IFDs",
        "malformed",
        "malformed",
    );
}

#[test]
fn a_directory_that_is_none_is_malformed() {
    for count in [0_u16, 5000] {
        let mut file = write(Form::default(), &[Image::default()]);
        let directory = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
        file[directory..directory + 2].copy_from_slice(&count.to_le_bytes());
        assert_eq!(
            check(&file, Level::Structure).code,
            Code::Malformed,
            "{count} entries"
        );
    }
    assert_eq!(
        check(b"II*\0\0\0\0\0", Level::Structure).code,
        Code::Malformed
    );
    assert_eq!(
        check(b"II*\0\x04\0\0\0", Level::Structure).code,
        Code::Malformed
    );
    assert_eq!(
        check(b"II+\0\x04\0\0\0\x10\0\0\0\0\0\0\0", Level::Structure).code,
        Code::Malformed
    );
}

#[test]
fn fields_that_contradict_one_another_are_malformed() {
    let base = Image {
        samples: 3,
        ..Image::default()
    };
    let with = |tag, kind, values: Vec<u64>| Image {
        tags: vec![(tag, kind, values)],
        ..base.clone()
    };
    let without = |tag| Image {
        without: vec![tag],
        ..base.clone()
    };
    let cases = [
        ("width 0", with(256, 3, vec![0])),
        ("two widths", with(256, 3, vec![40, 40])),
        ("a width in text", with(256, 2, vec![40])),
        ("no width", without(256)),
        ("no height", without(257)),
        ("0 samples", with(277, 3, vec![0])),
        ("0 bits", with(258, 3, vec![8, 0, 8])),
        ("200 bits", with(258, 3, vec![200; 3])),
        ("2 depths", with(258, 3, vec![8, 8])),
        ("format 7", with(339, 3, vec![7; 3])),
        ("planes 3", with(284, 3, vec![3])),
        ("0 rows", with(278, 3, vec![0])),
        ("no offsets", without(273)),
        ("no byte counts", without(279)),
        ("3 offsets", with(273, 4, vec![8, 8, 8])),
        ("3 byte counts", with(279, 4, vec![960, 960, 960])),
        ("tile width 0", with(322, 3, vec![0])),
        ("scheme 0", with(259, 3, vec![0])),
        ("two schemes", with(259, 3, vec![1, 5, 1])),
    ];
    for (what, image) in cases {
        let verdict = check(&write(Form::default(), &[image]), Level::Structure);
        assert_eq!(verdict.code, Code::Malformed, "{what}: {verdict}");
        assert!(!verdict.retryable, "{what}");
    }
}

#[test]
fn a_fault_in_any_directory_counts() {
    let tiled = |compression| Image {
        tile: Some((16, 16)),
        compression,
        ..Image::default()
    };
    let far = |image: Image| Image {
        tags: vec![(324, 4, vec![9_999_999; 6])],
        ..image
    };
    for place in 0..4 {
        let mut images = vec![tiled(DEFLATE), tiled(NONE), tiled(LZW)];
        if place < 3 {
            images[place] = far(images[place].clone());
        } else {
            images[0].children = vec![far(tiled(NONE))];
        }
        let verdict = check(&write(Form::default(), &images), Level::Structure);
        assert_eq!(verdict.code, Code::Truncated);
        assert!(
            verdict.reason.starts_with("6 of 6 tiles of image"),
            "{verdict}"
        );
    }
}

/// T14.
#[test]
fn junk_after_the_end_is_a_warning() {
    let mut file = cog(&CogSpec {
        width: 100,
        height: 100,
        tile: 64,
        ..CogSpec::default()
    });
    file.extend([0x5a; 1024]);
    let verdict = check(&file, Level::Full);
    assert_eq!((verdict.outcome, verdict.code), (Outcome::Good, Code::Ok));
    assert_eq!(
        verdict.warnings,
        ["1024 bytes follow the last one that a directory refers to"]
    );
    assert_eq!(verdict.tiff.unwrap().trailing_bytes, 1024);
    say(
        "T14",
        "1 KiB behind the end",
        "good, 1 warning",
        "good, 1 warning",
    );
}

#[test]
fn a_large_file_is_sampled_and_a_small_one_decoded_whole() {
    let large = cog(&CogSpec {
        width: 1400,
        height: 1400,
        tile: 128,
        overviews: 1,
        ..CogSpec::default()
    });
    assert!(large.len() > 1 << 20);
    let window = check(&large, Level::Window).tiff.unwrap();
    let full = check(&large, Level::Full).tiff.unwrap();
    assert!(window.decoded >= 4 && window.decoded <= 9, "{window:?}");
    assert_eq!(full.decoded, full.tiles);
    let small = cog(&CogSpec {
        width: 400,
        height: 400,
        tile: 64,
        ..CogSpec::default()
    });
    let report = check(&small, Level::Window).tiff.unwrap();
    assert_eq!(report.decoded, report.tiles);
}

#[test]
fn the_same_bytes_get_the_same_verdict() {
    let file = cog(&CogSpec {
        width: 1400,
        height: 1400,
        tile: 128,
        ..CogSpec::default()
    });
    for level in Level::ALL {
        assert_eq!(check(&file, level), check(&file, level));
    }
}
