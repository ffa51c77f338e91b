"""Has rasterio (GDAL) and pystac judge the items that `swath itemize` makes of rasters' headers.

Usage: itemize.py SWATH NEW_FOLDER [REAL_DATA]
"""

import json
import math
import subprocess
import sys
import threading
import warnings
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pystac
import rasterio
import shapely
from affine import Affine
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import transform as warp
from report import Fault, Report, same

warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

# A few centimetres: what two ways of the same datum shift may differ by, and half of the least significant digits.
DEGREES = 1e-6

# Name, system, transform, size, and what else the file has.
MADE = [
    ("utm33", "EPSG:32633", Affine(10, 0, 399960, 0, -10, 5800020), (300, 200), {"tiled": True, "compress": "deflate"}),
    ("utm33_large", "EPSG:32633", Affine(1000, 0, 399960, 0, -1000, 5800020), (110, 110), {"BIGTIFF": "YES"}),
    ("utm60_south", "EPSG:32760", Affine(500, 0, 600000, 0, -500, 8200000), (300, 300), {}),
    ("utm1", "EPSG:32601", Affine(500, 0, 200000, 0, -500, 7200000), (300, 300), {"ENDIANNESS": "BIG"}),
    ("geographic", "EPSG:4326", Affine(0.25, 0, -12.5, 0, -0.25, 61.75), (40, 30), {}),
    ("globe", "EPSG:4326", Affine(0.5, 0, -180, 0, -0.5, 90), (720, 360), {"tiled": True}),
    ("pacific", "EPSG:4326", Affine(0.5, 0, 0, 0, -0.5, 90), (720, 360), {}),
    ("across", "EPSG:4326", Affine(0.1, 0, 175, 0, -0.1, -10), (100, 50), {}),
    ("nad83", "EPSG:4269", Affine(0.01, 0, -105, 0, -0.01, 40), (100, 100), {}),
    ("etrs_laea", "EPSG:3035", Affine(100, 0, 4321000, 0, -100, 3210000), (500, 400), {}),
    ("conus_albers", "EPSG:5070", Affine(30, 0, -500000, 0, -30, 1800000), (3000, 2000), {}),
    ("lambert93", "EPSG:2154", Affine(50, 0, 700000, 0, -50, 6600000), (200, 300), {}),
    ("web_mercator", "EPSG:3857", Affine(1000, 0, 1e6, 0, -1000, 6e6), (200, 300), {}),
    ("feet", "EPSG:2263", Affine(100, 0, 900000, 0, -100, 250000), (200, 300), {}),
    ("arctic", "EPSG:3413", Affine(25000, 0, -3850000, 0, -25000, 5850000), (304, 448), {}),
    ("greenland", "EPSG:3413", Affine(1000, 0, -600000, 0, -1000, -700000), (900, 1200), {}),
    ("antarctic", "EPSG:3031", Affine(25000, 0, -3950000, 0, -25000, 4350000), (316, 332), {}),
    ("rotated", "EPSG:32633", Affine.translation(500000, 5000000) @ Affine.rotation(30) @ Affine.scale(20, -20), (120, 80), {}),
    ("sinusoidal", "+proj=sinu +lon_0=0 +R=6371007.181 +units=m", Affine(463.3127, 0, 1111950.52, 0, -463.3127, 5559752.6), (240, 240), {}),
    ("own_laea", "+proj=laea +lat_0=52 +lon_0=10 +x_0=100000 +y_0=200000 +datum=WGS84 +units=m", Affine(100, 0, 0, 0, -100, 300000), (200, 300), {}),
]
TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "complex64", "complex128"]
STAC_TYPES = {"complex64": "cfloat32", "complex128": "cfloat64", "complex_int16": "cint16"}


def make(folder):
    """Writes rasters of many systems, types and layouts; their pixels do not matter."""
    folder.mkdir(parents=True)
    for name, crs, transform, size, options in MADE:
        write(folder / f"{name}.tif", size, crs=crs, transform=transform, **options)
    for index, kind in enumerate(TYPES):
        nodata = [None, 0, math.nan, -9999][index % 4] if kind.startswith("float") else [None, 0, 7][index % 3]
        write(folder / f"type_{kind}.tif", (20, 10), count=1 + index % 4, dtype=kind, nodata=nodata, crs="EPSG:4326", transform=Affine(1, 0, 0, 0, -1, 10))
    with write(folder / "scaled.tif", (30, 20), count=2, dtype="int16", crs="EPSG:32633", transform=Affine(10, 0, 5e5, 0, -10, 5e6), keep=True) as made:
        made.scales, made.offsets, made.descriptions, made.units = (0.0001, 2.5), (-0.1, 0.0), ("red <0.6 µm>", "nir & more"), ("1", "K")
        made.update_tags(TIFFTAG_DATETIME="2023:04:05 06:07:08")
    with write(folder / "point.tif", (30, 20), crs="EPSG:4326", transform=Affine(0.1, 0, 10, 0, -0.1, 50), keep=True) as made:
        made.update_tags(AREA_OR_POINT="Point")
    points = [GroundControlPoint(0, 0, 10, 50), GroundControlPoint(0, 30, 11, 50), GroundControlPoint(20, 0, 10, 49)]
    write(folder / "control_points.tif", (30, 20), gcps=points, crs="EPSG:4326")
    write(folder / "nowhere.tif", (30, 20))


def write(path, size, keep=False, count=1, dtype="uint8", **options):
    made = rasterio.open(path, "w", driver="GTiff", width=size[0], height=size[1], count=count, dtype=dtype, **options)
    if keep:
        return made
    made.close()
    return None


def close(what, ours, theirs, within):
    if len(ours) != len(theirs) or any(not math.isclose(a, b, rel_tol=1e-12, abs_tol=within) for a, b in zip(ours, theirs, strict=True)):
        raise Fault(f"{what}: {list(ours)}, rasterio says {list(theirs)}")


def edge(source):
    """The outline of a raster in its own coordinates, densely."""
    columns, rows = np.linspace(0, source.width, 45), np.linspace(0, source.height, 45)
    ends = [(columns, 0 * columns), (0 * rows + source.width, rows), (columns, 0 * columns + source.height), (0 * rows, rows)]
    return [source.transform * (c, r) for pair in ends for c, r in zip(*pair, strict=True)]


def described(item, source):
    """Compares what the header says: shape, bands, place in the file's own system."""
    properties, asset = item["properties"], item["assets"]["data"]
    same(rasterio=[source.height, source.width], swath=properties["proj:shape"])
    bands = asset["bands"]
    same(rasterio=source.count, swath=len(bands))
    for index, band in enumerate(bands):
        kind = source.dtypes[index]
        # GDAL widens the half floats and odd depths that have no type of its own.
        if band["data_type"] not in ("float16", "other"):
            same(rasterio=STAC_TYPES.get(kind, kind), swath=band["data_type"])
        nodata, ours = source.nodatavals[index], band.get("nodata")
        ours = float(ours) if ours is not None else None
        if (nodata is None) != (ours is None) or (nodata is not None and not (nodata == ours or (math.isnan(nodata) and math.isnan(ours)))):
            raise Fault(f"nodata {ours}, rasterio says {nodata}")
        same(rasterio=(source.scales[index], source.offsets[index]), swath=(band.get("raster:scale", 1.0), band.get("raster:offset", 0.0)))
        if source.descriptions[index]:
            same(rasterio=source.descriptions[index], swath=band["name"])
        if source.units[index]:
            same(rasterio=source.units[index], swath=band["unit"])
    placed = source.transform != Affine.identity()
    same(rasterio=placed, swath="proj:transform" in properties)
    if placed:
        close("proj:transform", properties["proj:transform"], list(source.transform)[:6], 1e-9)
        x, y = zip(*edge(source), strict=True)
        close("proj:bbox", properties["proj:bbox"], [min(x), min(y), max(x), max(y)], 1e-6)


def placed(item, source):
    """Compares the footprint: every corner and edge that GDAL takes to WGS 84 lies on ours, and within our box."""
    if source.crs is None or source.transform == Affine.identity():
        same(rasterio=None, swath=item["geometry"])
        if "bbox" in item or not item["properties"].get("swath:notes"):
            raise Fault("a raster without a place has a box, or does not say why it has no footprint")
        return
    if source.crs.is_projected or source.crs.is_geographic:
        epsg = source.crs.to_epsg()
        ours = item["properties"]["proj:code"]
        if ours is not None or not item["properties"].get("swath:notes"):
            same(rasterio=f"EPSG:{epsg}", swath=ours)
    x, y = zip(*edge(source), strict=True)
    lons, lats = warp(source.crs, "EPSG:4326", x, y)
    shape = shapely.from_geojson(json.dumps(item["geometry"]))
    if not shape.is_valid:
        raise Fault(f"the footprint is not valid: {shapely.is_valid_reason(shape)}")
    west, south, east, north = item["bbox"]
    # Thinned edges may miss a point by a quarter of a pixel, which is seen where pixels are large.
    pixel = max(abs(value) for value in (source.transform.a, source.transform.b, source.transform.d, source.transform.e))
    slack = DEGREES + (0 if source.crs.is_geographic else pixel / 4 / 111000)
    for lon, lat in zip(lons, lats, strict=True):
        lon = (lon + 180) % 360 - 180 if abs(lon) > 180 else lon
        inside = (west - slack <= lon <= east + slack) if west <= east else (lon >= west - slack or lon <= east + slack)
        if not inside or not south - slack <= lat <= north + slack:
            raise Fault(f"{lon}, {lat} lies outside of the box {item['bbox']}")
        spots = shapely.multipoints([(lon, lat), (lon + 360, lat), (lon - 360, lat)])
        if shape.distance(spots) > slack * 4 / max(math.cos(math.radians(lat)), 0.01) and abs(lat) < 89:
            raise Fault(f"{lon}, {lat} is {shape.distance(spots)} degrees off the footprint")
    if not any(word in source.name for word in ("arctic", "antarctic")) and west <= east:
        close("bbox", [west, south, east, north], [min(lons), min(lats), max(lons), max(lats)] if max(lons) <= 180 else item["bbox"], slack)


class Judge:
    """The checks of one folder of rasters."""

    def __init__(self, swath, out, data):
        self.swath, self.out, self.data = swath, Path(out), data and Path(data) / "tiff"
        self.made = self.out / "made"
        make(self.made)

    def itemize(self, *arguments, codes=(0,)):
        done = subprocess.run([self.swath, "itemize", *map(str, arguments), "--json"], capture_output=True, text=True, timeout=600, check=False)
        if done.returncode not in codes:
            raise Fault(f"exit code {done.returncode}: {done.stderr[-500:]}")
        return json.loads(done.stderr)

    def items(self, name, *arguments, codes=(0,)):
        to = self.out / name
        report = self.itemize(*arguments, "--to", to, codes=codes)
        items = [json.loads(line) for line in to.read_text().splitlines()]
        same(said=report["items"], written=len(items))
        return items, report

    def generated(self):
        items, _ = self.items("made.ndjson", self.made, "--datetime", "2024-01-02T00:00:00Z", "--collection", "made")
        same(files=len(list(self.made.glob("*.tif"))), items=len(items))
        for item in items:
            with rasterio.open(item["assets"]["data"]["href"].removeprefix("file://")) as source:
                try:
                    described(item, source)
                    placed(item, source)
                except Fault as fault:
                    raise Fault(f"{item['id']}: {fault}") from fault
        return f"{len(items)} files of {len(MADE)} systems and {len(TYPES)} types"

    def valid(self):
        validator, items = JsonSchemaSTACValidator(), (self.out / "made.ndjson").read_text().splitlines()
        for line in items:
            item = json.loads(line)
            validator.validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
            read = pystac.Item.from_dict(item)
            same(size=Path(read.assets["data"].href.removeprefix("file://")).stat().st_size, said=read.assets["data"].extra_fields["file:size"])
        return f"{len(items)} items keep the core schema of STAC 1.1"

    def moments(self):
        folder = self.out / "moments"
        folder.mkdir()
        for name in ("S2A_20240102T030405_B04", "A2021032_h10", "plain"):
            write(folder / f"{name}.tif", (20, 10))
        items, report = self.items("moments.ndjson", folder, self.made / "scaled.tif", codes=(7,))
        found = {item["id"]: item["properties"]["datetime"] for item in items}
        same(expected={"S2A_20240102T030405_B04": "2024-01-02T03:04:05Z", "scaled": "2023-04-05T06:07:08Z"}, found=found)
        same(expected=["datetime_unknown"] * 2, rejected=[one["code"] for one in report["rejected"]])
        items, _ = self.items("patterned.ndjson", folder / "A2021032_h10.tif", "--name-pattern", "A{YYYY}{DDD}_*")
        same(expected="2021-02-01T00:00:00Z", found=items[0]["properties"]["datetime"])
        return "of a tag, a name and a pattern; two files without one are named"

    def ranges(self):
        """Items over HTTP are those of the disk, and cost a few small ranges."""
        local, _ = self.items("local.ndjson", self.made / "utm33.tif", "--datetime", "2024-01-02T00:00:00Z")
        served = []

        class Ranges(SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                body = Path(self.directory, self.path.strip("/")).read_bytes()
                first, last = (int(end) for end in self.headers["Range"].removeprefix("bytes=").split("-"))
                last = min(last, len(body) - 1)
                served.append(last + 1 - first)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
                self.send_header("Content-Length", str(last + 1 - first))
                self.send_header("ETag", '"1"')
                self.end_headers()
                self.wfile.write(body[first : last + 1])

        handler = lambda *rest: Ranges(*rest, directory=str(self.made))  # noqa: E731
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}/utm33.tif"
            remote, report = self.items("remote.ndjson", url, "--datetime", "2024-01-02T00:00:00Z")
            server.shutdown()
        remote[0]["assets"]["data"]["href"] = local[0]["assets"]["data"]["href"]
        same(disk=local[0], http=remote[0])
        if sum(served) > 100_000 or report["ranges"] > 3:
            raise Fault(f"{len(served)} ranges of {sum(served)} bytes for one header")
        return f"{len(served)} ranges, {sum(served)} bytes"

    def real(self):
        items, report = self.items("real.ndjson", self.data, "--datetime", "2024-01-02T00:00:00Z", "--id", "path", codes=(0, 7))
        for item in items:
            path = item["assets"]["data"]["href"].removeprefix("file://")
            try:
                source = rasterio.open(path)
            except rasterio.errors.RasterioIOError:
                # Readers without the codec cannot open it; its header can still be read.
                continue
            with source:
                try:
                    same(rasterio=[source.height, source.width], swath=item["properties"]["proj:shape"])
                    placed(item, source)
                except Fault as fault:
                    raise Fault(f"{item['id']}: {fault}") from fault
        for one in report["rejected"]:
            try:
                rasterio.open(one["source"].removeprefix("file://")).close()
            except rasterio.errors.RasterioIOError:
                continue
            raise Fault(f"{one['source']} opens, but: {one['reason']}")
        return f"{len(items)} real files, {len(report['rejected'])} that GDAL cannot open either"


def main():
    swath, out, *data = sys.argv[1:]
    judge, report = Judge(swath, out, data[0] if data else None), Report()
    report.check("rasterio finds the same in the headers", judge.generated)
    report.check("pystac finds the items valid", judge.valid)
    report.check("the datetime is found where it is, and not made up", judge.moments)
    report.check("a header over HTTP costs a few ranges", judge.ranges)
    if data:
        report.check("rasterio finds the same in real files", judge.real)
    report.finish()


if __name__ == "__main__":
    main()
