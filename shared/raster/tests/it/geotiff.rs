//! Items out of headers.

use std::io::Cursor;

use serde_json::{Value, json};
use swath_raster::geotiff::{DescribeError, GeoTiff, ItemError, Origin, Ranged, describe};
use swath_raster::synth::{CogSpec, cog};
use time::macros::datetime;

use crate::support::{FORMS, Form, Image, write};

fn doubles(tag: u16, values: &[f64]) -> (u16, u16, Vec<u64>) {
    (
        tag,
        12,
        values.iter().map(|value| value.to_bits()).collect(),
    )
}

/// A raster of 40 by 30 pixels at a corner, in a system of these keys.
fn placed(form: Form, corner: (f64, f64), side: f64, keys: &[u64]) -> Vec<u8> {
    let mut directory = vec![1, 1, 0, (keys.len() / 4) as u64];
    directory.extend(keys);
    let image = Image {
        tags: vec![
            doubles(33550, &[side, side, 0.0]),
            doubles(33922, &[0.0, 0.0, 0.0, corner.0, corner.1, 0.0]),
            (34735, 3, directory),
        ],
        ..Image::default()
    };
    write(form, &[image])
}

fn described(bytes: &[u8]) -> GeoTiff {
    describe(&mut Cursor::new(bytes)).unwrap()
}

fn item(bytes: &[u8]) -> Value {
    let origin = Origin {
        id: "i",
        href: "file:///i.tif",
        datetime: Some(datetime!(2024-01-02 00:00 UTC)),
        ..Origin::default()
    };
    described(bytes).item(&origin).unwrap()
}

const PROJECTED: [u64; 4] = [1024, 0, 1, 1];
const GEOGRAPHIC: [u64; 8] = [1024, 0, 1, 2, 2048, 0, 1, 4326];

fn utm(code: u64) -> Vec<u64> {
    [&PROJECTED[..], &[3072, 0, 1, code]].concat()
}

fn near(found: &Value, expected: &[f64]) {
    let found: Vec<f64> = serde_json::from_value(found.clone()).unwrap();
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
    assert!(
        found.iter().zip(expected).all(near),
        "{found:?} is not {expected:?}"
    );
    assert_eq!(found.len(), expected.len());
}

#[test]
fn a_place_is_read_in_every_byte_order_and_offset_width() {
    for form in FORMS {
        let item = item(&placed(form, (10.0, 50.0), 0.1, &GEOGRAPHIC));
        let properties = &item["properties"];
        assert_eq!(properties["proj:code"], "EPSG:4326", "{form:?}");
        assert_eq!(properties["proj:shape"], json!([30, 40]));
        near(
            &properties["proj:transform"],
            &[0.1, 0.0, 10.0, 0.0, -0.1, 50.0],
        );
        near(&item["bbox"], &[10.0, 47.0, 14.0, 50.0]);
        let ring = item["geometry"]["coordinates"][0].as_array().unwrap();
        assert_eq!(
            ring.len(),
            5,
            "edges of longitude and latitude stay straight: {ring:?}"
        );
    }
}

#[test]
fn a_utm_zone_is_taken_to_wgs_84() {
    // 52.323 N 13.532 E, as PROJ 9 has it.
    let item = item(&placed(
        FORMS[0],
        (399_960.0, 5_800_020.0),
        100.0,
        &utm(32633),
    ));
    let bbox: Vec<f64> = serde_json::from_value(item["bbox"].clone()).unwrap();
    assert!(
        (bbox[0] - 13.530_639_8).abs() < 2e-3 && (bbox[3] - 52.342).abs() < 2e-3,
        "{bbox:?}"
    );
    assert_eq!(item["assets"]["data"]["raster:spatial_resolution"], 100.0);
}

#[test]
fn a_footprint_over_the_antimeridian_is_cut_there() {
    let item = item(&placed(FORMS[0], (175.0, -10.0), 0.25, &GEOGRAPHIC));
    near(&item["bbox"], &[175.0, -17.5, -175.0, -10.0]);
    assert_eq!(item["geometry"]["type"], "MultiPolygon");
}

#[test]
fn a_footprint_round_a_pole_has_the_pole_inside() {
    let polar = utm(3413);
    let item = item(&placed(
        FORMS[0],
        (-2_000_000.0, 1_500_000.0),
        100_000.0,
        &polar,
    ));
    let bbox: Vec<f64> = serde_json::from_value(item["bbox"].clone()).unwrap();
    assert_eq!(
        (bbox[0], bbox[2], bbox[3]),
        (-180.0, 180.0, 90.0),
        "{bbox:?}"
    );
    assert_eq!(item["geometry"]["type"], "Polygon");
}

#[test]
fn what_is_not_known_is_said_and_not_made_up() {
    let item = item(&write(FORMS[0], &[Image::default()]));
    assert_eq!(item["geometry"], Value::Null);
    assert_eq!(item.get("bbox"), None);
    assert_eq!(item["properties"]["proj:code"], Value::Null);
    assert_eq!(item["properties"].get("proj:transform"), None);
    let notes = item["properties"]["swath:notes"].to_string();
    assert!(
        notes.contains("does not say where its pixels lie"),
        "{notes}"
    );
    let nameless = Origin {
        id: "i",
        href: "h",
        name: "plain",
        ..Origin::default()
    };
    let error = described(&write(FORMS[0], &[Image::default()]))
        .item(&nameless)
        .unwrap_err();
    assert_eq!(error.code(), "datetime_unknown");
    assert!(matches!(error, ItemError::NoDatetime { href } if href == "h"));
}

#[test]
fn a_header_is_read_by_ranges_and_pixels_are_left_alone() {
    let file = cog(&CogSpec::default());
    let mut parts = Ranged::new(file.len() as u64);
    let whole = loop {
        match describe(&mut parts) {
            Err(DescribeError::Io(_)) => {
                let range = parts.next_range().unwrap();
                let bytes = &file[range.start as usize..range.end as usize];
                parts.add(range.start, bytes.to_vec());
            }
            other => break other.unwrap(),
        }
    };
    assert_eq!(whole.code(), Some("EPSG:32633"));
    assert_eq!(whole.size(), described(&file).size());
    let (ranges, bytes) = parts.fetched();
    assert!(
        ranges <= 2 && bytes <= 100 << 10,
        "{ranges} ranges of {bytes} bytes"
    );
}

#[test]
fn no_mutation_makes_it_panic_or_read_for_ever() {
    let file = placed(FORMS[0], (399_960.0, 5_800_020.0), 10.0, &utm(32633));
    let origin = Origin {
        datetime: Some(datetime!(2024-01-02 00:00 UTC)),
        ..Origin::default()
    };
    for at in 0..file.len() {
        for value in [0x00, 0x01, 0x7f, 0xff] {
            let mut broken = file.clone();
            broken[at] = value;
            if let Ok(raster) = describe(&mut Cursor::new(&broken)) {
                let _item = raster.item(&origin);
            }
        }
        let cut = &file[..at];
        assert!(
            at > file.len() / 2 || describe(&mut Cursor::new(cut)).is_err(),
            "cut at {at}"
        );
    }
}
