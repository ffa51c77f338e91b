//! Every code that a failure bears, and what is to be done about it: the one table of both.
//!
//! A code is for programs: it stands in the result tables (`error_code`), in quarantine and in logs, and never changes. The same
//! table for people is `infra/docs/failures.md`.

use crate::Class;
use crate::Class::{Bug, Conflict, Denied, Invalid, Transient, Uncertain};

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: &'static str,
    /// The classes that a failure of this code may have; the first is the usual one.
    pub classes: &'static [Class],
    /// What happened, in a few words.
    pub says: &'static str,
}

/// Returns what a code means; `None` for one that nobody may use.
pub fn entry(code: &str) -> Option<&'static Entry> {
    let at = CODES.binary_search_by(|entry| entry.code.cmp(code)).ok()?;
    CODES.get(at)
}

/// Returns the usual class of a code; what is not in the table is a fault of ours.
pub fn class_of_code(code: &str) -> Class {
    let classes = entry(code).map(|entry| entry.classes);
    classes
        .and_then(|classes| classes.first().copied())
        .unwrap_or(Bug)
}

const fn of(code: &'static str, classes: &'static [Class], says: &'static str) -> Entry {
    Entry {
        code,
        classes,
        says,
    }
}

/// Every code, in alphabetical order.
#[rustfmt::skip]
pub const CODES: &[Entry] = &[
    of("assets", &[Invalid], "an item's assets are not what STAC says of them"),
    of("bbox", &[Invalid], "an item's box is no box, or does not belong to its geometry"),
    of("bbox_order", &[Invalid], "the low corner of an item's box lies above its high one"),
    of("body", &[Transient, Invalid, Denied], "the body of a message that goes by reference cannot be had, or is another"),
    of("broken_off", &[Transient, Invalid, Bug], "the exchange failed half-way, or cannot be had at all"),
    of("changed", &[Transient], "a file changed while it was read"),
    of("checksum_mismatch", &[Transient, Invalid], "the bytes are not those of the promised checksum"),
    of("collection", &[Invalid], "an item's collection is no id, or is missing beside a link to one"),
    of("connection_refused", &[Transient], "nobody listens at the host's port"),
    of("credentials_in_href", &[Invalid], "the href carries a user name or password"),
    of("cut_short", &[Transient], "the body ended early"),
    of("datetime_unknown", &[Invalid], "neither a raster's header nor its name says when it was taken"),
    of("deadline", &[Uncertain], "the work was cut off at the end of the invocation"),
    of("decode_failed", &[Invalid], "data in the file do not decode"),
    of("duplicate_member", &[Invalid], "an item has a member twice"),
    of("empty", &[Transient, Invalid], "the file holds no bytes"),
    of("ended", &[Bug], "a thread ended before its work was done"),
    of("error_body_html", &[Transient, Invalid], "the body is a web page"),
    of("error_body_json", &[Invalid], "the body is another JSON document"),
    of("error_body_json_denied", &[Denied], "the body is an error about credentials or rights"),
    of("error_body_json_throttle", &[Transient], "the body is an error that asks to slow down"),
    of("error_body_login", &[Denied], "the body is a page to log in"),
    of("error_body_xml", &[Invalid], "the body is another XML document"),
    of("error_body_xml_denied", &[Denied], "the body is a store's error about credentials or rights"),
    of("error_body_xml_missing", &[Invalid], "the body is a store's error: nothing is there"),
    of("error_body_xml_throttle", &[Transient], "the body is a store's error that asks to slow down"),
    of("forbidden", &[Denied], "the host, or the disk, does not let us"),
    of("geometry", &[Invalid], "an item's geometry is no GeoJSON geometry"),
    of("gone", &[Invalid], "the file is not there"),
    of(
        "host_refused",
        &[Invalid],
        "the href's host is none of those that may be fetched from",
    ),
    of("href_malformed", &[Invalid], "the href is no absolute address"),
    of("id_taken", &[Invalid], "two rasters would make the same item"),
    of("instant", &[Invalid], "a time of an item is no time"),
    of("interval", &[Invalid], "an item's start and end do not make an interval"),
    of("limit_exceeded", &[Invalid], "a header asks for more than any reader should grant"),
    of("links", &[Invalid], "an item's links are not what STAC says of them"),
    of("login_required", &[Denied], "the host sends us to log in"),
    of("malformed", &[Invalid], "a message's body, or a file's structure, is nothing that can be read"),
    of("media_mismatch", &[Invalid], "a raster was promised and something else came"),
    of("miscounted", &[Bug], "the work answered for more or fewer messages than there were"),
    of("name_unmatched", &[Invalid], "a raster's name does not follow the pattern that was given"),
    of("no_address", &[Invalid], "a source's address is none"),
    of("no_assets", &[Invalid], "an item has no assets"),
    of("no_bbox", &[Invalid], "an item has a geometry and no box"),
    of("no_client", &[Bug], "no HTTP client can be built"),
    of("no_connection", &[Transient], "no connection to the host comes about"),
    of("no_datetime", &[Invalid], "an item says nothing of its time"),
    of("no_geometry", &[Invalid], "an item has no geometry, not even null"),
    of("no_href", &[Invalid, Transient, Denied], "there is no href, and the catalog gives none"),
    of("no_id", &[Invalid], "an item has no id"),
    of("no_links", &[Invalid], "an item has no links"),
    of("no_properties", &[Invalid], "an item has no properties"),
    of("no_stac_version", &[Invalid], "an item does not say which STAC it is of"),
    of("not_an_item", &[Invalid], "a feature is of another type"),
    of("not_an_object", &[Invalid], "an item is JSON, and no object"),
    of("not_json", &[Invalid], "an item is not JSON"),
    of("not_raster", &[Invalid], "a raster was promised and no known format came"),
    of("not_signed", &[Denied, Transient, Invalid], "the href cannot be signed"),
    of("number_too_large", &[Invalid], "a number of an item is more than any reader holds"),
    of("occupied", &[Conflict], "another file lies in the asset's place"),
    of("panic", &[Bug], "the work panicked"),
    of("port_refused", &[Invalid], "the href's port is none of the web's"),
    of("private_address", &[Invalid], "the href leads to no place on the open internet"),
    of("properties", &[Invalid], "an item's properties are no object"),
    of("redirect_to_http", &[Invalid], "a redirect leads from https to http"),
    of("redirect_to_nowhere", &[Invalid], "a redirect names no address"),
    of("refused", &[Invalid], "a message is for another function"),
    of("resting", &[Transient], "the host is left alone for a while, after failures in a row or at its own wish"),
    of("schema", &[Invalid], "a published JSON schema refuses the item"),
    of("schema_broken", &[Invalid], "a schema of the cache cannot be used"),
    of("schema_not_cached", &[Invalid], "an item names a schema that the cache lacks"),
    of("scheme_refused", &[Invalid], "files are not fetched over the href's scheme"),
    of("size_mismatch", &[Transient, Invalid], "the size differs from the promised one"),
    of("stac_extensions", &[Invalid], "an item's list of extensions is no list of texts"),
    of("stac_version", &[Invalid], "an item is of no version 1 of STAC"),
    of("staging", &[Transient, Denied, Conflict, Uncertain, Invalid, Bug], "the bytes cannot be kept on this machine"),
    of("stalled", &[Transient], "the body trickles"),
    of("throttled", &[Transient], "the host says: too many requests"),
    of("timeout", &[Transient], "the host was silent for too long"),
    of("too_deep", &[Invalid], "an item is nested too deeply"),
    of("too_large", &[Invalid], "the file is larger than is taken"),
    of("too_long", &[Invalid], "an item, or a part of it, is too long"),
    of("too_many_objects", &[Invalid], "an item holds too many objects"),
    of("too_many_redirects", &[Invalid], "redirects have no end"),
    of("truncated", &[Transient, Invalid], "the file ends before something that it says it holds"),
    of("unavailable", &[Transient], "the host is busy or ill"),
    of("unexpected_status", &[Invalid], "the host's answer brings no file"),
    of("unnameable", &[Invalid], "no file can be named after the asset"),
    of("unpaired_surrogate", &[Invalid], "a text of an item is not Unicode"),
    of("unreadable", &[Transient], "a file on this machine cannot be read"),
    of("work", &[Transient, Conflict, Uncertain, Invalid, Denied, Bug], "the work itself failed; `error.chain` says at what"),
    of("wrong_range", &[Transient], "another part of the file came than was asked for"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_says_each_code_once() {
        assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
        for one in CODES {
            assert_eq!(entry(one.code), Some(one));
            assert!(!one.classes.is_empty() && !one.says.is_empty());
        }
    }

    #[test]
    fn a_code_that_nobody_wrote_down_is_a_fault_of_ours() {
        assert_eq!(class_of_code("throttled"), Transient);
        assert_eq!(class_of_code("no_such_code"), Bug);
    }
}
