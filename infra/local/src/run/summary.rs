//! What a run comes to.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;

use serde::Serialize;
use swath_core::{Class, digest_hex};
use swath_search::SearchError;

use super::error::CommandError;
use super::event::Event;

/// The figures of a run. The names are part of the interface.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// The run.
    pub run_id: String,
    /// Areas that were to be searched.
    pub areas: u64,
    /// Rows of the file that are no areas.
    pub areas_rejected: u64,
    /// Areas whose search failed.
    pub areas_failed: u64,
    /// Areas where nothing matches.
    pub areas_empty: u64,
    /// Areas of which items are known to be missing: the server has more than it delivered.
    pub areas_partial: u64,
    /// Distinct items found.
    pub items: u64,
    /// Items that are not in the catalog; each was named.
    pub items_rejected: u64,
    /// Distinct assets wanted.
    pub assets: u64,
    /// Assets of which a whole file lies in its place now.
    pub good: u64,
    /// Assets that are broken where they come from.
    pub rejected: u64,
    /// Assets that could not be had this time; the same command tries them again.
    pub failed: u64,
    /// Assets that needed nothing, since an earlier run settled them.
    pub skipped: u64,
    /// Files fetched and published by this run.
    pub downloaded: u64,
    /// Bytes that went over the wire.
    pub bytes: u64,
    /// Why assets were rejected or failed: code to count.
    pub reasons: BTreeMap<String, u64>,
    /// Rows added to all tables.
    pub rows_added: u64,
    /// Rows of `earthcatalog.stac_items`: one for each item and cell.
    pub rows: u64,
    /// Distinct items in the catalog.
    pub catalog_items: u64,
    /// Partitions of `earthcatalog.stac_items`.
    pub partitions: u64,
    /// Data files of `earthcatalog.stac_items`.
    pub files: u64,
    /// The current snapshot of `earthcatalog.stac_items`, as text since JSON readers round large numbers.
    pub snapshot: Option<String>,
    /// The current metadata file of `earthcatalog.stac_items`.
    pub metadata: Option<String>,
    /// Failures that are about no single area, item or asset.
    pub failures: u64,
    /// Whether the run ended early since the output cannot be written.
    pub output_failed: bool,
    /// Whether the run was interrupted.
    pub interrupted: bool,
}

/// Counts what happens into a summary.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) summary: Summary,
    items: HashSet<String>,
    assets: HashSet<String>,
    /// Asset keys of the items found, some of them at least.
    keys: BTreeSet<String>,
    /// Asked-for asset keys: items that lack them.
    missing: BTreeMap<String, u64>,
    /// Items over all areas, one that was found twice counted twice.
    found: u64,
    failed_search: Option<SearchError>,
}

/// Keys that are worth naming to someone who misspelt one.
const KEYS: usize = 60;

impl Tally {
    /// Counts one event.
    pub(super) fn count(&mut self, event: &Event) {
        let sum = &mut self.summary;
        match event {
            Event::Planned {
                run_id,
                areas,
                rejected,
            } => {
                sum.run_id.clone_from(run_id);
                sum.areas = *areas;
                sum.areas_rejected = *rejected;
            }
            Event::AreaSearched { status, .. } => {
                sum.areas_empty += u64::from(*status == "empty");
                sum.areas_partial += u64::from(*status == "partial");
            }
            Event::AreaFailed { .. } => sum.areas_failed += 1,
            Event::Asset {
                outcome,
                good,
                code,
                bytes,
                ..
            } => {
                sum.bytes += bytes;
                sum.good += u64::from(*good);
                sum.downloaded += u64::from(*outcome == "published");
                sum.skipped += u64::from(*outcome == "skipped");
                if !good {
                    let refused = matches!(*outcome, "refused" | "skipped");
                    sum.rejected += u64::from(refused);
                    sum.failed += u64::from(!refused);
                    *sum.reasons
                        .entry(code.clone().unwrap_or_else(|| "unknown".to_owned()))
                        .or_default() += 1;
                }
            }
            Event::ItemRejected { .. } => sum.items_rejected += 1,
            Event::Committed { rows_added, .. } => sum.rows_added += rows_added,
            Event::Failed { class, .. } => {
                sum.failures += 1;
                sum.output_failed |= *class == Class::Denied;
            }
            Event::AreaRejected { .. } => {}
        }
    }

    /// Notes which asked-for asset keys an area's items lack.
    pub(super) fn see_area(&mut self, items: u64, missing: &BTreeMap<String, u64>) {
        self.found += items;
        for (key, count) in missing {
            *self.missing.entry(key.clone()).or_default() += count;
        }
    }

    /// Keeps the first failure of a search, to name it when no search succeeds.
    pub(super) fn see_failed_search(&mut self, error: SearchError) {
        self.failed_search.get_or_insert(error);
    }

    /// Notes the keys of an item's assets.
    pub(super) fn see_keys(&mut self, keys: impl Iterator<Item = String>) {
        if self.keys.len() < KEYS {
            self.keys.extend(keys);
        }
    }

    /// Returns why the run as a whole could not be what was asked for.
    pub(super) fn fatal(&mut self) -> Option<CommandError> {
        let all_failed = self.summary.areas > 0 && self.summary.areas_failed == self.summary.areas;
        if let Some(error) = self.failed_search.take_if(|_| all_failed) {
            return Some(CommandError::Search(Box::new(error)));
        }
        let (key, _) = self
            .missing
            .iter()
            .find(|(_, count)| self.found > 0 && **count == self.found)?;
        let known: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        Some(CommandError::UnknownAsset {
            key: key.clone(),
            known: known.join(", "),
        })
    }

    /// Counts an item once, however many areas it was found for.
    pub(super) fn see_item(&mut self, collection: Option<&str>, id: &str) {
        if self.items.insert(digest_hex(
            &[collection.unwrap_or_default().as_bytes(), id.as_bytes()],
            16,
        )) {
            self.summary.items += 1;
        }
    }

    /// Counts an asset once; says whether it is new.
    pub(super) fn see_asset(&mut self, parts: &[&[u8]]) -> bool {
        let new = self.assets.insert(digest_hex(parts, 16));
        self.summary.assets += u64::from(new);
        new
    }
}

impl Summary {
    /// Returns whether anything failed that was to be done.
    pub fn has_failures(&self) -> bool {
        let areas = self.areas_rejected + self.areas_failed + self.areas_partial;
        let failed = areas + self.items_rejected;
        failed + self.rejected + self.failed + self.failures > 0
    }

    /// Returns the figures as a table for people.
    pub fn table(&self) -> String {
        let mut table = String::new();
        let mut line = |name: &str, value: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(table, "  {name:<12} {value}");
        };
        let with = |count: u64, notes: &[(u64, &str)]| {
            let notes: Vec<String> = notes
                .iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, words)| format!("{n} {words}"))
                .collect();
            if notes.is_empty() {
                count.to_string()
            } else {
                format!("{count} ({})", notes.join(", "))
            }
        };
        let areas = [
            (self.areas_empty, "with no match"),
            (self.areas_partial, "with items missing"),
            (self.areas_failed, "failed"),
            (self.areas_rejected, "rows left out"),
        ];
        line("areas", with(self.areas, &areas));
        line(
            "items",
            with(self.items, &[(self.items_rejected, "not catalogued")]),
        );
        line(
            "assets",
            with(self.assets, &[(self.skipped, "settled before")]),
        );
        line("good", with(self.good, &[(self.downloaded, "fetched now")]));
        line("rejected", self.rejected.to_string());
        line("failed", self.failed.to_string());
        for (code, count) in &self.reasons {
            line("", format!("{count} x {code}"));
        }
        line("fetched", indicatif::HumanBytes(self.bytes).to_string());
        line("partitions", self.partitions.to_string());
        line(
            "rows",
            format!(
                "{} in {} files, {} added to all tables now",
                self.rows, self.files, self.rows_added
            ),
        );
        if self.output_failed {
            line("ended early", "the output cannot be written".to_owned());
        } else if self.interrupted {
            line(
                "interrupted",
                "the same command goes on from here".to_owned(),
            );
        }
        line(
            "snapshot",
            self.snapshot.clone().unwrap_or_else(|| "none".to_owned()),
        );
        table
    }
}
