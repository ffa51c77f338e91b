"""Has GDAL make cloud-optimised GeoTIFFs and cuts each at every 64th: `swath validate` must refuse all cuts by structure alone.

Usage: cuts.py SWATH NEW_FOLDER
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from report import Fault, Report, none_of, same

# Name, bands, type, side, and how GDAL packs it.
MADE = [
    ("deflate", 1, "uint16", 700, {"COMPRESS": "DEFLATE", "PREDICTOR": "YES"}),
    ("lzw_four_bands", 4, "uint8", 600, {"COMPRESS": "LZW"}),
    ("zstd_float", 1, "float32", 600, {"COMPRESS": "ZSTD", "PREDICTOR": "YES"}),
    ("jpeg", 3, "uint8", 800, {"COMPRESS": "JPEG"}),
    ("plain", 1, "int16", 500, {"COMPRESS": "NONE"}),
    ("bigtiff", 1, "uint16", 600, {"COMPRESS": "DEFLATE", "BIGTIFF": "YES"}),
    ("mask", 3, "uint8", 600, {"COMPRESS": "DEFLATE", "ADD_MASK": "YES"}),
    ("no_overviews", 1, "uint16", 300, {"COMPRESS": "DEFLATE", "OVERVIEWS": "NONE"}),
]


def make(folder):
    """Writes the files; returns their paths."""
    random, paths = np.random.default_rng(1), []
    for name, bands, kind, side, how in MADE:
        y, x = np.mgrid[0:side, 0:side] / side
        image = 90 + 60 * np.sin(9 * x + 5 * y) + random.normal(0, 8, (bands, side, side))
        profile = {"driver": "GTiff", "width": side, "height": side, "count": bands, "dtype": kind}
        place = {"crs": "EPSG:32633", "transform": Affine(10, 0, 399960, 0, -10, 5800020)}
        mask = how.get("ADD_MASK") == "YES"
        with rasterio.MemoryFile() as memory:
            with memory.open(**profile, **place) as raster:
                raster.write(image.astype(kind))
                if mask:
                    raster.write_mask(x > 0.3)
            path = folder / f"{name}.tif"
            with memory.open() as raster:
                rasterio.shutil.copy(raster, path, driver="COG", BLOCKSIZE="256", **how)
        paths.append(path)
    return paths


class Judge:
    def __init__(self, swath, out):
        self.swath, self.out = swath, Path(out)
        self.out.mkdir(parents=True)
        self.whole = make(self.out)

    def verdicts(self, level, paths):
        command = [self.swath, "validate", "--level", level, "--json", *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        same(files=len(paths), verdicts=len(lines))
        return lines, done.returncode

    def good(self):
        for level in ("structure", "window", "full"):
            lines, code = self.verdicts(level, self.whole)
            none_of("whole files refused", [f"{one['file']}: {one['reason']}" for one in lines if one["verdict"] != "good"])
            same(level=0, code=code)
        return f"{len(self.whole)} files at 3 levels"

    def cuts(self):
        refused = {}
        for path in self.whole:
            content, parts = path.read_bytes(), []
            for part in range(1, 64):
                cut = self.out / f"{path.stem}.{part:02}.tif"
                cut.write_bytes(content[: len(content) * part // 64])
                parts.append(cut)
            lines, _ = self.verdicts("structure", parts)
            refused[path.stem] = sum(one["verdict"] == "bad" for one in lines)
        print("T3 " + ", ".join(f"{name} {count}/63" for name, count in refused.items()))
        if set(refused.values()) != {63}:
            raise Fault(str(refused))
        return f"63 of 63 for each of {len(refused)} files"


def main():
    swath, out = sys.argv[1:]
    judge, report = Judge(swath, out), Report()
    report.check("files that GDAL makes are good", judge.good)
    report.check("each cut of them is refused by its structure", judge.cuts)
    report.finish()


if __name__ == "__main__":
    main()
