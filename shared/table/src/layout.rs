//! Where data files lie below the lake's base.

use swath_core::TableName;
use swath_core::grid::CellKey;
use swath_core::message::Partition;

/// The folder of all data and table metadata.
pub const WAREHOUSE: &str = "warehouse";

/// Returns a data file's path below the lake's base, `/`-separated.
///
/// Files of `stac_items` lie in the hive folders that EarthCatalog scans for; a partition of another table is not used.
pub fn data_path(table: TableName, partition: Option<&Partition>, name: &str) -> String {
    match (table, partition) {
        (TableName::StacItems, Some(Partition { cell, year })) => {
            format!(
                "{WAREHOUSE}/grid_partition={}/year={year:04}/{name}",
                CellKey::from(cell.as_str()).path_segment()
            )
        }
        _ => format!(
            "{WAREHOUSE}/{}/{}/data/{name}",
            table.namespace(),
            table.name()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_lie_in_hive_folders_and_a_slash_in_a_cell_does_not_open_another() {
        let partition = |cell: &str| Partition {
            cell: cell.into(),
            year: 2024,
        };
        assert_eq!(
            data_path(
                TableName::StacItems,
                Some(&partition("8106bffffffffff")),
                "part_a.parquet"
            ),
            "warehouse/grid_partition=8106bffffffffff/year=2024/part_a.parquet"
        );
        assert_eq!(
            data_path(TableName::StacItems, Some(&partition("a/..%2F b")), "p"),
            "warehouse/grid_partition=a%2F%2E%2E%252F%20b/year=2024/p"
        );
        assert_eq!(
            data_path(TableName::AssetFiles, None, "p"),
            "warehouse/swath/asset_files/data/p"
        );
    }
}
