"""Reads a lake as PyIceberg and DuckDB see it. As a script: `lake.py OUT` prints the base, rows, items and data files of stac_items."""

import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as parquet
from duckdb_extensions import import_extension

ITEMS, ROWS, FILES = "earthcatalog.stac_items", "swath.asset_rows", "swath.asset_files"
TABLES = (ITEMS, ROWS, FILES, "swath.area_status")


def find_base(out):
    """Returns the folder in or below `out` that has the catalog's database."""
    for base in (Path(out), Path(out) / "lake"):
        if (base / "earthcatalog.db").is_file():
            return base.resolve()
    raise SystemExit(f"no earthcatalog.db in {out} or {out}/lake")


def open_catalog(base):
    """Opens the catalog's database with no right to change it."""
    # Not where only buckets are read: there is no driver for databases.
    from pyiceberg.catalog.sql import SqlCatalog

    uri = f"sqlite:///file:{base}/earthcatalog.db?mode=ro&uri=true"
    return SqlCatalog("earthcatalog", uri=uri, warehouse=f"{base}/warehouse", init_catalog_tables="false")


def register(folder, name, paths):
    """Makes an Iceberg table of Parquet files that lie anywhere: with their field ids if they have any, else by name."""
    import logging

    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.io import load_file_io
    from pyiceberg.io.pyarrow import pyarrow_to_schema
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.serializers import ToOutputFile
    from pyiceberg.table.metadata import TableMetadataV2
    from pyiceberg.table.sorting import UNSORTED_SORT_ORDER

    # It warns of every column that has no bounds.
    logging.getLogger("pyiceberg").setLevel(logging.ERROR)
    folder = folder.resolve()
    folder.mkdir(exist_ok=True)
    catalog = SqlCatalog("files", uri=f"sqlite:///{folder}/catalog.db", warehouse=str(folder))
    catalog.create_namespace_if_not_exists("files")
    arrow = parquet.read_schema(paths[0])
    if b"PARQUET:field_id" not in (arrow.field(0).metadata or {}):
        table = catalog.create_table(f"files.{name}", schema=arrow)
    else:
        # Made by the catalog, the table would get ids of its own.
        schema = pyarrow_to_schema(arrow)
        metadata = TableMetadataV2(
            location=f"{folder}/{name}",
            last_column_id=schema.highest_field_id,
            schemas=[schema],
            current_schema_id=schema.schema_id,
            partition_specs=[PartitionSpec()],
            sort_orders=[UNSORTED_SORT_ORDER],
            last_updated_ms=0,
        )
        path = f"{folder}/{name}.metadata.json"
        ToOutputFile.table_metadata(metadata, load_file_io().new_output(path))
        table = catalog.register_table(f"files.{name}", path)
    table.add_files(paths)
    return table


def read(table, *columns):
    """Returns the rows of a table as dicts; all columns when none is named."""
    return table.scan(selected_fields=columns or ("*",)).to_arrow().to_pylist()


def data_files(table):
    """Returns the live data files as PyIceberg's manifests list them."""
    return [task.file for task in table.scan().plan_files()]


def local(path):
    """Returns the path that a location names."""
    return Path(str(path).removeprefix("file://"))


def duck(*extensions):
    """Returns a DuckDB connection with these extensions, taken from their wheels: no download."""
    connection = duckdb.connect(
        config={
            "extension_directory": str(Path(sys.prefix) / "duckdb"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    for name in extensions:
        import_extension(name, con=connection)
        connection.load_extension(name)
    return connection


def iceberg_scan(connection, table, columns):
    """Returns what DuckDB selects from the table's current metadata file."""
    location = str(local(table.metadata_location)).replace("'", "''")
    return connection.sql(f"SELECT {columns} FROM iceberg_scan('{location}')").fetchall()


def main():
    base = find_base(sys.argv[1])
    table = open_catalog(base).load_table(ITEMS)
    rows = read(table, "collection", "id")
    items = {(row["collection"], row["id"]) for row in rows}
    print(base, len(rows), len(items), len(data_files(table)), sep="\t")


if __name__ == "__main__":
    main()
