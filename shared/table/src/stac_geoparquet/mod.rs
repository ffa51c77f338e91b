//! Items as stac-geoparquet 1.0 has them: <https://github.com/radiantearth/stac-geoparquet-spec>.
//!
//! Two passes: [`Inference`] sees every item, so that no member that comes late is without a column; its [`Layout`] says
//! which columns there are, and [`ItemFile`] writes the items in batches. Both take canonical texts
//! ([`canonical`](crate::json::canonical)).
//!
//! - `geometry` is WKB, `bbox` a struct of `xmin, ymin, xmax, ymax` (with `zmin, zmax` if any item has heights), `assets` a
//!   struct of structs, `links` a list of structs, `stac_extensions` a list of text. Properties are columns of their
//!   own. `proj:geometry`, in properties and assets, is WKB.
//! - `datetime`, `start_datetime`, `end_datetime`, `created`, `updated`, `expires`, `published` and `unpublished` are
//!   microseconds in UTC.
//! - Whole numbers alone are a column of 64-bit integers; with others they are doubles. Values of several types are a
//!   column of text: texts as they are, all else as JSON. A list or an object is a list or a struct of the same rules.
//! - What no column gives back exactly as it was spelled lies in the column `swath:rest` as well, a JSON object of
//!   values by JSON pointer (RFC 6901); under `-` it lists the pointers that the columns give and the item has not.
//!   These are: explicit nulls (or their lack, where nulls are the rule), numbers beyond their column's type, odd
//!   spellings, properties named like members of an item, members that STAC does not have, empty objects
//!   without a column, whatever is beyond [`MAX_COLUMNS`]. A file whose columns give back everything lacks the column.
//! - The footer `swath` says of columns whether null is a value of theirs, whether whole doubles are spelled without a
//!   fraction, and how instants are spelled: each column as most of its values.

mod build;
mod decode;
mod file;
mod instant;
mod kept;
mod layout;
mod patch;
mod scan;
mod settings;
mod shape;
#[cfg(test)]
mod tests;

pub(crate) use decode::Decoder;
pub use file::ItemFile;
pub use layout::Layout;
pub use shape::Inference;

/// Columns of a file at most, those inside others counted; the rarest have none.
pub const MAX_COLUMNS: usize = 2048;

/// The column of what the others do not give back.
pub(crate) const REST: &str = "swath:rest";
/// The member of `swath:rest` that lists what the item does not have.
const REMOVED: &str = "-";
/// The footer key under which a file says how its columns are read back.
pub(crate) const FOOTER: &str = "swath";

/// Columns that are members of the item; a property of such a name has no column.
const MEMBERS: [&str; 10] = [
    "assets",
    "bbox",
    "collection",
    "geometry",
    "id",
    "links",
    "properties",
    "stac_extensions",
    "stac_version",
    "type",
];

/// Properties that are instants.
const INSTANTS: [&str; 8] = [
    "datetime",
    "start_datetime",
    "end_datetime",
    "created",
    "updated",
    "expires",
    "published",
    "unpublished",
];

/// The sides of `bbox`, as GeoJSON orders them; those at 2 and 5 only where there are heights.
const SIDES: [&str; 6] = ["xmin", "ymin", "zmin", "xmax", "ymax", "zmax"];

/// Appends a member's name, or `*` for the elements of a list, to a pointer.
fn push_step(path: &mut String, name: &str) {
    path.push('/');
    for letter in name.chars() {
        match letter {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            other => path.push(other),
        }
    }
}

/// Reads a string of canonical text, quotes and all.
fn unquoted(token: &str) -> std::borrow::Cow<'_, str> {
    crate::json::unquote(token).unwrap_or_default()
}
