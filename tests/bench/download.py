#!/usr/bin/env python3
"""Downloads 200 COGs, 20 of them broken, by swath and by its peers in turn; prints CPU seconds, memory and ratios.

    download.py --kit KIT --data W3 --swath BINARY [--runs 3] [--large BYTES] [--healed W3]

KIT holds `fault_server.py`, `peers/dl_requests.py` and `peers/dl_stac_asset.py`; W3 is what the kit's `gen_assets.py` made.
The server fails the first attempt at 34 files and is reset before every run. CPU is user and system of the whole process
tree; on a shared machine compare that and not the time by the clock. `--large` adds one sparse file of so many bytes.
`--healed` names a W3 none of whose files is broken: after the last run the server has that, and `swath repair` must bring
every file that was refused.
"""
import argparse
import csv
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request

PORT = 8808
BASE = f"http://127.0.0.1:{PORT}"


def measured(command):
    """Runs a command; returns its CPU seconds, peak memory in MB and standard output."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
        out.seek(0)
        text = out.read().decode()
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def serve(kit, data, *more):
    """Starts the kit's server and waits until it listens."""
    command = [sys.executable, os.path.join(kit, "fault_server.py"), os.path.join(data, "files"), os.path.join(data, "truth.json"), *more]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    server.stdout.readline()
    return server


def get(path):
    return urllib.request.urlopen(BASE + path).read()


def write_rows(data, path):
    items = json.load(open(os.path.join(data, "items.json")))["features"]
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["item_id", "asset_name", "href", "asset_type"])
        for item in items:
            for key, asset in item["assets"].items():
                rows.writerow([item["id"], key, asset["href"], asset["type"]])


def judge(text, truth):
    """Compares what swath says and keeps with the truth: kept whole, lost, kept though broken."""
    kept = lost = broken = 0
    for line in map(json.loads, text.splitlines()):
        if line["event"] != "asset":
            continue
        number = int(line["item_id"].removeprefix("item-")) * 4 + int(line["asset_name"].removeprefix("b"))
        expected = truth[number]
        if expected["class"] == "ok":
            same = line["good"] and hashlib.sha256(open(line["path"], "rb").read()).hexdigest() == expected["good_sha256"]
            kept += same
            lost += not same
        else:
            broken += line["good"]
    return {"good_kept": kept, "good_lost": lost, "bad_kept": broken}


def last_object(text):
    said = json.loads(text.strip().splitlines()[-1])
    return {name: said[name] for name in ("good_kept", "good_lost", "bad_kept")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kit", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--swath", required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", type=int, default=0)
    parser.add_argument("--healed")
    asked = parser.parse_args()
    truth = json.load(open(os.path.join(asked.data, "truth.json")))
    peers = os.path.join(asked.kit, "peers")
    with tempfile.TemporaryDirectory() as scratch:
        out, rows = os.path.join(scratch, "out"), os.path.join(scratch, "rows.csv")
        write_rows(asked.data, rows)
        served = os.path.join(asked.data, "files")
        server = serve(asked.kit, asked.data)
        try:
            commands = {
                "swath": lambda out: [asked.swath, "download", rows, "--out-dir", out, "--json"],
                "requests": lambda out: [sys.executable, os.path.join(peers, "dl_requests.py"), asked.data, out, "--backoff-scale", "0.01"],
                "stac-asset": lambda out: [sys.executable, os.path.join(peers, "dl_stac_asset.py"), asked.data, out],
            }
            found = {name: [] for name in commands}
            for number in range(asked.runs):
                for name, command in commands.items():
                    get("/__reset")
                    # Nothing is deleted between runs: ext4 is slow to make files where many were deleted a moment ago.
                    cpu, memory, text = measured(command(f"{out}-{name}-{number}"))
                    counts = judge(text, truth) if name == "swath" else last_object(text)
                    found[name].append((cpu, memory, counts))
                    print(json.dumps({"name": name, "cpu_s": round(cpu, 3), "peak_mb": round(memory, 1), "load1": os.getloadavg()[0], **counts}), flush=True)
            middle = {name: statistics.median(run[0] for run in runs) for name, runs in found.items()}
            for name in ("requests", "stac-asset"):
                print(f"files per CPU second, swath / {name}: {middle[name] / middle['swath']:.2f}")
            if asked.large:
                large(asked, scratch, served)
            if asked.healed:
                get("/__reset")
                measured(commands["swath"](out))
                server.terminate()
                server.wait()
                server = serve(asked.kit, asked.healed, "--no-faults")
                heal(asked, out, truth)
        finally:
            server.terminate()
            server.wait()


def heal(asked, out, truth):
    """Repairs until nothing is left; every file must then be the one that the truth names."""
    left = []
    for _ in range(2):
        said = json.loads(measured([asked.swath, "repair", "--out", out, "--json"])[2].splitlines()[-1])
        left.append(said["assets"])
    digests = set()
    for folder, _, names in os.walk(out):
        digests |= {hashlib.sha256(open(os.path.join(folder, name), "rb").read()).hexdigest() for name in names if name.endswith(".tif")}
    whole = len(digests & {one["good_sha256"] for one in truth})
    print(json.dumps({"name": "swath repair", "invalid_before": left[0], "invalid_after": left[1], "whole": whole, "files": len(digests)}))


def large(asked, scratch, served):
    """Downloads one file that a whole COG begins and a hole fills up."""
    name, rows = "large.tif", os.path.join(scratch, "large.csv")
    whole = next(one["name"] for one in json.load(open(os.path.join(asked.data, "truth.json"))) if one["class"] == "ok")
    place = os.path.join(served, name)
    shutil.copyfile(os.path.join(served, whole), place)
    try:
        os.truncate(place, asked.large)
        with open(rows, "w") as file:
            file.write(f"item_id,asset_name,href\nlarge,b0,{BASE}/{name}\n")
        out = os.path.join(scratch, "large")
        cpu, memory, text = measured([asked.swath, "download", rows, "--out-dir", out, "--json"])
        said = json.loads(text.splitlines()[0])
        print(json.dumps({"name": "swath, one file", "bytes": said["bytes"], "good": said["good"], "cpu_s": round(cpu, 2), "peak_mb": round(memory, 1)}))
    finally:
        os.remove(place)


if __name__ == "__main__":
    main()
