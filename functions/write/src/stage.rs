//! Bulk runs: files are not told to `commit` but noted in the run's books, until all of its chunks are done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swath_cloud::runs::{Ledger, Part};
use swath_core::TableName;
use swath_core::intake::StageItems;
use swath_core::message::{Body, Message};

use crate::write::{Files, Told, fail};
use crate::{Context, WriteError, Written};

fn staged(batch: &[Message], index: usize) -> Option<(&Message, &StageItems)> {
    let message = batch.get(index)?;
    match &message.body {
        Body::StageItems(staged) => Some((message, staged)),
        _ => None,
    }
}

/// Notes for each part of a bulk run which files hold something of it.
pub(crate) async fn note(
    written: &BTreeMap<TableName, Files>,
    batch: &[Message],
    context: &Context,
    results: &mut [Result<Written, WriteError>],
) {
    let files = written
        .get(&TableName::StacItems)
        .map_or(&[][..], Vec::as_slice);
    for index in 0..batch.len() {
        let (Some((message, part)), Some(Ok(done))) = (staged(batch, index), results.get(index))
        else {
            continue;
        };
        let with = files
            .iter()
            .filter(|(_, messages)| messages.contains(&index));
        let noted = Part {
            files: with.map(|(file, _)| file.clone()).collect(),
            rejected: done.rejected.len() as u64,
        };
        let ledger = Ledger::new(context.lake.clone(), message.run_id.clone());
        if let Err(error) = ledger.put_part(part.chunk, part.part, &noted).await {
            let error = WriteError::Note(Arc::new(error));
            fail(results, &BTreeSet::from([index]), &error);
        }
    }
}

/// Returns the files that `commit` is told: all but those of bulk runs alone.
pub(crate) fn untold(files: Files, batch: &[Message]) -> Told {
    let mut told = Told::default();
    for (file, messages) in files {
        let is_plain = |index: &usize| staged(batch, *index).is_none();
        let plain: Vec<usize> = messages.into_iter().filter(is_plain).collect();
        if !plain.is_empty() {
            told.files.push(file);
            told.messages.extend(plain);
        }
    }
    told
}

/// Looks whether the bulk runs of the batch are complete now.
pub(crate) async fn settle(
    batch: &[Message],
    context: &Context,
    results: &mut [Result<Written, WriteError>],
) {
    let Some(merges) = &context.merges else {
        return;
    };
    let mut runs: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
    for index in 0..batch.len() {
        if let Some((message, _)) = staged(batch, index) {
            runs.entry(&message.run_id).or_default().insert(index);
        }
    }
    for (run_id, messages) in runs {
        let ledger = Ledger::new(context.lake.clone(), run_id.clone());
        if let Err(error) = ledger.settle(merges.as_ref()).await {
            fail(results, &messages, &WriteError::Settle(Arc::new(error)));
        }
    }
}
