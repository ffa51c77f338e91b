//! Parquet files of which only the footer and the key columns are fetched.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use swath_core::TableName;
use swath_table::keys::columns_read;
use swath_table::reader::column_of;

/// Bytes at a file's end that are fetched first: small files are whole then, and footers of large ones.
const TAIL: u64 = 128 * 1024;

/// Parts of a file, by where they begin.
#[derive(Clone, Debug)]
pub(crate) struct Sparse {
    size_bytes: u64,
    parts: Vec<(u64, Bytes)>,
}

/// Why a file's keys could not be fetched.
#[derive(Debug)]
pub(crate) enum Unread {
    Store(object_store::Error),
    Footer(ParquetError),
}

impl From<object_store::Error> for Unread {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<ParquetError> for Unread {
    fn from(error: ParquetError) -> Self {
        Self::Footer(error)
    }
}

impl Sparse {
    /// Fetches a file's footer and the columns that make its rows' keys, in two or three calls at most.
    pub(crate) async fn fetch(
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        table: TableName,
    ) -> Result<(Self, Arc<ParquetMetaData>), Unread> {
        let mut sparse = Self::tail(store, path, TAIL).await?;
        let mut reader = ParquetMetaDataReader::new();
        let mut parsed = reader.try_parse_sized(&sparse, sparse.size_bytes);
        if let Err(ParquetError::NeedMoreData(bytes)) = parsed {
            sparse = Self::tail(store, path, bytes as u64).await?;
            parsed = reader.try_parse_sized(&sparse, sparse.size_bytes);
        }
        parsed?;
        let footer = reader.finish()?;
        let wanted = sparse.missing(&key_chunks(table, &footer));
        let fetched = store.get_ranges(path, &wanted).await?;
        let starts = wanted.into_iter().map(|range| range.start);
        sparse.parts.extend(starts.zip(fetched));
        Ok((sparse, Arc::new(footer)))
    }

    /// Takes a file that is in memory as a whole.
    pub(crate) fn whole(bytes: Bytes) -> Result<(Self, Arc<ParquetMetaData>), ParquetError> {
        let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes)?;
        let sparse = Self {
            size_bytes: bytes.len() as u64,
            parts: vec![(0, bytes)],
        };
        Ok((sparse, Arc::new(footer)))
    }

    /// Returns the file's size.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    async fn tail(
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        bytes: u64,
    ) -> Result<Self, object_store::Error> {
        let options = GetOptions {
            range: Some(GetRange::Suffix(bytes)),
            ..GetOptions::default()
        };
        let got = store.get_opts(path, options).await?;
        let (size_bytes, start) = (got.meta.size, got.range.start);
        Ok(Self {
            size_bytes,
            parts: vec![(start, got.bytes().await?)],
        })
    }

    fn missing(&self, wanted: &[Range<u64>]) -> Vec<Range<u64>> {
        let lacks = |range: &&Range<u64>| self.part(range.start, range.end).is_none();
        wanted.iter().filter(lacks).cloned().collect()
    }

    fn part(&self, start: u64, end: u64) -> Option<Bytes> {
        self.parts.iter().find_map(|(first, bytes)| {
            let from = usize::try_from(start.checked_sub(*first)?).ok()?;
            let to = usize::try_from(end.checked_sub(*first)?).ok()?;
            (from <= to && to <= bytes.len()).then(|| bytes.slice(from..to))
        })
    }
}

/// Returns where the columns lie that make the keys.
fn key_chunks(table: TableName, footer: &ParquetMetaData) -> Vec<Range<u64>> {
    let wanted = columns_read(table);
    let schema = footer.file_metadata().schema_descr();
    let groups = footer.row_groups().iter();
    let chunks = groups.flat_map(RowGroupMetaData::columns).enumerate();
    let leaves = schema.num_columns().max(1);
    let chunks = chunks.filter(|(at, _)| {
        let root = schema.get_column_root_ptr(at % leaves);
        column_of(table, &root).is_some_and(|name| wanted.contains(&name))
    });
    let ranges = chunks.map(|(_, column)| {
        let (start, length) = column.byte_range();
        start..start.saturating_add(length)
    });
    ranges.collect()
}

impl Length for Sparse {
    fn len(&self) -> u64 {
        self.size_bytes
    }
}

impl ChunkReader for Sparse {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let parts = self.parts.iter();
        let end = parts.filter_map(|(first, bytes)| {
            let end = first + bytes.len() as u64;
            (*first <= start && start <= end).then_some(end)
        });
        let part = end.max().and_then(|end| self.part(start, end));
        part.map(bytes::Buf::reader).ok_or_else(|| absent(start, 0))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let part = self.part(start, start.saturating_add(length as u64));
        part.ok_or_else(|| absent(start, length))
    }
}

fn absent(start: u64, length: usize) -> ParquetError {
    ParquetError::EOF(format!(
        "bytes {start} to {start}+{length} were not fetched"
    ))
}
