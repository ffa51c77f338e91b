"""Runs `swath search` beside a pystac-client loop on one pgSTAC, in turns, and prints ratios. Usage: search.py SWATH URL [AREAS]

Both make one row per area, item and asset for the same areas; rows are compared before figures are printed. CPU seconds
are those of the client's process alone, user and system; the server's are not counted.

`search.py --world FOLDER` writes what tests/pgstac/start fills such a pgSTAC with: 60 scenes over each of the areas' towns.

`search.py SWATH --matches N [N...]` measures peak memory while a server of its own answers one search with N items.
"""

import json
import random
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

LOOP = """
import json, sys
from pystac_client import Client
client, rows = Client.open(sys.argv[1]), 0
with open(sys.argv[3], "w") as out:
    for feature in json.load(open(sys.argv[2]))["features"]:
        for item in client.search(intersects=feature["geometry"], limit=100).items():
            for name, asset in item.assets.items():
                row = {"row_id": feature["id"], "item_id": item.id, "asset_name": name, "href": asset.href,
                       "date": item.properties.get("datetime"), "item_bbox": item.bbox, "item_properties": item.properties}
                out.write(json.dumps(row) + "\\n")
"""
PAGE = 1000


def towns():
    rng = random.Random(11)
    return [(rng.uniform(-170, 170), rng.uniform(-60, 60)) for _ in range(20)], rng


def world(folder):
    """Scenes of a degree over the towns, with twelve assets and properties as Sentinel-2's."""
    places, rng = towns()
    collection = {
        "type": "Collection", "id": "towns", "stac_version": "1.0.0", "description": "towns", "license": "other", "links": [],
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2000-01-01T00:00:00Z", None]]}},
    }
    (Path(folder) / "collections.ndjson").write_text(json.dumps(collection) + "\n", encoding="utf-8")
    with open(Path(folder) / "items.ndjson", "w", encoding="utf-8") as out:
        for place, number in ((place, number) for place in range(len(places)) for number in range(60)):
            west, south = (at + rng.uniform(-1.5, 0.5) for at in places[place])
            ring = [[west, south], [west + 1, south], [west + 1, south + 1], [west, south + 1], [west, south]]
            name = f"town-{place:02}-{number:03}"
            out.write(json.dumps({
                "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "towns", "links": [],
                "geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": [west, south, west + 1, south + 1],
                "properties": {
                    "datetime": f"2024-{number % 12 + 1:02}-{number % 28 + 1:02}T10:00:00Z", "eo:cloud_cover": rng.uniform(0, 100),
                    "platform": "sentinel-2b", "proj:epsg": 32633, "s2:mgrs_tile": "33UUP", "view:sun_azimuth": 164.1,
                },
                "assets": {
                    f"B{band:02}": {"href": f"https://data.example/{name}/B{band:02}.tif", "type": "image/tiff", "roles": ["data"]}
                    for band in range(1, 13)
                },
            }) + "\n")


def areas(count, folder):
    """Boxes of a tenth of a degree in some twenty towns, none across the antimeridian."""
    places, rng = towns()
    features = []
    for number in range(count):
        lon, lat = rng.choice(places)
        west, south = lon + rng.uniform(-1, 1), lat + rng.uniform(-1, 1)
        ring = [[west, south], [west + 0.1, south], [west + 0.1, south + 0.1], [west, south + 0.1], [west, south]]
        features.append({
            "type": "Feature", "id": f"area-{number}", "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        })
    path = Path(folder) / "areas.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


# Runs a command and says what it took; the command's children count, the probe does not.
PROBE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.stderr.write(done.stderr)
sys.exit(done.returncode not in (0, 5))
"""


def measured(command):
    """Runs a command; its CPU seconds, peak memory in MiB, and what it said."""
    done = subprocess.run([sys.executable, "-c", PROBE, *map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr[-2000:]}")
    cpu, peak = map(float, done.stdout.split())
    return cpu, peak, done.stderr


def rows_of(path):
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return sorted((row["row_id"], row["item_id"], row["asset_name"]) for row in rows)


def told(manifest):
    """What a search said of itself, in words."""
    if not manifest.is_file():
        return ""
    return f"{json.loads(manifest.read_text(encoding='utf-8'))['requests']} requests"


def beside(swath, url, count):
    with tempfile.TemporaryDirectory() as folder:
        file, out, manifest = areas(count, folder), Path(folder) / "rows.ndjson", Path(folder) / "manifest.json"
        loop = Path(folder) / "loop.py"
        loop.write_text(LOOP, encoding="utf-8")
        search = [swath, "search", url, "--aois", file, "--to", out, "--manifest", manifest]
        ways = {
            "pystac-client": [sys.executable, loop, url, file, out],
            "swath, one by one": [*search, "--coalesce", "no"],
            "swath, coalesced": [*search, "--coalesce", "yes"],
        }
        figures, expected = {}, None
        for name, command in ways.items():
            cpu, peak, _ = min(measured(command) for _ in range(2))
            rows = rows_of(out)
            expected = expected or rows
            if rows != expected:
                raise SystemExit(f"{name} finds other rows: {len(rows)} against {len(expected)}")
            figures[name] = len(rows) / cpu
            print(f"{name:<18} {len(rows):>7} rows  {cpu:7.2f} CPU s  {figures[name]:9.0f} rows/CPU s  {peak:6.1f} MiB  {told(manifest)}")
        for name in list(ways)[1:]:
            print(f"{name}: {figures[name] / figures['pystac-client']:.1f} x pystac-client's rows per CPU second")


def serve(matches):
    """A STAC API on loopback whose every search has so many matches."""

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            begin = int(parse_qs(urlsplit(self.path).query).get("begin", ["-1"])[0])
            self.answer(self.page(begin) if begin >= 0 else '{"links":[]}')

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(self.page(0))

        def page(self, begin):
            end = min(begin + PAGE, matches)
            items = ",".join(
                f'{{"type":"Feature","stac_version":"1.0.0","id":"item-{n}","collection":"c","geometry":{{"type":"Point",'
                f'"coordinates":[1,2]}},"bbox":[1,2,1,2],"properties":{{"datetime":"2024-06-01T00:00:00Z"}},"links":[],'
                f'"assets":{{"data":{{"href":"https://data.example/{n}.tif"}}}}}}'
                for n in range(begin, end)
            )
            links = f'{{"rel":"next","href":"/search?begin={end}"}}' if end < matches else ""
            return f'{{"type":"FeatureCollection","numberMatched":{matches},"links":[{links}],"features":[{items}]}}'

        def answer(self, text):
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/geo+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}/"


def memory(swath, matches, form):
    """Searches so many matches into one file, and says what that took."""
    server, url = serve(matches)
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.json"
        command = [swath, "search", url, "--limit", PAGE, "--to", Path(folder) / form, "--manifest", manifest]
        cpu, peak, _ = measured(command)
        lines = json.loads(manifest.read_text(encoding="utf-8"))["lines"]
        if lines != matches:
            raise SystemExit(f"{matches} match, {lines} were written")
        print(f"{form:<14} {matches:>9} matches  {cpu:7.2f} CPU s  {matches / cpu:8.0f} items/CPU s  {peak:6.1f} MiB  {told(manifest)}")
    server.shutdown()


def main():
    if sys.argv[1] == "--world":
        world(sys.argv[2])
    elif len(sys.argv) > 3 and sys.argv[2] == "--matches":
        for matches in map(int, sys.argv[3:]):
            for form in ("items.ndjson", "items.parquet", "rows.ndjson", "rows.parquet"):
                memory(sys.argv[1], matches, form)
    else:
        beside(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1000)


if __name__ == "__main__":
    main()
