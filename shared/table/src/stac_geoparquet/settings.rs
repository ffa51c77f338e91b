//! How the columns of a file are encoded: settled by what the first of its items have in them.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, TimeUnit};
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use xxhash_rust::xxh3::xxh3_64;

use super::REST;
use crate::writer::{LARGE, path, with_bloom_filter, zstd};
use crate::{Effort, Expected};

/// Values of a column that are looked at.
const SAMPLE: usize = 256;
/// Bytes of a column in a row group below which zstd costs more, for its tables, than it saves.
const SMALL: usize = 8 << 10;

/// What is known of a column.
struct Sample {
    /// Bytes of all its values, without a dictionary.
    bytes: usize,
    values: usize,
    /// Hashes of some of them, in order.
    hashes: Vec<u64>,
}

/// Returns the settings of a file whose first items are these.
pub(super) fn properties(
    first: &RecordBatch,
    effort: Effort,
    expected: Expected,
) -> WriterProperties {
    let is_large = expected.rows >= LARGE;
    let mut builder = WriterProperties::builder()
        // Without a version: the same items give the same bytes in every release that keeps the settings.
        .set_created_by("swath".to_owned())
        .set_max_row_group_row_count(Some(expected.rows_per_group()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(!is_large)
        .set_compression(match effort {
            Effort::Ingest => zstd(1),
            Effort::Compact => zstd(9),
        });
    let group = expected.rows_per_group().min(expected.rows);
    for (field, array) in first.schema_ref().fields().iter().zip(first.columns()) {
        // Nobody looks for assets and links by their range.
        let statistics = match field.name().as_str() {
            "assets" | "links" => EnabledStatistics::None,
            _ if is_large && !field.data_type().is_nested() => EnabledStatistics::Page,
            _ => EnabledStatistics::Chunk,
        };
        each_leaf(field, array, &[], &mut |column, values| {
            let sample = Sample::of(values);
            let mut taken = std::mem::take(&mut builder);
            taken = taken.set_column_statistics_enabled(column.clone(), statistics);
            if sample.is_unique() || field.name() == REST {
                taken = taken.set_column_dictionary_enabled(column.clone(), false);
            }
            // Whatever comes later than the first items may be large.
            let is_known = sample.values > 0 && effort == Effort::Ingest;
            if is_known && sample.encoded(first.num_rows(), group) < SMALL {
                taken = taken.set_column_compression(column, Compression::SNAPPY);
            }
            builder = taken;
        });
    }
    if is_large {
        builder = with_bloom_filter(builder, path("id"), group as u64);
    }
    builder.build()
}

impl Sample {
    fn of(array: &ArrayRef) -> Self {
        let valid = (0..array.len()).filter(|row| array.is_valid(*row));
        let some = valid.take(SAMPLE);
        let long = |bytes: i64| xxh3_64(&bytes.to_le_bytes());
        let mut hashes: Vec<u64> = match array.data_type() {
            DataType::Utf8 => {
                let texts = array.as_string::<i32>();
                some.map(|row| xxh3_64(texts.value(row).as_bytes()))
                    .collect()
            }
            DataType::Binary => {
                let texts = array.as_binary::<i32>();
                some.map(|row| xxh3_64(texts.value(row))).collect()
            }
            DataType::Int64 => {
                let numbers = array.as_primitive::<Int64Type>();
                some.map(|row| long(numbers.value(row))).collect()
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let instants = array.as_primitive::<TimestampMicrosecondType>();
                some.map(|row| long(instants.value(row))).collect()
            }
            DataType::Float64 => {
                let numbers = array.as_primitive::<Float64Type>();
                some.map(|row| numbers.value(row).to_bits()).collect()
            }
            _ => Vec::new(),
        };
        hashes.sort_unstable();
        let values = array.len() - array.null_count();
        Self {
            bytes: bytes_of(array, values),
            values,
            hashes,
        }
    }

    fn distinct(&self) -> usize {
        self.hashes.chunk_by(|a, b| a == b).count()
    }

    /// Says whether values hardly repeat: a dictionary would be the column over again.
    fn is_unique(&self) -> bool {
        self.distinct() * 2 > self.hashes.len()
    }

    /// Guesses how many bytes there are to compress in a row group.
    fn encoded(&self, rows: usize, group: usize) -> usize {
        let each = self.bytes / self.values.max(1);
        let values = self.values * group / rows.max(1);
        if self.is_unique() {
            return each * values;
        }
        // Numbers of a dictionary, a byte each, and the dictionary, which grows more slowly than the column.
        values + each * self.distinct() * 4
    }
}

/// Returns how many bytes values take without a dictionary.
fn bytes_of(array: &ArrayRef, values: usize) -> usize {
    let texts = |offsets: &[i32]| match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => usize::try_from(last - first).unwrap_or(0) + 4 * values,
        _ => 0,
    };
    match array.data_type() {
        DataType::Utf8 => texts(array.as_string::<i32>().value_offsets()),
        DataType::Binary => texts(array.as_binary::<i32>().value_offsets()),
        DataType::Boolean => values.div_ceil(8),
        _ => 8 * values,
    }
}

/// Visits the columns inside a column, as Parquet names them.
fn each_leaf(
    field: &Field,
    array: &ArrayRef,
    parents: &[String],
    visit: &mut impl FnMut(ColumnPath, &ArrayRef),
) {
    let with = |names: &[&str]| {
        [
            parents,
            &names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        ]
        .concat()
    };
    match field.data_type() {
        DataType::Struct(fields) => {
            let inside = with(&[field.name()]);
            for (field, array) in fields.iter().zip(array.as_struct().columns()) {
                each_leaf(field, array, &inside, visit);
            }
        }
        DataType::List(element) => {
            let inside = with(&[field.name(), "list"]);
            each_leaf(element, array.as_list::<i32>().values(), &inside, visit);
        }
        _ => visit(ColumnPath::new(with(&[field.name()])), array),
    }
}
