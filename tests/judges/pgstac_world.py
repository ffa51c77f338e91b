"""What the judged pgSTAC is filled with: items made here, and real ones where they can be had. Usage: pgstac_world.py FOLDER"""

import json
import os
import random
import sys
from pathlib import Path

MADE = "made-tiles"


def made(count=1500):
    """Tiles of a few degrees all over the globe, many at the seams, each with its own time and two assets."""
    rng = random.Random(7)
    for number in range(count):
        kind = number % 5
        lon = rng.uniform(-180, 180) if kind < 2 else rng.choice([-180, 180]) + rng.uniform(-6, 6)
        lat = rng.uniform(-85, 85) if kind != 4 else rng.choice([-1, 1]) * rng.uniform(78, 88)
        if kind == 3:  # on a grid of whole degrees, so that areas share edges with them
            lon, lat = round(lon), round(lat)
        width, height = (2, 2) if kind == 3 else (rng.uniform(0.2, 4), rng.uniform(0.2, 2))
        yield tile(f"tile-{number:05}", lon, max(-90, min(lat, 90 - height)), width, height, rng)


def tile(name, west, south, width, height, rng):
    boxes = [(a, south, b, south + height) for a, b in spans(west, west + width)]
    rings = [[[[a, b], [c, b], [c, d], [a, d], [a, b]]] for a, b, c, d in boxes]
    geometry = (
        {"type": "Polygon", "coordinates": rings[0]} if len(rings) == 1 else {"type": "MultiPolygon", "coordinates": rings}
    )
    first, last = boxes[0], boxes[-1]
    time = f"20{rng.randint(18, 24)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:00:00Z"
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": MADE,
        "geometry": geometry, "bbox": [first[0], south, last[2], south + height],
        "properties": {"datetime": time, "eo:cloud_cover": rng.randint(0, 100)}, "links": [],
        "assets": {
            "data": {"href": f"https://data.example/{name}/data.tif", "type": "image/tiff", "roles": ["data"]},
            "thumb": {"href": f"https://data.example/{name}/thumb.png", "type": "image/png", "roles": ["thumbnail"]},
        },
    }


def spans(west, east):
    """The longitudes from `west` to `east`, between -180 and 180, the western part first."""
    if west >= 180 or east <= -180:
        shift = -360 if west >= 180 else 360
        west, east = west + shift, east + shift
    if east > 180:
        return [(west, 180.0), (-180.0, east - 360)]
    if west < -180:
        return [(west + 360, 180.0), (-180.0, east)]
    return [(west, east)]


def real(folder):
    """Real items that pgSTAC can hold: with a geometry and a time; each of a collection of ours when it names none."""
    for path in sorted(Path(folder).glob("stac/**/*.json")) if folder else []:
        try:
            item = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if not isinstance(item, dict) or item.get("type") != "Feature" or not item.get("geometry") or "properties" not in item:
            continue
        properties = item["properties"]
        if not (properties.get("datetime") or (properties.get("start_datetime") and properties.get("end_datetime"))):
            continue
        item["collection"] = item.get("collection") or "none-named"
        yield item


def collection(name):
    return {
        "type": "Collection", "id": name, "stac_version": "1.0.0", "description": name, "license": "other", "links": [],
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2000-01-01T00:00:00Z", None]]}},
    }


def items():
    """What the server holds, by collection and id."""
    found = {}
    for item in [*made(), *real(real_data())]:
        found.setdefault((item["collection"], item["id"]), item)
    return found


def write(folder):
    """Writes collections.ndjson and items.ndjson for tests/pgstac/start."""
    held = items()
    names = sorted({name for name, _ in held})
    lines = {"collections": map(collection, names), "items": held.values()}
    for name, values in lines.items():
        text = "".join(json.dumps(value) + "\n" for value in values)
        (Path(folder) / f"{name}.ndjson").write_text(text, encoding="utf-8")


def real_data():
    default = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"
    return Path(os.environ.get("SWATH_REAL_DATA", default))


if __name__ == "__main__":
    write(sys.argv[1])
