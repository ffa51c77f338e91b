"""What an item and a row of stac-geoparquet have in common, value by value.

Not compared is what the format cannot say: a null and nothing are the same, an instant has no spelling, a polygon is a
multi-polygon of one part.
"""

import json
from collections import Counter
from datetime import UTC, datetime

import pyarrow.parquet as parquet
import shapely
from report import none_of, same

INSTANTS = {"datetime", "start_datetime", "end_datetime", "created", "updated", "expires", "published", "unpublished"}
MEMBERS = {"assets", "bbox", "collection", "geometry", "id", "links", "stac_extensions", "stac_version", "type"}
REST = "swath:rest"
NOTHING = (None, [], {})


def micros(text):
    instant = datetime.fromisoformat(text.replace("Z", "+00:00")) if isinstance(text, str) else text
    instant = instant.replace(tzinfo=instant.tzinfo or UTC)
    return round(instant.timestamp() * 1e6)


def plain(value, key=None):
    """Returns a value without nulls, instants as microseconds, geometries as WKB."""
    if isinstance(value, bytes):
        return parts(shapely.from_wkb(value))
    if isinstance(value, dict):
        if "coordinates" in value:
            return parts(shapely.from_geojson(json.dumps(value)))
        return {name: plain(part, name) for name, part in value.items() if part is not None}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if key in INSTANTS and value is not None:
        return micros(value)
    return value


def parts(shape):
    """Returns the WKB of a geometry's parts: of polygons beside multi-polygons, rustac makes multi-polygons of one part."""
    return shapely.to_wkb(shapely.get_parts(shape)).tolist()


def leaves(value, path=""):
    """Yields pointers and scalars; an empty object or list is one too."""
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from leaves(part, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list) and value:
        for index, part in enumerate(value):
            yield from leaves(part, f"{path}/{index}")
    else:
        yield path, value


def from_row(row):
    """Makes an item of a row."""
    box = row.pop("bbox") or {}
    sides = [box[side] for side in ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax") if box.get(side) is not None]
    item = {key: row.pop(key) for key in list(row) if key in MEMBERS}
    return {"type": "Feature", **item, "bbox": sides, "properties": row}


def kept(file):
    """Returns for each row the pointers whose values are not only in columns."""
    if REST not in parquet.read_schema(file).names:
        return [set()] * parquet.read_metadata(file).num_rows
    rest = [json.loads(text or "{}") for text in parquet.read_table(file)[REST].to_pylist()]
    return [set(row) - {"-"} | set(row.get("-", [])) for row in rest]


def equal(items, rests, found):
    """Compares items with what a reader made of them, member by member; returns how many values were compared."""
    found, seen, faults = list(found), 0, Counter()
    same(items=len(items), found=len(found))
    for item, other, rest in zip(items, found, rests, strict=True):
        ours, theirs = dict(leaves(plain(item))), dict(leaves(plain(other)))
        for pointer in set(ours) | set(theirs):
            if pointer == f"/properties/{REST}":
                continue
            if any(pointer == kept or pointer.startswith(f"{kept}/") for kept in rest):
                continue
            expected, value = ours.get(pointer), theirs.get(pointer)
            if expected != value and not (expected in NOTHING and value in NOTHING):
                faults[f"{pointer} ({expected!r:.60} became {value!r:.60})"] += 1
            seen += 1
    none_of("values differ", faults)
    return f"{seen} values"
