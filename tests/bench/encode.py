"""Runs `swath encode` beside its peers on one NDJSON file, in turns, and prints ratios of CPU seconds.

Usage: encode.py SWATH ITEMS.ndjson [RESOLUTION [ROUNDS]]

With a resolution, partitions of H3 beside EarthCatalog's transform; without, one file beside rustac and stac-geoparquet. A
peer that this Python cannot import is left out. CPU seconds are user and system of the whole process, so imports
count; outputs lie on the same disk.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 3

EARTHCATALOG = """
import json, os, sys
from earthcatalog.grids.h3_partitioner import H3Partitioner
from earthcatalog.transform import fan_out, group_by_partition, write_geoparquet
source, out, resolution = sys.argv[1:]
items = [json.loads(line) for line in open(source)]
rows = fan_out(items, H3Partitioner(resolution=int(resolution)))
for number, ((cell, year), group) in enumerate(group_by_partition(rows).items()):
    folder = os.path.join(out, f"grid_partition={cell}", f"year={year}")
    os.makedirs(folder, exist_ok=True)
    write_geoparquet(group, os.path.join(folder, f"part_{number:06d}.parquet"))
"""
# Its threads at times outlive the interpreter, which then aborts: the process ends by itself.
RUSTAC = """
import asyncio, json, os, sys
import rustac
items = [json.loads(line) for line in open(sys.argv[1])]
async def write():
    await rustac.write(sys.argv[2], items)
asyncio.run(write())
os._exit(0)
"""
STAC_GEOPARQUET = """
import sys
from stac_geoparquet import arrow
arrow.parse_stac_ndjson_to_parquet(sys.argv[1], sys.argv[2])
"""


def measure(command):
    """Returns CPU seconds and peak MiB of one process; `None` when it fails."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return None
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def commands(swath, source, out, resolution):
    """Yields names and commands; each writes below `out`."""
    python = [sys.executable, "-c"]
    if resolution:
        yield "swath", [swath, "encode", source, "--out", f"{out}/parts", "--grid", f"h3:{resolution}"]
        yield "EarthCatalog", [*python, EARTHCATALOG, source, f"{out}/parts", resolution]
    else:
        yield "swath", [swath, "encode", source, "--out", f"{out}/one.parquet"]
        yield "rustac", [*python, RUSTAC, source, f"{out}/one.parquet"]
        yield "stac-geoparquet", [*python, STAC_GEOPARQUET, source, f"{out}/one.parquet"]


def main():
    swath, source, *rest = sys.argv[1:]
    resolution = rest[0] if rest else None
    rounds = int(rest[1]) if len(rest) > 1 else ROUNDS
    figures = {}
    with tempfile.TemporaryDirectory(dir=Path(source).resolve().parent) as folder:
        for _ in range(rounds):
            for name, command in commands(swath, source, folder, resolution):
                found = None if figures.get(name, []) is None else measure(command)
                if found is None:
                    figures[name] = None
                else:
                    figures.setdefault(name, []).append(found)
                for path in Path(folder).iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not figures["swath"]:
        raise SystemExit("swath failed")
    ours = statistics.median(cpu for cpu, _ in figures["swath"])
    for name, found in figures.items():
        if found is None:
            print(json.dumps({"name": name, "left_out": "it failed or cannot be imported"}))
            continue
        cpu, peak = (statistics.median(values) for values in zip(*found, strict=True))
        print(json.dumps({"name": name, "cpu_s": round(cpu, 3), "peak_mib": round(peak), "times_swath": round(cpu / ours, 1)}))


if __name__ == "__main__":
    main()
