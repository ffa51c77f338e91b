//! What Iceberg wants to know of a Parquet file, read from its footer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, NestedFieldRef,
    PrimitiveType, Struct, Type,
};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use swath_core::TableName;
use swath_core::message::Partition;
use swath_table::keys::key_columns;
use swath_table::schema::of;
use time::OffsetDateTime;

use crate::schema;

/// Characters (bytes, of binary columns) of a bound that are kept: Iceberg's default.
const BOUND: usize = 16;

/// Years of a partition count from here.
const EPOCH: i32 = 1970;

/// One leaf column that has bounds: its field id and type.
type Leaf = (i32, PrimitiveType);

/// The leaves of each table's files, by their path.
static LEAVES: LazyLock<HashMap<TableName, HashMap<String, Leaf>>> = LazyLock::new(|| {
    let of = |table| {
        let mut leaves = HashMap::new();
        add_leaves("", &schema::ours(table), &mut leaves);
        (table, leaves)
    };
    TableName::ALL.map(of).into()
});

/// Sums over the row groups of a file, by field id.
#[derive(Default)]
struct Sums {
    sizes: HashMap<i32, u64>,
    values: HashMap<i32, u64>,
    nulls: HashMap<i32, u64>,
    lower: HashMap<i32, Datum>,
    upper: HashMap<i32, Datum>,
    unbounded: HashSet<i32>,
}

/// Describes a file for a manifest.
pub(crate) fn data_file(
    table: TableName,
    footer: &ParquetMetaData,
    location: String,
    size_bytes: u64,
    partition: Option<&Partition>,
) -> iceberg::Result<DataFile> {
    let sums = Sums::of(table, footer);
    let groups = footer.row_groups().iter();
    let mut offsets: Vec<i64> = groups.filter_map(RowGroupMetaData::file_offset).collect();
    offsets.sort_unstable();
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(location)
        .file_format(DataFileFormat::Parquet)
        .partition(partition.map_or_else(Struct::empty, values))
        .record_count(unsigned(footer.file_metadata().num_rows()))
        .file_size_in_bytes(size_bytes)
        .column_sizes(sums.sizes)
        .value_counts(sums.values)
        .null_value_counts(sums.nulls)
        .lower_bounds(sums.lower)
        .upper_bounds(sums.upper)
        .split_offsets((!offsets.is_empty()).then_some(offsets))
        .build()
        .map_err(|source| {
            iceberg::Error::new(iceberg::ErrorKind::DataInvalid, "a data file's facts")
                .with_source(source)
        })
}

/// Returns the values of the partition spec's fields.
fn values(partition: &Partition) -> Struct {
    Struct::from_iter([
        Some(Literal::string(&partition.cell)),
        Some(Literal::int(partition.year - EPOCH)),
    ])
}

/// Returns the partition that a manifest's values name; `None` when they are of another spec or null.
pub(crate) fn partition_of(values: &Struct) -> Option<Partition> {
    let [Some(cell), Some(year)] = values.fields() else {
        return None;
    };
    match (cell.as_primitive_literal()?, year.as_primitive_literal()?) {
        (
            iceberg::spec::PrimitiveLiteral::String(cell),
            iceberg::spec::PrimitiveLiteral::Int(year),
        ) => Some(Partition {
            cell,
            year: year.checked_add(EPOCH)?,
        }),
        _ => None,
    }
}

/// Returns the year that a bound in a manifest list names.
pub(crate) fn year_of(bound: &[u8]) -> Option<i32> {
    let since = i32::from_le_bytes(bound.try_into().ok()?);
    since.checked_add(EPOCH)
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

impl Sums {
    fn of(table: TableName, footer: &ParquetMetaData) -> Self {
        let leaves = LEAVES.get(&table);
        let mut sums = Self::default();
        for column in footer
            .row_groups()
            .iter()
            .flat_map(RowGroupMetaData::columns)
        {
            let path = column.column_descr().path().string();
            if let Some((id, kind)) = leaves.and_then(|leaves| leaves.get(&path)) {
                sums.add(*id, kind, column);
            }
        }
        for id in &sums.unbounded {
            sums.lower.remove(id);
            sums.upper.remove(id);
        }
        sums
    }

    fn add(&mut self, id: i32, kind: &PrimitiveType, column: &ColumnChunkMetaData) {
        let values = unsigned(column.num_values());
        *self.sizes.entry(id).or_default() += unsigned(column.compressed_size());
        *self.values.entry(id).or_default() += values;
        let Some(statistics) = column.statistics() else {
            // A row group that says nothing could hold anything.
            self.unbounded.insert(id);
            return;
        };
        let nulls = statistics.null_count_opt();
        if let Some(nulls) = nulls {
            *self.nulls.entry(id).or_default() += nulls;
        }
        match (least(kind, statistics), greatest(kind, statistics)) {
            (Some(low), Some(high)) => {
                let lower = self.lower.entry(id).or_insert_with(|| low.clone());
                if low < *lower {
                    *lower = low;
                }
                let upper = self.upper.entry(id).or_insert_with(|| high.clone());
                if high > *upper {
                    *upper = high;
                }
            }
            _ if nulls == Some(values) => {}
            _ => {
                self.unbounded.insert(id);
            }
        }
    }
}

/// Leaves within lists have no bounds: a list has many values a row.
fn add_leaves(above: &str, fields: &[NestedFieldRef], leaves: &mut HashMap<String, Leaf>) {
    for field in fields {
        let path = format!("{above}{}", field.name);
        match field.field_type.as_ref() {
            Type::Primitive(kind) => {
                leaves.insert(path, (field.id, kind.clone()));
            }
            Type::Struct(inner) => add_leaves(&format!("{path}."), inner.fields(), leaves),
            _ => {}
        }
    }
}

fn least(kind: &PrimitiveType, statistics: &Statistics) -> Option<Datum> {
    match (kind, statistics) {
        (PrimitiveType::String, Statistics::ByteArray(bytes)) => {
            let text = std::str::from_utf8(bytes.min_opt()?.data()).ok()?;
            Some(Datum::string(text.chars().take(BOUND).collect::<String>()))
        }
        (PrimitiveType::Binary, Statistics::ByteArray(bytes)) => Some(Datum::binary(
            bytes.min_opt()?.data().iter().copied().take(BOUND),
        )),
        (_, Statistics::Boolean(s)) => scalar(kind, Scalar::Boolean(*s.min_opt()?)),
        (_, Statistics::Int32(s)) => scalar(kind, Scalar::Int(*s.min_opt()?)),
        (_, Statistics::Int64(s)) => scalar(kind, Scalar::Long(*s.min_opt()?)),
        (_, Statistics::Double(s)) => scalar(kind, Scalar::Double(*s.min_opt()?)),
        _ => None,
    }
}

fn greatest(kind: &PrimitiveType, statistics: &Statistics) -> Option<Datum> {
    match (kind, statistics) {
        (PrimitiveType::String, Statistics::ByteArray(bytes)) => {
            upper_text(std::str::from_utf8(bytes.max_opt()?.data()).ok()?).map(Datum::string)
        }
        (PrimitiveType::Binary, Statistics::ByteArray(bytes)) => {
            upper_bytes(bytes.max_opt()?.data()).map(Datum::binary)
        }
        (_, Statistics::Boolean(s)) => scalar(kind, Scalar::Boolean(*s.max_opt()?)),
        (_, Statistics::Int32(s)) => scalar(kind, Scalar::Int(*s.max_opt()?)),
        (_, Statistics::Int64(s)) => scalar(kind, Scalar::Long(*s.max_opt()?)),
        (_, Statistics::Double(s)) => scalar(kind, Scalar::Double(*s.max_opt()?)),
        _ => None,
    }
}

/// A value as Parquet stores it.
enum Scalar {
    Boolean(bool),
    Int(i32),
    Long(i64),
    Double(f64),
}

fn scalar(kind: &PrimitiveType, value: Scalar) -> Option<Datum> {
    match (kind, value) {
        (PrimitiveType::Boolean, Scalar::Boolean(value)) => Some(Datum::bool(value)),
        (PrimitiveType::Int, Scalar::Int(value)) => Some(Datum::int(value)),
        (PrimitiveType::Long, Scalar::Int(value)) => Some(Datum::long(i64::from(value))),
        (PrimitiveType::Long, Scalar::Long(value)) => Some(Datum::long(value)),
        (PrimitiveType::Double, Scalar::Double(value)) if !value.is_nan() => {
            Some(Datum::double(value))
        }
        (PrimitiveType::Timestamptz, Scalar::Long(value)) => Some(Datum::timestamptz_micros(value)),
        _ => None,
    }
}

/// Cuts a text and raises its last character that can be raised, so that the bound is not below what was cut.
fn upper_text(text: &str) -> Option<String> {
    if text.chars().count() <= BOUND {
        return Some(text.to_owned());
    }
    let mut kept: Vec<char> = text.chars().take(BOUND).collect();
    while let Some(last) = kept.pop() {
        let raised = match last {
            // What follows is no character: surrogates.
            '\u{D7FF}' => Some('\u{E000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(raised) = raised {
            kept.push(raised);
            return Some(kept.into_iter().collect());
        }
    }
    None
}

fn upper_bytes(bytes: &[u8]) -> Option<Vec<u8>> {
    let Some(kept) = bytes.get(..BOUND).filter(|kept| kept.len() < bytes.len()) else {
        return Some(bytes.to_vec());
    };
    let mut kept = kept.to_vec();
    while let Some(last) = kept.pop() {
        if let Some(raised) = last.checked_add(1) {
            kept.push(raised);
            return Some(kept);
        }
    }
    None
}

/// The ranges in which the key columns of a file lie, by field id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct KeyRanges(BTreeMap<i32, (Datum, Datum)>);

impl KeyRanges {
    /// Takes the ranges from a file's facts; a column with nulls has none.
    pub(crate) fn of(table: TableName, file: &DataFile) -> Self {
        // Not a text, but part of the key of outcomes, and the column that tells them apart best.
        let instant = (table == TableName::AssetFiles).then_some("last_update");
        // Versions of an item may lie in several cells.
        let names = key_columns(table).iter().copied().chain(instant);
        let names = names.filter(|name| *name != "grid_partition");
        let ranges = names.filter_map(|name| {
            let id = of(table).column(name)?.id;
            let low = file.lower_bounds().get(&id)?;
            let high = file.upper_bounds().get(&id)?;
            let nulls = file.null_value_counts().get(&id);
            (nulls == Some(&0)).then(|| (id, (low.clone(), high.clone())))
        });
        Self(ranges.collect())
    }

    /// Returns whether a row of this item could be in the file.
    pub(crate) fn may_hold(&self, collection: Option<&str>, id: &str) -> bool {
        [("id", Some(id)), ("collection", collection)]
            .into_iter()
            .all(|(name, value)| {
                let column = of(TableName::StacItems).column(name);
                match (column.and_then(|c| self.0.get(&c.id)), value) {
                    (Some((low, high)), Some(value)) => {
                        let value = Datum::string(value);
                        !(value < *low || *high < value)
                    }
                    // A column with nulls has no range.
                    (Some(_), None) => false,
                    (None, _) => true,
                }
            })
    }

    /// Returns whether a row with one key could be in both files.
    pub(crate) fn meet(&self, other: &Self) -> bool {
        self.0.iter().all(|(id, (low, high))| {
            let Some((other_low, other_high)) = other.0.get(id) else {
                return true;
            };
            !(high < other_low || other_high < low)
        })
    }
}

/// Returns whether all rows of a file lie in this partition, as its footer says; not if it does not say.
pub(crate) fn lies_in(partition: &Partition, footer: &ParquetMetaData) -> bool {
    let (mut cells, mut instants) = (0, 0);
    for column in footer
        .row_groups()
        .iter()
        .flat_map(RowGroupMetaData::columns)
    {
        match column.column_descr().path().string().as_str() {
            "grid_partition" if is_cell(column, partition.cell.as_bytes()) => cells += 1,
            "datetime" if is_year(column, partition.year) => instants += 1,
            "grid_partition" | "datetime" => return false,
            _ => {}
        }
    }
    let groups = footer.num_row_groups();
    cells == groups && instants == groups
}

/// A long key is cut in the footer: below, to its beginning; above, to something greater.
fn is_cell(column: &ColumnChunkMetaData, cell: &[u8]) -> bool {
    let Some(Statistics::ByteArray(keys)) = whole(column) else {
        return false;
    };
    let (Some(low), Some(high)) = (keys.min_opt(), keys.max_opt()) else {
        return false;
    };
    if keys.min_is_exact() && keys.max_is_exact() {
        return low.data() == cell && high.data() == cell;
    }
    cell.starts_with(low.data()) && cell <= high.data()
}

fn is_year(column: &ColumnChunkMetaData, year: i32) -> bool {
    let Some(Statistics::Int64(micros)) = whole(column) else {
        return false;
    };
    [micros.min_opt(), micros.max_opt()]
        .into_iter()
        .all(|bound| {
            let seconds = bound.map(|micros| micros.div_euclid(1_000_000));
            let instant = seconds.map(OffsetDateTime::from_unix_timestamp);
            matches!(instant, Some(Ok(instant)) if instant.year() == year)
        })
}

/// The statistics of a column chunk without nulls.
fn whole(column: &ColumnChunkMetaData) -> Option<&Statistics> {
    let statistics = column.statistics()?;
    (statistics.null_count_opt() == Some(0)).then_some(statistics)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bound_of_text_is_cut_and_never_below_what_was_cut() {
        let upper = |text: &str| upper_text(text);
        assert_eq!(upper("short").as_deref(), Some("short"));
        assert_eq!(
            upper("0123456789abcdef").as_deref(),
            Some("0123456789abcdef")
        );
        assert_eq!(
            upper("0123456789abcdefg").as_deref(),
            Some("0123456789abcdeg")
        );
        assert_eq!(
            upper("0123456789abcde\u{D7FF}x").as_deref(),
            Some("0123456789abcde\u{E000}")
        );
        assert_eq!(
            upper("0123456789abcd\u{10FFFF}\u{10FFFF}x").as_deref(),
            Some("0123456789abce")
        );
        assert_eq!(upper(&"\u{10FFFF}".repeat(17)), None);
        assert_eq!(upper_bytes(&[0xff; 17]), None);
        assert_eq!(
            upper_bytes(&[7; 17]).map(|bound| (bound.len(), bound[15])),
            Some((16, 8))
        );
    }

    proptest! {
        #[test]
        fn no_text_is_above_its_upper_bound(text in "\\PC{0,24}") {
            if let Some(bound) = upper_text(&text) {
                prop_assert!(bound.as_bytes() >= text.as_bytes());
            }
        }

        #[test]
        fn no_bytes_are_above_their_upper_bound(bytes in proptest::collection::vec(200_u8.., 0..20)) {
            if let Some(bound) = upper_bytes(&bytes) {
                prop_assert!(bound >= bytes);
            }
        }
    }

    #[test]
    fn values_of_a_manifest_lead_back_to_the_partition() {
        for year in [1, 1969, 1970, 2024, 9999] {
            let partition = Partition {
                cell: "8106bffffffffff".to_owned(),
                year,
            };
            assert_eq!(partition_of(&values(&partition)), Some(partition));
        }
        let null = Struct::from_iter([Some(Literal::string("a")), None]);
        assert_eq!(partition_of(&null), None);
        assert_eq!(partition_of(&Struct::empty()), None);
    }
}
