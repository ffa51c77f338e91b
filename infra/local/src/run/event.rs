//! What a run tells while it works: one JSON object a line with `--json`, bars on a terminal.

use std::sync::Mutex;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use swath_core::Class;

/// Something that happened in a run. The names and members are part of the interface.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The areas are read.
    Planned {
        /// The run.
        run_id: String,
        /// Areas that will be searched.
        areas: u64,
        /// Rows that are no areas.
        rejected: u64,
    },
    /// A row of the file of places that cannot be searched.
    AreaRejected {
        /// Its place in the file, from 0.
        row_number: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An area's search ended.
    AreaSearched {
        /// The area.
        row_id: String,
        /// How it ended: `ok`, `empty` or `partial`.
        status: &'static str,
        /// Pages read.
        pages: u64,
        /// Requests made, tries and redirects included.
        requests: u64,
        /// Items the server says it has, where it says so.
        matched: Option<u64>,
        /// Features on all pages, those served twice included.
        returned: u64,
        /// Items found.
        items: u64,
        /// Assets wanted.
        assets: u64,
        /// How long it took.
        elapsed_ms: u64,
        /// Whether the server delivered fewer items than it said it has.
        short: bool,
    },
    /// An area's search failed.
    AreaFailed {
        /// The area.
        row_id: String,
        /// What the failure asks for.
        class: Class,
        /// In words.
        error: String,
    },
    /// An asset's outcome.
    Asset {
        /// The item.
        item_id: String,
        /// The asset's key.
        asset_name: String,
        /// `published`, `adopted`, `skipped`, `refused` or `failed`.
        outcome: &'static str,
        /// Whether a whole file lies in its place now.
        good: bool,
        /// Where it lies.
        path: Option<String>,
        /// The code of a failure.
        code: Option<String>,
        /// The failure in words.
        error: Option<String>,
        /// Bytes that went over the wire for it.
        bytes: u64,
    },
    /// An item that is not in the catalog, and why.
    ItemRejected {
        /// The item's collection.
        collection: Option<String>,
        /// The item's id, where it has one.
        item_id: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
    /// A snapshot was added.
    Committed {
        /// The table.
        table: String,
        /// The snapshot, as text since JSON readers round large numbers.
        snapshot: Option<String>,
        /// Rows it added.
        rows_added: u64,
        /// Rows that the table had.
        rows_known: u64,
        /// Rows, among those added, that took the place of an older version.
        rows_replaced: u64,
        /// Rows left out for a newer version that the table has.
        rows_kept_out: u64,
    },
    /// Something that could not be done and is not about one asset.
    Failed {
        /// Where in the chain.
        stage: &'static str,
        /// What the failure asks for.
        class: Class,
        /// In words.
        error: String,
    },
}

/// Takes what a run tells.
pub trait Progress: Send + Sync {
    /// Takes one event.
    fn tell(&self, event: &Event);
    /// Ends whatever is drawn.
    fn finish(&self);
}

/// Keeps silent.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn tell(&self, _event: &Event) {}
    fn finish(&self) {}
}

/// Writes each event as a line of JSON to standard output.
#[derive(Debug)]
pub struct JsonLines;

impl Progress for JsonLines {
    fn tell(&self, event: &Event) {
        print_json(event);
    }

    fn finish(&self) {}
}

/// Writes one line of JSON to standard output; a closed pipe ends nothing.
pub fn print_json(value: &impl Serialize) {
    use std::io::Write as _;
    if let Ok(line) = serde_json::to_string(value) {
        // A reader that went away is not an error of the run.
        let _ignored = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// Writes text to standard output; a closed pipe ends nothing.
pub fn print_text(text: &str) {
    use std::io::Write as _;
    let _ignored = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Draws bars on standard error and names failures above them.
#[derive(Debug)]
pub struct Bars {
    all: MultiProgress,
    areas: ProgressBar,
    assets: ProgressBar,
    bytes: Mutex<u64>,
}

impl Bars {
    /// Starts drawing, if standard error is a terminal; names failures as lines in any case.
    pub fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let style = |template: &str| {
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
        };
        let areas = all.add(ProgressBar::new(0));
        areas.set_style(style("areas   {bar:30} {pos}/{len} {wide_msg}"));
        let assets = all.add(ProgressBar::new(0));
        assets.set_style(style("assets  {bar:30} {pos}/{len} {wide_msg}"));
        Self {
            all,
            areas,
            assets,
            bytes: Mutex::new(0),
        }
    }

    fn name(&self, line: &str) {
        if self.all.is_hidden() {
            use std::io::Write as _;
            let _ignored = writeln!(std::io::stderr().lock(), "{line}");
        } else {
            // Drawing above bars fails only when the terminal is gone.
            let _ignored = self.all.println(line);
        }
    }

    fn asset(&self, good: bool, bytes: u64) {
        self.assets.inc(1);
        let mut sum = self
            .bytes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *sum += bytes;
        let rate = indicatif::HumanBytes(*sum);
        if good {
            self.assets.set_message(format!("{rate}"));
        }
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress for Bars {
    fn tell(&self, event: &Event) {
        match event {
            Event::Planned { areas, .. } => self.areas.set_length(*areas),
            Event::AreaSearched { assets, .. } => {
                self.areas.inc(1);
                self.assets.inc_length(*assets);
            }
            Event::AreaRejected { row_number, reason } => {
                self.name(&format!("row {row_number} is left out: {reason}"));
            }
            Event::AreaFailed { row_id, error, .. } => {
                self.areas.inc(1);
                self.name(&format!("area {row_id} failed: {error}"));
            }
            Event::Asset {
                good,
                bytes,
                error,
                item_id,
                asset_name,
                outcome,
                ..
            } => {
                self.asset(*good, *bytes);
                if let Some(error) = error {
                    self.name(&format!("{outcome} {item_id}/{asset_name}: {error}"));
                }
            }
            Event::ItemRejected {
                item_id, reason, ..
            } => {
                let id = item_id.as_deref().unwrap_or("without an id");
                self.name(&format!("item {id} is not catalogued: {reason}"));
            }
            Event::Failed { stage, error, .. } => self.name(&format!("{stage} failed: {error}")),
            Event::Committed { .. } => {}
        }
    }

    fn finish(&self) {
        self.areas.finish_and_clear();
        self.assets.finish_and_clear();
    }
}
