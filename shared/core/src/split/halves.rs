//! An area in two halves, for APIs that choke on the whole.

use geo::algorithm::{Area as _, BooleanOps as _, BoundingRect as _};
use geo::{Coord, Geometry, MultiPolygon, Polygon, Rect};
use serde_json::value::RawValue;

use super::exact;

/// Degrees by which the halves overlap, so that nothing falls between them.
const JOINT: f64 = 1e-6;

/// Degrees of the longer side below which an area is not cut.
const LEAST: f64 = 1e-3;

/// Cuts a searchable polygon or multi-polygon across its longer side; both halves hold the joint. `None` for what cannot
/// be cut: points, lines, collections, areas that are tiny.
pub fn halves(geometry: &RawValue) -> Option<[Box<RawValue>; 2]> {
    let parsed: geojson::Geometry = serde_json::from_str(geometry.get()).ok()?;
    let polygons = match Geometry::<f64>::try_from(parsed).ok()? {
        Geometry::Polygon(polygon) => vec![polygon],
        Geometry::MultiPolygon(MultiPolygon(polygons)) => polygons,
        _ => return None,
    };
    let bounds = MultiPolygon(polygons.clone()).bounding_rect()?;
    if bounds.width().max(bounds.height()) < LEAST {
        return None;
    }
    let [low, high] = sides(bounds);
    Some([within(&polygons, low)?, within(&polygons, high)?])
}

fn sides(bounds: Rect) -> [Rect; 2] {
    let (min, max) = (bounds.min(), bounds.max());
    let middle = bounds.center();
    if bounds.width() >= bounds.height() {
        let at = |x: f64, y: f64| Coord { x: middle.x + x, y };
        [
            Rect::new(min, at(JOINT, max.y)),
            Rect::new(at(-JOINT, min.y), max),
        ]
    } else {
        let at = |x: f64, y: f64| Coord { x, y: middle.y + y };
        [
            Rect::new(min, at(max.x, JOINT)),
            Rect::new(at(min.x, -JOINT), max),
        ]
    }
}

fn within(polygons: &[Polygon], side: Rect) -> Option<Box<RawValue>> {
    let mut parts = Vec::new();
    for polygon in polygons {
        let Some(bounds) = polygon.bounding_rect() else {
            continue;
        };
        let inside = bounds.min().x >= side.min().x
            && bounds.max().x <= side.max().x
            && bounds.min().y >= side.min().y
            && bounds.max().y <= side.max().y;
        if inside {
            parts.push(polygon.clone());
            continue;
        }
        let cut = exact::restored(&polygon.intersection(&side.to_polygon()), polygon, &side);
        parts.extend(cut.into_iter().filter(|part| part.unsigned_area() > 0.0));
    }
    if parts.is_empty() {
        return None;
    }
    let shape = Geometry::MultiPolygon(MultiPolygon(parts));
    RawValue::from_string(geojson::Geometry::from(&shape).to_string()).ok()
}

#[cfg(test)]
mod tests {
    use geo::algorithm::Contains as _;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn shape(raw: &RawValue) -> Geometry {
        serde_json::from_str::<geojson::Geometry>(raw.get())
            .unwrap()
            .try_into()
            .unwrap()
    }

    #[test]
    fn halves_cover_the_whole_and_keep_its_corners() {
        let text = r#"{"type":"MultiPolygon","coordinates":[[[[0.1,0.1],[9.3,0.2],[5.7,4.123456789],[0.1,0.1]]],[[[20,0],[21,0],[21,1],[20,0]]]]}"#;
        let [low, high] = halves(&raw(text)).unwrap();
        assert!(low.get().contains("[5.7,4.123456789]"), "{}", low.get());
        assert!(high.get().contains("21"), "{}", high.get());
        let whole = shape(&raw(text));
        let sum = shape(&low).unsigned_area() + shape(&high).unsigned_area();
        assert!((sum - whole.unsigned_area()).abs() < 1e-4);
        for step in 0..=1000 {
            let at = geo::Point::new(f64::from(step) * 0.021, 0.5);
            let split = shape(&low).contains(&at) || shape(&high).contains(&at);
            assert_eq!(whole.contains(&at), split, "{at:?}");
        }
    }

    #[test]
    fn what_cannot_be_cut_is_left_whole() {
        for text in [
            r#"{"type":"Point","coordinates":[1,2]}"#,
            r#"{"type":"Polygon","coordinates":[[[0,0],[1e-5,0],[0,1e-5],[0,0]]]}"#,
        ] {
            assert!(halves(&raw(text)).is_none(), "{text}");
        }
    }
}
