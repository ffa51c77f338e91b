//! Files that no snapshot needs any more.

use std::collections::HashSet;
use std::time::Duration;

use futures::TryStreamExt as _;
use iceberg::spec::ManifestList;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt as _};
use swath_core::TableName;
use swath_table::layout::WAREHOUSE;
use time::OffsetDateTime;

use crate::error::LakeError;
use crate::lake::{Base, Lake};

/// Files younger than this are never cleared away: they may be those of a commit that is under way.
pub const LEAST_GRACE: Duration = Duration::from_hours(24);

/// What clearing orphans did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Files that a snapshot, or the log of metadata files, names.
    pub files_needed: u64,
    /// Files that nothing names but that are too young to be cleared away.
    pub files_young: u64,
    /// Files that were cleared away, below the lake's base.
    pub cleared: Vec<String>,
    /// Their size together.
    pub bytes: u64,
}

impl Lake {
    /// Clears away files of a table that no snapshot needs and that are older than `grace` (a day at least). With `dry`
    /// nothing is deleted.
    ///
    /// # Errors
    /// When the store or the table's metadata cannot be read, or a file cannot be deleted.
    pub async fn clear_orphans(
        &self,
        table: TableName,
        grace: Duration,
        now: OffsetDateTime,
        dry: bool,
    ) -> Result<Orphans, LakeError> {
        // Listed before the table is asked: what is added meanwhile is not in the list.
        let found = self.list(table).await?;
        let mut base = self.base(table).await?;
        let mut needed = self.needed(&base).await?;
        let mut orphans = Orphans::default();
        let youngest = now - grace.max(LEAST_GRACE);
        for (below, meta) in found {
            if needed.contains(&below) {
                orphans.files_needed += 1;
                continue;
            }
            if meta.last_modified.timestamp() >= youngest.unix_timestamp() {
                orphans.files_young += 1;
                continue;
            }
            if !dry {
                let current = self.base(table).await?;
                if current.pointed != base.pointed {
                    base = current;
                    needed = self.needed(&base).await?;
                }
                if needed.contains(&below) || !self.clear(&meta).await? {
                    orphans.files_needed += 1;
                    continue;
                }
            }
            orphans.bytes += meta.size;
            orphans.cleared.push(below);
        }
        Ok(orphans)
    }

    /// Deletes a file unless it was written anew since it was listed; tells whether it did.
    async fn clear(&self, meta: &ObjectMeta) -> Result<bool, LakeError> {
        let store = &self.place.store;
        let failed = |source| LakeError::Store {
            location: meta.location.to_string(),
            source,
        };
        match store.head(&meta.location).await {
            Ok(now) if now.last_modified == meta.last_modified => {
                store.delete(&meta.location).await.map_err(failed)?;
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(source) => Err(failed(source)),
        }
    }

    /// Lists the data and metadata files below the warehouse that are of this table by their place and name.
    async fn list(&self, table: TableName) -> Result<Vec<(String, ObjectMeta)>, LakeError> {
        let root = self.place.path(WAREHOUSE);
        let root = root.map_err(LakeError::outside(table))?;
        let listed = self.place.store.list(Some(&root)).try_collect::<Vec<_>>();
        let listed = listed.await.map_err(|source| LakeError::Store {
            location: self.place.location(WAREHOUSE),
            source,
        })?;
        let files = listed.into_iter().filter_map(|meta| {
            let below = below(&root, &meta.location)?;
            is_of(table, &below).then(|| (format!("{WAREHOUSE}/{below}"), meta))
        });
        Ok(files.collect())
    }

    /// Returns what the snapshots and the log of a table name, below the lake's base.
    async fn needed(&self, base: &Base) -> Result<HashSet<String>, LakeError> {
        let metadata = &base.metadata;
        let failed = LakeError::metadata(base.table, "reading a snapshot");
        let mut locations = vec![base.pointed.location.clone()];
        let log = metadata.metadata_log().iter();
        locations.extend(log.map(|old| old.metadata_file.clone()));
        let statistics = metadata.statistics_iter();
        locations.extend(statistics.map(|file| file.statistics_path.clone()));
        let statistics = metadata.partition_statistics_iter();
        locations.extend(statistics.map(|file| file.statistics_path.clone()));
        let mut seen = HashSet::new();
        for snapshot in metadata.snapshots() {
            let list = snapshot.manifest_list();
            locations.push(list.to_owned());
            let input = self.io.new_input(list).map_err(failed)?;
            let bytes = input.read().await.map_err(failed)?;
            let list = ManifestList::parse_with_version(&bytes, metadata.format_version());
            for manifest in list.map_err(failed)?.consume_entries() {
                if !seen.insert(manifest.manifest_path.clone()) {
                    continue;
                }
                locations.push(manifest.manifest_path.clone());
                let read = manifest.load_manifest(&self.io).await.map_err(failed)?;
                // Deleted ones too: an older snapshot, the one that deleted them apart, may need them.
                let files = read.entries().iter().filter(|entry| entry.is_alive());
                locations.extend(files.map(|entry| entry.file_path().to_owned()));
            }
        }
        let below = locations
            .iter()
            .filter_map(|location| self.place.below(location).ok());
        Ok(below.map(str::to_owned).collect())
    }
}

fn below(root: &Path, path: &Path) -> Option<String> {
    let parts: Vec<_> = path.prefix_match(root)?.collect();
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    Some(parts.join("/"))
}

/// Returns whether a path below the warehouse is that of a data or metadata file of a table; nothing else is touched.
fn is_of(table: TableName, below: &str) -> bool {
    let parts: Vec<&str> = below.split('/').collect();
    let is = |name: &str, extension: &str| {
        let end = name.rsplit_once('.');
        end.is_some_and(|(_, found)| found == extension)
    };
    let is_metadata = |name: &str| name.ends_with(".metadata.json") || is(name, "avro");
    match parts.as_slice() {
        [namespace, name, "metadata", file] => {
            (*namespace, *name) == (table.namespace(), table.name()) && is_metadata(file)
        }
        [cell, year, file] if table == TableName::StacItems => {
            cell.starts_with("grid_partition=") && year.starts_with("year=") && is(file, "parquet")
        }
        [namespace, name, "data", file] => {
            (*namespace, *name) == (table.namespace(), table.name()) && is(file, "parquet")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_table_are_candidates() {
        let items = TableName::StacItems;
        assert!(is_of(items, "grid_partition=a/year=2024/part_1.parquet"));
        assert!(is_of(items, "earthcatalog/stac_items/metadata/x-m0.avro"));
        for other in [
            "earthcatalog/stac_items/metadata/version-hint.text",
            "swath/asset_rows/data/part_1.parquet",
            "staging/ndjson/x.jsonl",
            "grid_partition=a/notes.txt",
        ] {
            assert!(!is_of(items, other), "{other}");
        }
        assert!(is_of(
            TableName::AssetRows,
            "swath/asset_rows/data/part_1.parquet"
        ));
    }
}
