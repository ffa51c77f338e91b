"""Judges every data file of stac_items as GeoParquet and as a file of an EarthCatalog warehouse. Usage: geoparquet.py OUT"""

import json
import re
import sys
from collections import Counter
from urllib.parse import unquote

import geoparquet_validator
import lake
import numpy
import pyarrow.parquet as parquet
import shapely
from pyiceberg.expressions import EqualTo
from report import Fault, Report, none_of, same

# EarthCatalog's scanners find a file's cell and year in its path.
HIVE = re.compile(r"grid_partition=(?P<cell>[^/]+)/year=(?P<year>[^/]+)/(?P<file>[^/]+\.parquet)$")


class Judge:
    """The checks of one catalog."""

    def __init__(self, out):
        base = lake.find_base(out)
        self.table = lake.open_catalog(base).load_table(lake.ITEMS)
        self.files = {lake.local(file.file_path): file for file in lake.data_files(self.table)}
        if not self.files:
            raise SystemExit("the table has no data file")

    def rules(self):
        outcomes = Counter()
        for path in self.files:
            report = geoparquet_validator.check(str(path))
            if not str(report["version"]).startswith("1.1"):
                raise Fault(f"{path.name} is of version {report['version']}")
            failed = [o for o in report["outcomes"] if o["status"] == "fail" and not o["id"].startswith("/conf/distribution/")]
            none_of(f"rules broken by {path.name}", (f"{o['id']} ({o['message']})" for o in failed))
            outcomes.update(o["status"] for o in report["outcomes"])
        return f"{len(self.files)} files, {outcomes['pass']} rules kept, {outcomes['skip']} not applicable"

    def manifest(self):
        ids = {field.name: field.field_id for field in self.table.schema().fields}
        for path, file in self.files.items():
            read = parquet.ParquetFile(path)
            same(manifest_rows=file.record_count, file_rows=read.read().num_rows, footer_rows=read.metadata.num_rows)
            same(manifest_bytes=file.file_size_in_bytes, file_bytes=path.stat().st_size)
            written = {field.name: (field.metadata or {}).get(b"PARQUET:field_id") for field in read.schema_arrow}
            none_of(f"columns of {path.name} with another field id", (n for n, i in written.items() if i != str(ids.get(n)).encode()))
        return f"{sum(file.record_count for file in self.files.values())} rows, every field id as in the schema"

    def partitions(self):
        for path, file in self.files.items():
            place = HIVE.search(str(path))
            if not place:
                raise Fault(f"{path} is no path of the layout")
            cell, year = file.partition[0], file.partition[1] + 1970
            rows = parquet.read_table(path, columns=["grid_partition", "datetime"], partitioning=None).to_pylist()
            same(partition=(cell, str(year)), path=(unquote(place["cell"]), place["year"]))
            same(partition={(cell, year)}, rows={(row["grid_partition"], row["datetime"].year) for row in rows})
        return f"{len({tuple(file.partition) for file in self.files.values()})} partitions"

    def filters(self):
        """The bounds in the manifests hide no row from a filter."""
        rows = lake.read(self.table, "id", "datetime")
        for column in ("id", "datetime"):
            values = Counter(row[column] for row in rows if row[column] is not None)
            for value, count in list(values.items())[:25]:
                literal = value.isoformat() if column == "datetime" else value
                found = self.table.scan(row_filter=EqualTo(column, literal), selected_fields=("id",)).to_arrow()
                if found.num_rows != count:
                    raise Fault(f"{found.num_rows} of {count} rows with {column} {literal}")
        return f"{len(rows)} rows by id and by time"

    def covering(self):
        """Each row's box holds its geometry, as closely as a box can."""
        for path in self.files:
            geo = json.loads(parquet.ParquetFile(path).schema_arrow.metadata[b"geo"])["columns"]["geometry"]
            if "covering" not in geo:
                raise Fault(f"{path.name} declares no covering")
            column = geo["covering"]["bbox"]["xmin"][0]
            table = parquet.read_table(path, columns=["geometry", column], partitioning=None).to_pylist()
            for row in table:
                box = [row[column][side] for side in ("xmin", "ymin", "xmax", "ymax")]
                if not numpy.allclose(shapely.from_wkb(row["geometry"]).bounds, box, rtol=0, atol=1e-9):
                    raise Fault(f"{path.name}: box {box} of a geometry within {shapely.from_wkb(row['geometry']).bounds}")
        return f"{len(self.files)} files"

    def bounds(self):
        count = 0
        for path in self.files:
            column = parquet.read_table(path, columns=["geometry"], partitioning=None)["geometry"]
            shapes = shapely.from_wkb(column.to_pylist())
            column_meta = json.loads(parquet.ParquetFile(path).schema_arrow.metadata[b"geo"])["columns"]["geometry"]
            if "bbox" in column_meta and not numpy.allclose(shapely.total_bounds(shapes), column_meta["bbox"], rtol=0, atol=1e-9):
                raise Fault(f"{path.name}: bbox {column_meta['bbox']}, geometries span {shapely.total_bounds(shapes)}")
            kinds = {shape.geom_type for shape in shapes if shape is not None}
            declared = set(column_meta["geometry_types"])
            if declared:
                none_of(f"undeclared geometry types in {path.name}", kinds - declared)
            count += len(shapes)
        return f"{count} geometries"

    def duckdb(self):
        connection = lake.duck("spatial")
        names = [str(path) for path in self.files]
        [(kind, rows, read)] = connection.execute(
            "SELECT any_value(typeof(geometry)), count(*), count(ST_Area(geometry)) FROM read_parquet(?, hive_partitioning = false)", [names]
        ).fetchall()
        if not kind.startswith("GEOMETRY"):
            raise Fault(f"DuckDB reads the geometry as {kind}")
        geometries = sum(parquet.read_table(path, columns=["geometry"], partitioning=None).num_rows for path in self.files)
        same(pyarrow=geometries, duckdb=rows)
        return f"{read} of {rows} rows as {kind}"


def main():
    report, judge = Report(), Judge(sys.argv[1])
    report.check("every file keeps the rules of GeoParquet 1.1", judge.rules)
    report.check("pyarrow reads what the manifests promise", judge.manifest)
    report.check("each file holds one cell and one year, as its path says", judge.partitions)
    report.check("filters find what reading everything finds", judge.filters)
    report.check("each row's bounding box is that of its geometry", judge.covering)
    report.check("the declared bounds and types are those of the geometries", judge.bounds)
    report.check("DuckDB reads the geometry column as geometry", judge.duckdb)
    report.finish()


if __name__ == "__main__":
    main()
