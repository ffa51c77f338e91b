//! `swath status`: what waits, what was given up on, what the tables hold.

use std::fmt::Write as _;

use serde::Serialize;
use swath_core::TableName;
use swath_lake::LakeError;

use super::deployment::{Deployment, Depth};
use super::error::AwsError;
use crate::exit::Exit;
use crate::run;

/// What a deployment holds.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    name: String,
    queues: Vec<QueueStatus>,
    tables: Vec<TableStatus>,
}

#[derive(Debug, Serialize)]
struct QueueStatus {
    function: &'static str,
    queue: String,
    #[serde(flatten)]
    depth: Depth,
    dead: u64,
}

#[derive(Debug, Serialize)]
struct TableStatus {
    table: TableName,
    rows: u64,
    files: u64,
    snapshot_id: Option<i64>,
    metadata: Option<String>,
}

pub(super) async fn status(deployment: &Deployment, json: bool) -> Result<Exit, AwsError> {
    let status = Status::of(deployment).await?;
    if json {
        run::print_json(&status);
    } else {
        run::print_text(&status.words());
    }
    Ok(Exit::Done)
}

impl Status {
    pub(super) async fn of(deployment: &Deployment) -> Result<Self, AwsError> {
        let mut queues = Vec::new();
        for found in &deployment.queues {
            let dead = deployment.depth(&found.dead).await?;
            queues.push(QueueStatus {
                function: found.function.name(),
                queue: found.label.clone(),
                depth: deployment.depth(&found.work).await?,
                dead: dead.waiting + dead.under_way,
            });
        }
        let (_, lake) = deployment.lake()?;
        let mut tables = Vec::new();
        for table in TableName::ALL {
            let none = TableStatus {
                table,
                rows: 0,
                files: 0,
                snapshot_id: None,
                metadata: None,
            };
            tables.push(match lake.counts(table).await {
                Ok(counts) => TableStatus {
                    table,
                    rows: counts.rows,
                    files: counts.files,
                    snapshot_id: counts.snapshot_id,
                    metadata: Some(counts.metadata_location),
                },
                // The first commit makes the tables.
                Err(LakeError::NoTable { .. }) => none,
                Err(source) => {
                    let source = Box::new(source);
                    return Err(AwsError::Table { table, source });
                }
            });
        }
        Ok(Self {
            name: deployment.name.clone(),
            queues,
            tables,
        })
    }

    fn words(&self) -> String {
        let mut text = format!("{}\n", self.name);
        // Writing to a String cannot fail.
        for queue in &self.queues {
            let Depth { waiting, under_way } = queue.depth;
            let _ = writeln!(
                text,
                "  {:<10} {waiting:>7} waiting {under_way:>7} under way {:>7} given up",
                queue.queue, queue.dead
            );
        }
        for table in &self.tables {
            let name = table.table.to_string();
            let _ = writeln!(
                text,
                "  {name:<24} {:>9} rows in {:>6} files",
                table.rows, table.files
            );
        }
        text
    }
}
