"""Runs the chain over real items, areas and rasters, and has pystac-client and PyIceberg judge it.

Usage: real_input.py SWATH NEW_FOLDER REAL_DATA
"""

import csv
import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import lake
from pystac_client import Client
from report import Report, none_of, same

# `swath --help`: done, and done with some items or assets named as failed.
DONE, PARTIAL = 0, 7


@contextmanager
def serving(swath, *arguments):
    """Serves items with swath's own small STAC API; yields what it says of itself."""
    server = subprocess.Popen([swath, "serve-items", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(server.stdout.readline())
    finally:
        server.terminate()
        server.wait(timeout=10)


class Judge:
    """The checks of one run over real data."""

    def __init__(self, swath, out, data):
        self.swath, self.out, self.data = swath, Path(out).resolve(), Path(data)
        self.areas = self.data / "aoi" / "countries.geojson"
        self.events, self.summary = [], {}

    def runs(self, url):
        done = subprocess.run(
            [self.swath, "run", "--aois", self.areas, "--catalog", url, "--out", self.out, "--json", "--limit", "7"],
            capture_output=True, text=True, timeout=600, check=False,
        )
        self.events = [json.loads(line) for line in done.stdout.splitlines()]
        self.summary = next((event for event in self.events if event["event"] == "summary"), {})
        if done.returncode not in (DONE, PARTIAL) or not self.summary:
            raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-2000:]}")
        self.catalog = lake.open_catalog(lake.find_base(self.out))
        return f"{self.summary['areas']} areas, {self.summary['items']} items, {self.summary['assets']} assets"

    def items(self, url):
        expected = pystac_finds(url, self.areas)
        table = self.catalog.load_table(lake.ITEMS)
        rows = [(row["collection"], row["id"]) for row in lake.read(table, "collection", "id")]
        named = {(e["collection"], e["item_id"]) for e in self.events if e["event"] == "item_rejected"}
        none_of("items both catalogued and rejected", named & set(rows))
        same(pystac_client=expected, pyiceberg_or_named=set(rows) | named)
        same(pystac_client=len(expected), summary=self.summary["items"])
        return f"{len(set(rows))} items in {len(rows)} rows, {len(named)} named as not taken"

    def rasters(self):
        """Each asset's outcome is what other readers make of the raster it was pointed at."""
        with (self.data / "tiff" / "VERDICTS.tsv").open(encoding="utf-8", newline="") as file:
            verdicts = {Path(row["file"]).name: row["verdict"] for row in csv.DictReader(file, delimiter="\t")}
        wrong, judged = [], 0
        for row in lake.read(self.catalog.load_table(lake.FILES)):
            verdict = verdicts.get(row["source_href"].rsplit("/", 1)[-1])
            if verdict in ("good", "bad"):
                judged += 1
                if row["is_out_file_valid"] != (verdict == "good"):
                    wrong.append((row["source_href"], verdict, row["error"]))
        none_of("assets with another verdict", wrong)
        same(judged_any=judged > 0, expected=True)
        return f"{judged} assets"


def pystac_finds(url, areas):
    """The distinct (collection, id) that pystac-client finds for the areas."""
    client = Client.open(url)
    found = set()
    for feature in json.loads(areas.read_text(encoding="utf-8"))["features"]:
        for item in client.search(intersects=feature["geometry"], limit=50).items_as_dicts():
            found.add((item.get("collection"), item["id"]))
    return found


def main():
    swath, out, data = sys.argv[1:4]
    report, judge = Report(), Judge(swath, out, data)
    folders = [Path(data) / "stac", "--rasters", Path(data) / "tiff"]
    with serving(swath, *folders) as served:
        report.check("real items, areas and rasters go through the chain", lambda: judge.runs(served["url"]))
        if report.failed:
            report.finish()
        report.check("the catalog has what pystac-client finds", lambda: judge.items(served["url"]))
        report.check("good rasters are published, bad ones refused", judge.rasters)
    report.finish()


if __name__ == "__main__":
    main()
