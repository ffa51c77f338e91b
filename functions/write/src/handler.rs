//! From a queue's words to files, and back.

use swath_core::message::{Body, Message};
use swath_lambda::{Batch, BatchError, Incoming, Refused, SqsBatchResponse};

use crate::{Context, WriteError, write};

/// Writes what a batch brings; returns the messages to hand back.
///
/// # Errors
/// When a message has no id.
pub async fn handle(batch: Batch, context: &Context) -> Result<SqsBatchResponse, BatchError> {
    let work = |messages| write_all(messages, context);
    batch.whole(take, work).await
}

fn take(incoming: Incoming) -> Result<Message, Refused> {
    let message = incoming.message()?;
    match &message.body {
        Body::WriteItems(_)
        | Body::WriteRows(_)
        | Body::StageItems(_)
        | Body::MergeFiles(_)
        | Body::ReplaceFiles(_)
        | Body::RemoveItems(_) => Ok(message),
        other => Err(Refused::kind(other.kind())),
    }
}

async fn write_all(messages: Vec<Message>, context: &Context) -> Vec<Result<(), WriteError>> {
    let results = write(&messages, context).await;
    results.into_iter().map(|result| result.map(drop)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use swath_cloud::clock::{Clock as _, SystemClock, testing::FakeClock};
    use swath_cloud::queue::channel;
    use swath_cloud::store::Store;
    use swath_core::TableName;
    use swath_core::grid::{GridOptions, GridSpec};
    use swath_core::message::FilesWritten;
    use swath_lambda::{Deadline, Invocation, Shell};

    use super::*;

    /// Handles an event; returns how many messages went back, how many were quarantined, and what `commit` is told.
    async fn handled(event: &str) -> (usize, usize, Vec<FilesWritten>) {
        let (queue, receiver) = channel(100);
        let lake = Store::in_memory();
        let grid = GridSpec::default()
            .open(None, GridOptions::default())
            .unwrap();
        let context = Context::new(lake.clone(), Arc::new(queue), Arc::new(SystemClock), grid);
        let invocation = Invocation {
            request_id: String::new(),
            received: FakeClock::default().now(),
            deadline: Deadline::none(),
        };
        let shell = Arc::new(Shell::new("write", lake.clone()));
        let event = serde_json::from_str(event).unwrap();
        let answer = handle(Batch::new(event, shell, invocation), &context).await;
        drop(context);
        let mut told = Vec::new();
        while let Some(message) = receiver.recv().await {
            match message.body {
                Body::FilesWritten(files) => told.push(files),
                other => panic!("{other:?}"),
            }
        }
        let folder = "quarantine/write/2024-06-01".into();
        let kept = lake.store.list_with_delimiter(Some(&folder)).await.unwrap();
        (
            answer.unwrap().batch_item_failures.len(),
            kept.objects.len(),
            told,
        )
    }

    #[tokio::test]
    async fn items_and_rows_of_a_batch_are_told_once_per_table() {
        let event = include_str!("../../../events/write/items-and-rows.writes-partitions.json");
        let (back, kept, told) = handled(event).await;
        assert_eq!((back, kept), (0, 0));
        let tables: Vec<_> = told.iter().map(|files| files.table).collect();
        assert_eq!(tables, [TableName::StacItems, TableName::AssetRows]);
        let years: Vec<_> = told[0]
            .files
            .iter()
            .filter_map(|file| Some(file.partition.as_ref()?.year))
            .collect();
        assert!(years.contains(&2024) && years.contains(&2023), "{years:?}");
    }

    #[tokio::test]
    async fn poison_does_not_keep_its_batch_from_being_written() {
        let event = include_str!("../../../events/write/poison-in-batch.quarantines-one.json");
        let (back, kept, told) = handled(event).await;
        assert_eq!((back, kept, told.len()), (0, 1, 1));
    }
}
