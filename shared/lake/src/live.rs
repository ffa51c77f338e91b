//! Which data files a table has now.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use iceberg::spec::{ManifestContentType, ManifestFile, ManifestList};
use swath_core::TableName;
use swath_core::message::Partition;

use crate::error::LakeError;
use crate::facts::{KeyRanges, partition_of, year_of};
use crate::lake::{Base, Lake};

/// Manifests that are read at the same time.
const AT_ONCE: usize = 8;

/// What a commit needs to know of a data file that is part of the table.
#[derive(Clone, Debug)]
pub(crate) struct LiveFile {
    pub(crate) location: String,
    /// The manifest that lists it.
    pub(crate) manifest: Arc<str>,
    /// Absent in tables without partitions, and for values that another spec than the table's own has given.
    pub(crate) partition: Option<Partition>,
    pub(crate) rows: u64,
    pub(crate) size_bytes: u64,
    pub(crate) ranges: KeyRanges,
}

impl Base {
    /// Reads the manifests of the current snapshot that list live files.
    ///
    /// # Errors
    /// When the list cannot be read, or rows have been deleted by delete files, which only their readers could apply.
    pub(crate) async fn manifests(&self, lake: &Lake) -> Result<Vec<ManifestFile>, LakeError> {
        let failed = LakeError::metadata(self.table, "reading the manifest list");
        let Some(snapshot) = self.metadata.current_snapshot() else {
            return Ok(Vec::new());
        };
        let input = lake
            .io
            .new_input(snapshot.manifest_list())
            .map_err(failed)?;
        let bytes = input.read().await.map_err(failed)?;
        let version = self.metadata.format_version();
        let list = ManifestList::parse_with_version(&bytes, version).map_err(failed)?;
        let live: Vec<_> = list
            .consume_entries()
            .into_iter()
            .filter(|manifest| manifest.has_added_files() || manifest.has_existing_files())
            .collect();
        if live
            .iter()
            .any(|manifest| manifest.content == ManifestContentType::Deletes)
        {
            return Err(LakeError::Foreign {
                table: self.table,
                what: "some of its rows are deleted by delete files: compact it first".to_owned(),
            });
        }
        Ok(live)
    }

    /// Reads which files these manifests list as live.
    pub(crate) async fn files(
        &self,
        lake: &Lake,
        manifests: impl Iterator<Item = &ManifestFile>,
    ) -> Result<Vec<Arc<[LiveFile]>>, LakeError> {
        // Gathered first: a stream that holds the closure is not `Send` for every lifetime.
        let reads: Vec<_> = manifests
            .map(|manifest| self.files_of(lake, manifest))
            .collect();
        let reads = futures::stream::iter(reads);
        reads.buffered(AT_ONCE).try_collect().await
    }

    async fn files_of(
        &self,
        lake: &Lake,
        manifest: &ManifestFile,
    ) -> Result<Arc<[LiveFile]>, LakeError> {
        if let Some(files) = lake.cache.manifest(&manifest.manifest_path) {
            return Ok(files);
        }
        let failed = LakeError::metadata(self.table, "reading a manifest");
        let read = manifest.load_manifest(&lake.io).await.map_err(failed)?;
        let location: Arc<str> = Arc::from(manifest.manifest_path.as_str());
        let partitioned = self.has_partitions(manifest);
        let alive = read.entries().iter().filter(|entry| entry.is_alive());
        let files: Arc<[LiveFile]> = alive
            .map(|entry| LiveFile {
                location: entry.file_path().to_owned(),
                manifest: Arc::clone(&location),
                partition: partitioned
                    .then(|| partition_of(entry.data_file().partition()))
                    .flatten(),
                rows: entry.record_count(),
                size_bytes: entry.data_file().file_size_in_bytes(),
                ranges: KeyRanges::of(self.table, entry.data_file()),
            })
            .collect();
        lake.cache.keep_manifest(&manifest.manifest_path, &files);
        Ok(files)
    }

    /// Returns whether a manifest could list files of a partition; of an unknown one, all could.
    pub(crate) fn may_list(&self, manifest: &ManifestFile, partition: Option<&Partition>) -> bool {
        let Some(partition) = partition.filter(|_| self.has_partitions(manifest)) else {
            return true;
        };
        let Some([cell, year]) = manifest.partitions.as_deref() else {
            return true;
        };
        let (Some(low), Some(high)) = (&cell.lower_bound, &cell.upper_bound) else {
            return true;
        };
        let key = partition.cell.as_bytes();
        if key < low.as_slice() || high.as_slice() < key {
            return false;
        }
        let first = year.lower_bound.as_ref().and_then(|low| year_of(low));
        let last = year.upper_bound.as_ref().and_then(|high| year_of(high));
        first.is_none_or(|first| first <= partition.year)
            && last.is_none_or(|last| partition.year <= last)
    }

    /// Returns whether the values in this manifest are those of our partitions.
    fn has_partitions(&self, manifest: &ManifestFile) -> bool {
        self.table == TableName::StacItems
            && manifest.partition_spec_id == self.metadata.default_partition_spec_id()
    }
}
