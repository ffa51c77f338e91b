"""Has rustac, stac-geoparquet, geopandas, pyarrow and DuckDB read one file that `swath encode` makes of items.

Usage: readers.py SWATH NEW_FOLDER [REAL_DATA]

Values are held against the items member by member. What the columns do not give back exactly is listed in `swath:rest`;
there may be little of it.
"""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import geopandas
import pyarrow.parquet as parquet
import rustac
import shapely
from report import Fault, Report, same
from stac_geoparquet import arrow
from values import INSTANTS, equal, from_row, kept, leaves


def made():
    """Yields items in which everything occurs that items are made of: types that clash, late members, heights."""
    for number in range(3000):
        item = {
            "type": "Feature",
            "stac_version": "1.1.0",
            "stac_extensions": ["https://stac-extensions.github.io/eo/v2.0.0/schema.json"] if number % 2 else [],
            "id": f"item-{number}",
            "collection": "made",
            "geometry": {"type": "Point", "coordinates": [number / 50, -number / 50]},
            "bbox": [number / 50, -number / 50, number / 50, -number / 50],
            "properties": {
                "datetime": f"2024-01-01T00:00:{number % 60:02}.{number:06}Z",
                "eo:cloud_cover": number % 100 + (0.5 if number % 3 else 0.0),
                "gsd": 10,
                "title": f'"{number}" \\ é',
                "instruments": ["a", "b"][: number % 3],
                "proj:shape": [number, 2 * number],
                "nested": {"ok": number % 2 == 0, "deep": {"x": number}},
            },
            "links": [{"rel": "self", "href": f"https://x.example/{number}", "type": "application/geo+json"}][: number % 2],
            "assets": {"data": {"href": f"s3://b/{number}.tif", "roles": ["data"], "bands": [{"name": "B1", "nodata": 0.5}]}},
        }
        if number % 10 == 0:
            ring = [[0, 0], [1, 0], [1, 1], [0, 0]]
            item["geometry"] = {"type": "Polygon", "coordinates": [[[float(x), float(y)] for x, y in ring]]}
            item["bbox"] = [0.0, 0.0, 1.0, 1.0]
        if number == 2999:  # noqa: PLR2004
            item["properties"]["late"] = "here"
            item["assets"]["late"] = {"href": "late"}
        yield item


def real(folder):
    """Yields the real items that have a geometry: stac-geoparquet cannot read a row without one."""
    for path in sorted((Path(folder) / "stac").rglob("*.json")):
        value = json.loads(path.read_text())
        features = value["features"] if isinstance(value, dict) and value.get("type") == "FeatureCollection" else [value]
        for item in features:
            if isinstance(item, dict) and item.get("type") == "Feature" and item.get("id") and item.get("geometry"):
                yield item


class Readers:
    """One file, and everyone who reads it."""

    def __init__(self, swath, out, name, items):
        self.items, self.file = items, out / f"{name}.parquet"
        source = out / f"{name}.ndjson"
        source.write_text("".join(json.dumps(item) + "\n" for item in items))
        command = [swath, "encode", source, "--out", self.file, "--check-roundtrip", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise Fault(f"exit code {done.returncode}: {done.stderr[-500:]}")
        same(items=len(items), checked=json.loads(done.stdout)["checked"])
        self.rest = kept(self.file)

    def equal(self, found):
        return equal(self.items, self.rest, found)

    def little(self):
        values = sum(sum(1 for _ in leaves(item)) for item in self.items)
        beside = sum(map(len, self.rest))
        if beside * 10 > values:
            raise Fault(f"{beside} of {values} values are kept beside the columns")
        return f"{values} values of {len(self.items)} items, {beside} of them kept beside the columns"

    def rows(self):
        return self.equal(from_row(row) for row in parquet.read_table(self.file).to_pylist())

    def duckdb(self):
        rows = duckdb.sql(f"SELECT * FROM read_parquet('{self.file}')")  # noqa: S608
        names, kinds = rows.columns, map(str, rows.types)
        spelled = [f'epoch_us("{n}") AS "{n}"' if "TIMESTAMP" in k else f'"{n}"' for n, k in zip(names, kinds, strict=True)]
        found = duckdb.sql(f"SELECT {', '.join(spelled)} FROM read_parquet('{self.file}')").fetchall()  # noqa: S608
        rows = (dict(zip(names, row, strict=True)) for row in found)
        instants = {n for n in names if n in INSTANTS}

        def timed(row):
            for name in instants & set(row):
                if row[name] is not None:
                    row[name] = datetime.fromtimestamp(row[name] // 1_000_000, UTC).replace(microsecond=row[name] % 1_000_000)
            return row

        # To DuckDB, "aot" and "AOT" are one name: it calls the second "aot_1".
        keys = {key for item in self.items for key in item["assets"]}

        def named(row):
            assets = {key if key in keys else key.rsplit("_", 1)[0]: asset for key, asset in row["assets"].items() if asset}
            return {**row, "assets": assets}

        return self.equal(from_row(timed(named(row))) for row in rows)

    def rustac(self):
        async def read():
            return await rustac.read(str(self.file))

        return self.equal(asyncio.run(read())["features"])

    def stac_geoparquet(self):
        return self.equal(arrow.stac_table_to_items(parquet.read_table(self.file)))

    def geopandas(self):
        frame = geopandas.read_parquet(self.file)
        same(written=[item["id"] for item in self.items], read=list(frame["id"]))
        same(crs="OGC:CRS84", read=frame.crs.to_string())
        for item, shape in zip(self.items, frame.geometry, strict=True):
            if not shapely.from_geojson(json.dumps(item["geometry"])).equals_exact(shape, 0):
                raise Fault(f"the geometry of {item['id']} differs")
        world = geopandas.read_parquet(self.file, bbox=(-400, -400, 400, 400))
        same(all=len(frame), in_the_box_round_all=len(world))
        return f"{len(frame)} geometries, and as many through the covering"


def has_shape(item):
    return any("proj:geometry" in part for part in [item["properties"], *item["assets"].values()])


def judge(report, swath, out, name, items):
    try:
        readers = Readers(swath, out, name, list(items))
    except Fault as fault:
        reason = fault
        report.check(f"{name} items are encoded and read back equal", lambda: (_ for _ in ()).throw(reason))
        return
    report.check(f"{name} items lie in columns", readers.little)
    report.check(f"pyarrow reads the values of {name} items", readers.rows)
    report.check(f"DuckDB reads the values of {name} items", readers.duckdb)
    report.check(f"rustac reads the values of {name} items", readers.rustac)
    # It cannot read rows without proj:geometry beside rows with one.
    shapes = {has_shape(item) for item in readers.items}
    if len(shapes) == 1:
        report.check(f"stac-geoparquet reads the values of {name} items", readers.stac_geoparquet)
    report.check(f"geopandas reads the geometries of {name} items", readers.geopandas)


def main():
    swath, out, *data = sys.argv[1:]
    out = Path(out)
    out.mkdir(parents=True)
    report = Report()
    judge(report, swath, out, "made", made())
    if data:
        items = list(real(data[0]))
        judge(report, swath, out, "real", items)
        judge(report, swath, out, "plain real", (item for item in items if not has_shape(item)))
    report.finish()


if __name__ == "__main__":
    main()
