//! What was asked and what came of it.

use std::path::Path;

use serde::Serialize;
use swath_core::aoi::Areas;
use swath_core::row::{AreaStatus, SearchEnd};
use swath_core::{Headers, Job, RunId, redact_url};
use time::OffsetDateTime;

use super::output::OutputError;
use crate::exit::Exit;

/// What was asked and what came of it.
#[derive(Debug, Serialize)]
pub(super) struct Manifest {
    swath: &'static str,
    run_id: RunId,
    catalog: String,
    /// [`swath_core::digest_hex`] of the landing page as it was served.
    landing_digest: Option<String>,
    /// The job; headers are left out.
    job: Job,
    areas: u64,
    /// [`Areas::digest_hex`].
    areas_digest: String,
    rejected: Vec<swath_core::aoi::RejectedArea>,
    #[serde(with = "time::serde::rfc3339")]
    began: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    ended: OffsetDateTime,
    /// Requests made for all areas.
    requests: u64,
    /// How each area's search ended.
    statuses: Vec<AreaStatus>,
    /// Lines of the result: items or rows.
    lines: u64,
    /// The sum of the first halves of the lines' SHA-256, modulo 2^128: the same in whatever order they come.
    digest: String,
}

impl Manifest {
    pub(super) fn begin(job: &Job, areas: &Areas) -> Self {
        let areas_digest = areas.digest_hex();
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
            requests: 0,
            statuses: Vec::new(),
            lines: 0,
            digest: String::new(),
        }
    }

    /// Returns the API that is searched, without its secrets.
    pub(super) fn catalog(&self) -> &str {
        &self.catalog
    }

    /// Returns how many areas are searched.
    pub(super) fn areas(&self) -> u64 {
        self.areas
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
        self.requests = statuses.iter().map(|area| area.requests).sum();
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
        let count = |end: SearchEnd| {
            self.statuses
                .iter()
                .filter(|area| area.status == end)
                .count()
        };
        format!(
            "{} lines; areas: {} ok, {} empty, {} partial, {} failed; {} requests",
            self.lines,
            count(SearchEnd::Ok),
            count(SearchEnd::Empty),
            count(SearchEnd::Partial),
            count(SearchEnd::Error),
            self.requests,
        )
    }

    pub(super) fn exit(&self) -> Exit {
        let any = |end: SearchEnd| self.statuses.iter().any(|area| area.status == end);
        let all_failed = self
            .statuses
            .iter()
            .all(|area| area.status == SearchEnd::Error);
        if !self.statuses.is_empty() && all_failed {
            Exit::Catalog
        } else if any(SearchEnd::Error) || any(SearchEnd::Partial) || !self.rejected.is_empty() {
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
