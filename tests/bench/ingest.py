"""Runs `swath ingest` beside its peers on archives that the kit makes, in turns, and prints ratios of CPU seconds.

Usage: ingest.py --kit KIT --data FOLDER --swath SWATH [--items 10000] [--runs 3] [--keys 1000000]

From an inventory to a commit: W1 items, one file each, an inventory of them; beside EarthCatalog's `incremental.run` by the
kit's `ec_ingest.py` (this Python must be able to import `earthcatalog`; left out otherwise). Scans: the kit's W4, beside pyarrow
reading the same files and keeping the keys that end in `.stac.json`. CPU seconds are user and system of the process tree,
imports among them; what is written lies on one disk, and is deleted.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

BUCKET = "its-live-data"
ARROW = {
    "csv": """
import sys, pyarrow.csv as csv, pyarrow.compute as pc
names = ["bucket", "key", "version_id", "is_latest", "is_delete_marker", "size", "last_modified_date", "e_tag", "storage_class"]
hits = 0
for path in sys.argv[1:]:
    table = csv.read_csv(path, read_options=csv.ReadOptions(column_names=names))
    hits += table.filter(pc.ends_with(table["key"], ".stac.json")).num_rows
print(hits)
""",
    "parquet": """
import sys, pyarrow.parquet as parquet, pyarrow.compute as pc
hits = 0
for path in sys.argv[1:]:
    table = parquet.read_table(path, columns=["bucket", "key", "last_modified_date"])
    hits += table.filter(pc.ends_with(table["key"], ".stac.json")).num_rows
print(hits)
""",
}


def measure(command):
    """Returns CPU seconds, peak MiB and the output of a process and its children; raises when it fails."""
    read, write = os.pipe()
    process = subprocess.Popen(command, stdout=write, stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as output:
        text = output.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def medians(runs):
    return statistics.median(run[0] for run in runs), max(run[1] for run in runs)


def archive(kit, data, count):
    """Makes a bucket of W1 items and an inventory of it, once; returns the bucket's folder and the inventory."""
    folder = data / f"w1-{count}"
    bucket, inventory = folder / "bucket", folder / "inventory.csv"
    if inventory.exists():
        return bucket, inventory
    lines = folder / "items.ndjson"
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, kit / "gen_items.py", "w1", "--n", str(count), "--ndjson", lines], check=True, stdout=subprocess.DEVNULL)
    rows = ['"bucket","key","size","last_modified_date","e_tag"']
    with lines.open() as items:
        for number, line in enumerate(items):
            key = f"items/{number // 1000:05d}/{number:08d}.stac.json"
            path = bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(line)
            rows.append(f'"{BUCKET}","{key}","{len(line)}","2024-01-01T00:00:00.000Z","{number:032x}"')
    lines.unlink()
    inventory.write_text("\n".join(rows) + "\n")
    return bucket, inventory


def end_to_end(arguments):
    bucket, inventory = archive(arguments.kit, arguments.data, arguments.items)
    out = arguments.data / "out"
    ours, bulk, theirs = [], [], []
    swath = [arguments.swath, "ingest", inventory, "--out", out, "--json", "--bucket", f"{BUCKET}=folder:{bucket}"]
    peer = [sys.executable, arguments.kit / "peers/ec_ingest.py", inventory, bucket, out, "--limit", str(arguments.items)]
    has_peer = subprocess.run([sys.executable, "-c", "import earthcatalog"], stderr=subprocess.DEVNULL).returncode == 0
    for _ in range(arguments.runs):
        for runs, command in ((ours, swath), (bulk, [*swath, "--bulk"]), (theirs, peer)):
            if command is peer and not has_peer:
                continue
            shutil.rmtree(out, ignore_errors=True)
            runs.append(measure(command))
            said = json.loads(runs[-1][2].splitlines()[-1])
            if said["items" if command is not peer else "rows"] < (arguments.items if command is not peer else 1):
                raise SystemExit(f"not all items: {said}")
    shutil.rmtree(out, ignore_errors=True)
    for name, runs in (("swath", ours), ("swath --bulk", bulk), ("EarthCatalog incremental.run", theirs)):
        if runs:
            cpu, peak = medians(runs)
            print(f"{name}: W1 {arguments.items} in {cpu:.2f} CPU s, {arguments.items / cpu:.0f} items per CPU s, peak {peak:.0f} MiB")
    if theirs:
        print(f"ratio {medians(theirs)[0] / medians(ours)[0]:.1f}, --bulk {medians(theirs)[0] / medians(bulk)[0]:.1f}")


def scans(arguments):
    folder = arguments.data / f"w4-{arguments.keys}"
    if not folder.exists():
        command = [sys.executable, arguments.kit / "gen_inventory.py", folder, "--n", str(arguments.keys)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for kind, end in (("csv", "csv.gz"), ("parquet", "parquet")):
        files = sorted((folder / kind).glob(f"*.{end}"))
        ours, theirs = [], []
        for _ in range(arguments.runs):
            ours.append(measure([arguments.swath, "ingest", *files, "--dry-run", "--json"]))
            theirs.append(measure([sys.executable, "-c", ARROW[kind], *files]))
        said = [json.loads(line) for line in ours[-1][2].splitlines()]
        listed, taken = (sum(part[name] for part in said) for name in ("listed", "taken"))
        (cpu, peak), (their_cpu, their_peak) = medians(ours), medians(theirs)
        print(
            f"{end}: {listed} keys, {taken} taken (pyarrow keeps {theirs[-1][2].strip()}, old versions and markers among them); "
            f"swath {cpu:.2f} CPU s, {listed / cpu:.0f} keys per CPU s, peak {peak:.0f} MiB; "
            f"pyarrow {their_cpu:.2f} CPU s, peak {their_peak:.0f} MiB; ratio {their_cpu / cpu:.2f}"
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kit", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--swath", type=Path, required=True)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    scans(arguments)
    end_to_end(arguments)


if __name__ == "__main__":
    main()
