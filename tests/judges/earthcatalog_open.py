"""Opens a catalog with EarthCatalog. Usage: earthcatalog_open.py BASE ROWS ITEMS FILES, or --count for the number of checks."""

import os
import sys
import tempfile
from pathlib import Path

from report import Fault, Report, Skip, none_of, same


class Judge:
    """The checks of one catalog, with the figures that PyIceberg counted."""

    def __init__(self, base, rows, items, files):
        self.base, self.rows, self.items, self.files = base, int(rows), int(items), int(files)

    def opens(self):
        import earthcatalog
        from obstore.store import LocalStore

        self.catalog = earthcatalog.open(LocalStore("/"), self.base)
        if self.catalog.grid_type != "h3":
            raise Fault(f"grid type {self.catalog.grid_type}")
        return f"EarthCatalog {earthcatalog.__version__}, h3 at resolution {self.catalog.grid_resolution}"

    def stats(self):
        stats = self.catalog.stats()
        same(pyiceberg=self.rows, earthcatalog=sum(cell["row_count"] for cell in stats))
        same(pyiceberg=self.files, earthcatalog=self.catalog.info().total_files(self.catalog.table))
        return f"{self.rows} rows in {self.files} files of {len(stats)} partitions"

    def distinct(self):
        rows = self.rows_by_place()
        same(pyiceberg=self.items, earthcatalog=len(rows))
        return f"{len(rows)} items"

    def index(self):
        if not Path(self.base, "warehouse_id_hashes.parquet").exists():
            raise Skip("the catalog has no id hash index (it is optional)")
        ids = {item for _, item in self.rows_by_place()}
        same(ids=len(ids), earthcatalog=self.catalog.unique_item_count())
        return f"{len(ids)} ids"

    def search(self):
        """A point within an item, at its time, leads to a file that has it; another time leads to none."""
        import pyarrow.parquet as parquet

        lost, misled = [], []
        for name, (point, when) in self.rows_by_place().items():
            found = self.catalog.search_files(point, start_datetime=when, end_datetime=when)
            ids = {
                (row["collection"], row["id"])
                for path in found
                for row in parquet.read_table(path, columns=["collection", "id"], partitioning=None).to_pylist()
            }
            if name not in ids:
                lost.append(name)
            if self.catalog.search_files(point, start_datetime="1801-01-01T00:00:00Z", end_datetime="1801-12-31T00:00:00Z"):
                misled.append(name)
        none_of("items that a search at their place and time does not find", lost)
        none_of("items found in the year 1801", misled)
        return f"{self.items} items, each found at a point within it"

    def rows_by_place(self):
        """A point within each item, and its time."""
        import shapely

        columns = ("collection", "id", "geometry", "datetime")
        rows = self.catalog.table.scan(selected_fields=columns).to_arrow().to_pylist()
        places = {(row["collection"], row["id"]): row for row in rows}
        return {
            name: (shapely.from_wkb(row["geometry"]).representative_point(), row["datetime"]) for name, row in places.items()
        }


CHECKS = (
    ("EarthCatalog opens the catalog", Judge.opens),
    ("its statistics agree with PyIceberg", Judge.stats),
    ("it sees the same items", Judge.distinct),
    ("its id index counts the items", Judge.index),
    ("its search finds every item where and when it is", Judge.search),
)


def main():
    if sys.argv[1:] == ["--count"]:
        print(len(CHECKS))
        return
    report, judge = Report(), Judge(*sys.argv[1:5])
    # It leaves a copy of the database in the folder for temporary files.
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        for name, check in CHECKS:
            report.check(name, lambda check=check: check(judge))
    report.finish()


if __name__ == "__main__":
    main()
