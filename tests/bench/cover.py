"""Finds the H3 cells of items by swath and by h3's `overlap`, by turns, and prints items per CPU second of both.

Usage: cover.py COVER ITEMS.ndjson [RESOLUTION...]

COVER is `target/release/examples/cover`. Geometries are read beforehand: ours is the difference of a run that finds all cells
so many times and one that only reads; theirs are polygons of `h3` already.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import h3

ROUNDS, TIMES = 3, 40


def cpu(*command):
    """Returns CPU seconds of one process and what it prints."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed")
    return usage.ru_utime + usage.ru_stime, json.loads(printed)


def ours(cover, source, resolution):
    reading, _ = cpu(cover, source, f"h3:{resolution}", "0")
    finding, found = cpu(cover, source, f"h3:{resolution}", str(TIMES))
    return (finding - reading) / TIMES, found["cells"]


def theirs(shapes, resolution):
    begin, cells = time.process_time(), 0
    for pieces in shapes:
        found = set()
        for piece in pieces:
            found.update(h3.h3shape_to_cells_experimental(piece, resolution, contain="overlap"))
        cells += len(found)
    return time.process_time() - begin, cells


def pieces_of(geometry):
    shape = h3.geo_to_h3shape(geometry)
    return list(shape) if isinstance(shape, h3.LatLngMultiPoly) else [shape]


def main():
    cover, source, *resolutions = sys.argv[1:]
    with open(source) as lines:
        shapes = [pieces_of(json.loads(line)["geometry"]) for line in lines]
    for resolution in map(int, resolutions or (1, 3)):
        runs = [(ours(cover, source, resolution), theirs(shapes, resolution)) for _ in range(ROUNDS)]
        own, other = (statistics.median(run[side][0] for run in runs) for side in (0, 1))
        line = {
            "resolution": resolution,
            "items": len(shapes),
            "swath_items_per_s": round(len(shapes) / own),
            "h3_items_per_s": round(len(shapes) / other),
            "times": round(other / own, 1),
            "cells": runs[0][0][1],
            "h3_cells": runs[0][1][1],
        }
        print(json.dumps(line))


if __name__ == "__main__":
    main()
