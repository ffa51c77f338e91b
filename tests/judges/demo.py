"""Runs `swath demo` twice and has PyIceberg, DuckDB and a hash of every file judge what it left. Usage: demo.py SWATH NEW_FOLDER"""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import lake
from report import Fault, Report, none_of, same


class Demo:
    """One run of the demo: its events and its summary."""

    def __init__(self, swath, out):
        done = subprocess.run(
            [swath, "demo", "--out", out, "--json"], capture_output=True, text=True, timeout=600, check=False
        )
        self.events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        summaries = [event for event in self.events if event.get("event") == "summary"]
        if done.returncode or not summaries:
            kinds = dict(Counter(event.get("event") for event in self.events))
            raise Fault(f"exit code {done.returncode}, events {kinds}; stderr: {done.stderr[-2000:]}")
        self.summary = summaries[-1]

    def __getitem__(self, figure):
        if figure not in self.summary:
            raise Fault(f"the summary has no '{figure}', only {', '.join(self.summary)}")
        return self.summary[figure]


class Judge:
    """The checks of one output folder."""

    def __init__(self, swath, out):
        self.swath, self.out = swath, Path(out).resolve()
        self.first = None

    def load(self):
        """Reads the catalog as it is now."""
        self.base = lake.find_base(self.out)
        catalog = lake.open_catalog(self.base)
        self.tables = {name: catalog.load_table(name) for name in lake.TABLES}

    def runs(self):
        self.first = Demo(self.swath, self.out)
        self.load()
        same(failed=self.first["failed"], expected=0)
        if not self.first["items"] or not self.first["good"]:
            raise Fault("the demo found or fetched nothing")
        same(good=self.first["good"], downloaded=self.first["downloaded"])
        return f"{self.first['items']} items, {self.first['good']} good assets, {self.first['rejected']} rejected"

    def items(self):
        table = self.tables[lake.ITEMS]
        rows = [(row["collection"], row["id"]) for row in lake.read(table, "collection", "id")]
        ducks = lake.iceberg_scan(lake.duck("avro", "iceberg"), table, "collection, id")
        same(pyiceberg=Counter(rows), duckdb=Counter(ducks))
        same(pyiceberg=len(rows), summary=self.first["rows"])
        found = self.first["items"] - self.first["items_rejected"]
        same(pyiceberg=len(set(rows)), summary_catalog=self.first["catalog_items"], summary_found=found)
        return f"{len(set(rows))} items in {len(rows)} rows"

    def snapshot(self):
        table = self.tables[lake.ITEMS]
        same(pyiceberg=str(table.current_snapshot().snapshot_id), summary=str(self.first["snapshot"]))
        same(pyiceberg=len(lake.data_files(table)), summary=self.first["files"])
        return f"{self.first['snapshot']} with {self.first['files']} files"

    def other_tables(self):
        connection, counts = lake.duck("avro", "iceberg"), []
        for name, columns in (
            (lake.ROWS, ("run_id", "row_id", "collection", "item_id", "asset_name", "href")),
            (lake.FILES, ("run_id", "collection", "item_id", "asset_name", "is_out_file_valid", "sha256")),
        ):
            ours = Counter(tuple(row[c] for c in columns) for row in lake.read(self.tables[name], *columns))
            ducks = Counter(lake.iceberg_scan(connection, self.tables[name], ", ".join(columns)))
            same(pyiceberg=ours, duckdb=ducks)
            counts.append(f"{sum(ours.values())} rows of {name}")
        assets = {key(row) for row in lake.read(self.tables[lake.ROWS], "collection", "item_id", "asset_name")}
        same(pyiceberg=len(assets), summary=self.first["assets"])
        return ", ".join(counts)

    def outcomes(self):
        """The last outcome of each asset."""
        last = {}
        for row in sorted(lake.read(self.tables[lake.FILES]), key=lambda row: row["last_update"]):
            last[key(row)] = row
        return last

    def valid_rows(self):
        valid = [row for row in lake.read(self.tables[lake.FILES]) if row["is_out_file_valid"]]
        none_of("valid rows without their file", (key(row) for row in valid if not self.path(row).is_file()))
        none_of("files of another size", (key(row) for row in valid if self.path(row).stat().st_size != row["out_file_sz"]))
        none_of("files of another hash", (key(row) for row in valid if sha256(self.path(row)) != row["sha256"]))
        same(pyiceberg=len({key(row) for row in valid}), summary=self.first["good"])
        return f"{len(valid)} files hashed"

    def invalid_rows(self):
        invalid = [row for row in self.outcomes().values() if not row["is_out_file_valid"]]
        for member in ("error_class", "error_code", "error"):
            none_of(f"invalid rows without {member}", (key(row) for row in invalid if not row[member]))
        none_of("invalid rows with a file", (key(row) for row in invalid if row["out_file_path"] and self.path(row).exists()))
        same(pyiceberg=len(invalid), summary=self.first["rejected"] + self.first["failed"])
        return f"{len(invalid)}: {dict(Counter(row['error_code'] for row in invalid))}"

    def no_other_file(self):
        folder = self.assets()
        files = {path.resolve() for path in folder.rglob("*") if path.is_file()}
        valid = {self.path(row).resolve() for row in self.outcomes().values() if row["is_out_file_valid"]}
        same(files=files, valid_rows=valid)
        return f"{len(files)} files below {folder.name}/"

    def second_run(self):
        before, files = self.state(), self.file_times()
        second = Demo(self.swath, self.out)
        self.load()
        same(second_run_downloads=second["downloaded"], expected=0)
        same(second_run_adds=second["rows_added"], expected=0)
        same(second_run_good=second["good"], first_run_good=self.first["good"])
        same(before=before, after=self.state())
        same(before=files, after=self.file_times())
        return f"nothing fetched, nothing added; {', '.join(f'{name} {rows}' for name, rows, _ in before)}"

    def state(self):
        """Name, rows and snapshot of each table."""
        return [
            (name, len(lake.read(table)), table.current_snapshot() and table.current_snapshot().snapshot_id)
            for name, table in self.tables.items()
        ]

    def file_times(self):
        return {(path, path.stat().st_mtime_ns) for path in self.assets().rglob("*") if path.is_file()}

    def assets(self):
        for folder in (self.out / "assets", self.base / "assets"):
            if folder.is_dir():
                return folder
        raise Fault(f"no folder assets in {self.out}")

    def path(self, row):
        """The row's file; relative paths count from the output folder."""
        return self.out / lake.local(row["out_file_path"])


def key(row):
    return (row["collection"], row["item_id"], row["asset_name"])


def sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main():
    report, judge = Report(), Judge(*sys.argv[1:3])
    report.check("the demo runs to its end", judge.runs)
    if judge.first is None or report.failed:
        report.finish()
    report.check("PyIceberg, DuckDB and the summary see the same items", judge.items)
    report.check("the summary names the current snapshot and its files", judge.snapshot)
    report.check("PyIceberg and DuckDB see the same asset rows and outcomes", judge.other_tables)
    report.check("every valid row has its file, whole to the hash", judge.valid_rows)
    report.check("every invalid row says why and has no file", judge.invalid_rows)
    report.check("no file lies among the assets without a valid row", judge.no_other_file)
    report.check("the same command again fetches and adds nothing", judge.second_run)
    report.finish()


if __name__ == "__main__":
    main()
