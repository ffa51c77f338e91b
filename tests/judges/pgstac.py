"""Has `swath search` and pystac-client search the same real pgSTAC, and shapely say what is right. Usage: pgstac.py SWATH URL

tests/pgstac/run starts the server at URL, filled by pgstac_world.py.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import pgstac_world
import shapely
from pystac_client import Client
from report import Fault, Report, same
from shapely.geometry import box, mapping, shape

# Boxes in longitudes that may run past 180, so that what they mean is plain.
BOXES = {
    "plain": (5, 40, 15, 50),
    "on whole degrees": (177, -3, 179, -1),
    "across, from the west": (170, -50, 190, 70),
    "across, on whole degrees": (178, 0, 182, 6),
    "beyond the map": (185, 10, 196, 30),
    "wide": (-60, -30, 100, 30),
    "narrow at the seam": (179.5, -80, 180.5, 80),
    "touching the seam from the west": (175, -20, 180, 20),
    "touching the seam from the east": (-180, -20, -175, 20),
}

TIMES = (
    "2020", "2020-06", "2020-06-14", "2019/2020", "2019-05/2020-02-03", "2021/..", "../2019-06",
    "2020-06-14T05:00:00Z/2021-01-01T00:00:00Z", "2019-12-31T23:00:00-01:00/2020",
)


def unrolled(bounds):
    """A box as files spell it: each longitude between -180 and 180, the ring jumping at the seam."""
    west, south, east, north = bounds
    wrap = lambda lon: lon - 360 if lon > 180 else lon  # noqa: E731
    ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    if east - west >= 180:
        middle = (west + east) / 2
        ring = [(west, south), (middle, south), (east, south), (east, north), (middle, north), (west, north), (west, south)]
    return {"type": "Polygon", "coordinates": [[[wrap(lon), lat] for lon, lat in ring]]}


def on_map(geometry):
    """A shape in longitudes that may run past ±180, cut and moved onto the map."""
    parts = []
    for turn in (-360, 0, 360):
        moved = shapely.affinity.translate(geometry, xoff=-turn)
        parts.append(shapely.intersection(moved, box(-180, -90, 180, 90)))
    return shapely.union_all([part for part in parts if part.area > 0])


def polar(latitude):
    """A ring round a pole, and what it means on the map."""
    ring = [[lon, latitude] for lon in range(-180, 180, 30)]
    if latitude < 0:
        ring.reverse()
    ring.append(ring[0])
    cap = box(-180, latitude, 180, 90) if latitude > 0 else box(-180, -90, 180, latitude)
    return {"type": "Polygon", "coordinates": [ring]}, cap


def areas():
    """Name, GeoJSON as it is handed in, what it means on the map, and whether it is split already."""
    for name, bounds in BOXES.items():
        crosses = bounds[2] > 180
        yield name, unrolled(bounds), on_map(box(*bounds)), not crosses
        if crosses:
            yield f"{name}, longitudes past 180", mapping(box(*bounds)), on_map(box(*bounds)), False
            yield f"{name}, split already", mapping(on_map(box(*bounds))), on_map(box(*bounds)), True
    for latitude in (82, -84):
        ring, cap = polar(latitude)
        yield f"round the pole at {latitude}", ring, cap, False
    holed = box(-30, -30, 30, 30).difference(box(-20, -20, 20, 20))
    yield "with a hole", mapping(holed), holed, True
    # Wound as RFC 7946 asks for: the winding tells a box across the antimeridian from the one as written.
    seam = shapely.geometry.polygon.orient(box(160, -40, 200, 40).difference(box(170, -30, 190, 30)))
    rings = [unrolled_ring(seam.exterior.coords), unrolled_ring(seam.interiors[0].coords)]
    yield "with a hole across the seam", {"type": "Polygon", "coordinates": rings}, on_map(seam), False
    many = shapely.union_all([box(n, n / 2, n + 3, n / 2 + 3) for n in range(-100, 100, 20)])
    yield "of many parts", mapping(many), many, True
    line = shapely.LineString([(-10, -50), (10, 50)])
    yield "a line", mapping(line), line, True
    yield "a point", mapping(shapely.Point(178, -2)), shapely.Point(178, -2), True
    triangle = {"type": "Polygon", "coordinates": [[[0, 0], [20, 0], [10, 20]]]}
    yield "an open ring", triangle, shape({**triangle, "coordinates": [[*triangle["coordinates"][0], [0, 0]]]}), False
    countries = pgstac_world.real_data() / "aoi" / "countries.geojson"
    if countries.is_file():
        for feature in json.loads(countries.read_text(encoding="utf-8"))["features"]:
            name = feature["properties"].get("NAME") or feature["properties"].get("name") or "country"
            yield f"country {name}", feature["geometry"], shape(feature["geometry"]), True


def unrolled_ring(coords):
    return [[lon - 360 if lon > 180 else lon, lat] for lon, lat in coords]


class Judge:
    """The checks of one server."""

    def __init__(self, swath, url, items, scratch):
        self.swath, self.url, self.items, self.scratch = swath, url, items, Path(scratch)
        self.client = Client.open(url)
        self.shapes = {key: shape(item["geometry"]) for key, item in items.items()}
        self.sound = {key for key, own in self.shapes.items() if own.is_valid}
        self.areas = list(areas())

    def run(self, *arguments, to="items.ndjson", codes=(0,)):
        """Runs `swath search` and returns what it wrote, line by line."""
        path = self.scratch / to
        path.unlink(missing_ok=True)
        command = [self.swath, "search", self.url, "--to", path, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode not in codes:
            raise Fault(f"exit code {done.returncode} of {' '.join(map(str, arguments))}: {done.stderr[-1500:]}")
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def found(self, *arguments, codes=(0, 5)):
        """The items that `swath search` finds, each once."""
        names = [(item["collection"], item["id"]) for item in self.run(*arguments, codes=codes)]
        same(found=len(names), distinct=len(set(names)))
        return set(names)

    def theirs(self, **asked):
        return {(item["collection"], item["id"]) for item in self.client.search(limit=500, **asked).items_as_dicts()}

    def file(self, chosen):
        path = self.scratch / "areas.geojson"
        features = [
            {"type": "Feature", "id": name, "properties": {"n": n, "half": n / 2}, "geometry": given}
            for n, (name, given, *_) in enumerate(chosen)
        ]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
        return path

    def rows(self, chosen, *arguments):
        """Item and asset rows by area."""
        found = defaultdict(Counter)
        for row in self.run("--aois", self.file(chosen), *arguments, to="rows.ndjson"):
            found[row["row_id"]][row["collection"], row["item_id"], row["asset_name"]] += 1
        return found

    def everything(self):
        same(swath=self.found("--limit", 250), loaded=set(self.items))
        return f"{len(self.items)} items, each once"

    def split_already(self):
        """What pystac-client finds, row by row, for areas that are split already."""
        chosen = [area for area in self.areas if area[3]]
        found, rows = self.rows(chosen), 0
        for name, given, *_ in chosen:
            expected = Counter(
                (item["collection"], item["id"], asset)
                for item in self.client.search(intersects=given, limit=500).items_as_dicts()
                for asset in item["assets"]
            )
            same(pystac_client=expected, **{"swath": found[name]})
            rows += sum(expected.values())
        return f"{len(chosen)} areas, {rows} rows"

    def by_shapely(self):
        """What shapely finds, for every area and every item of a valid shape."""
        found, pairs = self.rows(self.areas), 0
        for name, _, meant, _ in self.areas:
            expected = {key for key in self.sound if self.shapes[key].intersects(meant)}
            ours = {(collection, item) for collection, item, _ in found[name]} & self.sound
            if ours != expected:
                try:
                    same(shapely=expected, swath=ours)
                except Fault as fault:
                    raise Fault(f"{name}: {fault}") from None
            pairs += len(expected)
        crossing = sum(not split for *_, split in self.areas)
        return f"{len(self.areas)} areas, {crossing} of them not split, {pairs} pairs of area and item"

    def crossing_box(self):
        asked = (170, -50, -170, 70)
        expected = {key for key in self.sound if self.shapes[key].intersects(on_map(box(170, -50, 190, 70)))}
        ours = self.found("--bbox", ",".join(map(str, asked))) & self.sound
        same(shapely=expected, swath=ours)
        naive = self.theirs(bbox=list(asked)) & self.sound
        return f"{len(ours)} items; the same numbers sent as they stand get {len(naive)}, {len(naive & ours)} of them right"

    def times(self):
        for time in TIMES:
            same(pystac_client=self.theirs(datetime=time), swath=self.found("--datetime", time))
        return f"{len(TIMES)} spellings"

    def words(self):
        """Ids, collections, query, filters in both languages, alone and together."""
        some = [item for _, item in list(self.items)[:3]]
        cloudy = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}
        for flags, asked in (
            (("--ids", ",".join(some)), {"ids": some}),
            (("--collections", pgstac_world.MADE), {"collections": [pgstac_world.MADE]}),
            (("--query", json.dumps({"eo:cloud_cover": {"lt": 20}})), {"query": {"eo:cloud_cover": {"lt": 20}}}),
            (("--filter", json.dumps(cloudy)), {"filter": cloudy}),
            (("--filter", "eo:cloud_cover < 20 AND id LIKE 'tile-0%'"), {"filter": {"op": "and", "args": [
                cloudy, {"op": "like", "args": [{"property": "id"}, "tile-0%"]}]}}),
            (("--filter", json.dumps(cloudy), "--datetime", "2020", "--bbox", "-180,-90,0,90"),
             {"filter": cloudy, "datetime": "2020", "bbox": [-180, -90, 0, 90]}),
        ):
            expected = self.theirs(**asked)
            if not expected:
                raise Fault(f"nothing matches {asked}")
            same(pystac_client=expected, **{"swath": self.found(*flags)})
        return "6 searches"

    def order_and_parts(self):
        flags = ("--collections", pgstac_world.MADE, "--sortby", "-properties.datetime,id")
        asked = {"collections": [pgstac_world.MADE], "sortby": "-properties.datetime,+id"}
        ours = [item["id"] for item in self.run(*flags, "--limit", 100)]
        same(pystac_client=[item["id"] for item in self.client.search(limit=100, **asked).items_as_dicts()], swath=ours)
        same(swath=[item["id"] for item in self.run(*flags, "--max-items", 7)], begin=ours[:7])
        rows = self.run(*flags, "--fields", "id,properties.datetime", "--max-items", 3, "--assets", "role:data", to="rows.ndjson")
        same(rows=[(row["item_id"], row["asset_name"]) for row in rows], expected=[(item, "data") for item in ours[:3]])
        return f"{len(ours)} items in order, the first 7 of them, 3 parts"

    def byte_for_byte(self):
        """Items are those that pystac-client gets."""
        ours = {(item["collection"], item["id"]): item for item in self.run("--collections", pgstac_world.MADE)}
        for item in self.client.search(collections=[pgstac_world.MADE], limit=500).items_as_dicts():
            if ours[item["collection"], item["id"]] != item:
                raise Fault(f"{item['id']} differs")
        return f"{len(ours)} items"

    def sick_neighbour(self):
        """An area that makes the server fail is named, and its neighbours are found."""
        bow = {"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]}
        flat = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]}
        chosen = [self.areas[0], ("bow tie", bow, None, True), ("flat", flat, None, True), self.areas[1]]
        manifest = self.scratch / "manifest.json"
        self.run("--aois", self.file(chosen), "--manifest", manifest, to="rows.ndjson", codes=(7,))
        told = json.loads(manifest.read_text(encoding="utf-8"))
        status = {area["row_id"]: area["status"] for area in told["statuses"]}
        same(rejected=[row["row_number"] for row in told["rejected"]], expected=[2])
        for name in (self.areas[0][0], self.areas[1][0]):
            same(status=status[name], expected="ok")
        return f"the bow tie: {status['bow tie']}"

    def manifests(self):
        """The same search twice gives the same digest, and a dry run says what it will be."""
        told = []
        for _ in range(2):
            path = self.scratch / "manifest.json"
            self.run("--aois", self.file(self.areas[:6]), "--manifest", path, to="rows.ndjson")
            told.append(json.loads(path.read_text(encoding="utf-8")))
        same(first=told[0]["digest"], second=told[1]["digest"])
        same(first=told[0]["run_id"], second=told[1]["run_id"])
        dry = subprocess.run(
            [self.swath, "search", self.url, "--aois", self.file(self.areas[:6]), "--dry-run"],
            capture_output=True, text=True, timeout=900, check=True,
        )
        guess = json.loads(dry.stdout)
        same(dry_run=guess["items"], searched=sum(area["items"] for area in told[0]["statuses"]))
        same(dry_run=guess["requests"], searched=sum(area["pages"] for area in told[0]["statuses"]))
        return f"{guess['requests']} requests, {guess['items']} items, digest {told[0]['digest'][:8]}"

    def coalesced(self):
        """Areas that lie together, asked for together and one by one."""
        rows = []
        for choice in ("yes", "no"):
            found = self.run("--aois", self.file(self.areas), "--coalesce", choice, to="rows.ndjson")
            for row in found:
                row.pop("run_id")
            rows.append(Counter(json.dumps(row, sort_keys=True) for row in found))
        same(one_by_one=rows[1], together=rows[0])
        return f"{sum(rows[0].values())} rows of {len(self.areas)} areas"


CHECKS = (
    ("everything is found, each item once", "everything"),
    ("rows are pystac-client's for areas that are split already", "split_already"),
    ("rows are shapely's for areas across the seam, round the poles, with holes", "by_shapely"),
    ("a box across the antimeridian finds what lies in it", "crossing_box"),
    ("dates mean what pystac-client makes of them", "times"),
    ("ids, collections, queries and filters find what pystac-client finds", "words"),
    ("order, caps and parts of items are as asked", "order_and_parts"),
    ("items are as pystac-client gets them", "byte_for_byte"),
    ("an area that the server cannot bear sinks no other", "sick_neighbour"),
    ("a search can be told beforehand and asked for again", "manifests"),
    ("areas asked for together get the rows of areas asked for one by one", "coalesced"),
)


def main():
    swath, url = sys.argv[1:]
    report = Report()
    with tempfile.TemporaryDirectory() as scratch:
        judge = Judge(swath, url, pgstac_world.items(), scratch)
        for name, check in CHECKS:
            report.check(name, getattr(judge, check))
    report.finish()


if __name__ == "__main__":
    main()
