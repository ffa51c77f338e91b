//! Fetching many assets at a time, and counting what comes of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use serde::Serialize;
use swath_cloud::fetch::is_public;
use swath_cloud::store::Store;
use swath_core::message::DownloadAsset;
use swath_core::{Class, Classify as _, RunId, Signing, chain};
use swath_download::{Context, Fetched, Outcome, StartError};
use tokio::task::JoinSet;
use url::{Host, Url};

use super::args::FetchArgs;
use super::items::ItemsWritten;
use super::ledger::{Ledger, Written};
use super::plan::Planned;
use crate::exit::Exit;
use crate::run::{CommandError, print_json};

/// How files are fetched: from the open internet, and from this machine and its networks.
///
/// Rows that name a place of the user's own are taken at their word; a host of the open internet is not followed there.
#[derive(Debug)]
pub(crate) struct Contexts {
    open: Context,
    at_home: Context,
}

/// Makes what downloads need.
pub(crate) async fn contexts(
    ledger: &Ledger,
    out: &Store,
    arguments: &FetchArgs,
) -> Result<Contexts, CommandError> {
    let access = arguments.access();
    let scratch = std::env::temp_dir();
    let open = Context::open(
        ledger.at.clone(),
        out.clone(),
        Arc::clone(&ledger.rows),
        arguments.policy(false),
        &scratch,
    );
    let open = open.await.and_then(|context| context.with_access(&access));
    let open = open.map_err(staging)?;
    let at_home = open.clone().with_policy(arguments.policy(true));
    let at_home = at_home.and_then(|context| context.with_access(&access));
    Ok(Contexts {
        open,
        at_home: at_home.map_err(staging)?,
    })
}

fn staging(error: StartError) -> CommandError {
    CommandError::Staging(Box::new(error))
}

impl Contexts {
    fn of(&self, asked: &DownloadAsset) -> &Context {
        let own = matches!(asked.job.sign, Signing::S3 | Signing::S3RequesterPays);
        let home = Url::parse(&asked.href).is_ok_and(|href| match (href.scheme(), href.host()) {
            ("file", _) => true,
            // Where buckets are is the user's own setting, which may be a store at home.
            ("s3", _) => own,
            (_, Some(Host::Domain(name))) => name == "localhost",
            (_, Some(Host::Ipv4(address))) => !is_public(address.into()),
            (_, Some(Host::Ipv6(address))) => !is_public(address.into()),
            (_, None) => false,
        });
        if home { &self.at_home } else { &self.open }
    }
}

/// An asset's outcome, as a line of `--json`. The names are part of the interface.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AssetLine {
    event: &'static str,
    item_id: String,
    asset_name: String,
    outcome: &'static str,
    /// Whether a whole file lies in its place now.
    pub(crate) good: bool,
    /// Where.
    pub(crate) path: Option<String>,
    /// Where the bytes came from, of the places that the asset may lie in; without query and credentials.
    source_href: Option<String>,
    class: Option<Class>,
    code: Option<String>,
    error: Option<String>,
    bytes: u64,
    /// The file's size.
    pub(crate) size_bytes: Option<u64>,
    /// Of the bytes that came, lower-case hex.
    pub(crate) sha256: Option<String>,
    /// When its row was written.
    #[serde(skip)]
    pub(crate) last_update: Option<time::OffsetDateTime>,
    /// The row that asked for it.
    #[serde(skip)]
    pub(crate) number: usize,
    /// Whether every other asset would fail alike: the disk is full, or takes no files.
    #[serde(skip)]
    stops: bool,
}

/// Assets on their way.
#[derive(Debug)]
pub(crate) struct Fetching {
    pub(crate) run_id: RunId,
    pub(crate) contexts: Contexts,
    pub(crate) concurrency: u16,
    pub(crate) fail_fast: bool,
    pub(crate) json: bool,
    /// Whether outcomes are kept for the caller.
    pub(crate) keep: bool,
}

/// The figures of a command that fetches. The names are part of the interface.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Tally {
    event: &'static str,
    /// Assets asked for.
    pub(crate) assets: u64,
    /// Of which a whole file lies in its place now.
    pub(crate) good: u64,
    /// Broken where they come from.
    pub(crate) rejected: u64,
    /// Not to be had this time.
    pub(crate) failed: u64,
    /// Not begun, since the command ended early.
    pub(crate) left: u64,
    /// Settled by an earlier run.
    pub(crate) skipped: u64,
    /// Fetched and published now.
    pub(crate) downloaded: u64,
    /// Bytes that went over the wire.
    pub(crate) bytes: u64,
    /// Code of a failure to count.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// Rows added to `swath.asset_files`.
    pub(crate) rows_added: u64,
    /// Items written, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) items_written: Option<u64>,
    /// Items that could not be had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) items_missing: Vec<String>,
    /// What could not be written down.
    pub(crate) failures: Vec<String>,
    /// Whether it was interrupted.
    pub(crate) interrupted: bool,
    /// The outcomes, where they are kept.
    #[serde(skip)]
    pub(crate) settled: Vec<AssetLine>,
}

impl Fetching {
    /// Fetches every asset; an interrupt, a place that takes no files, or a failure where that is asked for, leaves out what
    /// is not begun.
    pub(crate) async fn run(self, planned: Vec<Planned>) -> Tally {
        let mut tally = Tally {
            event: "summary",
            assets: planned.len() as u64,
            ..Tally::default()
        };
        let this = Arc::new(self);
        // Each is a task of its own: bytes are hashed by the thread that read them, and need not wake another.
        let mut fetches = JoinSet::new();
        let mut waiting = planned.into_iter();
        for one in waiting.by_ref().take(this.concurrency.into()) {
            this.begin(one, &mut fetches);
        }
        let mut done = 0;
        loop {
            let line = tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => {
                    tally.interrupted = true;
                    break;
                }
                line = fetches.join_next() => line,
            };
            let Some(line) = line else { break };
            let line = match line {
                Ok(line) => line,
                Err(gone) => {
                    tally.failures.push(gone.to_string());
                    break;
                }
            };
            done += 1;
            let good = tally.count(&line);
            this.tell(&line);
            if line.stops {
                tally.failures.extend(line.error);
                break;
            }
            if this.keep {
                tally.settled.push(line);
            }
            if !good && this.fail_fast {
                break;
            }
            if let Some(one) = waiting.next() {
                this.begin(one, &mut fetches);
            }
        }
        // Whatever has begun ends here, and its clones of the queue of rows with it.
        fetches.shutdown().await;
        tally.left = tally.assets - done;
        tally
    }

    fn begin(self: &Arc<Self>, one: Planned, fetches: &mut JoinSet<AssetLine>) {
        let this = Arc::clone(self);
        fetches.spawn(async move { this.one(&one).await });
    }

    async fn one(&self, one: &Planned) -> AssetLine {
        let context = self.contexts.of(&one.asked);
        let fetched = Box::pin(swath_download::download_to(
            &self.run_id,
            &one.asked,
            &one.key,
            context,
        ));
        match fetched.await {
            Ok(fetched) => line_of(fetched, one.number),
            Err(error) => AssetLine {
                event: "asset",
                item_id: one.asked.item_id.clone(),
                asset_name: one.asked.asset_name.clone(),
                outcome: Outcome::Failed.as_str(),
                good: false,
                path: None,
                source_href: None,
                class: Some(error.class()),
                code: Some(error.class().to_string()),
                error: Some(chain(&error)),
                bytes: 0,
                size_bytes: None,
                sha256: None,
                last_update: None,
                number: one.number,
                stops: error.class() == Class::Denied,
            },
        }
    }

    fn tell(&self, line: &AssetLine) {
        if self.json {
            print_json(line);
        } else if let Some(error) = &line.error {
            // A terminal that went away is no reason to stop.
            drop(writeln!(
                std::io::stderr().lock(),
                "{} {}/{}: {error}",
                line.outcome,
                line.item_id,
                line.asset_name
            ));
        }
    }
}

fn line_of(fetched: Fetched, number: usize) -> AssetLine {
    let row = fetched.row;
    AssetLine {
        event: "asset",
        item_id: row.item_id,
        asset_name: row.asset_name,
        outcome: fetched.outcome.as_str(),
        good: row.is_out_file_valid,
        path: row.out_file_path,
        source_href: Some(row.source_href),
        class: row.error_class,
        code: row.error_code,
        error: row.error,
        bytes: fetched.bytes_fetched,
        size_bytes: row.out_file_sz,
        sha256: row.sha256,
        last_update: Some(row.last_update),
        number,
        stops: false,
    }
}

impl Tally {
    /// Counts an outcome; says whether the file is there.
    fn count(&mut self, line: &AssetLine) -> bool {
        self.bytes += line.bytes;
        self.good += u64::from(line.good);
        self.downloaded += u64::from(line.outcome == Outcome::Published.as_str());
        self.skipped += u64::from(line.outcome == Outcome::Skipped.as_str());
        if !line.good {
            let broken = line.class == Some(Class::Invalid);
            self.rejected += u64::from(broken);
            self.failed += u64::from(!broken);
            let code = line.code.clone().unwrap_or_else(|| "unknown".to_owned());
            *self.reasons.entry(code).or_default() += 1;
        }
        line.good
    }

    /// Adds what came of the rows.
    pub(crate) fn take(&mut self, written: Written) {
        self.rows_added = written.rows_added;
        self.failures.extend(written.failures);
    }

    /// Adds what came of the items.
    pub(crate) fn take_items(&mut self, written: ItemsWritten) {
        self.items_written = Some(written.items);
        self.items_missing = written.missing;
    }

    /// Returns how the process ends.
    pub(crate) fn exit(&self) -> Exit {
        if self.interrupted {
            Exit::Interrupted
        } else if !self.failures.is_empty() {
            Exit::Output
        } else if self.good < self.assets || !self.items_missing.is_empty() {
            Exit::Partial
        } else {
            Exit::Done
        }
    }

    /// Returns the figures as a table for people.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        let bytes = indicatif::HumanBytes(self.bytes).to_string();
        let lines = [
            (
                "assets",
                format!("{} ({} settled before)", self.assets, self.skipped),
            ),
            (
                "good",
                format!("{} ({} fetched now)", self.good, self.downloaded),
            ),
            ("rejected", self.rejected.to_string()),
            ("failed", self.failed.to_string()),
            ("not begun", self.left.to_string()),
            ("fetched", bytes),
            ("rows added", self.rows_added.to_string()),
        ];
        let reasons = self.reasons.iter();
        let reasons = reasons.map(|(code, count)| ("", format!("{count} x {code}")));
        let failures = self.failures.iter();
        let failures = failures.map(|failure| ("not written", failure.clone()));
        let items = self.items_written.map(|items| ("items", items.to_string()));
        let missing = self.items_missing.iter();
        let missing = missing.map(|reason| ("not had", reason.clone()));
        let more = reasons.chain(items).chain(missing).chain(failures);
        for (name, value) in lines.into_iter().chain(more) {
            // Writing to a String cannot fail.
            let _ = writeln!(table, "  {name:<12} {value}");
        }
        table
    }
}
