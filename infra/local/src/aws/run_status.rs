//! `swath status RUN`: how far one run has come.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};
use swath_cloud::progress::Progress;
use swath_core::row::SearchEnd;
use swath_core::{RunId, TableName};
use swath_lake::LakeError;
use swath_table::plain::row_of;

use super::deployment::Deployment;
use super::error::AwsError;
use crate::exit::Exit;
use crate::run;

/// How far a run has come. The names are part of the interface.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct RunStatus {
    run_id: String,
    /// Areas to be searched; absent before the run is planned.
    areas: Option<u64>,
    /// Rows of the file that cannot be searched.
    rejected: Option<u64>,
    /// Areas that were searched.
    searched: u64,
    /// Of which the API gave fewer items than it has.
    partial: u64,
    /// Items that were found; one that lies in two areas counts twice.
    items: u64,
    /// Downloads that were asked for; likewise.
    downloads: u64,
    /// Rows of the run in `swath.asset_rows`.
    asset_rows: u64,
    assets: Assets,
    /// Why assets are not there: how many there are of each code.
    errors: BTreeMap<String, u64>,
    /// The current snapshot of each table that holds rows of the run.
    snapshots: BTreeMap<String, i64>,
}

/// What became of the distinct assets that the run asked for, by the newest row of each.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Assets {
    /// Published and proven.
    good: u64,
    /// They can never be had.
    refused: u64,
    /// They were given up this time.
    failed: u64,
    /// Found, and without an outcome in a snapshot so far.
    waiting: u64,
}

/// Says how far a run has come; a run that nobody has heard of is an error.
pub(super) async fn status(
    deployment: &Deployment,
    run_id: &RunId,
    json: bool,
) -> Result<Exit, AwsError> {
    let status = RunStatus::of(deployment, run_id).await?;
    if status.is_unknown() {
        let run_id = run_id.to_string();
        return Err(AwsError::NoRun { run_id });
    }
    if json {
        run::print_json(&status);
    } else {
        run::print_text(&status.words());
    }
    Ok(Exit::Done)
}

impl RunStatus {
    /// Reads the run's receipts and its rows in both tables of assets.
    pub(super) async fn of(deployment: &Deployment, run_id: &RunId) -> Result<Self, AwsError> {
        let store = deployment.lake_bucket()?;
        let progress = Progress::of(&store, run_id)
            .await
            .map_err(AwsError::Store)?;
        let mut status = Self::of_progress(run_id, &progress);
        let rows = status.rows(deployment, TableName::AssetRows).await?;
        let files = status.rows(deployment, TableName::AssetFiles).await?;
        status.count(&rows, files);
        Ok(status)
    }

    /// Takes what the receipts alone say.
    pub(super) fn of_progress(run_id: &RunId, progress: &Progress) -> Self {
        let sum = |count: fn(&swath_cloud::progress::Searched) -> u64| {
            progress.searched.iter().map(count).sum()
        };
        Self {
            run_id: run_id.to_string(),
            areas: progress.planned.as_ref().map(|planned| planned.areas),
            rejected: progress.planned.as_ref().map(|planned| planned.rejected),
            searched: progress.searched.len() as u64,
            partial: sum(|area| u64::from(area.status == SearchEnd::Partial)),
            items: sum(|area| area.items),
            downloads: sum(|area| area.downloads),
            ..Self::default()
        }
    }

    /// Reads the run's rows of a table, and notes its snapshot when there are any.
    async fn rows(
        &mut self,
        deployment: &Deployment,
        table: TableName,
    ) -> Result<Vec<Map<String, Value>>, AwsError> {
        let failed = |source| AwsError::Table {
            table,
            source: Box::new(source),
        };
        let (_, lake) = deployment.lake()?;
        let batches = match lake.rows(table).await {
            Ok(batches) => batches,
            // The first commit makes the tables.
            Err(LakeError::NoTable { .. }) => return Ok(Vec::new()),
            Err(source) => return Err(failed(source)),
        };
        let rows = batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(move |row| row_of(batch, row)));
        let rows: Vec<_> = rows
            .filter(|row| text(row, "run_id") == Some(self.run_id.as_str()))
            .collect();
        if !rows.is_empty()
            && let Some(snapshot) = lake.counts(table).await.map_err(failed)?.snapshot_id
        {
            self.snapshots.insert(table.to_string(), snapshot);
        }
        Ok(rows)
    }

    fn count(&mut self, rows: &[Map<String, Value>], files: Vec<Map<String, Value>>) {
        self.asset_rows = rows.len() as u64;
        let mut newest: HashMap<[Option<String>; 3], Map<String, Value>> = HashMap::new();
        for file in files {
            let entry = newest.entry(key(&file)).or_insert_with(|| file.clone());
            if when(entry) < when(&file) {
                *entry = file;
            }
        }
        for file in newest.values() {
            match (file.get("is_out_file_valid"), text(file, "error_class")) {
                (Some(Value::Bool(true)), _) => self.assets.good += 1,
                (_, Some("invalid")) => self.assets.refused += 1,
                _ => self.assets.failed += 1,
            }
            if let Some(code) = text(file, "error_code") {
                *self.errors.entry(code.to_owned()).or_default() += 1;
            }
        }
        if self.downloads > 0 {
            let asked: std::collections::HashSet<_> = rows.iter().map(key).collect();
            let waiting = asked.iter().filter(|asset| !newest.contains_key(*asset));
            self.assets.waiting = waiting.count() as u64;
        }
    }

    fn is_unknown(&self) -> bool {
        let known = self.areas.is_some() || self.searched + self.asset_rows > 0;
        !known && self.snapshots.is_empty()
    }

    /// Says in one line how far the searches have come.
    pub(super) fn line(&self) -> String {
        let areas = self.areas.map_or("?".to_owned(), |areas| areas.to_string());
        format!(
            "{} of {areas} areas searched, {} items, {} downloads asked for",
            self.searched, self.items, self.downloads
        )
    }

    /// Says it all.
    pub(super) fn words(&self) -> String {
        let mut text = format!("run {}\n  {}\n", self.run_id, self.line());
        let Assets {
            good,
            refused,
            failed,
            waiting,
        } = self.assets;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  assets: {good} good, {refused} refused, {failed} failed, {waiting} waiting"
        );
        for (code, count) in &self.errors {
            let _ = writeln!(text, "    {code:<24} {count:>7}");
        }
        for (table, snapshot) in &self.snapshots {
            let _ = writeln!(text, "  {table:<24} snapshot {snapshot}");
        }
        text
    }
}

fn text<'a>(row: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    row.get(name).and_then(Value::as_str)
}

fn key(row: &Map<String, Value>) -> [Option<String>; 3] {
    ["collection", "item_id", "asset_name"].map(|name| text(row, name).map(str::to_owned))
}

fn when(row: &Map<String, Value>) -> Option<time::OffsetDateTime> {
    text(row, "last_update").and_then(swath_core::stac::parse_datetime)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use swath_cloud::progress::{Planned, Searched};

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other}"),
        }
    }

    fn asset(name: &str) -> Map<String, Value> {
        object(json!({"run_id": "r", "collection": "c", "item_id": "i", "asset_name": name}))
    }

    fn file(name: &str, day: u8, error: Option<(&str, &str)>) -> Map<String, Value> {
        let mut file = asset(name);
        file.insert(
            "last_update".into(),
            format!("2024-06-{day:02}T00:00:00Z").into(),
        );
        file.insert("is_out_file_valid".into(), error.is_none().into());
        if let Some((class, code)) = error {
            file.insert("error_class".into(), class.into());
            file.insert("error_code".into(), code.into());
        }
        file
    }

    #[test]
    fn each_asset_counts_once_by_its_newest_row() {
        let progress = Progress {
            planned: Some(Planned {
                areas: 2,
                rejected: 1,
            }),
            searched: vec![Searched {
                row_id: "a".to_owned(),
                items: 1,
                assets: 4,
                downloads: 4,
                status: SearchEnd::Partial,
            }],
        };
        let mut status = RunStatus::of_progress(&RunId::new("r"), &progress);
        assert_eq!(
            status.line(),
            "1 of 2 areas searched, 1 items, 4 downloads asked for"
        );
        let rows = ["red", "nir", "swir", "blue", "blue"].map(asset);
        let files = vec![
            file("red", 2, None),
            file("red", 1, Some(("transient", "throttled"))),
            file("nir", 1, Some(("invalid", "gone"))),
            file("swir", 1, Some(("denied", "forbidden"))),
        ];
        status.count(&rows, files);
        let assets = Assets {
            good: 1,
            refused: 1,
            failed: 1,
            waiting: 1,
        };
        assert_eq!((status.assets, status.asset_rows), (assets, 5));
        let codes: Vec<_> = status.errors.keys().map(String::as_str).collect();
        assert_eq!(codes, ["forbidden", "gone"]);
        assert_eq!(status.partial, 1);
    }

    #[test]
    fn a_run_without_a_trace_is_unknown() {
        let status = RunStatus::of_progress(&RunId::new("r"), &Progress::default());
        assert!(status.is_unknown());
    }
}
