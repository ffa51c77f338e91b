//! Where each member and property of an item lies among the columns.

pub(super) const COLUMNS: usize = 34;

pub(super) const ID: usize = 0;
pub(super) const GRID_PARTITION: usize = 1;
pub(super) const DATETIME: usize = 3;
pub(super) const PLATFORM: usize = 4;
pub(super) const ASSETS: usize = 8;
pub(super) const LINKS: usize = 9;
pub(super) const STAC_VERSION: usize = 10;
pub(super) const TYPE: usize = 11;
pub(super) const START_DATETIME: usize = 12;
pub(super) const CREATED: usize = 20;
pub(super) const UPDATED: usize = 21;
pub(super) const END_DATETIME: usize = 22;
pub(super) const STAC_EXTENSIONS: usize = 23;
pub(super) const COLLECTION: usize = 24;
pub(super) const BBOX: usize = 27;
pub(super) const GEOMETRY_BBOX: usize = 28;
pub(super) const DATETIME_NULL: usize = 29;
pub(super) const FILLED: usize = 30;
pub(super) const STAC_REST: usize = 31;
pub(super) const CONTENT_HASH: usize = 32;
pub(super) const SOURCE: usize = 33;

/// The name of `properties` in `_filled`: it is no column, but an item may lack it.
pub(super) const PROPERTIES: &str = "properties";

/// Properties with a column of their own: name, place, in the order in which they are written back.
pub(super) const PROPERTY_COLUMNS: [(&str, usize, Shape); 18] = [
    ("datetime", DATETIME, Shape::Instant),
    ("start_datetime", START_DATETIME, Shape::Instant),
    ("end_datetime", END_DATETIME, Shape::Instant),
    ("created", CREATED, Shape::Instant),
    ("updated", UPDATED, Shape::Instant),
    ("platform", PLATFORM, Shape::Text),
    ("percent_valid_pixels", 5, Shape::Long),
    ("date_dt", 6, Shape::Long),
    ("proj:code", 7, Shape::Text),
    ("version", 13, Shape::Text),
    ("sat:orbit_state", 14, Shape::Text),
    ("scene_1_id", 15, Shape::Text),
    ("scene_2_id", 16, Shape::Text),
    ("scene_1_frame", 17, Shape::Text),
    ("scene_2_frame", 18, Shape::Text),
    ("mid_datetime", 19, Shape::Text),
    ("latitude", 25, Shape::Double),
    ("longitude", 26, Shape::Double),
];

/// The type of a property's column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Instant,
    Long,
    Double,
}

/// Returns the column of a property. A property that is named like a member of the item has none.
pub(super) fn of_property(name: &str) -> Option<(usize, Shape)> {
    PROPERTY_COLUMNS
        .iter()
        .find(|(column, _, _)| *column == name)
        .map(|(_, place, shape)| (*place, *shape))
}

#[cfg(test)]
mod tests {
    use swath_core::TableName;

    use super::*;
    use crate::schema::{self, Kind};

    #[test]
    fn every_place_is_the_place_of_its_column() {
        let columns = schema::of(TableName::StacItems).columns;
        assert_eq!(columns.len(), COLUMNS);
        for (name, place, shape) in PROPERTY_COLUMNS {
            assert_eq!(columns[place].name, name);
            let kind = match shape {
                Shape::Text => Kind::String,
                Shape::Instant => Kind::Timestamptz,
                Shape::Long => Kind::Long,
                Shape::Double => Kind::Double,
            };
            assert_eq!(columns[place].kind, kind, "{name}");
        }
        let members = [
            ("id", ID),
            ("grid_partition", GRID_PARTITION),
            ("geometry", 2),
            ("assets", ASSETS),
            ("links", LINKS),
            ("stac_version", STAC_VERSION),
            ("type", TYPE),
            ("stac_extensions", STAC_EXTENSIONS),
            ("collection", COLLECTION),
            ("bbox", BBOX),
            ("geometry_bbox", GEOMETRY_BBOX),
            ("_datetime_null", DATETIME_NULL),
            ("_filled", FILLED),
            ("stac_rest", STAC_REST),
            ("content_hash", CONTENT_HASH),
            ("source", SOURCE),
        ];
        for (name, place) in members {
            assert_eq!(columns[place].name, name);
        }
        assert_eq!(members.len() + PROPERTY_COLUMNS.len(), COLUMNS);
    }
}
