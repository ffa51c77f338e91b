"""Commits, upserts and compaction beside PyIceberg and DuckDB, in one run; prints CPU seconds, peak memory and bytes.

Usage: commit.py SWATH COMMITS NEW_FOLDER [PART...]   parts: register grow plan upsert compact bucket; all when none is named

COMMITS is `cargo build --release --workspace --example commits`. CPU seconds are user and system of the whole process,
imports included; what both sides need (files, tables, rows to write) is made before. `bucket` takes 5 GB of disk.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

PYICEBERG = """
import sys
from pathlib import Path
from pyiceberg.catalog.sql import SqlCatalog
base = Path(sys.argv[1])
catalog = SqlCatalog("earthcatalog", uri=f"sqlite:///{base}/earthcatalog.db", warehouse=f"{base}/warehouse")
table = catalog.load_table("earthcatalog.stac_items")
"""
REGISTER = PYICEBERG + """
table.add_files([str(path) for path in sorted(base.glob("warehouse/grid_partition=*/*/*.parquet"))])
"""
PLAN = PYICEBERG + """
print(len(list(table.scan().plan_files())))
"""
UPSERT = PYICEBERG + """
import pyarrow.parquet
rows = pyarrow.parquet.read_table(sys.argv[2])
done = table.upsert(rows, join_cols=["collection", "id"])
print(done.rows_updated, done.rows_inserted)
"""
COPY = """
import sys, duckdb
files, out = sys.argv[1:]
connection = duckdb.connect()
connection.execute("SET threads = 1")
connection.execute(
    f"COPY (SELECT * FROM read_parquet('{files}', hive_partitioning = false) ORDER BY platform, datetime, id) "
    f"TO '{out}' (FORMAT parquet, COMPRESSION zstd)"
)
"""


# Words of such lengths as those of items: compressed they take a fifth.
WORDS = ["".join(random.Random(n).choices("abcdefghijklmnop/_-0123456789", k=3 + n % 11)) for n in range(1000)]


@contextmanager
def memory(limit_mib):
    """Makes a control group with so many MiB of memory, which needs root; gives the file that takes its processes."""
    if limit_mib is None:
        yield None
        return
    mount, bound = ("/sys/fs/cgroup", "memory.max")
    if Path(mount, "memory").is_dir():
        mount, bound = (f"{mount}/memory", "memory.limit_in_bytes")
    group = Path(mount, f"swath-bench-{os.getpid()}")
    group.mkdir()
    try:
        (group / bound).write_text(str(limit_mib << 20))
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def measure(*command, limit_mib=None):
    """Runs a command, with so many MiB of memory at most; returns its CPU seconds, its peak MiB, what it printed."""
    with memory(limit_mib) as group:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=group and (lambda: group.write_text("0")),
        )
        return result_of(process, command)


def result_of(process, command):
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command[:3]}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.strip()


def python(code, *arguments):
    return measure(sys.executable, "-W", "ignore", "-c", code, *arguments)


def tell(what, ours, theirs, peer):
    ratio = theirs[0] / ours[0]
    print(f"{what}: swath {ours[0]:.2f} s, {ours[1]:.0f} MiB; {peer} {theirs[0]:.2f} s, {theirs[1]:.0f} MiB; ratio {ratio:.1f}", flush=True)


def items(count, *, spread, updated="2024-02-01T00:00:00Z", chance=None, text=0, noise=0):
    """Yields items as text: all over the world, or within one cell; with so many letters of words and of noise more."""
    chance = chance or random.Random(1)
    for number in range(count):
        west, south = (chance.uniform(-179, 179), chance.uniform(-80, 80)) if spread else (10.5, 46.2)
        more = " ".join(chance.choices(WORDS, k=text // 9)) + chance.randbytes(noise // 2).hex()
        links = [{"rel": "about", "href": more}] if more else []
        item = {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": f"scene-{number:07}",
            "collection": "c",
            "geometry": {"type": "Point", "coordinates": [west, south]},
            "bbox": [west, south, west, south],
            "properties": {
                "datetime": f"2024-{1 + number % 12:02}-{1 + number % 28:02}T10:00:00Z",
                "updated": updated,
                "platform": f"sat-{number % 3}",
                "eo:cloud_cover": number % 100,
            },
            "links": links,
            "assets": {"data": {"href": f"https://h.example/{number}.tif", "type": "image/tiff"}},
        }
        yield json.dumps(item) + "\n"


class Bench:
    def __init__(self, swath, commits, folder):
        self.swath, self.commits, self.folder = swath, commits, folder

    def ingest(self, lines, name, base, *options, grid="h3:1"):
        path = self.folder / f"{name}.ndjson"
        with path.open("w") as out:
            out.writelines(lines)
        figures = measure(self.swath, "ingest", path, "--out", base, "--grid", grid, *options)
        path.unlink()
        return figures

    def loose(self, count):
        """A lake of empty tables with `count` files beside them that no table names yet."""
        base, scratch = self.folder / "loose", self.folder / "scratch"
        self.ingest(items(count, spread=True), "loose", scratch, grid="h3:4")
        base.mkdir()
        measure(self.commits, "register", base, "h3:4")
        for cell in scratch.glob("warehouse/grid_partition=*"):
            shutil.move(cell, base / "warehouse" / cell.name)
        shutil.rmtree(scratch)
        return base

    def in_place(self, base, work):
        """Does work on a lake whose locations are absolute, and puts it back as it was."""
        kept = base.with_name("kept")
        shutil.copytree(base, kept)
        try:
            return work()
        finally:
            shutil.rmtree(base)
            kept.rename(base)

    def register(self):
        """Files that are there become part of a table."""
        base = self.loose(2000)
        theirs = self.in_place(base, lambda: python(REGISTER, base))
        ours = measure(self.commits, "register", base, "h3:4")
        tell(f"registering {json.loads(ours[2])['files']} files", ours, theirs, "PyIceberg add_files")
        shutil.rmtree(base)

    def grow(self):
        """What a commit reads and writes, when many went before it."""
        for where in ("one", "world", "mixed"):
            for line in measure(self.commits, "grow", 1000, where)[2].splitlines():
                print(f"commits of one file each: {line}", flush=True)

    def plan(self):
        base = self.loose(5000)
        measure(self.commits, "register", base, "h3:4")
        ours, theirs = measure(self.commits, "plan", base), python(PLAN, base)
        tell(f"planning on {theirs[2]} files", ours, theirs, "PyIceberg plan_files")
        shutil.rmtree(base)

    def upsert(self):
        """One in a hundred of 100,000 items has a newer version."""
        base = self.folder / "upsert"
        self.ingest(items(100_000, spread=True), "all", base)
        newer = [line for n, line in enumerate(items(100_000, spread=True, updated="2024-03-01T00:00:00Z")) if n % 100 == 0]
        parquet = self.folder / "newer"
        self.ingest(newer, "newer", parquet)
        rows = self.folder / "newer.parquet"
        python(
            "import sys, pyarrow as pa, pyarrow.parquet as pq; from pathlib import Path\n"
            "files = sorted(Path(sys.argv[1]).glob('warehouse/grid_partition=*/*/*.parquet'))\n"
            "pq.write_table(pa.concat_tables([pq.ParquetFile(f).read() for f in files]), sys.argv[2])",
            parquet,
            rows,
        )
        theirs = self.in_place(base, lambda: python(UPSERT, base, rows))
        ours = self.ingest(newer, "newer-too", base)
        tell(f"upsert of {len(newer)} in 100,000 items", ours, theirs, f"PyIceberg upsert ({theirs[2]})")
        shutil.rmtree(base)
        shutil.rmtree(parquet)

    def compact(self):
        """Many files of one cell and year become few, sorted."""
        base, merged = self.folder / "compact", self.folder / "sorted.parquet"
        lines = items(100_000, spread=False, chance=random.Random(2), text=3_000, noise=200)
        self.ingest(lines, "compact", base, "--chunk-size", 2_500)
        files = f"{base}/warehouse/grid_partition=*/year=*/*.parquet"
        count, size = self.sizes(base)
        theirs = python(COPY, files, merged)
        ours = measure(self.swath, "maintain", "compact", "--table", "items", "--target-mib", 1024, "--lake", base)
        tell(f"compaction of {count} files, {size:.0f} MiB, into one", ours, theirs, "DuckDB COPY ORDER BY")
        print(f"  {ours[2]}\n  the file: swath {self.live(base):.0f} MiB, DuckDB {merged.stat().st_size / 2**20:.0f} MiB")
        shutil.rmtree(base)
        merged.unlink()

    def bucket(self):
        """A gigabyte of one cell and year, with a quarter of that as memory."""
        base = self.folder / "bucket"
        lines = items(170_000, spread=False, chance=random.Random(3), text=2_000, noise=11_000)
        self.ingest(lines, "bucket", base, "--chunk-size", 500)
        count, size = self.sizes(base)
        ours = measure(self.swath, "maintain", "compact", "--table", "items", "--lake", base, limit_mib=256)
        print(f"compaction of {count} files, {size:.0f} MiB, with 256 MiB: {ours[0]:.1f} s, peak {ours[1]:.0f} MiB\n  {ours[2]}")
        shutil.rmtree(base)

    def sizes(self, base):
        """Returns how many data files there are, and how many MiB."""
        sizes = [path.stat().st_size for path in base.glob("warehouse/grid_partition=*/*/*.parquet")]
        return len(sizes), sum(sizes) / 2**20

    def live(self, base):
        """Returns the MiB of the table's files."""
        _, _, stats = measure(self.swath, "stats", "--lake", base, "--json")
        return json.loads(stats.splitlines()[-1])["size_bytes"] / 2**20


PARTS = ("register", "grow", "plan", "upsert", "compact", "bucket")


def main():
    swath, commits, folder = (Path(word).absolute() for word in sys.argv[1:4])
    folder.mkdir(parents=True)
    bench = Bench(swath, commits, folder.resolve())
    for part in sys.argv[4:] or PARTS:
        getattr(bench, part)()


if __name__ == "__main__":
    main()
