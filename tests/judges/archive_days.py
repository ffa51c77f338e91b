"""An archive that changes every day for a month: after each day the catalog is what the bucket is.

Usage: archive_days.py SWATH NEW_FOLDER [KEYS] [DAYS]

A bucket of KEYS objects (20,000 unless said) lies in memory and on disk as small items; every day one key in a hundred is
new, changed or gone, an inventory is written, taken in `--against` that of yesterday, and the lake is maintained. Checked each
day by PyIceberg: exactly the bucket's items in their versions. At the end a census finds nothing, and snapshots and files
have not grown with the days. What each command took is said beside. 100,000 keys take some seven minutes; a million objects
take 5 GB of memory or disk.
"""

import csv
import gzip
import json
import random
import resource
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy
from pyarrow import compute
from pyiceberg.catalog.sql import SqlCatalog
from report import Fault, Report, same

BUCKET = "archive"
VERSIONS = 1000


def item(number, version):
    """An item of one cell of H3 resolution 1, more or less: a point."""
    longitude, latitude = number * 7919 % 3400 / 10 - 170, number * 104_729 % 1300 / 10 - 65
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"i{number:07}",
        "collection": "archive",
        "geometry": {"type": "Point", "coordinates": [longitude, latitude]},
        "bbox": [longitude, latitude, longitude, latitude],
        "properties": {"datetime": "2024-05-01T00:00:00Z", "updated": f"2024-06-{version:02}T00:00:00Z", "version": str(version)},
        "links": [],
        "assets": {},
    }


class Archive:
    def __init__(self, swath, folder, keys):
        self.swath, self.folder = swath, folder
        self.bucket, self.lake = folder / "bucket", folder / "lake"
        self.there, self.next = {}, 0
        self.chance = random.Random(3)
        self.spent = {}
        for _ in range(keys):
            self.add()

    @staticmethod
    def key(number):
        return f"t/{number // 1000:04}/{number:07}.stac.json"

    def path(self, number):
        return self.bucket / self.key(number)

    def put(self, number, version):
        path = self.path(number)
        if number % 1000 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(item(number, version)))
        self.there[number] = version

    def add(self):
        self.put(self.next, 1)
        self.next += 1

    def change(self):
        """One key in a hundred: a third new, a third changed, a third gone."""
        count = max(len(self.there) // 300, 1)
        chosen = self.chance.sample(sorted(self.there), 2 * count)
        for number in chosen[:count]:
            self.path(number).unlink()
            del self.there[number]
        for number in chosen[count:]:
            self.put(number, self.there[number] + 1)
        for _ in range(count):
            self.add()
        return 3 * count

    def inventory(self, day):
        """A file of an inventory in no order, as AWS writes them."""
        path = self.folder / f"day-{day:02}.csv.gz"
        numbers = sorted(self.there)
        self.chance.shuffle(numbers)
        with gzip.open(path, "wt", compresslevel=1, newline="") as text:
            rows = csv.writer(text, quoting=csv.QUOTE_ALL)
            rows.writerow(["Bucket", "Key", "ETag"])
            for number in numbers:
                rows.writerow([BUCKET, self.key(number), f"{self.there[number]:02}{number:030}"])
        return path

    def run(self, *arguments):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([self.swath, *arguments], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.spent[arguments[0]] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if done.returncode:
            raise Fault(f"{arguments}: exit code {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def cost(self):
        """CPU seconds of the commands since it was asked the last time."""
        told = ", ".join(f"{command} {seconds:.1f}" for command, seconds in self.spent.items())
        self.spent.clear()
        return f"CPU s: {told}"

    def where(self):
        return "--bucket", f"{BUCKET}=folder:{self.bucket}"

    def table(self):
        lake = self.lake.resolve()
        catalog = SqlCatalog("earthcatalog", uri=f"sqlite:///{lake}/earthcatalog.db", warehouse=f"file://{lake}/warehouse")
        return catalog.load_table("earthcatalog.stac_items")

    def compare(self):
        rows = self.table().scan(selected_fields=("id", "version")).to_arrow()
        numbers = compute.cast(compute.utf8_slice_codeunits(rows["id"], 1), "int64")
        versions = compute.cast(rows["version"], "int64")
        found = numpy.sort(numbers.to_numpy() * VERSIONS + versions.to_numpy())
        truth = numpy.sort([number * VERSIONS + version for number, version in self.there.items()])
        if not numpy.array_equal(found, truth):
            items = [Counter(map(tuple, zip(*divmod(keys, VERSIONS), strict=True))) for keys in (truth, found)]
            same(bucket=items[0], catalog=items[1])
        return len(found)

    def first(self):
        self.today = self.inventory(0)
        self.run("ingest", self.today, "--out", self.lake, "--bulk", "--json", *self.where())
        return f"{self.compare()} items; {self.cost()}"

    def day(self, number):
        changes, before = self.change(), self.today
        self.today = self.inventory(number)
        (said,) = self.run("ingest", self.today, "--against", before, "--out", self.lake, "--json", *self.where())
        same(changes=changes, taken=said["taken"])
        self.run("maintain", "--lake", self.lake, "--keep-last", "3", "--keep-days", "0", "--json")
        before.unlink()
        table = self.table()
        files = len(table.inspect.files())
        return f"{changes} changes, {self.compare()} items in {files} files, {len(table.snapshots())} snapshots; {self.cost()}"

    def census(self):
        (said,) = self.run("census", self.today, "--lake", self.lake, "--count", *self.where())
        same(amiss=[said[name] for name in ("missing", "stale", "extra", "rejected")], expected=[0, 0, 0, 0])
        return f"{said['same']} items as their objects have them; {self.cost()}"

    def bounded(self, cells):
        table = self.table()
        snapshots, files = len(table.snapshots()), len(table.inspect.files())
        if snapshots > 12 or files > 4 * cells:
            raise Fault(f"{snapshots} snapshots, {files} files of {cells} buckets")
        return f"{snapshots} snapshots, {files} files of {cells} buckets"


def main():
    swath, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    keys, days = (int(text) for text in [*sys.argv[3:], *["20000", "30"][len(sys.argv) - 3 :]])
    report, archive = Report(), Archive(swath, folder, keys)
    report.check(f"{keys} objects are taken in", archive.first)
    for day in range(1, days + 1):
        report.check(f"day {day}", lambda day=day: archive.day(day))
    report.check("a census finds nothing amiss", archive.census)
    cells = len({tuple(row["partition"].values()) for row in archive.table().inspect.partitions().to_pylist()})
    report.check("neither snapshots nor files have grown with the days", lambda: archive.bounded(cells))
    shutil.rmtree(archive.bucket)
    report.finish()


if __name__ == "__main__":
    main()
