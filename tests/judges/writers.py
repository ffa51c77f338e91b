"""Many processes commit to one lake at once, some of them killed; others read what came of it.

Usage: writers.py SWATH NEW_FOLDER [--bucket|--glue]

--bucket: the lake lies in a bucket of the emulator; --glue: and its pointers in the emulator's Glue.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import lake
from report import Fault, Report, same

WRITERS, COMMITS = 8, 50
# What the names of databases in Glue begin with.
PREFIX = "lab_"
# Steps of a schedule that looks after the lake or sends something again, and how many schedules there are.
SCHEDULES, STEPS = 3, 14
# What an item can be: places in different cells, versions of different age and year.
PLACES = [(-44.5, 70.5), (10.5, 46.2), (151.2, -33.8), (-70.0, -20.0)]


def item(name, version=1, place=0):
    west, south = PLACES[place]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "collection": "c",
        "geometry": {"type": "Point", "coordinates": [west, south]},
        "bbox": [west, south, west, south],
        "properties": {"datetime": f"202{version % 3}-06-01T00:00:00Z", "updated": f"2024-02-{version:02}T00:00:00Z"},
        "links": [],
        "assets": {"data": {"href": f"s3://b/{name}.tif"}},
    }


def second(version):
    return int(datetime(2024, 2, version, tzinfo=UTC).timestamp())


class World:
    """A lake, and processes that change it."""

    def __init__(self, swath, folder, base, environment):
        self.swath, self.folder, self.base, self.environment = swath, folder, base, environment
        self.files = 0

    def send(self, items, name):
        """Writes items as a file to be taken in; a name of its own makes it a run of its own."""
        path = self.folder / f"{name}.ndjson"
        path.write_text("".join(json.dumps(one) + "\n" for one in items))
        return path

    def start(self, *arguments):
        command = [self.swath, *map(str, arguments)]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments):
        process = self.start(*arguments)
        _, error = process.communicate()
        if process.returncode:
            raise Fault(f"{' '.join(map(str, arguments))}: exit code {process.returncode}: {error.strip()}")

    def ingest(self, path, patience=20):
        """Takes a file in; a process that gave up is started again, as a message is delivered again."""
        for _ in range(patience):
            process = self.start("ingest", path, "--out", self.base)
            _, error = process.communicate()
            if process.returncode == 0:
                return
        raise Fault(f"{path.name}: exit code {process.returncode} {patience} times: {error.strip()}")

    def kill(self, path, chance):
        """Starts to take a file in, and kills the process somewhere on its way."""
        process = self.start("ingest", path, "--out", self.base)
        try:
            process.communicate(timeout=chance.uniform(0.0, 0.4))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return 1
        return 0

    def maintain(self, *steps):
        # Two compactions of the same files: one of them may find its inputs gone, which it says.
        process = self.start("maintain", *steps, "--lake", self.base)
        process.communicate()

    def table(self):
        if "SWATH_POINTER" in self.environment:
            from pyiceberg.catalog.glue import GlueCatalog

            environment = self.environment
            glue = {
                "glue.endpoint": environment["AWS_ENDPOINT_URL"],
                "glue.region": environment["AWS_REGION"],
                "glue.access-key-id": environment["AWS_ACCESS_KEY_ID"],
                "glue.secret-access-key": environment["AWS_SECRET_ACCESS_KEY"],
            }
            return GlueCatalog("glue", **glue, **self.properties()).load_table(f"{PREFIX}earthcatalog.stac_items")
        if self.base.startswith("s3://"):
            from pyiceberg.table import StaticTable

            folder = f"{self.base}/warehouse/earthcatalog/stac_items"
            return StaticTable.from_metadata(f"{folder}/metadata/{self.hint()}.metadata.json", self.properties())
        return lake.open_catalog(self.base).load_table(lake.ITEMS)

    def properties(self):
        return {
            "s3.endpoint": self.environment["AWS_ENDPOINT_URL"],
            "s3.access-key-id": "test",
            "s3.secret-access-key": "test",
            "s3.region": self.environment["AWS_REGION"],
        }

    def hint(self):
        import boto3

        names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
        endpoint, key, secret, region = (self.environment[name] for name in names)
        s3 = boto3.client(
            "s3", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret, region_name=region
        )
        bucket, prefix = self.base.removeprefix("s3://").split("/", 1)
        hint = s3.get_object(Bucket=bucket, Key=f"{prefix}/warehouse/earthcatalog/stac_items/metadata/version-hint.text")
        return hint["Body"].read().decode().strip()

    def rows(self):
        """The rows as PyIceberg sees them, after it was made sure that DuckDB sees the same."""
        table = self.table()
        rows = Counter((row["id"], int(row["updated"].timestamp())) for row in lake.read(table, "id", "updated"))
        connection = lake.duck("avro", "iceberg", *(["httpfs"] if self.base.startswith("s3://") else []))
        if self.base.startswith("s3://"):
            endpoint = self.environment["AWS_ENDPOINT_URL"].removeprefix("http://")
            connection.execute(
                "CREATE SECRET (TYPE s3, KEY_ID 'test', SECRET 'test', URL_STYLE 'path', USE_SSL false, "
                f"ENDPOINT '{endpoint}', REGION '{self.environment['AWS_REGION']}')"
            )
        location = str(table.metadata_location).removeprefix("file://")
        seen = connection.sql(f"SELECT id, epoch(updated)::BIGINT FROM iceberg_scan('{location}')").fetchall()
        same(pyiceberg=rows, duckdb=Counter(seen))
        return rows, table

    # -- the checks

    def writers(self):
        """Every writer sends items of its own, one that all have, and some of its neighbour's; one in ten is killed first."""
        self.ingest(self.send([item("first")], "first"))

        def write(number):
            chance, killed = random.Random(number), 0
            for turn in range(COMMITS):
                names = [f"{number}-{turn}-{one}" for one in "ab"] + ["everyones", f"{(number + 1) % WRITERS}-{turn}-a"]
                path = self.send([item(name) for name in names], f"w{number}-{turn}")
                if chance.random() < 0.1:
                    killed += self.kill(path, chance)
                self.ingest(path)
                if turn % 20 == 19:
                    self.maintain("compact", "manifests")
            return killed

        with ThreadPoolExecutor(WRITERS) as pool:
            killed = sum(pool.map(write, range(WRITERS)))
        expected = {f"{number}-{turn}-{one}" for number in range(WRITERS) for turn in range(COMMITS) for one in "ab"}
        rows, table = self.rows()
        twice = [name for name, count in Counter(name for name, _ in rows.elements()).items() if count > 1]
        found = {name for name, _ in rows}
        same(sent=expected | {"first", "everyones"}, found=found)
        if twice:
            raise Fault(f"{len(twice)} items are there twice, {twice[0]} for one")
        metadata = table.metadata
        if metadata.last_sequence_number > WRITERS * COMMITS * 2:
            raise Fault(f"{metadata.last_sequence_number} snapshots")
        return (
            f"{WRITERS} processes x {COMMITS} commits, {killed} killed: {len(found)} items, 0 lost, 0 twice, "
            f"{metadata.last_sequence_number} snapshots"
        )

    def compacted(self):
        """The same rows after everything that maintenance does."""
        before, _ = self.rows()
        self.run("maintain", "--lake", self.base, "--keep-last", 1, "--keep-days", 0, "--delete")
        after, table = self.rows()
        same(before=before, compacted=after)
        files = len(lake.data_files(table))
        if files > len(PLACES) * 3:
            raise Fault(f"{files} files are left")
        return f"{after.total()} rows in {files} files"

    def schedules(self):
        """Random schedules against a model, which is the newest version of each item."""
        looked = 0
        for seed in range(SCHEDULES):
            chance, model, sent = random.Random(seed), {}, []
            for step in range(STEPS):
                what = chance.choice(["write"] * 4 + ["again"] * 3 + ["compact", "manifests", "expire", "index", "kill"])
                if what in ("write", "kill"):
                    picks = {f"s{seed}-{chance.randrange(6)}": chance.randrange(1, 9) for _ in range(3)}
                    items = [item(name, version, (version * 7) % len(PLACES)) for name, version in picks.items()]
                    sent.append((items, picks))
                if what in ("write", "again", "kill") and sent:
                    items, picks = sent[-1] if what != "again" else chance.choice(sent)
                    path = self.send(items, f"s{seed}-{step}")
                    if what == "kill":
                        self.kill(path, chance)
                    self.ingest(path)
                    for name, version in picks.items():
                        model[name] = max(version, model.get(name, 0))
                elif what == "expire":
                    self.run("maintain", "expire", "orphans", "--lake", self.base, "--keep-last", 1, "--keep-days", 0)
                elif what not in ("again", "kill"):
                    self.run("maintain", what, "--lake", self.base)
                if step % 5 == 4 or step == STEPS - 1:
                    rows, _ = self.rows()
                    mine = Counter({row: count for row, count in rows.items() if row[0].startswith(f"s{seed}-")})
                    expected = Counter({(name, second(version)): 1 for name, version in model.items()})
                    same(model=expected, table=mine)
                    looked += 1
        return f"{SCHEDULES} schedules of {STEPS} steps, {looked} states as the model says"


def main():
    swath, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    folder.mkdir(parents=True)
    folder, report = folder.resolve(), Report()
    glue = "--glue" in sys.argv[3:]
    bucket = glue or "--bucket" in sys.argv[3:]
    with bucket_of(folder) if bucket else nullcontext((str(folder / "lake"), dict(os.environ))) as (base, environment):
        if glue:
            environment["SWATH_POINTER"] = f"glue:{PREFIX}"
        world = World(swath, folder, base, environment)
        where = "a bucket, by Glue," if glue else "a bucket" if bucket else "a folder"
        report.check(f"processes that commit to {where} at once lose nothing and add nothing twice", world.writers)
        report.check(f"a compacted table in {where} has the same rows for PyIceberg and DuckDB", world.compacted)
        if not glue:
            report.check(f"random schedules in {where} end as a model says", world.schedules)
    report.finish()


def bucket_of(folder):
    """Starts the emulator with a bucket; yields a base in it, and the environment of those who use it."""
    from contextlib import contextmanager

    import boto3
    import emulator_world

    @contextmanager
    def started():
        with emulator_world.emulator(folder) as endpoint:
            environment = {**os.environ, **emulator_world.credentials(endpoint)}
            boto3.client(
                "s3",
                endpoint_url=endpoint,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                region_name=emulator_world.REGION,
            ).create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": emulator_world.REGION})
            yield "s3://lake/base", environment

    return started()


if __name__ == "__main__":
    main()
