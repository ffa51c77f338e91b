//! One file, written column after column.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray as _;
use arrow_schema::Field;
use bytes::Bytes;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use swath_core::TableName;

use super::Unmerged;
use crate::TableError;
use crate::geoparquet::Summary;
use crate::writer::{Effort, EncodedFile, Expected, arrow_writer, footer, name_of};

/// Bytes of what follows the columns, about.
const FOOTER: usize = 1 << 20;

/// One Parquet file in the making; all columns of it that were written are held, compressed.
pub(super) struct Output {
    table: TableName,
    file: SerializedFileWriter<Vec<u8>>,
    groups: Vec<Group>,
    summary: Summary,
    rows: usize,
}

/// A row group in the making.
struct Group {
    /// Writers of the columns that are still to come.
    left: std::vec::IntoIter<ArrowColumnWriter>,
    done: Vec<ArrowColumnChunk>,
}

impl Output {
    /// Begins a file.
    pub(super) fn new(
        table: TableName,
        effort: Effort,
        expected: Expected,
    ) -> Result<Self, TableError> {
        let failed = |source| TableError::Write { table, source };
        let writer = arrow_writer(table, Vec::new(), effort, expected)?;
        let (file, factory) = writer.into_serialized_writer().map_err(failed)?;
        let groups = expected.rows.div_ceil(expected.rows_per_group());
        let groups = (0..groups).map(|group| {
            Ok(Group {
                left: factory.create_column_writers(group)?.into_iter(),
                done: Vec::new(),
            })
        });
        Ok(Self {
            table,
            file,
            groups: groups.collect::<Result<_, _>>().map_err(failed)?,
            summary: Summary::default(),
            rows: expected.rows,
        })
    }

    /// Writes the next column of a row group.
    pub(super) fn write(
        &mut self,
        group: usize,
        field: &Field,
        arrays: impl Iterator<Item = Result<ArrayRef, Unmerged>>,
    ) -> Result<(), Unmerged> {
        let table = self.table;
        let failed = |source| TableError::Write { table, source };
        let Some(group) = self.groups.get_mut(group) else {
            return Err(failed(ParquetError::General("a row group too many".to_owned())).into());
        };
        let mut writers: Vec<ArrowColumnWriter> = Vec::new();
        for array in arrays {
            let array = array?;
            match field.name().as_str() {
                "geometry" => self.summary.add_types(array.as_binary()),
                "geometry_bbox" => self.summary.add_boxes(array.as_struct()),
                _ => {}
            }
            let leaves = compute_leaves(field, &array).map_err(failed)?;
            if writers.is_empty() {
                writers = group.left.by_ref().take(leaves.len()).collect();
            }
            for (writer, leaf) in writers.iter_mut().zip(&leaves) {
                writer.write(leaf).map_err(failed)?;
            }
        }
        for writer in writers {
            group.done.push(writer.close().map_err(failed)?);
        }
        Ok(())
    }

    /// Puts the columns of each row group together.
    pub(super) fn finish(mut self) -> Result<EncodedFile, TableError> {
        let table = self.table;
        let chunks = self.groups.iter().flat_map(|group| &group.done);
        let bytes: u64 = chunks.map(|chunk| chunk.close().bytes_written).sum();
        let bytes = usize::try_from(bytes).unwrap_or(0) + FOOTER;
        self.file.inner_mut().reserve(bytes);
        let mut assemble = || -> Result<Vec<u8>, ParquetError> {
            for group in std::mem::take(&mut self.groups) {
                let mut writer = self.file.next_row_group()?;
                for chunk in group.done {
                    chunk.append_to_row_group(&mut writer)?;
                }
                writer.close()?;
            }
            for told in footer(table, &self.summary) {
                self.file.append_key_value_metadata(told);
            }
            self.file.finish()?;
            Ok(std::mem::take(self.file.inner_mut()))
        };
        let bytes = assemble().map_err(|source| TableError::Write { table, source })?;
        let bytes = Bytes::from(bytes);
        let (rows, name) = (self.rows as u64, name_of(&bytes));
        Ok(EncodedFile { bytes, rows, name })
    }
}
