"""Runs `swath search` beside a pystac-client loop on one pgSTAC, in turns, and prints ratios. Usage: search.py SWATH URL [AREAS]

Both make one row per area, item and asset for the same areas; rows are compared before figures are printed. CPU seconds
are those of the client's process alone, user and system; the server's are not counted.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

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


def areas(count, folder):
    """Boxes of a tenth of a degree, most of them in some twenty towns, none across the antimeridian."""
    rng = random.Random(11)
    towns = [(rng.uniform(-170, 170), rng.uniform(-60, 60)) for _ in range(20)]
    features = []
    for number in range(count):
        lon, lat = rng.choice(towns)
        west, south = lon + rng.uniform(-1, 1), lat + rng.uniform(-1, 1)
        ring = [[west, south], [west + 0.1, south], [west + 0.1, south + 0.1], [west, south + 0.1], [west, south]]
        features.append({
            "type": "Feature", "id": f"area-{number}", "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        })
    path = Path(folder) / "areas.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def measured(command):
    """Runs a command; its CPU seconds, peak memory in MiB, and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    probe = [sys.executable, "-c", (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)\n"
        "sys.stderr.write(done.stderr)\n"
        "sys.exit(done.returncode not in (0, 5))"), *map(str, command)]
    done = subprocess.run(probe, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, float(done.stdout), done.stderr


def idle():
    """CPU seconds of the probe itself."""
    return min(measured(["true"])[0] for _ in range(3))


def rows_of(path):
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return sorted((row["row_id"], row["item_id"], row["asset_name"]) for row in rows)


def main():
    swath, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    with tempfile.TemporaryDirectory() as folder:
        file, out = areas(count, folder), Path(folder) / "rows.ndjson"
        loop, overhead = Path(folder) / "loop.py", idle()
        loop.write_text(LOOP, encoding="utf-8")
        ways = {
            "pystac-client": [sys.executable, loop, url, file, out],
            "swath, one by one": [swath, "search", url, "--aois", file, "--to", out, "--coalesce", "no", "--manifest", Path(folder) / "m"],
            "swath, coalesced": [swath, "search", url, "--aois", file, "--to", out, "--coalesce", "yes", "--manifest", Path(folder) / "m"],
        }
        figures, expected = {}, None
        for name, command in ways.items():
            cpu, peak, said = min(measured(command) for _ in range(2))
            rows = rows_of(out)
            expected = expected or rows
            if rows != expected:
                raise SystemExit(f"{name} finds other rows: {len(rows)} against {len(expected)}")
            figures[name] = len(rows) / max(cpu - overhead, 1e-3)
            told = " ".join(line for line in said.splitlines() if "boxes" in line or "pages" in line)
            print(f"{name:<18} {len(rows):>7} rows  {cpu - overhead:7.2f} CPU s  {figures[name]:9.0f} rows/CPU s  {peak:6.1f} MiB  {told}")
        for name in list(ways)[1:]:
            print(f"{name}: {figures[name] / figures['pystac-client']:.1f} x pystac-client's rows per CPU second")


if __name__ == "__main__":
    main()
