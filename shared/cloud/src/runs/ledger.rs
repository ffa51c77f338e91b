//! The pages of one run's books.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use swath_core::message::{Partition, WrittenFile};
use swath_core::{RunId, digest_hex};

use super::known::write_marks;
use super::origin::{read_origins, write_origins};
use super::{Known, LedgerError, Origin, Part, Plan, Receipt};
use crate::store::{Store, StoreError};

/// Pages that are read at the same time.
const READS: usize = 16;

/// The books of one run.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) lake: Store,
    pub(super) run_id: RunId,
}

/// Says whether there is an object.
pub(super) async fn exists(lake: &Store, at: &str) -> Result<bool, LedgerError> {
    let path = lake.path(at);
    match lake.store.head(&path).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(source) => Err(StoreError::Call { path, source }.into()),
    }
}

pub(super) async fn delete(lake: &Store, at: &str) -> Result<(), LedgerError> {
    let path = lake.path(at);
    match lake.store.delete(&path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(source) => Err(StoreError::Call { path, source }.into()),
    }
}

/// Returns the names of all objects right below a folder, without what ends them.
async fn names(lake: &Store, folder: &str, end: &str) -> Result<BTreeSet<String>, LedgerError> {
    let path = lake.path(folder);
    let listed = lake.store.list(Some(&path));
    let names = listed.try_filter_map(|object| {
        let name = object.location.filename();
        let name = name.and_then(|name| name.strip_suffix(end));
        std::future::ready(Ok(name.map(str::to_owned)))
    });
    let names = names.try_collect().await;
    names.map_err(|source| StoreError::Call { path, source }.into())
}

/// Returns the ids of all runs that the lake has books of.
///
/// # Errors
/// When the lake cannot be listed.
pub async fn runs(lake: &Store) -> Result<Vec<RunId>, LedgerError> {
    let path = lake.path("runs");
    let found = lake.store.list_with_delimiter(Some(&path)).await;
    let found = found.map_err(|source| StoreError::Call { path, source })?;
    let folders = found.common_prefixes.iter();
    let names = folders.filter_map(|folder| folder.filename());
    let names = names.filter(|name| *name != "chunks");
    Ok(names.map(RunId::new).collect())
}

impl Ledger {
    /// Opens a run's books, whether there are any or not.
    pub fn new(lake: Store, run_id: RunId) -> Self {
        Self { lake, run_id }
    }

    /// Returns the run.
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    fn at(&self, page: &str) -> String {
        format!("runs/{}/{page}", self.run_id)
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        page: &str,
    ) -> Result<Option<T>, LedgerError> {
        let path = self.at(page);
        let bytes = match self.lake.get(&path).await {
            Ok(bytes) => bytes,
            Err(StoreError::Call {
                source: object_store::Error::NotFound { .. },
                ..
            }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let page = serde_json::from_slice(&bytes);
        page.map(Some)
            .map_err(|source| LedgerError::Page { path, source })
    }

    pub(super) async fn write<T: Serialize + Sync>(
        &self,
        page: &str,
        what: &T,
    ) -> Result<(), LedgerError> {
        let path = self.at(page);
        let text = serde_json::to_vec(what).map_err(|source| LedgerError::Page {
            path: path.clone(),
            source,
        })?;
        Ok(self.lake.put(&path, text.into()).await?)
    }

    /// Reads the plan; `None` when the run was never planned to the end.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn plan(&self) -> Result<Option<Plan>, LedgerError> {
        self.read("plan.json").await
    }

    /// Writes the plan.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn put_plan(&self, plan: &Plan) -> Result<(), LedgerError> {
        self.write("plan.json", plan).await
    }

    /// Reads a chunk's receipt; `None` while it is not done.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn receipt(&self, chunk: u32) -> Result<Option<Receipt>, LedgerError> {
        self.read(&format!("receipts/{chunk:06}.json")).await
    }

    /// Writes a chunk's receipt, and before it what the chunk took in: marks, and the objects with their items.
    ///
    /// # Errors
    /// When the lake fails; without a receipt the chunk is done again.
    pub async fn put_receipt(
        &self,
        chunk: u32,
        receipt: &mut Receipt,
        mut origins: Vec<Origin>,
    ) -> Result<(), LedgerError> {
        // What an earlier try at the chunk took in stays known, and stays where it is.
        let place = receipt.marks.as_ref().map_or(0, |_| 1);
        if let Some(before) = receipt.marks.take() {
            origins.extend(read_origins(&self.lake, &before.origins_at()).await?);
        }
        let addresses = || origins.iter().map(|origin| &origin.href);
        if let (Some(first), Some(last)) = (addresses().min(), addresses().max()) {
            let known = Known {
                at: self.at(&format!("known/{chunk:06}-{place}.bin")),
                first: first.clone(),
                last: last.clone(),
                has_gone: origins.iter().any(|origin| origin.gone),
            };
            let marks = |gone: bool| {
                let wanted = origins.iter().filter(|origin| origin.gone == gone);
                write_marks(wanted.filter_map(Origin::mark).collect())
            };
            let (taken, gone) = (marks(false), marks(true));
            let at = known.origins_at();
            let named = write_origins(&mut origins).map_err(|source| LedgerError::Page {
                path: at.clone(),
                source: serde_json::Error::io(source),
            })?;
            self.lake.put(&at, named).await?;
            if known.has_gone {
                self.lake.put(&known.gone_at(), gone).await?;
            }
            self.lake.put(&known.at, taken).await?;
            receipt.marks = Some(known);
        }
        self.write(&format!("receipts/{chunk:06}.json"), receipt)
            .await
    }

    /// Returns the numbers of the chunks that are done.
    ///
    /// # Errors
    /// When the lake cannot be listed.
    pub async fn done_chunks(&self) -> Result<BTreeSet<u32>, LedgerError> {
        let names = names(&self.lake, &self.at("receipts"), ".json").await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Reads the receipts of these chunks.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn receipts(
        &self,
        chunks: impl IntoIterator<Item = u32>,
    ) -> Result<Vec<(u32, Receipt)>, LedgerError> {
        let reads: Vec<_> = chunks
            .into_iter()
            .map(|chunk| async move { Ok::<_, LedgerError>((chunk, self.receipt(chunk).await?)) })
            .collect();
        let read: Vec<_> = futures::stream::iter(reads)
            .buffered(READS)
            .try_collect()
            .await?;
        let there = read.into_iter();
        Ok(there
            .filter_map(|(chunk, receipt)| Some((chunk, receipt?)))
            .collect())
    }

    /// Notes what a part of a chunk has staged.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn put_part(&self, chunk: u32, part: u32, what: &Part) -> Result<(), LedgerError> {
        self.write(&format!("parts/{chunk:06}-{part:04}.json"), what)
            .await
    }

    /// Reads what a part of a chunk has staged.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn part(&self, chunk: u32, part: u32) -> Result<Option<Part>, LedgerError> {
        self.read(&format!("parts/{chunk:06}-{part:04}.json")).await
    }

    /// Returns chunk and part of everything that is staged.
    ///
    /// # Errors
    /// When the lake cannot be listed.
    pub async fn staged(&self) -> Result<BTreeSet<(u32, u32)>, LedgerError> {
        let names = names(&self.lake, &self.at("parts"), ".json").await?;
        let pairs = names.iter().filter_map(|name| name.split_once('-'));
        Ok(pairs
            .filter_map(|(chunk, part)| Some((chunk.parse().ok()?, part.parse().ok()?)))
            .collect())
    }

    /// Notes the merged files of one partition of a full run.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn put_merged(
        &self,
        partition: &Partition,
        files: &[WrittenFile],
    ) -> Result<(), LedgerError> {
        let year = partition.year.to_string();
        let name = digest_hex(&[partition.cell.as_bytes(), year.as_bytes()], 16);
        self.write(&format!("merges/{name}.json"), &files).await
    }

    /// Returns the merged files of all partitions of a full run, if as many are merged as there are.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn merged(&self, partitions: usize) -> Result<Option<Vec<WrittenFile>>, LedgerError> {
        let names = names(&self.lake, &self.at("merges"), ".json").await?;
        if names.len() < partitions {
            return Ok(None);
        }
        let reads: Vec<_> = names
            .iter()
            .map(|name| async move { self.read(&format!("merges/{name}.json")).await })
            .collect();
        let read: Vec<Option<Vec<WrittenFile>>> = futures::stream::iter(reads)
            .buffered(READS)
            .try_collect()
            .await?;
        Ok(Some(read.into_iter().flatten().flatten().collect()))
    }

    /// Says whether all of the run is done.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn is_done(&self) -> Result<bool, LedgerError> {
        exists(&self.lake, &self.at("done.json")).await
    }

    /// Reads the files of marks of a run that is done.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn known(&self) -> Result<Option<Vec<Known>>, LedgerError> {
        self.read("done.json").await
    }

    /// Notes that all of the run is done, and where the marks of what it took in lie.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn put_done(&self) -> Result<(), LedgerError> {
        let chunks = self.done_chunks().await?;
        let receipts = self.receipts(chunks).await?;
        let known: Vec<Known> = receipts
            .into_iter()
            .filter_map(|(_, receipt)| receipt.marks)
            .collect();
        self.write("done.json", &known).await
    }

    /// Forgets that the run is done, when more of it is to be tried.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn reopen(&self) -> Result<(), LedgerError> {
        delete(&self.lake, &self.at("done.json")).await
    }

    /// Writes a list of entries that is no chunk of the plan: what is tried again.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn put_entries(&self, text: Vec<u8>) -> Result<String, LedgerError> {
        let at = format!("runs/chunks/{}.jsonl", digest_hex(&[&text], 16));
        self.lake.put(&at, Bytes::from(text)).await?;
        Ok(at)
    }
}
