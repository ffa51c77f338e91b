"""Has the deployed functions do by events what `swath run` does in one process, and compares. Usage: emulator.py SWATH FOLDER"""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import duckdb
from duckdb_extensions import import_extension
from pyiceberg.table import StaticTable
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

import emulator_items
import emulator_world as world
from emulator_rights import Rights
from report import Fault, Report, none_of, same

TABLES = {
    "stac_items": "earthcatalog/stac_items",
    "asset_rows": "swath/asset_rows",
    "asset_files": "swath/asset_files",
    "area_status": "swath/area_status",
}
# What differs from run to run, whatever ran: who asked, when, and how long it took.
VOLATILE = {"run_id", "last_update", "attempts", "bytes_per_s", "requests", "elapsed_ms", "finished"}
KEYS = {
    "stac_items": ("grid_partition", "collection", "id"),
    "asset_rows": ("run_id", "row_id", "collection", "item_id", "asset_name"),
    "asset_files": ("run_id", "collection", "item_id", "asset_name"),
    "area_status": ("run_id", "catalog", "row_id"),
}
# The run that a schedule asks for, whenever it does: what is compared is without it.
STANDING = "standing"
# The run that a repair's downloads belong to.
REPAIR = "00000000000000ee"
JOB = {"collections": ["sentinel-2-l2a"], "datetime": "2024-06-01/2024-08-31", "assets": ["red", "nir"]}


def box(name, west, south, east, north):
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "id": name, "properties": {"name": name}, "geometry": geometry}


# No two of them share a scene: then each asset is asked for once, and one outcome is exactly what there must be.
AREAS = {
    "type": "FeatureCollection",
    "features": [
        box("vineyards", 10.9, 46.2, 11.2, 46.4),
        box("karst", 13.6, 45.96, 14.1, 46.3),
        box("hills", 15.3, 46.9, 16.1, 47.4),
        box("open sea", -30.0, 40.0, -29.0, 41.0),
    ],
}


class Judge:
    """The checks, in order: each finds the world as the one before left it."""

    def __init__(self, swath, folder, catalog):
        self.swath, self.folder, self.catalog = swath, folder, catalog
        self.local = folder / "local"

    # -- what can be said without deploying

    def lint(self):
        """cfn-lint sees more in what SAM makes of the template than in the template itself."""
        source = world.ROOT / "infra/template.yaml"
        template = yaml_parse(source.read_text())
        for resource in template["Resources"].values():
            if "CodeUri" in resource.get("Properties", {}):
                resource["Properties"]["CodeUri"] = "s3://code/key"
        small = len(json.dumps(template, separators=(",", ":")))
        transformed = transform(template, {}, NoManagedPolicies(), passthrough_metadata=False)
        transformed.pop("Transform", None)
        target = self.folder / "transformed.json"
        target.write_text(json.dumps(transformed))
        command = [Path(sys.executable).with_name("cfn-lint"), "--regions", world.REGION, "--", source, target]
        done = subprocess.run(command, capture_output=True, text=True, timeout=world.PATIENCE, check=False)
        if done.returncode:
            raise Fault(done.stdout)
        return f"the template and its transform are clean; {small} bytes, {'inline' if small <= 51_200 else 'by TemplateURL'}"

    # -- what `swath run` does

    def run_locally(self):
        areas = self.folder / "areas.geojson"
        areas.write_text(json.dumps(AREAS))
        command = [self.swath, "run", "--aois", areas, "--catalog", self.catalog, "--out", self.local, "--json"]
        command += ["--collections", ",".join(JOB["collections"]), "--datetime", JOB["datetime"]]
        command += ["--assets", ",".join(JOB["assets"])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=world.PATIENCE, check=False)
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        summary = next((event for event in events if event.get("event") == "summary"), None)
        if summary is None:
            raise Fault(f"exit code {done.returncode}: {done.stderr[-2000:]}")
        return f"{summary['items']} items, {summary['good']} good assets, {summary['rejected']} rejected"

    # -- what the functions do

    def deploy(self, endpoint):
        area = {"type": "FeatureCollection", "features": [box("meadows", 12.6, 46.1, 12.7, 46.2)]}
        standing = {"job": {**JOB, "catalog": self.catalog, "download": False}, "areas": area}
        request = {"version": 1, "run_id": STANDING, "kind": "PlanAreas", "body": standing}
        schedule = {"StandingRequest": json.dumps(request), "StandingSchedule": "rate(2 minutes)"}
        self.stack = world.Stack(endpoint, self.folder, **schedule)
        return f"{len(self.stack.outputs)} outputs"

    def upload(self):
        self.put_areas()
        self.stack.await_quiet()
        none_of("dead letters", self.dead_letters())
        none_of("quarantined", self.stack.objects("quarantine/"))
        return f"{len(self.stack.objects('assets/'))} assets"

    def put_areas(self):
        self.stack.s3.put_object(
            Bucket=self.stack.outputs["InboxBucket"],
            Key="aois/two areas+ü.geojson",
            Body=json.dumps(AREAS).encode(),
            Metadata={"swath-job": json.dumps({"catalog": self.catalog, **JOB})},
        )

    def dead_letters(self):
        counts = {name: self.stack.waiting(self.stack.dead(name)) for name in world.QUEUES}
        return [f"{name}: {count}" for name, count in counts.items() if count]

    def assets(self):
        theirs = self.local / "assets"
        files = {str(path.relative_to(theirs)): sha256(path.read_bytes()) for path in theirs.rglob("*") if path.is_file()}
        objects = {key.removeprefix("assets/"): sha256(self.stack.read(key)) for key in self.stack.objects("assets/")}
        same(swath_run=set(files.items()), functions=set(objects.items()))
        return f"{len(objects)} objects, equal to the hash"

    def table(self, name):
        """The deployed table, found by its folder alone."""
        environment = self.stack.environment
        properties = {
            "s3.endpoint": environment["AWS_ENDPOINT_URL"],
            "s3.access-key-id": environment["AWS_ACCESS_KEY_ID"],
            "s3.secret-access-key": environment["AWS_SECRET_ACCESS_KEY"],
            "s3.region": world.REGION,
        }
        folder = f"{self.stack.outputs['Lake']}/warehouse/{TABLES[name]}"
        return StaticTable.from_metadata(folder, properties=properties)

    def local_table(self, name):
        with sqlite3.connect(self.local / "earthcatalog.db") as database:
            query = "SELECT metadata_location FROM iceberg_tables WHERE table_name = ?"
            (location,) = database.execute(query, (name,)).fetchone()
        return StaticTable.from_metadata(location)

    def rows(self, name):
        deployed = comparable(self.table(name), self.stack.outputs["Out"])
        ours = comparable(self.local_table(name), str(self.local / "assets"), f"file://{self.local}/assets")
        same(swath_run=ours, functions=deployed)
        if not ours:
            raise Fault("both are empty")
        return f"{sum(deployed.values())} equal rows"

    def snapshots(self):
        """The tables add up, as the current snapshot says and as their rows are."""
        counts = {}
        for name in TABLES:
            table = self.table(name)
            said = int(table.current_snapshot().summary.additional_properties["total-records"])
            counts[name] = same(snapshot=said, rows=len(table.scan().to_arrow()))
        return ", ".join(f"{name} {count}" for name, count in counts.items())

    def duck(self):
        """DuckDB reads the tables by their folders, with no catalog."""
        connection = duckdb.connect(config={
            "extension_directory": str(Path(sys.prefix) / "duckdb"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        })
        for extension in ("avro", "httpfs", "iceberg"):
            import_extension(extension, con=connection)
            connection.load_extension(extension)
        host = self.stack.environment["AWS_ENDPOINT_URL"].removeprefix("http://")
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID 'test', SECRET 'test', REGION '{world.REGION}', ENDPOINT '{host}', "
            "URL_STYLE 'path', USE_SSL false)"
        )
        columns = ", ".join(KEYS["stac_items"])
        folder = f"{self.stack.outputs['Lake']}/warehouse/{TABLES['stac_items']}"
        found = Counter(connection.sql(f"SELECT {columns} FROM iceberg_scan('{folder}')").fetchall())
        ours = Counter(tuple(row[key] for key in KEYS["stac_items"]) for row in rows_of(self.table("stac_items")))
        return f"{sum(same(pyiceberg=ours, duckdb=found).values())} rows of stac_items"

    def once(self):
        """Each row once, each asset fetched once."""
        for name, key in KEYS.items():
            counts = Counter(tuple(row[part] for part in key) for row in rows_of(self.table(name)))
            none_of(f"rows of {name} that are there twice", (row for row, count in counts.items() if count > 1))
        return ", ".join(KEYS)

    def upload_again(self):
        before = self.state()
        self.put_areas()
        self.stack.await_quiet()
        same(before=before, after=self.state())
        return "nothing fetched, nothing added"

    def state(self):
        counts = {(name, len(asked_for(self.table(name)))) for name in TABLES}
        return counts | set(self.stack.objects("assets/").items())

    # -- what goes wrong

    def poison(self):
        before = set(self.stack.objects("quarantine/search/"))
        self.stack.send("search", "not JSON {")
        world.await_true("quarantine", lambda: set(self.stack.objects("quarantine/search/")) - before)
        (key,) = set(self.stack.objects("quarantine/search/")) - before
        kept = json.loads(self.stack.read(key))
        same(body=kept["body"], expected="not JSON {")
        same(receives=kept["receive_count"], expected=1)
        self.stack.await_quiet()
        none_of("dead letters", self.dead_letters())
        return f"{kept['class']}, {kept['code']}, at its first receive"

    # -- the command line against the deployment

    def command(self, *arguments):
        """Runs swath against the deployment; returns its lines of JSON."""
        command = [self.swath, *arguments, "--json", "--name", world.PARAMETERS["Name"]]
        environment = self.stack.environment
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=world.PATIENCE, check=False)
        if done.returncode:
            raise Fault(f"{arguments}: exit code {done.returncode}: {done.stdout[-1000:]} {done.stderr[-1000:]}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def submit(self):
        before = self.state()
        areas = self.folder / "submitted.geojson"
        areas.write_text(json.dumps({"type": "FeatureCollection", "features": [box("river", 11.8, 46.1, 12.3, 46.3)]}))
        (said,) = self.command(
            "submit", str(areas), "--catalog", self.catalog, "--collections", ",".join(JOB["collections"]),
            "--datetime", JOB["datetime"], "--assets", ",".join(JOB["assets"]), "--wait",
        )
        rows = [row for row in rows_of(self.table("asset_rows")) if row["run_id"] == said["run_id"]]
        if not rows or self.state() == before:
            raise Fault(f"run {said['run_id']} has {len(rows)} rows")
        run = said["run"]
        same(areas=(run["areas"], run["searched"], run["rejected"]), expected=(1, 1, 0))
        assets = {(row["collection"], row["item_id"], row["asset_name"]) for row in rows}
        same(settled=sum(run["assets"].values()), asked=len(assets))
        same(waiting=run["assets"]["waiting"], expected=0)
        (again,) = self.command("status", said["run_id"])
        same(submit=run, status=again)
        return f"run {said['run_id']}: {len(rows)} asset rows, {run['assets']}"

    def telemetry(self):
        """What functions log leads from an area to its assets; what they count is filed under their names."""
        lines = {name: [json.loads(line) for line in self.stack.lines(name) if line.startswith("{")] for name in world.FUNCTIONS}
        settled = [line for line in lines["download"] if line.get("message") == "asset settled"]
        queues = {span.get("message.queue") for line in settled for span in line["spans"] if span["name"] == "message"}
        same(queues=queues, expected={"judge-download-1"})
        searched = {line["run.id"]: line["row.id"] for line in lines["search"] if line.get("message") == "searched"}
        lost = {line["run.id"] for line in settled} - {*searched, REPAIR}
        none_of("assets of runs that no search tells of", lost)
        committed = {run for line in lines["commit"] if "snapshot.id" in line for run in line["runs"].split()}
        written = [line for line in lines["write"] if line.get("message") == "telling commit" and line["run.id"] in committed]
        written = {run for line in written for run in line["runs"].split()}
        none_of("runs that no snapshot tells of", {line["run.id"] for line in settled} - written)
        counted = {}
        for name in world.FUNCTIONS:
            figures = [line for line in lines[name] if "_aws" in line]
            same(function={line["Function"] for line in figures}, expected={f"judge-{name}"})
            counted[name] = sum(line.get("Received", 0) for line in figures)
        return f"messages received: {counted}"

    def repair(self):
        """A file that is gone from the bucket is fetched again, and no other."""
        before = self.stack.objects("assets/")
        gone = min(before)
        self.stack.s3.delete_object(Bucket=self.stack.bucket, Key=gone)
        asked = {"predicate": "is_out_file_valid = true", "check": "sizes"}
        self.stack.send("repair", {"version": 1, "run_id": REPAIR, "kind": "RepairAssets", "body": asked})
        world.await_true("the file's return", lambda: gone in self.stack.objects("assets/"))
        self.stack.await_quiet()
        after = self.stack.objects("assets/")
        same(before={key: tag for key, (tag, _) in before.items()}, after={key: tag for key, (tag, _) in after.items()})
        same(put={key for key in after if after[key] != before[key]}, expected={gone})
        return gone

    def maintain(self):
        """Small files become fewer, and their rows stay."""
        def now():
            table = self.table("stac_items")
            return len(list(table.scan().plan_files())), comparable(table)

        files, rows = now()
        asked = {"steps": ["compact", "manifests"], "tables": ["stac_items"]}
        self.stack.send("maintain", {"version": 1, "run_id": "00000000000000ff", "kind": "MaintainLake", "body": asked})
        world.await_true("fewer files", lambda: now()[0] < files)
        self.stack.await_quiet()
        fewer, same_rows = now()
        same(before=rows, after=same_rows)
        return f"{files} files are {fewer}, of {sum(rows.values())} rows"

    def status(self):
        # Both are read while nothing is under way.
        self.stack.await_quiet()
        (said,) = self.command("status")
        counts = {entry["table"].split(".")[-1]: entry["rows"] for entry in said["tables"]}
        same(status=counts, rows={name: len(self.table(name).scan().to_arrow()) for name in TABLES})
        none_of("messages", (entry for entry in said["queues"] if entry["waiting"] or entry["under_way"] or entry["dead"]))
        return f"{counts}"

    def doctor(self):
        return ", ".join(f"{found['check']}: {found['detail']}" for found in self.command("doctor"))

    def given_up(self):
        """A search whose API is down is given up on, explained, and done when it is sent again after the API is back."""
        port = world.free_port()
        run = "0123456789abcdef"
        job = {**JOB, "catalog": f"http://127.0.0.1:{port}/", "download": False}
        area = {"row_number": 0, "row_id": "vineyards", "geometry": AREAS["features"][0]["geometry"], "columns": {}}
        body = {"job": job, "area": area}
        self.stack.send("search", {"version": 1, "run_id": run, "kind": "SearchArea", "body": body})
        dead = self.stack.dead("search")
        world.await_true("the dead letter", lambda: self.stack.waiting(dead) == 1)
        self.stack.await_quiet()
        counts = {entry["queue"]: entry["dead"] for entry in self.command("dlq", "list")}
        same(listed=counts, expected={name: int(name == "search") for name in world.QUEUES})
        (letter,) = self.command("dlq", "explain", "--run", run)
        same(explained=(letter["function"], letter["kind"], letter["run_id"]), expected=("search", "SearchArea", run))
        none_of("letters of another run", self.command("dlq", "explain", "--run", "other"))
        with world.upstream(self.swath, port):
            sent = {entry["queue"]: entry["replayed"] for entry in self.command("dlq", "replay", "--run", run)}
            same(replayed=sent["search"], expected=1)
            self.stack.await_quiet()
        none_of("dead letters", self.dead_letters())
        rows = [row for row in rows_of(self.table("asset_rows")) if row["run_id"] == run]
        if not rows:
            raise Fault("the replayed search found nothing")
        return f"{len(rows)} rows after the replay"

    def schedule(self):
        """The standing search is asked for every few minutes; its rows tell that it was."""
        def found():
            return [row for row in rows_of(self.table("asset_rows")) if row["run_id"] == STANDING]

        world.await_true("the standing search", found)
        return f"{len(found())} rows"

    def rights(self):
        files = rows_of(self.table("asset_files"))
        return Rights(self.stack, self.catalog, JOB, AREAS["features"][0], files).check()


class NoManagedPolicies:
    """The template names none."""

    def load(self):
        return {}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def rows_of(table):
    return table.scan().to_arrow().to_pylist()


def asked_for(table):
    """The rows of runs that were asked for here."""
    return [row for row in rows_of(table) if row.get("run_id") != STANDING]


def comparable(table, *bases):
    """Counts the rows of a table without what differs from run to run, and with paths below the base of the assets."""
    counts = Counter()
    for row in asked_for(table):
        kept = {name: value for name, value in row.items() if name not in VOLATILE}
        for base in bases:
            path = kept.get("out_file_path")
            if path and path.startswith(base):
                kept["out_file_path"] = path.removeprefix(base)
        counts[json.dumps(kept, sort_keys=True, default=repr)] += 1
    return counts


def main():
    swath, folder = sys.argv[1], Path(sys.argv[2])
    # The transform asks for a region.
    os.environ["AWS_DEFAULT_REGION"] = world.REGION
    report = Report()
    with world.emulator(folder) as endpoint, world.upstream(swath) as catalog:
        judge = Judge(swath, folder, catalog)
        report.check("cfn-lint has nothing to say", judge.lint)
        report.check("`swath run` searches, fetches and catalogs", judge.run_locally)
        report.check("the template is deployed, with rights enforced", lambda: judge.deploy(endpoint))
        if report.failed:
            report.finish()
        report.check("an upload does the same by events alone, with no dead letter", judge.upload)
        report.check("the same assets are published", judge.assets)
        for name in TABLES:
            report.check(f"{name} has the same rows", lambda name=name: judge.rows(name))
        report.check("the current snapshots say what is in the tables", judge.snapshots)
        report.check("DuckDB reads the tables by their folders", judge.duck)
        report.check("nothing is there twice", judge.once)
        report.check("the same upload again adds nothing", judge.upload_again)
        report.check("poison ends in quarantine", judge.poison)
        report.check("`swath submit` starts a run and waits for it", judge.submit)
        report.check("`swath status` tells what is there", judge.status)
        report.check("`swath doctor` finds the deployment well", judge.doctor)
        report.check("what was given up on comes back by `swath dlq replay`", judge.given_up)
        report.check("a file that is gone is fetched again when a repair is asked for", judge.repair)
        report.check("small files are merged when maintenance is asked for", judge.maintain)
        report.check("logs lead from an area to its snapshot, and figures are filed", judge.telemetry)
        emulator_items.Uploads(judge.stack).check(report)
        report.check("a schedule plans a search", judge.schedule)
        report.check("each right that can be taken away is needed", judge.rights)
    report.finish()


if __name__ == "__main__":
    main()
