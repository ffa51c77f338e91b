//! A queue that is a folder: one file per message, for functions that are run one at a time by hand.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use swath_core::message::Message;
use uuid::Uuid;

use super::{Queue, QueueError};

/// Writes each message to a file of its own; names sort by the time of sending, and no file is seen half written.
#[derive(Clone, Debug)]
pub struct FolderQueue(PathBuf);

impl FolderQueue {
    /// Opens the folder, making it when there is none.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(path: PathBuf) -> Result<Self, QueueError> {
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(QueueError::Folder { path, source }),
        }
    }
}

#[async_trait]
impl Queue for FolderQueue {
    async fn send(&self, messages: Vec<Message>) -> Result<(), QueueError> {
        let path = self.0.clone();
        let texts = messages
            .iter()
            .map(|message| message.to_json().map_err(QueueError::Message))
            .collect::<Result<Vec<_>, _>>()?;
        let written = tokio::task::spawn_blocking(move || {
            texts.iter().try_for_each(|text| write_one(&path, text))
        })
        .await
        .map_err(std::io::Error::other)
        .flatten();
        written.map_err(|source| QueueError::Folder {
            path: self.0.clone(),
            source,
        })
    }
}

fn write_one(folder: &Path, text: &str) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    let name = format!("{}.json", Uuid::now_v7());
    file.persist_noclobber(folder.join(name))
        .map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_core::message::{Body, Delivered, FilesWritten};
    use swath_core::{RunId, TableName};

    fn message(run: &str) -> Message {
        Message {
            run_id: RunId::new(run),
            body: Body::FilesWritten(FilesWritten {
                table: TableName::AssetRows,
                files: Vec::new(),
            }),
        }
    }

    #[tokio::test]
    async fn names_sort_in_the_order_of_sending() {
        let folder = tempfile::tempdir().unwrap();
        let queue = FolderQueue::open(folder.path().join("new/queue")).unwrap();
        let runs: Vec<_> = (0..50).map(|n| format!("r{n:02}")).collect();
        queue
            .send(runs.iter().map(|run| message(run)).collect())
            .await
            .unwrap();
        let mut names: Vec<_> = std::fs::read_dir(folder.path().join("new/queue"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        let read: Vec<_> = names
            .iter()
            .map(
                |name| match Message::parse(&std::fs::read_to_string(name).unwrap()).unwrap() {
                    Delivered::Whole(message) => message.run_id.to_string(),
                    Delivered::ByReference(_) => panic!("by reference"),
                },
            )
            .collect();
        assert_eq!(read, runs);
    }

    #[test]
    fn a_folder_that_is_a_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = FolderQueue::open(file.path().to_owned()).unwrap_err();
        let name = file.path().display().to_string();
        assert!(error.to_string().contains(&name), "{error}");
    }
}
