//! Formats beside TIFF: whole ones are good, and a cut at every 64th is not.

use std::io::Write;

use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, Crc};
use swath_raster::{Code, Expected, Kind, Level, Outcome};

use crate::support::{check, check_as, jpeg, pixels};

fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut out = ((content.len() + 8) as u32).to_be_bytes().to_vec();
    out.extend(name);
    out.extend(content);
    out
}

fn codestream() -> Vec<u8> {
    let mut out = b"\xff\x4f\xff\x51\0\x29".to_vec();
    out.extend([0; 39]);
    for tile in 0..4_u16 {
        out.extend(b"\xff\x90\0\x0a");
        out.extend(tile.to_be_bytes());
        out.extend(214_u32.to_be_bytes());
        out.extend(b"\0\x01\xff\x93");
        out.extend(pixels(200, u64::from(tile)));
    }
    out.extend(b"\xff\xd9");
    out
}

pub(crate) fn jp2() -> Vec<u8> {
    let mut out = boxed(b"jP  ", b"\r\n\x87\n");
    out.extend(boxed(b"ftyp", b"jp2 \0\0\0\0jp2 "));
    out.extend(boxed(b"jp2h", &[0; 22]));
    out.extend(boxed(b"jp2c", &codestream()));
    out
}

fn png_chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(content);
    let mut out = (content.len() as u32).to_be_bytes().to_vec();
    out.extend(name);
    out.extend(content);
    out.extend(crc.sum().to_be_bytes());
    out
}

fn png() -> Vec<u8> {
    let mut data = ZlibEncoder::new(Vec::new(), Compression::default());
    data.write_all(&pixels(1024, 1)).unwrap();
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    out.extend(png_chunk(b"IHDR", b"\0\0\0\x20\0\0\0\x1f\x08\0\0\0\0"));
    out.extend(png_chunk(b"IDAT", &data.finish().unwrap()));
    out.extend(png_chunk(b"IEND", b""));
    out
}

fn webp() -> Vec<u8> {
    let data = pixels(500, 3);
    let mut out = b"RIFF".to_vec();
    out.extend((4 + 8 + data.len() as u32).to_le_bytes());
    out.extend(b"WEBPVP8 ");
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out
}

fn hdf5(version: u8, user_block: usize) -> Vec<u8> {
    let mut out = pixels(user_block, 9);
    let total = (user_block + 2048) as u64;
    out.extend(b"\x89HDF\r\n\x1a\n");
    if version < 2 {
        out.extend([version, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0]);
        out.extend(vec![0; if version == 1 { 4 } else { 0 }]);
        out.extend((user_block as u64).to_le_bytes());
        out.extend([0xff; 8]);
    } else {
        out.extend([version, 8, 8, 0]);
        out.extend((user_block as u64).to_le_bytes());
        out.extend([0xff; 8]);
    }
    out.extend(total.to_le_bytes());
    out.resize(total as usize, 1);
    out
}

fn grib(edition: u8, messages: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..messages {
        let mut message = b"GRIB".to_vec();
        if edition == 1 {
            message.extend([0, 1, 0, 1]);
        } else {
            message.extend([0, 0, 0, 2]);
            message.extend(256_u64.to_be_bytes());
        }
        message.resize(252, 5);
        message.extend(b"7777");
        out.extend(message);
    }
    out
}

/// One fixed variable of 10 x 4 bytes and two record variables of 3 records.
fn netcdf(version: u8) -> Vec<u8> {
    let mut out = vec![b'C', b'D', b'F', version];
    let count = |out: &mut Vec<u8>, value: u64| {
        if version == 5 {
            out.extend(value.to_be_bytes())
        } else {
            out.extend((value as u32).to_be_bytes())
        }
    };
    let word = |out: &mut Vec<u8>, value: u32| out.extend(value.to_be_bytes());
    let name = |out: &mut Vec<u8>, text: &str| {
        count(out, text.len() as u64);
        out.extend(text.as_bytes());
        out.resize(out.len().next_multiple_of(4), 0);
    };
    count(&mut out, 3);
    word(&mut out, 10);
    count(&mut out, 2);
    name(&mut out, "time");
    count(&mut out, 0);
    name(&mut out, "x");
    count(&mut out, 10);
    word(&mut out, 12);
    count(&mut out, 1);
    name(&mut out, "title");
    word(&mut out, 2);
    count(&mut out, 5);
    out.extend(b"ocean\0\0\0");
    word(&mut out, 11);
    count(&mut out, 3);
    // Headers of these variables take less than 600 bytes in every version.
    for (label, dimensions, kind, bytes, begin) in [
        ("x", vec![1], 4, 40, 600_u64),
        ("t", vec![0], 6, 8, 640),
        ("v", vec![0, 1], 3, 20, 648),
    ] {
        name(&mut out, label);
        count(&mut out, dimensions.len() as u64);
        for id in dimensions {
            count(&mut out, id);
        }
        word(&mut out, 0);
        count(&mut out, 0);
        word(&mut out, kind);
        count(&mut out, bytes);
        if version == 1 {
            word(&mut out, begin as u32)
        } else {
            out.extend(begin.to_be_bytes())
        }
    }
    assert!(out.len() < 600);
    out.resize(640 + 3 * 28, 7);
    out
}

fn zip() -> Vec<u8> {
    let data = pixels(700, 4);
    let mut out = b"PK\x03\x04".to_vec();
    out.extend([0; 26]);
    out.extend(&data);
    let start = out.len() as u32;
    out.extend(b"PK\x01\x02");
    out.extend([0; 43]);
    let length = out.len() as u32 - start;
    out.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    out.extend(length.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend(b"\x05\0hello");
    out
}

fn las(minor: u8, compressed: bool) -> Vec<u8> {
    let header = if minor >= 4 { 375 } else { 227 };
    let mut out = vec![0; header];
    out[..4].copy_from_slice(b"LASF");
    out[24] = 1;
    out[25] = minor;
    out[94..96].copy_from_slice(&(header as u16).to_le_bytes());
    out[96..100].copy_from_slice(&(header as u32).to_le_bytes());
    out[104] = if compressed { 0x86 } else { 6 };
    out[105] = 30;
    out[107..111].copy_from_slice(&50_u32.to_le_bytes());
    if minor >= 4 {
        out[247..255].copy_from_slice(&50_u64.to_le_bytes());
    }
    out.resize(header + 1500, 3);
    if compressed {
        let table = (out.len() - 8) as i64;
        out[header..header + 8].copy_from_slice(&table.to_le_bytes());
    }
    out
}

fn parquet() -> Vec<u8> {
    let mut out = b"PAR1".to_vec();
    out.extend(pixels(900, 5));
    out.extend(100_u32.to_le_bytes());
    out.extend(b"PAR1");
    out
}

fn gzip() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&pixels(5000, 6)).unwrap();
    encoder.finish().unwrap()
}

fn json() -> Vec<u8> {
    let features: Vec<String> = (0..40)
        .map(|n| format!("{{\"id\": \"a}}\\\"{n}\", \"bbox\": [{n}, 1.5]}}"))
        .collect();
    format!(
        "{{\"type\": \"FeatureCollection\", \"features\": [{}]}}\n",
        features.join(", ")
    )
    .into_bytes()
}

fn xml() -> Vec<u8> {
    let bands: String = (0..40)
        .map(|n| format!("<Band id=\"{n}\"><Gain>1.{n}</Gain></Band>\n"))
        .collect();
    format!("<?xml version=\"1.0\"?>\n<n1:Product xmlns:n1=\"urn:x\">\n{bands}</n1:Product>\n<!-- end -->\n").into_bytes()
}

fn all() -> Vec<(&'static str, Kind, Vec<u8>)> {
    vec![
        ("jp2", Kind::Jp2, jp2()),
        ("j2k", Kind::J2k, codestream()),
        ("png", Kind::Png, png()),
        ("jpeg", Kind::Jpeg, jpeg(300, 200)),
        ("webp", Kind::Webp, webp()),
        ("hdf5 v0", Kind::Hdf5, hdf5(0, 0)),
        ("hdf5 v1", Kind::Hdf5, hdf5(1, 0)),
        ("hdf5 v2 after a user block", Kind::Hdf5, hdf5(2, 512)),
        ("hdf5 v3", Kind::Hdf5, hdf5(3, 0)),
        ("grib 1", Kind::Grib, grib(1, 1)),
        ("grib 2", Kind::Grib, grib(2, 1)),
        ("netcdf classic", Kind::NetCdf, netcdf(1)),
        ("netcdf 64-bit offset", Kind::NetCdf, netcdf(2)),
        ("netcdf 64-bit data", Kind::NetCdf, netcdf(5)),
        ("zip", Kind::Zip, zip()),
        ("las 1.2", Kind::Las, las(2, false)),
        ("las 1.4", Kind::Las, las(4, false)),
        ("laz", Kind::Las, las(4, true)),
        ("parquet", Kind::Parquet, parquet()),
        ("gzip", Kind::Gzip, gzip()),
        ("json", Kind::Json, json()),
        ("xml", Kind::Xml, xml()),
    ]
}

#[test]
fn whole_files_of_every_kind_are_good() {
    for (what, kind, file) in all() {
        for level in [Level::Structure, Level::Window, Level::Full] {
            let verdict = check(&file, level);
            assert_eq!(verdict.kind, kind, "{what}");
            if kind == Kind::Gzip && level < Level::Full {
                assert_eq!(verdict.outcome, Outcome::Unverified, "{what}: {verdict}");
                continue;
            }
            assert_eq!(
                verdict.outcome,
                Outcome::Good,
                "{what} at {level}: {verdict}"
            );
            assert!(
                verdict.warnings.is_empty(),
                "{what}: {:?}",
                verdict.warnings
            );
        }
    }
}

#[test]
fn a_cut_of_any_kind_at_every_64th_is_not_good() {
    for (what, kind, file) in all() {
        let level = if kind == Kind::Gzip {
            Level::Full
        } else {
            Level::Structure
        };
        let expected = Expected {
            name: Some("x.tif"),
            ..Expected::default()
        };
        for part in 1..64 {
            let cut = &file[..file.len() * part / 64];
            let verdict = check_as(cut, &Expected::default(), level);
            assert_ne!(
                verdict.outcome,
                Outcome::Good,
                "{what} at {part}/64: {verdict}"
            );
            let promised = check_as(cut, &expected, level);
            assert_eq!(
                promised.outcome,
                Outcome::Bad,
                "{what} at {part}/64: {promised}"
            );
        }
    }
}

#[test]
fn checksums_are_compared_at_full() {
    let mut broken = png();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    assert_eq!(check(&broken, Level::Structure).code, Code::Ok);
    assert_eq!(check(&broken, Level::Full).code, Code::DecodeFailed);
    let mut broken = gzip();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    assert_eq!(check(&broken, Level::Full).outcome, Outcome::Bad);
}

#[test]
fn a_codestream_without_its_last_tile_part_is_cut() {
    let mut file = jp2();
    let short = file.len() - 2;
    file.truncate(short);
    // The box length is made to agree, so that only the codestream itself can tell.
    let start = file.windows(4).position(|name| name == b"jp2c").unwrap() - 4;
    let length = (file.len() - start) as u32;
    file[start..start + 4].copy_from_slice(&length.to_be_bytes());
    let verdict = check(&file, Level::Structure);
    assert_eq!(
        (verdict.outcome, verdict.warnings.len()),
        (Outcome::Good, 1),
        "{verdict}"
    );
    file.truncate(file.len() - 100);
    let length = (file.len() - start) as u32;
    file[start..start + 4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(check(&file, Level::Structure).code, Code::Truncated);
}

#[test]
fn a_message_that_does_not_end_as_it_must_is_malformed() {
    let mut file = grib(2, 3);
    let at = file.len() - 256 - 2;
    file[at] = b'8';
    assert_eq!(check(&file, Level::Structure).code, Code::Malformed);
    let mut file = grib(2, 2);
    file.truncate(300);
    assert_eq!(check(&file, Level::Structure).code, Code::Truncated);
}

#[test]
fn several_documents_to_a_file_are_good_and_half_a_one_is_not() {
    assert_eq!(
        check(b"{\"a\": 1}\n{\"a\": 2}\n", Level::Structure).code,
        Code::Ok
    );
    assert_eq!(
        check(b"{\"a\": 1}\n{\"a\": 2", Level::Structure).code,
        Code::Truncated
    );
    assert_eq!(check(b"{\"a\": 1]", Level::Structure).code, Code::Malformed);
    assert_eq!(
        check(b"{\"a\": 1} trailing", Level::Structure).code,
        Code::Malformed
    );
    let deep = b"[".repeat(100_000);
    assert_eq!(check(&deep, Level::Structure).code, Code::Malformed);
}
