//! What was asked and what came of it.

use std::path::Path;

use serde::Serialize;
use swath_core::aoi::Areas;
use swath_core::{Class, Headers, Job, RunId, digest_hex, redact_url};
use swath_search::AreaFound;
use time::OffsetDateTime;

use super::Failure;
use super::output::OutputError;
use crate::exit::Exit;

/// How one area's search ended.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AreaStatus {
    row_id: String,
    pub(super) row_number: u64,
    /// `ok`, `empty`, `partial` or `error`.
    status: &'static str,
    pages: u64,
    matched: Option<u64>,
    returned: u64,
    items: u64,
    assets: u64,
    rejected: u64,
    lightened: u64,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

impl AreaStatus {
    pub(super) fn of(
        row_id: String,
        row_number: u64,
        found: &AreaFound,
        failed: Option<(Class, String)>,
    ) -> Self {
        Self {
            row_id,
            row_number,
            status: if failed.is_some() {
                "error"
            } else {
                found.status()
            },
            pages: found.pages,
            matched: found.matched,
            returned: found.returned,
            items: found.items,
            assets: found.assets,
            rejected: found.rejected.len() as u64,
            lightened: found.lightened,
            elapsed_ms: u64::try_from(found.elapsed.as_millis()).unwrap_or(u64::MAX),
            failure: failed.map(|(class, error)| Failure { class, error }),
        }
    }
}

/// What was asked and what came of it.
#[derive(Debug, Serialize)]
pub(super) struct Manifest {
    swath: &'static str,
    run_id: RunId,
    catalog: String,
    /// [`digest_hex`] of the landing page as it was served.
    landing_digest: Option<String>,
    /// The job; headers are left out.
    job: Job,
    areas: u64,
    /// [`digest_hex`] of all rows' geometries and ids.
    areas_digest: String,
    rejected: Vec<swath_core::aoi::RejectedArea>,
    #[serde(with = "time::serde::rfc3339")]
    began: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    ended: OffsetDateTime,
    statuses: Vec<AreaStatus>,
    /// Lines of the result: items or rows.
    lines: u64,
    /// The sum of the first halves of the lines' SHA-256, modulo 2^128: the same in whatever order they come.
    digest: String,
}

impl Manifest {
    pub(super) fn begin(job: &Job, areas: &Areas) -> Self {
        let parts: Vec<&[u8]> = areas
            .areas
            .iter()
            .flat_map(|area| [area.row_id.as_bytes(), area.geometry.get().as_bytes()])
            .collect();
        let areas_digest = digest_hex(&parts, 32);
        let mut job = job.clone();
        job.headers = Headers::default();
        let asked = serde_json::to_vec(&job).unwrap_or_default();
        let now = now();
        Self {
            swath: env!("CARGO_PKG_VERSION"),
            run_id: RunId::derive(&[areas_digest.as_bytes(), &asked]),
            catalog: redact_url(&job.catalog),
            landing_digest: None,
            job,
            areas: areas.areas.len() as u64,
            areas_digest,
            rejected: areas.rejected.clone(),
            began: now,
            ended: now,
            statuses: Vec::new(),
            lines: 0,
            digest: String::new(),
        }
    }

    pub(super) fn run_id(&self) -> RunId {
        self.run_id.clone()
    }

    pub(super) fn end(
        &mut self,
        statuses: Vec<AreaStatus>,
        lines: u64,
        digest: String,
        landing: Option<String>,
    ) {
        self.statuses = statuses;
        self.lines = lines;
        self.digest = digest;
        self.landing_digest = landing;
        self.ended = now();
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), OutputError> {
        let text = serde_json::to_string_pretty(self).map_err(OutputError::Json)?;
        let written = std::fs::write(path, text + "\n");
        written.map_err(|source| OutputError::Write {
            path: path.to_owned(),
            source,
        })
    }

    pub(super) fn line(&self) -> String {
        let count = |status: &str| {
            self.statuses
                .iter()
                .filter(|area| area.status == status)
                .count()
        };
        let pages: u64 = self.statuses.iter().map(|area| area.pages).sum();
        format!(
            "{} lines; areas: {} ok, {} empty, {} partial, {} failed; {pages} pages",
            self.lines,
            count("ok"),
            count("empty"),
            count("partial"),
            count("error"),
        )
    }

    pub(super) fn exit(&self) -> Exit {
        let any = |status: &str| self.statuses.iter().any(|area| area.status == status);
        if !self.statuses.is_empty() && self.statuses.iter().all(|area| area.status == "error") {
            Exit::Catalog
        } else if any("error") || any("partial") || !self.rejected.is_empty() {
            Exit::Partial
        } else if self.lines == 0 {
            Exit::Empty
        } else {
            Exit::Done
        }
    }
}

fn now() -> OffsetDateTime {
    use swath_cloud::clock::{Clock as _, SystemClock};
    SystemClock.now()
}
