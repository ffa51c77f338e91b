//! A lake: its tables, made when they are absent, found when they are there.

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr as _;
use std::sync::Arc;

use iceberg::MetadataLocation;
use iceberg::io::FileIO;
use iceberg::spec::{
    DEFAULT_SCHEMA_NAME_MAPPING, Schema, TableMetadata, TableMetadataBuildResult,
    TableMetadataBuilder,
};
use swath_core::TableName;
use swath_core::grid::GridSpec;
use swath_table::layout::WAREHOUSE;

use crate::cache::Cache;
use crate::error::LakeError;
use crate::place::Place;
use crate::pointer::{Pointed, Swap, TablePointer};
use crate::snapshot::KEEP_SNAPSHOTS;
use crate::{grid, schema, storage};

/// Times that a table is prepared anew because others changed it meanwhile.
const PREPARATIONS: u32 = 20;

/// Keys of items that lie in no cell, or in too many: tables of every grid have them.
const RESERVED: [&str; 2] = ["__none__", "__global__"];

/// Iceberg tables below one base, all changes to which go through one pointer.
#[derive(Debug)]
pub struct Lake {
    pub(crate) place: Place,
    pub(crate) io: FileIO,
    pub(crate) pointer: Arc<dyn TablePointer>,
    pub(crate) cache: Cache,
}

/// A state of a table on which something is decided, and the pointer that must still be there when it is done.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) table: TableName,
    pub(crate) pointed: Pointed,
    pub(crate) metadata: Arc<TableMetadata>,
}

impl Lake {
    /// Opens a lake for writing: makes the tables that are absent and gives those of `EarthCatalog` our columns.
    ///
    /// # Errors
    /// When the items lie in another grid, a table cannot take files of ours, or the place or the pointer fails.
    pub async fn open(
        place: Place,
        pointer: Arc<dyn TablePointer>,
        grid: GridSpec,
    ) -> Result<Self, LakeError> {
        let lake = Self::existing(place, pointer);
        for table in TableName::ALL {
            lake.prepare(table, &grid).await?;
        }
        Ok(lake)
    }

    /// Opens a lake for reading; nothing is made or checked.
    pub fn existing(place: Place, pointer: Arc<dyn TablePointer>) -> Self {
        Self {
            io: storage::file_io(&place),
            place,
            pointer,
            cache: Cache::default(),
        }
    }

    /// Returns where the lake lies.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Returns the location of a table's current metadata file; `None` when there is no such table.
    ///
    /// # Errors
    /// When the pointer cannot be read.
    pub async fn metadata_location(&self, table: TableName) -> Result<Option<String>, LakeError> {
        let pointed = self.pointed(table).await?;
        Ok(pointed.map(|pointed| pointed.location))
    }

    async fn pointed(&self, table: TableName) -> Result<Option<Pointed>, LakeError> {
        let pointed = self.pointer.load(table).await;
        pointed.map_err(LakeError::pointer(table))
    }

    /// Loads the state of a table that others may be changing.
    pub(crate) async fn base(&self, table: TableName) -> Result<Base, LakeError> {
        let base = self.find(table).await?;
        base.ok_or(LakeError::NoTable { table })
    }

    async fn find(&self, table: TableName) -> Result<Option<Base>, LakeError> {
        let mut pointed = self.pointed(table).await?;
        while let Some(now) = pointed {
            match self.metadata(table, &now.location).await {
                Ok(metadata) => {
                    return Ok(Some(Base {
                        table,
                        pointed: now,
                        metadata,
                    }));
                }
                // The file may have been cleared away after a hundred commits by others: then there is a newer one.
                Err(error) => {
                    pointed = self.pointed(table).await?;
                    if pointed.as_ref() == Some(&now) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(None)
    }

    pub(crate) async fn metadata(
        &self,
        table: TableName,
        location: &str,
    ) -> Result<Arc<TableMetadata>, LakeError> {
        if let Some(metadata) = self.cache.metadata(table, location) {
            return Ok(metadata);
        }
        let failed = LakeError::metadata(table, "reading the metadata");
        let read = TableMetadata::read_from(&self.io, location).await;
        let metadata = Arc::new(read.map_err(failed)?);
        self.cache.keep_metadata(table, location, &metadata);
        Ok(metadata)
    }

    async fn prepare(&self, table: TableName, grid: &GridSpec) -> Result<(), LakeError> {
        for _ in 0..PREPARATIONS {
            let done = match self.find(table).await? {
                None => self.make(table, grid).await?,
                Some(base) => self.fit(&base, grid).await?,
            };
            if done == Swap::Swapped {
                return Ok(());
            }
        }
        Err(LakeError::Conflict {
            table,
            attempts: PREPARATIONS,
        })
    }

    async fn make(&self, table: TableName, grid: &GridSpec) -> Result<Swap, LakeError> {
        let failed = LakeError::metadata(table, "making the table");
        let below = format!("{WAREHOUSE}/{}/{}", table.namespace(), table.name());
        let location = self.place.location(&below);
        let properties = self.properties(table, grid);
        let metadata = schema::fresh(table, location.clone(), properties).map_err(failed)?;
        let at = MetadataLocation::new_with_metadata(location, &metadata);
        metadata.write_to(&self.io, &at).await.map_err(failed)?;
        let swapped = self.pointer.swap(table, None, &at.to_string()).await;
        swapped.map_err(LakeError::pointer(table))
    }

    fn properties(&self, table: TableName, grid: &GridSpec) -> HashMap<String, String> {
        let mut properties: HashMap<_, _> = [
            // A metadata file a commit: a hundred old ones are kept, by us and by every client that knows these keys.
            ("write.metadata.previous-versions-max", "100"),
            ("write.metadata.delete-after-commit.enabled", "true"),
            // The metadata file is written by each commit: with a hundred snapshots it is most of what a commit writes.
            (KEEP_SNAPSHOTS, "16"),
            // For other clients: their defaults give up after four attempts.
            ("commit.retry.num-retries", "20"),
            ("commit.retry.min-wait-ms", "50"),
            ("commit.retry.max-wait-ms", "2000"),
            ("commit.retry.total-timeout-ms", "120000"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        if table == TableName::StacItems {
            properties.extend(grid::properties(grid));
            let index = self
                .place
                .location(&format!("{WAREHOUSE}_id_hashes.parquet"));
            properties.insert("earthcatalog.hash_index_path".to_owned(), index);
        }
        properties
    }

    /// Checks that a table can take files of ours, and gives it the columns and properties that it lacks.
    async fn fit(&self, base: &Base, grid: &GridSpec) -> Result<Swap, LakeError> {
        let table = base.table;
        let foreign = |what| LakeError::Foreign { table, what };
        let schema = schema::reconcile(table, &base.metadata).map_err(foreign)?;
        let properties = if table == TableName::StacItems {
            self.check_grid(base, grid).await?
        } else {
            HashMap::new()
        };
        if schema.is_none() && properties.is_empty() {
            return Ok(Swap::Swapped);
        }
        let failed = LakeError::metadata(table, "changing the table");
        let builder = base.change();
        let changed = with_columns(builder, schema, properties).map_err(failed)?;
        let at = base.next_location(&changed.metadata);
        changed
            .metadata
            .write_to(&self.io, &at)
            .await
            .map_err(failed)?;
        let swapped = self
            .pointer
            .swap(table, Some(&base.pointed), &at.to_string())
            .await;
        swapped.map_err(LakeError::pointer(table))
    }

    /// Returns the properties to note when a table has lost them and its cells are of this grid.
    async fn check_grid(
        &self,
        base: &Base,
        asked: &GridSpec,
    ) -> Result<HashMap<String, String>, LakeError> {
        let differs = |found: String| LakeError::Grid {
            asked: asked.to_string(),
            found,
        };
        match grid::noted(base.metadata.properties()) {
            Ok(Some(found)) if grid::same(&found, asked) => return Ok(HashMap::new()),
            Ok(Some(found)) => return Err(differs(found.to_string())),
            Err(error) => return Err(differs(error.to_string())),
            Ok(None) => {}
        }
        let manifests = base.manifests(self).await?;
        let listed = base.files(self, manifests.iter()).await?;
        let files = listed.iter().flat_map(|files| files.iter());
        let cells: BTreeSet<&str> = files
            .filter_map(|file| Some(file.partition.as_ref()?.cell.as_str()))
            .collect();
        match GridSpec::infer(cells.iter().copied()) {
            Some(found) if found != *asked => Err(differs(found.to_string())),
            None if cells.iter().any(|cell| !RESERVED.contains(cell))
                && matches!(asked, GridSpec::H3 { .. }) =>
            {
                Err(differs(
                    "that is not noted, with cells of several kinds".to_owned(),
                ))
            }
            _ => Ok(grid::properties(asked)),
        }
    }
}

fn with_columns(
    builder: TableMetadataBuilder,
    schema: Option<Schema>,
    mut properties: HashMap<String, String>,
) -> iceberg::Result<TableMetadataBuildResult> {
    let builder = match schema {
        Some(schema) => {
            let mapping = schema::name_mapping(&schema)?;
            properties.insert(DEFAULT_SCHEMA_NAME_MAPPING.to_owned(), mapping);
            builder.add_current_schema(schema)?
        }
        None => builder,
    };
    builder.set_properties(properties)?.build()
}

impl Base {
    /// Checks that files of ours can be added: others may have changed the partitions since the lake was opened.
    pub(crate) fn check_spec(&self) -> Result<(), LakeError> {
        let checked = schema::check_spec(self.table, &self.metadata);
        checked.map_err(|what| LakeError::Foreign {
            table: self.table,
            what,
        })
    }

    /// Begins the next version of the metadata.
    pub(crate) fn change(&self) -> TableMetadataBuilder {
        let before = Some(self.pointed.location.clone());
        self.metadata.as_ref().clone().into_builder(before)
    }

    /// Names the next metadata file: the next number, and a name that no other attempt has.
    pub(crate) fn next_location(&self, next: &TableMetadata) -> MetadataLocation {
        match MetadataLocation::from_str(&self.pointed.location) {
            Ok(now) => now.with_next_version().with_new_metadata(next),
            // Named by another convention than the usual one.
            Err(_) => MetadataLocation::new_with_metadata(next.location(), next),
        }
    }
}
