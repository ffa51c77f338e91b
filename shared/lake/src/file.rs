//! Data files: those that a message names, and those that are part of a table.

use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::DataFile;
use object_store::{ObjectStoreExt as _, PutPayload};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use swath_core::message::{Partition, WrittenFile};
use swath_core::{Class, Classify as _, TableName};
use swath_table::EncodedFile;
use swath_table::keys::{Known, RowKey, filter_rows, read_rows};
use swath_table::layout::data_path;

use crate::error::LakeError;
use crate::facts::{self, KeyRanges};
use crate::lake::Lake;
use crate::sparse::{Sparse, Unread};

/// Bytes of a file whose keys are decoded sooner than another thread is woken up for them.
const SMALL: u64 = 64 * 1024;

/// A data file that lies in the lake and is what its message says; whether its rows are new is not known yet.
#[derive(Clone, Debug)]
pub struct NewFile {
    pub(crate) table: TableName,
    pub(crate) path: String,
    pub(crate) location: String,
    pub(crate) partition: Option<Partition>,
    pub(crate) facts: DataFile,
    pub(crate) keys: Arc<[RowKey]>,
    /// Of items, what the keys are made of.
    pub(crate) known: Arc<[Known]>,
    pub(crate) ranges: KeyRanges,
}

impl NewFile {
    /// Returns its path below the lake's base.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the table it is for.
    pub fn table(&self) -> TableName {
        self.table
    }

    /// Returns how many rows it has.
    pub fn rows(&self) -> u64 {
        self.facts.record_count()
    }
}

impl Lake {
    /// Reads a file that a message names and checks it against what the message says.
    ///
    /// # Errors
    /// When it is not there, not a whole Parquet file of the table, or not as told.
    pub async fn inspect(
        &self,
        table: TableName,
        told: &WrittenFile,
    ) -> Result<NewFile, LakeError> {
        self.place
            .path(&told.path)
            .map_err(LakeError::outside(table))?;
        check_partition(table, told)?;
        let location = self.place.location(&told.path);
        let read = self.fetch_keys(table, &location).await?;
        let file = self.describe(table, told, read).await?;
        self.cache.keep_keys(&location, &file.keys);
        Ok(file)
    }

    /// Reads a file of which nobody has told more than where it lies: rows and size are what is found there.
    ///
    /// # Errors
    /// When it is not there, not a whole Parquet file of the table, or its rows lie in another partition.
    pub async fn discover(
        &self,
        table: TableName,
        path: &str,
        partition: Option<Partition>,
    ) -> Result<NewFile, LakeError> {
        let location = self.place.location(path);
        let (bytes, footer) = self.fetch_keys(table, &location).await?;
        let rows = footer.file_metadata().num_rows();
        let told = WrittenFile {
            path: path.to_owned(),
            partition,
            rows: u64::try_from(rows).unwrap_or_default(),
            size_bytes: bytes.size_bytes(),
        };
        check_partition(table, &told)?;
        let file = self.describe(table, &told, (bytes, footer)).await?;
        self.cache.keep_keys(&location, &file.keys);
        Ok(file)
    }

    async fn describe(
        &self,
        table: TableName,
        told: &WrittenFile,
        (bytes, footer): (Sparse, Arc<ParquetMetaData>),
    ) -> Result<NewFile, LakeError> {
        let size_bytes = bytes.size_bytes();
        if size_bytes != told.size_bytes {
            return Err(not_as_told(told, "size", &told.size_bytes, &size_bytes));
        }
        let location = self.place.location(&told.path);
        let (keys, known) = read(table, &location, bytes, &footer).await?;
        if keys.len() as u64 != told.rows {
            return Err(not_as_told(told, "number of rows", &told.rows, &keys.len()));
        }
        let facts = facts_of(table, told, &location, &footer)?;
        Ok(NewFile {
            table,
            path: told.path.clone(),
            partition: told.partition.clone(),
            ranges: KeyRanges::of(table, &facts),
            location,
            facts,
            keys,
            known,
        })
    }

    /// Returns the keys of the rows of a file that is part of the table.
    pub(crate) async fn keys(
        &self,
        table: TableName,
        location: &str,
    ) -> Result<Arc<[RowKey]>, LakeError> {
        match self.cache.keys(location) {
            Some(keys) => Ok(keys),
            None => Ok(self.known(table, location).await?.0),
        }
    }

    /// Reads the keys of the rows of a file that is part of the table and, of items, what they are made of.
    pub(crate) async fn known(&self, table: TableName, location: &str) -> Result<Rows, LakeError> {
        let fetched = self.fetch_keys(table, location).await;
        let (bytes, footer) = fetched.map_err(gone(table)).map_err(theirs(table))?;
        let rows = read(table, location, bytes, &footer).await;
        let rows = rows.map_err(theirs(table))?;
        self.cache.keep_keys(location, &rows.0);
        Ok(rows)
    }

    /// Writes a file's rows again without those that `keep` says no to, beside it and under the name of its content;
    /// `None` when none is left.
    pub(crate) async fn rewrite(
        &self,
        table: TableName,
        location: &str,
        partition: Option<&Partition>,
        keep: Vec<bool>,
    ) -> Result<Option<NewFile>, LakeError> {
        let bytes = self.fetch_live(table, location).await?;
        let filter = move || filter_rows(table, bytes, |row| keep.get(row) == Some(&true));
        let filtered = blocking(location, filter).await?;
        let Some(encoded) = filtered.map_err(rows_of(location))? else {
            return Ok(None);
        };
        self.put_new(table, partition, encoded).await.map(Some)
    }

    /// Puts a new data file under the name of its content.
    async fn put_new(
        &self,
        table: TableName,
        partition: Option<&Partition>,
        encoded: EncodedFile,
    ) -> Result<NewFile, LakeError> {
        let bytes = encoded.bytes.clone();
        let told = self.put_encoded(table, partition, encoded).await?;
        let read = Sparse::whole(bytes).map_err(unread(&told.path))?;
        let file = self.describe(table, &told, read).await?;
        self.cache.keep_keys(&file.location, &file.keys);
        Ok(file)
    }

    /// Puts a data file of rows that the table has already; returns where it lies and what the table notes of it.
    pub(crate) async fn put_merged(
        &self,
        table: TableName,
        partition: Option<&Partition>,
        encoded: EncodedFile,
    ) -> Result<(String, DataFile), LakeError> {
        let bytes = encoded.bytes.clone();
        let told = self.put_encoded(table, partition, encoded).await?;
        let (_, footer) = Sparse::whole(bytes).map_err(unread(&told.path))?;
        let location = self.place.location(&told.path);
        let facts = facts_of(table, &told, &location, &footer)?;
        Ok((location, facts))
    }

    async fn put_encoded(
        &self,
        table: TableName,
        partition: Option<&Partition>,
        encoded: EncodedFile,
    ) -> Result<WrittenFile, LakeError> {
        let told = WrittenFile {
            path: data_path(table, partition, &encoded.name),
            partition: partition.cloned(),
            rows: encoded.rows,
            size_bytes: encoded.bytes.len() as u64,
        };
        let outside = LakeError::outside(table);
        let path = self.place.path(&told.path).map_err(outside)?;
        let payload = PutPayload::from(encoded.bytes);
        let put = self.place.store.put(&path, payload).await;
        put.map_err(|source| LakeError::Store {
            location: self.place.location(&told.path),
            source,
        })?;
        Ok(told)
    }

    async fn fetch(&self, table: TableName, location: &str) -> Result<Bytes, LakeError> {
        let path = self
            .place
            .path_of(location)
            .map_err(LakeError::outside(table))?;
        let read = async { self.place.store.get(&path).await?.bytes().await };
        read.await.map_err(|source| store_failed(location, source))
    }

    pub(crate) async fn fetch_live(
        &self,
        table: TableName,
        location: &str,
    ) -> Result<Bytes, LakeError> {
        self.fetch(table, location).await.map_err(gone(table))
    }

    async fn fetch_keys(
        &self,
        table: TableName,
        location: &str,
    ) -> Result<(Sparse, Arc<ParquetMetaData>), LakeError> {
        let path = self
            .place
            .path_of(location)
            .map_err(LakeError::outside(table))?;
        let fetched = Sparse::fetch(&self.place.store, &path, table).await;
        fetched.map_err(|error| match error {
            Unread::Store(source) => store_failed(location, source),
            Unread::Footer(source) => unread(location)(source),
        })
    }
}

/// Files of items lie in a partition, others in none.
fn check_partition(table: TableName, told: &WrittenFile) -> Result<(), LakeError> {
    if told.partition.is_some() == (table == TableName::StacItems) {
        return Ok(());
    }
    let none = &"none of this table";
    Err(not_as_told(told, "partition", &told.partition, none))
}

/// Returns what a table notes of a file.
fn facts_of(
    table: TableName,
    told: &WrittenFile,
    location: &str,
    footer: &ParquetMetaData,
) -> Result<DataFile, LakeError> {
    let partition = told.partition.as_ref();
    // Values that are not those of the rows would hide the rows from every search.
    if let Some(partition) = partition
        && !facts::lies_in(partition, footer)
    {
        return Err(not_as_told(told, "partition", partition, &"another"));
    }
    let failed = LakeError::metadata(table, "describing a data file");
    let (at, size) = (location.to_owned(), told.size_bytes);
    facts::data_file(table, footer, at, size, partition).map_err(failed)
}

fn store_failed(location: &str, source: object_store::Error) -> LakeError {
    let location = location.to_owned();
    match source {
        object_store::Error::NotFound { .. } => LakeError::Missing { location, source },
        _ => LakeError::Store { location, source },
    }
}

fn unread(location: &str) -> impl Fn(ParquetError) -> LakeError {
    move |source| LakeError::Footer {
        location: location.to_owned(),
        source,
    }
}

/// A file of the table that is not there is damage, or was cleared away.
fn gone(table: TableName) -> impl Fn(LakeError) -> LakeError {
    move |error| match error {
        LakeError::Missing { location, .. } => LakeError::Dangling { table, location },
        other => other,
    }
}

fn not_as_told(
    told: &WrittenFile,
    what: &'static str,
    said: &dyn std::fmt::Debug,
    found: &dyn std::fmt::Debug,
) -> LakeError {
    LakeError::NotAsTold {
        path: told.path.clone(),
        what,
        told: format!("{said:?}"),
        found: format!("{found:?}"),
    }
}

fn rows_of(location: &str) -> impl Fn(swath_table::TableError) -> LakeError {
    move |source| LakeError::Rows {
        location: location.to_owned(),
        source,
    }
}

/// A file of the table that cannot be read fails every message alike: it is not the message that is wrong.
fn theirs(table: TableName) -> impl Fn(LakeError) -> LakeError {
    move |error| match error.class() {
        Class::Invalid => LakeError::Foreign {
            table,
            what: swath_core::chain(&error),
        },
        _ => error,
    }
}

/// The keys of a file's rows and, of items, what they are made of.
type Rows = (Arc<[RowKey]>, Arc<[Known]>);

async fn read(
    table: TableName,
    location: &str,
    bytes: Sparse,
    footer: &Arc<ParquetMetaData>,
) -> Result<Rows, LakeError> {
    let is_small = bytes.size_bytes() <= SMALL;
    let footer = Some(Arc::clone(footer));
    let read = move || read_rows(table, bytes, footer);
    let rows = if is_small {
        read()
    } else {
        blocking(location, read).await?
    };
    let (keys, known) = rows.map_err(rows_of(location))?;
    Ok((keys.into(), known.into()))
}

/// Decoding takes milliseconds: other work goes on meanwhile.
pub(crate) async fn blocking<T: Send + 'static>(
    location: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LakeError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|source| LakeError::CutOff {
        location: location.to_owned(),
        source,
    })
}
