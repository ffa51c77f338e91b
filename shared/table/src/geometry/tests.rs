//! Geometries against bytes and boxes worked out by hand.

use super::*;

fn parse(text: &str) -> Geometry {
    Geometry::parse(text).unwrap()
}

fn hex(geometry: &Geometry) -> String {
    let mut bytes = Vec::new();
    wkb::write(geometry, &mut bytes);
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.concat()
}

#[test]
fn bytes_are_those_of_the_standard() {
    assert_eq!(
        hex(&parse(r#"{"type":"Point","coordinates":[1,2]}"#)),
        "0101000000000000000000f03f0000000000000040"
    );
    assert_eq!(
        hex(&parse(r#"{"type":"MultiPoint","coordinates":[[1,2,3]]}"#)),
        "01ec0300000100000001e9030000000000000000f03f00000000000000400000000000000840"
    );
    assert_eq!(
        hex(&parse(
            r#"{"type":"MultiPolygon","coordinates":[[[[1,2]]]]}"#
        )),
        "010600000001000000010300000001000000".to_owned()
            + "01000000000000000000f03f0000000000000040"
    );
    assert_eq!(
        hex(&parse(r#"{"type":"GeometryCollection","geometries":[]}"#)),
        "010700000000000000"
    );
    assert_eq!(
        hex(&parse(r#"{"type":"Point","coordinates":[]}"#)),
        "0101000000000000000000f87f000000000000f87f"
    );
}

#[test]
fn other_byte_orders_and_measures_are_read() {
    let big = [
        0, 0, 0, 0, 1, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(
        wkb::read(&big),
        Some(parse(r#"{"type":"Point","coordinates":[1,2]}"#))
    );
    let mut measured = vec![1, 0xd1, 7, 0, 0];
    for number in [1.0_f64, 2.0, 99.0] {
        measured.extend(number.to_le_bytes());
    }
    assert_eq!(
        wkb::read(&measured),
        Some(parse(r#"{"type":"Point","coordinates":[1,2]}"#))
    );
}

#[test]
fn bytes_cut_anywhere_are_no_geometry_and_no_panic() {
    let mut bytes = Vec::new();
    let text = r#"{"type":"GeometryCollection","geometries":[{"type":"MultiPolygon","coordinates":[[[[1,2],[3,4],[5,6],[1,2]]]]},
        {"type":"MultiLineString","coordinates":[[[1,2],[3,4]]]}]}"#;
    wkb::write(&parse(text), &mut bytes);
    assert_eq!(wkb::read(&bytes), Some(parse(text)));
    for end in 0..bytes.len() {
        assert_eq!(wkb::read(&bytes[..end]), None, "{end}");
    }
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] = 0xff;
        drop(wkb::read(&changed));
    }
    bytes.push(0);
    assert_eq!(wkb::read(&bytes), None);
}

#[test]
fn a_box_is_never_smaller_than_its_geometry() {
    let cases = [
        (
            r#"{"type":"Point","coordinates":[1,2,3]}"#,
            Some([1.0, 2.0, 1.0, 2.0]),
        ),
        (r#"{"type":"Point","coordinates":[]}"#, None),
        (
            r#"{"type":"LineString","coordinates":[[1,2],[-3,4]]}"#,
            Some([-3.0, 2.0, 1.0, 4.0]),
        ),
        // Split at the antimeridian, as RFC 7946 asks.
        (
            r#"{"type":"MultiPolygon","coordinates":[[[[179,0],[180,0],[180,1],[179,0]]],[[[-180,0],[-179,0],[-180,1],[-180,0]]]]}"#,
            Some([-180.0, 0.0, 180.0, 1.0]),
        ),
        // Not split: 179 to -179 the short way.
        (
            r#"{"type":"Polygon","coordinates":[[[179,0],[-179,0],[-179,1],[179,1],[179,0]]]}"#,
            Some([-180.0, 0.0, 180.0, 1.0]),
        ),
        (
            r#"{"type":"Polygon","coordinates":[[[179,0],[181,0],[181,1],[179,1],[179,0]]]}"#,
            Some([-180.0, 0.0, 181.0, 1.0]),
        ),
        // Round the south pole.
        (
            r#"{"type":"Polygon","coordinates":[[[-150,-70],[-30,-71],[90,-72],[-150,-70]]]}"#,
            Some([-180.0, -90.0, 180.0, -70.0]),
        ),
        (
            r#"{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[5,6]},{"type":"Point","coordinates":[7,5]}]}"#,
            Some([5.0, 5.0, 7.0, 6.0]),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text).extent(), expected, "{text}");
    }
}

#[test]
fn a_geometry_for_the_grid_has_every_part() {
    let geo = parse(r#"{"type":"MultiPolygon","coordinates":[[],[[[0,0],[9,0],[9,9],[0,0]],[[2,1],[3,1],[3,2],[2,1]]]]}"#).to_geo();
    let geo::Geometry::MultiPolygon(polygons) = geo else {
        panic!("{geo:?}")
    };
    assert_eq!(polygons.0.len(), 2);
    assert_eq!(polygons.0[0].exterior().0.len(), 0);
    assert_eq!(polygons.0[1].exterior().0[1], Coord { x: 9.0, y: 0.0 });
    assert_eq!(polygons.0[1].interiors()[0].0[2], Coord { x: 3.0, y: 2.0 });
}

#[test]
fn what_is_no_geometry_is_refused_with_its_reason() {
    let cases = [
        ("1", "not a GeoJSON geometry"),
        (r#"{"coordinates":[1,2]}"#, "not a GeoJSON geometry"),
        (r#"{"type":"Sphere","coordinates":[1,2]}"#, "Sphere"),
        (r#"{"type":"Point"}"#, "a Point without coordinates"),
        (r#"{"type":"Point","coordinates":[1]}"#, "not positions"),
        (
            r#"{"type":"Point","coordinates":[1,null]}"#,
            "not positions",
        ),
        (
            r#"{"type":"Point","coordinates":[1,1e999]}"#,
            "not positions",
        ),
        (r#"{"type":"Point","coordinates":[[1,2]]}"#, "not positions"),
        (
            r#"{"type":"Polygon","coordinates":[[1,2]]}"#,
            "not positions",
        ),
        (r#"{"type":"LineString","coordinates":{}}"#, "not positions"),
    ];
    for (text, reason) in cases {
        let error = Geometry::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    let deep = (0..20).fold(
        r#"{"type":"Point","coordinates":[1,2]}"#.to_owned(),
        |inner, _| format!(r#"{{"type":"GeometryCollection","geometries":[{inner}]}}"#),
    );
    assert!(matches!(
        Geometry::parse(&deep),
        Err(GeometryError::TooDeep(16))
    ));
}
