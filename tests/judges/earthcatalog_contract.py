"""Has EarthCatalog and swath work on each other's catalogs: the acceptance tests of the contract between them, and what
`swath info` says of catalogs that EarthCatalog has broken.

Usage: earthcatalog_contract.py SWATH NEW_FOLDER, or --count for the number of checks. Python 3.12 or newer.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from report import Fault, Report, none_of, same

POINT = (-44.5, 70.5)
MAY, JUNE = datetime(2020, 5, 1, tzinfo=UTC), datetime(2020, 6, 1, tzinfo=UTC)
VECTORS = {
    "": "16c20acd33f7af2f3c1d09e9fe249164",
    "a": "28df5945863b24b74c437dd47f0716f4",
    "S2A_X": "cc55f79d1e8e1fe8d9148152b47c86fa",
    "é": "1d2e29e4cbee2ec08001c7414850805b",
}


def item(name, when="2020-01-02T00:00:00Z", west=-45.0, south=70.0):
    ring = [[west, south], [west + 1, south], [west + 1, south + 1], [west, south + 1], [west, south]]
    times = dict.fromkeys(("datetime", "start_datetime", "end_datetime"), when)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "collection": "c1",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, west + 1, south + 1],
        "properties": {**times, "platform": "S2A", "percent_valid_pixels": 80.0, "date_dt": 12},
        "links": [],
        "assets": {"data": {"href": "s3://b/k.tif", "roles": ["data"]}},
        "stac_extensions": [],
    }


class Judge:
    def __init__(self, swath, folder):
        self.swath, self.folder = swath, folder

    # -- swath

    def start(self, *arguments):
        command = [self.swath, *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments, codes=(0,)):
        process = self.start(*arguments)
        out, error = process.communicate()
        if process.returncode not in codes:
            raise Fault(f"{' '.join(map(str, arguments))}: exit code {process.returncode}: {error.strip()}")
        return out

    def ingest(self, base, name, items, grid="h3:1"):
        path = self.folder / f"{name}.ndjson"
        path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in items))
        self.run("ingest", path, "--out", base, "--grid", grid)

    def info(self, base):
        """What `swath info` says: the figures of the lake, and the faults by name. Nothing may be written by it."""
        before = digest(base)
        lines = [json.loads(line) for line in self.run("info", "--lake", base, "--json", codes=(0, 7)).splitlines()]
        same(before=before, after=digest(base))
        return lines[0], {line["fault"]: line for line in lines if "fault" in line}

    # -- EarthCatalog

    def new(self, name, resolution=1, noted=True):
        from earthcatalog import catalog
        from earthcatalog.config import GridConfig

        base = self.folder / name
        (base / "warehouse").mkdir(parents=True)
        opened = catalog._open_sqlite(f"{base}/earthcatalog.db", f"{base}/warehouse")
        return base, catalog.get_or_create(opened, GridConfig(type="h3", resolution=resolution) if noted else None)

    def append(self, base, table, items, tag, resolution=1):
        from earthcatalog.grids.h3_partitioner import H3Partitioner
        from earthcatalog.transform import fan_out, group_by_partition, write_geoparquet

        for (cell, year), group in group_by_partition(fan_out(items, H3Partitioner(resolution))).items():
            path = base / f"warehouse/grid_partition={cell}/year={year}/part_{tag}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_geoparquet(group, str(path))
            table.add_files([str(path)])

    def put(self, base, table, when, name, resolution=1, year=2020, unit="us"):
        """One row written by hand, in the file that the contract names."""
        import h3
        import pyarrow
        import pyarrow.parquet
        from shapely.geometry import box

        cell = h3.latlng_to_cell(POINT[1], POINT[0], resolution)
        path = base / f"warehouse/grid_partition={cell}/year={year}/{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        instant, known = pyarrow.timestamp(unit, tz="UTC"), [when or MAY]
        columns = {
            "id": [name],
            "grid_partition": [cell],
            "geometry": pyarrow.array([box(-45, 70, -44, 71).wkb], pyarrow.binary()),
            "datetime": pyarrow.array([when], instant),
            "platform": ["S2A"],
            "date_dt": pyarrow.array([7], pyarrow.int32() if unit == "ms" else pyarrow.int64()),
            "assets": ['{"data":{"href":"s3://b/k.tif"}}'],
            "start_datetime": pyarrow.array(known, instant),
            "end_datetime": pyarrow.array(known, instant),
        }
        pyarrow.parquet.write_table(pyarrow.table(columns), path, compression="zstd")
        table.add_files([str(path)])

    def open(self, base):
        import earthcatalog
        from obstore.store import LocalStore

        return earthcatalog.open(LocalStore("/"), str(base))

    def rows(self, base):
        """Ids of all rows, as EarthCatalog's own table gives them to PyIceberg; its figures must agree."""
        catalog = self.open(base)
        ids = Counter(row["id"] for row in catalog.table.scan(selected_fields=("id",)).to_arrow().to_pylist())
        same(pyiceberg=ids.total(), earthcatalog=sum(part["row_count"] for part in catalog.stats()))
        return ids

    def found(self, base):
        from shapely.geometry import Point

        return len(self.open(base).search_files(Point(*POINT)))

    # -- the ten of the contract

    def d1(self):
        base, table = self.new("d1")
        self.append(base, table, [item("a"), item("b", "2021-01-02T00:00:00Z")], "000000_aaaaaaaa")
        line, faults = self.info(base)
        same(swath=(line["rows"], line["items"], len(faults)), earthcatalog=(2, 2, 0))
        self.ingest(base, "d1", [item("a"), item("c"), item("d")])
        same(sent=Counter("abcd"), earthcatalog=self.rows(base))
        self.run("maintain", "compact", "manifests", "--lake", base)
        rows = self.rows(base)
        line, faults = self.info(base)
        same(sent=Counter("abcd"), compacted=rows)
        same(swath=(line["rows"], len(faults)), earthcatalog=(4, 0))
        same(files=self.found(base) > 0, wanted=True)
        return "2 of theirs, 2 of ours and 1 of both: 4 rows, compacted too"

    def d2(self):
        base = self.folder / "d2"
        self.ingest(base, "d2", [item(f"i{n}", f"202{n % 3}-01-02T00:00:00Z", west=-45 + n * 20) for n in range(9)])
        self.run("maintain", "--lake", base, "--update-hash-index")
        catalog, (line, faults) = self.open(base), self.info(base)
        same(swath=line["rows"], earthcatalog=self.rows(base).total())
        same(swath=line["files"], earthcatalog=catalog.info().total_files(catalog.table))
        same(swath=line["items"], earthcatalog=catalog.unique_item_count())
        stats = [json.loads(text) for text in self.run("stats", "--lake", base, "--json").splitlines()]
        ours = {(part["cell"], part["year"]): part["rows"] for part in stats if "cell" in part}
        theirs = {(part["grid_partition"], part["year"]): part["row_count"] for part in catalog.stats()}
        same(swath=ours, earthcatalog=theirs)
        same(files=self.found(base) > 0, faults=not faults)
        return f"{line['rows']} rows, {line['files']} files, {line['items']} items, {len(ours)} parts"

    def d3(self):
        base = self.folder / "d3"
        self.ingest(base, "d3", [item("a")])
        self.append(base, self.open(base).table, [item("b")], "000000_aaaaaaaa")
        self.ingest(base, "d3-again", [item("b"), item("c")])
        line, faults = self.info(base)
        same(swath=(line["items"], len(faults)), expected=(3, 0))
        same(sent=Counter("abc"), earthcatalog=self.rows(base))
        return "their file in our table is known to our next commit"

    def d4(self):
        import pyarrow.parquet
        import xxhash

        base = self.folder / "d4"
        names = [name for name in VECTORS if name] + [f"item {n}" for n in range(50)]
        self.ingest(base, "d4", [item(name) for name in names])
        self.run("maintain", "hashes", "--lake", base)
        table = pyarrow.parquet.read_table(base / "warehouse_id_hashes.parquet")
        hashes = [value.hex() for value in table["id_hash"].to_pylist()]
        for name, expected in VECTORS.items():
            same(contract=expected, xxhash=xxhash.xxh3_128(name.encode(), seed=42).hexdigest())
            if name and expected not in hashes:
                raise Fault(f"the hash of {name!r} is not in the index")
        expected = sorted(xxhash.xxh3_128(name.encode(), seed=42).hexdigest() for name in names)
        same(xxhash=expected, swath=hashes)
        same(swath=len(names), earthcatalog=self.open(base).unique_item_count())
        return f"{len(names)} hashes, sorted, the vectors of the contract among them"

    def d5(self):
        from earthcatalog.lock import CatalogLocked, S3Lock
        from obstore.store import LocalStore

        base = self.folder / "d5"
        self.ingest(base, "d5", [item("a")])
        lock = lambda: S3Lock("judge", store=LocalStore(str(base)), key=".lock")  # noqa: E731
        with quiet(), lock():
            before = (base / "earthcatalog.db").read_bytes()
            blocked = self.start("ingest", self.written("d5-b", [item("b")]), "--out", base)
            # It waits for the lock, or gives up: either way the database stays as it is for as long as the lock is held.
            with contextlib.suppress(subprocess.TimeoutExpired):
                blocked.communicate(timeout=5)
            same(before=before, locked=(base / "earthcatalog.db").read_bytes())
        blocked.communicate()
        self.ingest(base, "d5-b", [item("b")])
        same(sent=Counter("ab"), earthcatalog=self.rows(base))
        # The reverse: the lock as swath writes it stops Python.
        held = {"owner": "swath", "pid": 1, "hostname": "h", "acquired": datetime.now(UTC).isoformat(), "ttl_hours": 1, "token": "x"}
        (base / ".lock").write_text(json.dumps(held))
        with quiet():
            try:
                lock().acquire()
            except CatalogLocked:
                pass
            else:
                raise Fault("EarthCatalog took a lock that swath holds")
        seen = self.watch_locks(base)
        # A lock whose time is over, and twenty who want it.
        held["acquired"] = (datetime.now(UTC) - timedelta(hours=13)).isoformat()
        (base / ".lock").write_text(json.dumps({**held, "token": None, "ttl_hours": 12}))
        paths = [self.written(f"d5-{n}", [item(f"r{n}")]) for n in range(20)]
        racing = [self.start("ingest", path, "--out", base) for path in paths]
        codes = Counter()
        for process in racing:
            process.communicate()
            codes[process.returncode] += 1
        for n, path in enumerate(paths):
            self.run("ingest", path, "--out", base)
        expected = Counter(["a", "b", "w", *(f"r{n}" for n in range(20))])
        same(sent=expected, earthcatalog=self.rows(base))
        return f"blocks both ways, {seen} locks of swath seen; 20 took over one that was over, exit codes {dict(codes)}, no row twice"

    def watch_locks(self, base):
        """Counts locks that swath takes while it commits; Python must be able to read each."""
        (base / ".lock").unlink()
        over, seen = threading.Event(), set()

        def watch():
            while not over.is_set():
                with contextlib.suppress(OSError, ValueError):
                    holder = json.loads((base / ".lock").read_text())
                    if datetime.fromisoformat(holder["acquired"]).tzinfo and holder["owner"] == "swath":
                        seen.add(holder["token"])
                time.sleep(0)

        watching = threading.Thread(target=watch)
        watching.start()
        self.ingest(base, "d5-w", [item("w")])
        over.set()
        watching.join()
        return len(seen)

    def written(self, name, items):
        path = self.folder / f"{name}.ndjson"
        path.write_text("".join(json.dumps(one) + "\n" for one in items))
        return path

    def d6(self):
        base, table = self.new("d6", resolution=3)
        self.put(base, table, MAY, "part_000000", resolution=3)
        self.put(base, table, JUNE, "part_000001", resolution=3)
        self.compact_warehouse(base)
        same(search_after_compaction=self.found(base), expected=0)
        line, faults = self.info(base)
        same(grid=line["grid"], inferred=faults["lost_grid"]["inferred"])
        same(swath=(line["grid"], line["rows"]), expected=("h3:3", 2))
        self.ingest(base, "d6", [item("c")], grid="h3:3")
        _, faults = self.info(base)
        same(faults=sorted(faults), none=[])
        same(resolution=self.open(base).grid_resolution, expected=3)
        if not self.found(base):
            raise Fault("EarthCatalog's search still finds nothing")
        return "the grid is inferred, read, and noted again by the next commit; EarthCatalog searches again"

    def compact_warehouse(self, base):
        from earthcatalog import store_config
        from earthcatalog.maintenance.compact import compact_warehouse
        from obstore.store import LocalStore

        with quiet():
            store_config.set_store(LocalStore(str(base)))
            store_config.set_catalog_key("earthcatalog.db")
            compact_warehouse(warehouse_path=f"{base}/warehouse", catalog_path=f"{base}/earthcatalog.db", threshold=2)

    def d7(self):
        base, table = self.new("d7")
        self.append(base, table, [item("a")], "000000_aaaaaaaa")
        with sqlite3.connect(base / "earthcatalog.db") as db:
            db.execute("CREATE TABLE notes(k TEXT PRIMARY KEY)")
            db.execute("INSERT INTO iceberg_tables VALUES ('other', 'ns', 't', 'x', NULL, 'TABLE')")
            db.execute("ALTER TABLE iceberg_tables DROP COLUMN iceberg_type")
        _, faults = self.info(base)
        same(faults=sorted(faults), expected=["no_type_column"])
        self.ingest(base, "d7", [item("b")])
        same(sent=Counter("ab"), earthcatalog=self.rows(base))
        with sqlite3.connect(base / "earthcatalog.db") as db:
            others = db.execute("SELECT * FROM iceberg_tables WHERE catalog_name = 'other'").fetchall()
            same(others=others, before=[("other", "ns", "t", "x", None)])
            same(notes=db.execute("SELECT count(*) FROM notes").fetchone(), before=(0,))
        return "committed to; what others keep in the database is as it was"

    def d8(self):
        base, table = self.new("d8")
        self.put(base, table, MAY, "part_000000")
        self.put(base, table, None, "part_000001", year="unknown")
        line, faults = self.info(base)
        same(faults=sorted(faults), expected=["null_year"])
        same(swath=(line["rows"], line["items"]), expected=(2, 2))
        self.ingest(base, "d8", [item("c")])
        self.run("maintain", "compact", "--lake", base)
        ids = Counter(row["id"] for row in self.open(base).table.scan(selected_fields=("id",)).to_arrow().to_pylist())
        same(sent=Counter(["part_000000", "part_000001", "c"]), pyiceberg=ids)
        return "named, read and appended to"

    def d9(self):
        base, made = self.new("d9")
        from earthcatalog import catalog

        opened = catalog._open_sqlite(f"{base}/earthcatalog.db", f"{base}/warehouse")
        schema, spec, properties = made.schema(), made.spec(), made.properties
        opened.drop_table("earthcatalog.stac_items")
        old = f"{base}/warehouse/earthcatalog.db/stac_items"
        table = opened.create_table("earthcatalog.stac_items", schema, old, spec, properties=properties)
        self.append(base, table, [item("a")], "000000_aaaaaaaa")
        self.ingest(base, "d9", [item("b")])
        self.run("maintain", "compact", "--lake", base)
        line, faults = self.info(base)
        same(swath=(line["rows"], sorted(faults)), expected=(2, []))
        same(sent=Counter("ab"), earthcatalog=self.rows(base))
        same(location=self.open(base).table.metadata_location.removeprefix("file://").startswith(old), expected=True)
        return "its metadata stay where they were"

    def d10(self):
        base, table = self.new("d10")
        self.put(base, table, MAY, "part_000000", unit="ms")
        self.put(base, table, JUNE, "part_000001", unit="us")
        self.append(base, table, [item("c")], "000000_aaaaaaaa")
        self.ingest(base, "d10", [item("d")])
        self.run("maintain", "compact", "--lake", base)
        line, faults = self.info(base)
        rows = self.open(base).table.scan(selected_fields=("id", "datetime", "date_dt")).to_arrow().to_pylist()
        seen = {row["id"]: (row["datetime"], row["date_dt"]) for row in rows}
        same(swath=(line["items"], sorted(faults)), pyiceberg=(len(seen), []))
        same(millis=seen["part_000000"], written=(MAY, 7))
        same(micros=seen["part_000001"], written=(JUNE, 7))
        return f"{len(rows)} rows of files with int32 and long, ms and us"

    # -- catalogs that EarthCatalog has broken

    def faults(self):
        """Doubled rows, dangling files, a lost grid, a null year, the database of another catalog: each by its name."""
        said = {}
        base, table = self.new("twice")
        for tag in ("000000_aaaaaaaa", "000001_bbbbbbbb"):
            self.append(base, table, [item("a")], tag)
        said["doubled_rows"] = self.info(base)[1]
        base, table = self.new("dangling")
        self.put(base, table, MAY, "part_000000")
        self.put(base, table, JUNE, "part_000001")
        next(base.glob("warehouse/*/*/part_000000.parquet")).unlink()
        said["dangling_files"] = self.info(base)[1]
        base, table = self.new("lost", resolution=3, noted=False)
        self.put(base, table, MAY, "part_000000", resolution=3)
        said["lost_grid"] = self.info(base)[1]
        base, table = self.new("null")
        self.put(base, table, None, "part_000001", year="unknown")
        said["null_year"] = self.info(base)[1]
        base, table = self.new("elsewhere")
        self.append(base, table, [item("a")], "000000_aaaaaaaa")
        shutil.copyfile(self.folder / "twice/earthcatalog.db", base / "earthcatalog.db")
        said["metadata_elsewhere"] = self.info(base)[1]
        none_of("faults that are not named, or not alone", [name for name, found in said.items() if list(found) != [name]])
        return ", ".join(said)


CHECKS = (
    ("D.13.1 Python makes, swath appends and compacts, Python opens", Judge.d1),
    ("D.13.2 swath makes, Python opens, counts and searches", Judge.d2),
    ("D.13.3 PyIceberg adds a file to a table of swath", Judge.d3),
    ("D.13.4 the hashes of ids", Judge.d4),
    ("D.13.5 the lock, both ways, and a race for one that is over", Judge.d5),
    ("D.13.6 a catalog that lost its grid to compact_warehouse", Judge.d6),
    ("D.13.7 a database without iceberg_type, with rows of others", Judge.d7),
    ("D.13.8 a partition without a year", Judge.d8),
    ("D.13.9 a table where older versions put it", Judge.d9),
    ("D.13.10 files of mixed types are one column", Judge.d10),
    ("what EarthCatalog breaks is named by swath info", Judge.faults),
)


def quiet():
    return contextlib.redirect_stdout(io.StringIO())


def digest(base):
    files = sorted(path for path in Path(base).rglob("*") if path.is_file())
    return [(str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def main():
    if sys.argv[1:] == ["--count"]:
        print(len(CHECKS))
        return
    warnings.filterwarnings("ignore")
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "x")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "y")
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True)
    report, judge = Report(), Judge(Path(sys.argv[1]).resolve(), folder.resolve())
    # EarthCatalog leaves copies of the database in the folder for temporary files.
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        for name, check in CHECKS:
            report.check(name, lambda check=check: check(judge))
    report.finish()


if __name__ == "__main__":
    main()
