//! Strips and tiles whose bytes are not what their directory promises are bad, whatever compresses them.

use swath_raster::{Code, Level};

use crate::support::{
    DEFLATE, Form, Image, JPEG, LZW, PACKBITS, STRIPS, TILES, ZSTD, check, chunk_range, say, write,
};

/// T4.
#[test]
fn a_flipped_or_zeroed_byte_range_of_deflate_is_found() {
    let image = Image {
        width: 64,
        height: 64,
        tile: Some((16, 16)),
        compression: DEFLATE,
        ..Image::default()
    };
    let file = write(Form::default(), &[image]);
    for index in 0..16 {
        let (start, length) = chunk_range(&file, TILES, index);
        for at in start..start + length {
            let mut broken = file.clone();
            broken[at] ^= 0x10;
            let verdict = check(&broken, Level::Full);
            if verdict.code == Code::Ok {
                // The last byte before the checksum is filled up with bits that mean nothing.
                assert_eq!(at - start, length - 5, "tile {index}");
                continue;
            }
            assert_eq!(
                verdict.code,
                Code::DecodeFailed,
                "tile {index}, byte {}",
                at - start
            );
            assert!(
                verdict
                    .reason
                    .starts_with(&format!("tile {index} of image 0 (16 tiles, Deflate)"))
            );
        }
        for range in [
            start..start + length,
            start..start + 2,
            start + length / 2..start + length,
            start + length - 4..start + length,
        ] {
            let mut broken = file.clone();
            broken[range].fill(0);
            assert_eq!(
                check(&broken, Level::Full).code,
                Code::DecodeFailed,
                "tile {index}"
            );
            assert_eq!(check(&broken, Level::Structure).code, Code::Ok);
        }
    }
    say(
        "T4",
        "each byte of 16 tiles flipped, 4 ranges zeroed",
        "decode_failed",
        "decode_failed",
    );
}

#[test]
fn a_chunk_cut_short_within_the_file_is_found() {
    for compression in [DEFLATE, LZW, PACKBITS, ZSTD] {
        let image = Image {
            rows_per_strip: 15,
            compression,
            ..Image::default()
        };
        let file = write(Form::default(), std::slice::from_ref(&image));
        let (first, second) = (
            chunk_range(&file, STRIPS, 0).1 as u64,
            chunk_range(&file, STRIPS, 1).1 as u64,
        );
        let short = Image {
            tags: vec![(279, 4, vec![first / 2, second])],
            ..image
        };
        let verdict = check(&write(Form::default(), &[short]), Level::Full);
        assert_eq!(
            verdict.code,
            Code::DecodeFailed,
            "scheme {compression}: {verdict}"
        );
    }
    let short = Image {
        tags: vec![(279, 4, vec![320, 100, 320, 240])],
        ..Image::default()
    };
    let verdict = check(&write(Form::default(), &[short]), Level::Structure);
    assert_eq!(verdict.code, Code::Malformed, "{verdict}");
}

fn jpeg_tiff() -> Vec<u8> {
    write(
        Form::default(),
        &[Image {
            height: 32,
            tile: Some((16, 16)),
            compression: JPEG,
            ..Image::default()
        }],
    )
}

#[test]
fn a_jpeg_tile_that_is_zeroed_or_holds_rubbish_markers_is_found() {
    let file = jpeg_tiff();
    assert_eq!(check(&file, Level::Full).code, Code::Ok);
    for index in 0..6 {
        let (start, length) = chunk_range(&file, TILES, index);
        let mut zeroed = file.clone();
        zeroed[start..start + length].fill(0);
        let mut rubbish = file.clone();
        rubbish[start + length - 3..start + length - 1].copy_from_slice(&[0xff, 0x42]);
        for broken in [zeroed, rubbish] {
            let verdict = check(&broken, Level::Full);
            assert_eq!(verdict.code, Code::DecodeFailed, "tile {index}: {verdict}");
            assert!(!verdict.reason.contains('\n'), "{verdict}");
        }
    }
}

#[test]
fn a_jpeg_that_readers_mend_is_unverified() {
    let mut file = jpeg_tiff();
    let (start, length) = chunk_range(&file, TILES, 2);
    file[start + length - 2..start + length].fill(0);
    let verdict = check(&file, Level::Full);
    assert_eq!(verdict.code, Code::UnverifiedCodec, "{verdict}");
    assert_eq!(
        verdict
            .tiff
            .map(|report| (report.decoded, report.undecoded)),
        Some((5, 1))
    );
}

#[test]
fn a_jpeg_of_another_size_or_depth_than_its_tile_is_found() {
    let smaller = Image {
        tile: Some((24, 16)),
        compression: JPEG,
        height: 32,
        ..Image::default()
    };
    let file = write(Form::default(), &[smaller]);
    let mut shrunk = file.clone();
    let width = 24_u16.to_be_bytes();
    let at = chunk_range(&file, TILES, 0).0;
    let place = at
        + file[at..]
            .windows(2)
            .position(|pair| pair == width)
            .unwrap();
    shrunk[place..place + 2].copy_from_slice(&16_u16.to_be_bytes());
    assert_eq!(check(&shrunk, Level::Structure).code, Code::Ok);
    let mut grown = file.clone();
    grown[place..place + 2].copy_from_slice(&300_u16.to_be_bytes());
    let verdict = check(&grown, Level::Full);
    assert_eq!(verdict.code, Code::DecodeFailed);
    assert!(
        verdict
            .reason
            .ends_with("a JPEG of 300 x 16 pixels in a tile of 24 x 16"),
        "{verdict}"
    );
    let colour = Image {
        tile: Some((24, 16)),
        compression: JPEG,
        height: 32,
        samples: 3,
        ..Image::default()
    };
    let verdict = check(&write(Form::default(), &[colour]), Level::Full);
    assert!(
        verdict
            .reason
            .ends_with("a JPEG of 1 components where the image has 3 samples"),
        "{verdict}"
    );
}

#[test]
fn foreign_data_that_begin_right_and_do_not_end_so_are_found() {
    let with = |scheme, data: &[u8]| {
        let offset = 8;
        let tags = vec![
            (259, 3, vec![scheme]),
            (273, 4, vec![offset]),
            (279, 4, vec![data.len() as u64]),
        ];
        let mut file = write(
            Form::default(),
            &[Image {
                rows_per_strip: 30,
                tags,
                ..Image::default()
            }],
        );
        file[8..8 + data.len()].copy_from_slice(data);
        check(&file, Level::Full)
    };
    let lerc = |checksum: u32| {
        let mut data = b"Lerc2 \x04\0\0\0".to_vec();
        data.extend(checksum.to_le_bytes());
        data.extend([1; 20]);
        data.extend(64_u32.to_le_bytes());
        data.resize(64, 7);
        data
    };
    // Fletcher's sum of the 50 bytes that follow the checksum.
    let sum = {
        let (mut first, mut second) = (0xffff_u64, 0xffff_u64);
        for word in lerc(0)[14..].chunks(2) {
            first += u64::from(word[0]) << 8 | u64::from(word[1]);
            second += first;
        }
        let fold = |mut sum: u64| {
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            sum as u32
        };
        fold(second) << 16 | fold(first)
    };
    assert_eq!(with(34887, &lerc(sum)).code, Code::UnverifiedCodec);
    assert_eq!(with(34887, &lerc(sum ^ 1)).code, Code::DecodeFailed);
    assert_eq!(
        with(34925, b"\xfd7zXZ\0 and so on YZ").code,
        Code::UnverifiedCodec
    );
    assert_eq!(
        with(34925, b"\xfd7zXZ\0 and so on, cut").code,
        Code::DecodeFailed
    );
    assert_eq!(
        with(50001, b"RIFF\x0c\0\0\0WEBPVP8 ....").code,
        Code::UnverifiedCodec
    );
    assert_eq!(
        with(50001, b"RIFF\xff\0\0\0WEBPVP8 ....").code,
        Code::DecodeFailed
    );
    assert_eq!(with(50002, &[0; 20]).code, Code::DecodeFailed);
}
