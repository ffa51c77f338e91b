//! From a queue's words to runs, and back.

use swath_core::intake::ListSource;
use swath_core::message::Body;
use swath_lambda::{Batch, BatchError, Change, Incoming, ObjectEvent, Refused, SqsBatchResponse};
use tracing::info;

use crate::{Context, ListError, list};

/// What the rights of `list` and `ingest` cover (`infra/template.yaml`).
const RUNS: &str = "runs/";

/// Lists what a batch names: sources that are asked for, and inventories whose checksum was written, which is the last thing
/// that is written of an inventory. Returns the messages to hand back.
///
/// # Errors
/// When a message has no id.
pub async fn handle(batch: Batch, context: &Context) -> Result<SqsBatchResponse, BatchError> {
    batch
        .each(
            |incoming| take(incoming, context),
            |asked| work(asked, context),
        )
        .await
}

fn take(incoming: Incoming, context: &Context) -> Result<Vec<ListSource>, Refused> {
    let message = match incoming {
        Incoming::Objects(objects) => {
            let asked = objects
                .iter()
                .filter_map(|object| inventory(object, context));
            return Ok(asked.collect());
        }
        other => other.message()?,
    };
    match message.body {
        Body::ListSource(asked) => Ok(vec![asked]),
        other => Err(Refused::kind(other.kind())),
    }
}

fn inventory(object: &ObjectEvent, context: &Context) -> Option<ListSource> {
    let folder = object.key.strip_suffix("manifest.checksum");
    let Some(folder) = folder.filter(|_| object.change == Change::Created) else {
        info!(object.key = object.key, "no inventory is complete by this");
        return None;
    };
    Some(ListSource {
        source: format!("s3://{}/{folder}manifest.json", object.bucket),
        intake: context.intake.clone(),
        retry_pending: false,
        against: None,
        staging_prefix: None,
    })
}

async fn work(asked: Vec<ListSource>, context: &Context) -> Result<(), ListError> {
    for asked in &asked {
        check_staging(asked)?;
        let planned = Box::pin(list(asked, context)).await?;
        info!(
            run.id = %planned.run_id,
            run.source = asked.source,
            run.listed = planned.plan.listed,
            run.taken = planned.plan.taken,
            run.chunks = planned.plan.chunks.len(),
            run.sent = planned.sent,
            "listed"
        );
    }
    Ok(())
}

fn check_staging(asked: &ListSource) -> Result<(), ListError> {
    match &asked.staging_prefix {
        Some(prefix) if !prefix.starts_with(RUNS) => Err(ListError::Staging {
            prefix: prefix.clone(),
            below: RUNS,
        }),
        _ => Ok(()),
    }
}
