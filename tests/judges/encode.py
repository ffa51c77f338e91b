"""Encodes real items, and has PyIceberg, DuckDB, pyarrow, shapely and the GeoParquet validator judge the files.

Usage: encode.py SWATH NEW_FOLDER REAL_DATA
"""

import json
import resource
import shutil
import subprocess
import sys
from collections import defaultdict
from datetime import datetime
from functools import partial
from pathlib import Path

import duckdb
import geoparquet_validator
import lake
import pyarrow.parquet as parquet
import shapely
import values
from pyiceberg.expressions import EqualTo
from report import Fault, Report, none_of, same

# A process that writes is killed each time a file of its has grown by such a part.
PARTS = 16


def texts(value):
    """Spells an item so that equal items are equal texts; numbers keep their type."""
    return json.dumps(value, sort_keys=True)


def found(path):
    """Yields the items of a file: an item, a collection of items, or neither."""
    value = json.loads(path.read_text())
    if isinstance(value, dict) and value.get("type") == "FeatureCollection":
        yield from value["features"]
    elif isinstance(value, dict) and value.get("type") == "Feature" and value.get("id"):
        yield value


def equal(item, row):
    """Says whether a row has an item's assets, geometry and instant."""
    if item.get("assets", {}) != json.loads(row["assets"]):
        return False
    instant = item["properties"].get("datetime")
    if instant and round(datetime.fromisoformat(instant.replace("Z", "+00:00")).timestamp() * 1e6) != row["datetime"]:
        return False
    if item["geometry"] is None or row["geometry"] is None:
        return item["geometry"] is row["geometry"]
    return shapely.from_wkb(row["geometry"]).equals_exact(shapely.from_geojson(json.dumps(item["geometry"])), 0)


class Judge:
    """The checks of one file and one folder."""

    def __init__(self, swath, out, data):
        self.swath, self.out = swath, Path(out)
        self.out.mkdir(parents=True)
        items = [item for path in sorted((Path(data) / "stac").rglob("*.json")) for item in found(path)]
        self.items = {texts(item): item for item in items}
        self.source = self.out / "items.ndjson"
        self.source.write_text("".join(f"{text}\n" for text in self.items))
        self.file, self.folder = self.out / "one.parquet", self.out / "parts"
        self.items_file = self.out / "items.parquet"

    def swath_does(self, *arguments):
        done = subprocess.run([self.swath, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise Fault(f"exit code {done.returncode}: {done.stderr[-500:]}")
        return done.stdout

    def encodes(self):
        one = json.loads(self.swath_does("encode", self.source, "--out", self.file, "--form", "table", "--check-roundtrip", "--json"))
        structs = json.loads(self.swath_does("encode", self.source, "--out", self.items_file, "--check-roundtrip", "--json"))
        parts = json.loads(self.swath_does("encode", self.source, "--out", self.folder, "--grid", "h3:1", "--check-roundtrip", "--json"))
        same(lines=len(self.items), one=one["items"], parts=parts["items"], checked=one["checked"], structs=structs["checked"])
        same(rows=parts["rows"], checked=parts["checked"])
        return f"{one['items']} items, {parts['rows']} rows in {parts['files']} files"

    def decodes(self):
        for place in (self.file, self.items_file, self.folder):
            out = self.out / "back.ndjson"
            self.swath_does("decode", place, "--out", out)
            same(went_in=set(self.items), came_out={texts(json.loads(line)) for line in out.read_text().splitlines()})
        return f"{len(self.items)} items as they went in"

    def rules(self):
        paths = [self.file, self.items_file, *self.folder.rglob("*.parquet")]
        for path in paths:
            outcomes = geoparquet_validator.check(str(path))["outcomes"]
            failed = [o for o in outcomes if o["status"] == "fail" and not o["id"].startswith("/conf/distribution/")]
            none_of(f"rules broken by {path.name}", (f"{o['id']} ({o['message']})" for o in failed))
        return f"{len(paths)} files keep the rules of GeoParquet"

    def values(self, rows):
        items = defaultdict(list)
        for item in self.items.values():
            items[item.get("collection"), item["id"]].append(item)
        seen = 0
        for row in rows:
            # Examples of several versions have one id: one of them is the row's.
            if not any(equal(item, row) for item in items[row["collection"], row["id"]]):
                raise Fault(f"the row of {row['id']} is none of its items")
            seen += 1
        return f"{seen} rows with the items' assets, geometries and instants"

    def pyarrow(self):
        rows = parquet.read_table(self.file).to_pylist()
        return self.values({**row, "datetime": round(row["datetime"].timestamp() * 1e6)} for row in rows)

    def duckdb(self):
        names = ["id", "collection", "assets", "geometry", "datetime"]
        query = f"SELECT id, collection, assets, geometry, epoch_us(datetime) FROM read_parquet('{self.folder}/**/*.parquet', hive_partitioning = false)"  # noqa: S608
        return self.values(dict(zip(names, row, strict=True)) for row in duckdb.sql(query).fetchall())

    def iceberg_partitions(self):
        """The table of the partitions: the rows of its scan, and each item by its id, which the files' bounds must not hide."""
        paths = sorted(map(str, self.folder.rglob("*.parquet")))
        table = lake.register(self.out / "iceberg", "parts", paths)
        rows = table.scan().to_arrow().to_pylist()
        same(files=sum(parquet.read_metadata(path).num_rows for path in paths), iceberg=len(rows))
        for name in {row["id"] for row in rows}:
            found = table.scan(row_filter=EqualTo("id", name), selected_fields=("id",)).to_arrow().num_rows
            same(by_id=found, in_all=sum(row["id"] == name for row in rows))
        return self.values({**row, "datetime": round(row["datetime"].timestamp() * 1e6)} for row in rows)

    def iceberg_items(self):
        """The file of stac-geoparquet, member by member."""
        table = lake.register(self.out / "iceberg", "items", [str(self.items_file)])
        rows = map(values.from_row, table.scan().to_arrow().to_pylist())
        return values.equal(list(self.items.values()), values.kept(self.items_file), rows)

    def killed(self, *arguments):
        """Kills the writer when a file has grown by a part, by two, and so on: whoever looks finds whole files or none."""
        whole, found = self.out / "whole", 0
        self.swath_does("encode", self.source, "--out", whole / "x.parquet", *arguments)
        largest = max(path.stat().st_size for path in whole.rglob("*.parquet"))
        for part in range(1, PARTS + 1):
            # The last part is one byte short of the whole.
            limit = largest * part // PARTS - (part == PARTS)
            out = self.out / f"killed{part}"
            command = [self.swath, "encode", self.source, "--out", out / "x.parquet", *arguments]
            limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
            done = subprocess.run(list(map(str, command)), capture_output=True, check=False, preexec_fn=limited)  # noqa: PLW1509
            if done.returncode == 0:
                raise Fault(f"nothing killed it at {limit} of {largest} bytes")
            for path in out.rglob("*.parquet"):
                parquet.read_table(path, partitioning=None)
                found += 1
            shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(whole)
        return f"{PARTS} times killed, {found} files seen, all whole"


def main():
    swath, out, data = sys.argv[1:]
    judge, report = Judge(swath, out, data), Report()
    report.check("real items are encoded and read back equal", judge.encodes)
    report.check("real items are decoded as they went in", judge.decodes)
    report.check("every file is GeoParquet", judge.rules)
    report.check("pyarrow reads the items' values", judge.pyarrow)
    report.check("DuckDB reads the items' values", judge.duckdb)
    report.check("PyIceberg registers the partitions and reads the items' values", judge.iceberg_partitions)
    report.check("PyIceberg registers a file of stac-geoparquet and reads its values", judge.iceberg_items)
    for name, arguments in {"stac-geoparquet": (), "the table": ("--form", "table"), "partitions": ("--grid", "h3:1")}.items():
        report.check(f"nobody sees half a file of {name}", partial(judge.killed, *arguments))
    report.finish()


if __name__ == "__main__":
    main()
