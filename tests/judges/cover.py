"""Asks H3's own library and EarthCatalog's partitioner whether `swath encode` files items under every cell they touch.

Usage: cover.py SWATH NEW_FOLDER ITEMS [POINTS] [RESOLUTION...]

ITEMS is NDJSON, or a folder of JSON items. POINTS (20000) are sampled for each resolution (1 and 3), half of them within
the items and half on their edges. A cell that only H3's `overlap` has, which reads cell edges as straight lines of
longitude and latitude, is counted and no fault.
"""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import h3
import numpy
import pyarrow.parquet as parquet
import shapely
from earthcatalog.grids.h3_partitioner import H3Partitioner
from report import Fault, Report, none_of, same

POINTS = 20_000
RESOLUTIONS = (1, 3)


def items_of(source):
    """Yields the items of a file of lines or of a folder."""
    if source.is_dir():
        for path in sorted(source.rglob("*.json")):
            value = json.loads(path.read_text())
            yield from value["features"] if value.get("type") == "FeatureCollection" else [value]
    else:
        with source.open() as lines:
            yield from map(json.loads, lines)


def within(piece, count, rng):
    """Samples points of a polygon, holes left out."""
    west, south, east, north = piece.bounds
    found = numpy.empty((0, 2))
    for _ in range(100):
        points = rng.uniform((west, south), (east, north), (2 * count, 2))
        found = numpy.concatenate([found, points[shapely.contains_xy(piece, points)]])
        if len(found) >= count:
            break
    return found[:count]


def on_edges(piece, count, rng):
    """Samples points of a polygon's rings, straight in longitude and latitude."""
    lines = [numpy.asarray(ring.coords)[:, :2] for ring in (piece.exterior, *piece.interiors)]
    begin, end = (numpy.concatenate([line[part] for line in lines]) for part in (slice(None, -1), slice(1, None)))
    edge = rng.integers(0, len(begin), count)
    part = rng.random((count, 1))
    return begin[edge] + part * (end[edge] - begin[edge])


class Judge:
    """The items and the cells under which each was filed."""

    def __init__(self, swath, out, source, points):
        self.swath, self.out, self.points = swath, Path(out), points
        self.out.mkdir(parents=True)
        items = [item for item in items_of(Path(source)) if item.get("type") == "Feature" and item.get("geometry")]
        self.shapes = [shapely.from_geojson(json.dumps(item["geometry"])) for item in items]
        self.file = self.out / "items.ndjson"
        with self.file.open("w") as lines:
            for number, item in enumerate(items):
                lines.write(json.dumps({**item, "id": str(number)}) + "\n")

    def filed(self, resolution):
        """Returns the cells of each item."""
        folder = self.out / f"r{resolution}"
        command = [self.swath, "encode", str(self.file), "--out", str(folder), "--grid", f"h3:{resolution}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Fault(f"exit code {done.returncode}: {done.stderr[-500:]}")
        cells = defaultdict(set)
        for path in folder.rglob("*.parquet"):
            rows = parquet.read_table(path, columns=["id", "grid_partition"], partitioning=None).to_pydict()
            for name, cell in zip(rows["id"], rows["grid_partition"], strict=True):
                cells[int(name)].add(cell)
        same(items=set(range(len(self.shapes))), filed=set(cells))
        return cells

    def resolution(self, resolution):
        cells, rng = self.filed(resolution), numpy.random.default_rng(resolution)
        each = -(-self.points // (2 * len(self.shapes)))
        missing, sampled, theirs, edges_only = [], 0, 0, 0
        partitioner = H3Partitioner(resolution=resolution)
        for number, shape in enumerate(self.shapes):
            for piece in (part for part in getattr(shape, "geoms", [shape]) if part.geom_type == "Polygon"):
                points = numpy.concatenate([within(piece, each, rng), on_edges(piece, each, rng)])
                found = {h3.latlng_to_cell(y, x, resolution) for x, y in points.tolist()}
                missing += [(number, cell) for cell in found - cells[number]]
                sampled += len(points)
                overlap = set(h3.h3shape_to_cells_experimental(h3.geo_to_h3shape(piece), resolution, contain="overlap"))
                edges_only += len(overlap - cells[number])
            if shape.geom_type in ("Point", "Polygon"):
                keys = set(partitioner.get_intersecting_keys(shapely.to_wkb(shape)))
                missing += [(number, cell) for cell in keys - cells[number]]
                theirs += len(keys)
        none_of(f"cells missing at r{resolution}", missing)
        total = sum(map(len, cells.values()))
        return f"{sampled} points and {theirs} keys of EarthCatalog lie in {total} cells of {len(self.shapes)} items; {edges_only} of overlap alone"


def main():
    swath, out, source, *rest = sys.argv[1:]
    points = int(rest[0]) if rest else POINTS
    judge, report = Judge(swath, out, source, points), Report()
    for resolution in map(int, rest[1:] or RESOLUTIONS):
        report.check(f"no cell is missing at r{resolution}", lambda r=resolution: judge.resolution(r))
    report.finish()


if __name__ == "__main__":
    main()
