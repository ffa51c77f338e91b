"""Makes S3 Inventories as AWS lays them out, in all three formats, and has `swath ingest` list them.

Usage: inventory.py SWATH NEW_FOLDER
"""

import csv
import gzip
import hashlib
import io
import json
import random
import subprocess
import sys
import urllib.parse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow
import pyarrow.orc
import pyarrow.parquet
from report import Fault, Report, same

NAMES = {
    "bucket": "Bucket",
    "key": "Key",
    "version_id": "VersionId",
    "is_latest": "IsLatest",
    "is_delete_marker": "IsDeleteMarker",
    "size": "Size",
    "last_modified_date": "LastModifiedDate",
    "e_tag": "ETag",
    "storage_class": "StorageClass",
    "encryption_status": "EncryptionStatus",
    "object_owner": "ObjectOwner",
}
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def objects(count):
    """Yields rows: old versions, delete markers and folder keys among them, and keys that a URL cannot hold as they are."""
    chance = random.Random(7)
    for number in range(count):
        name = chance.choice(["a b", "c+d", "é%2F", "x=1&y", "plain", 'quo"te', "com,ma", "d/e"])
        deleted = number % 17 == 3
        key = f"tiles/{name}/{number:05}" + (".stac.json" if number % 3 else ".tif")
        yield {
            "bucket": "archive",
            "key": f"tiles/{number}/" if number % 29 == 5 else key,
            "version_id": f"v{number}",
            "is_latest": number % 13 != 4,
            "is_delete_marker": deleted,
            "size": None if deleted else chance.randrange(10**7),
            "last_modified_date": BEGIN + timedelta(milliseconds=chance.randrange(10**10)),
            "e_tag": None if deleted else f"{chance.getrandbits(128):032x}",
            "storage_class": None if deleted else "STANDARD",
            "encryption_status": "SSE-S3",
            "object_owner": "0123",
        }


def as_csv(rows, columns):
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for row in rows:
        cells = []
        for name in columns:
            value = row[name]
            if name == "key":
                value = urllib.parse.quote_plus(value, safe="/")
            elif isinstance(value, bool):
                value = str(value).lower()
            elif isinstance(value, datetime):
                value = value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03}Z"
            cells.append("" if value is None else value)
        writer.writerow(cells)
    return gzip.compress(text.getvalue().encode())


def as_table(rows, columns):
    kinds = {"size": pyarrow.int64(), "is_latest": pyarrow.bool_(), "is_delete_marker": pyarrow.bool_()}
    kinds["last_modified_date"] = pyarrow.timestamp("ms")
    arrays = {}
    for name in columns:
        values = [row[name] for row in rows]
        if name == "last_modified_date":
            values = [value.replace(tzinfo=None) for value in values]
        arrays[name] = pyarrow.array(values, kinds.get(name, pyarrow.string()))
    return pyarrow.table(arrays)


def as_parquet(rows, columns):
    sink = io.BytesIO()
    pyarrow.parquet.write_table(as_table(rows, columns), sink, compression="snappy", row_group_size=500)
    return sink.getvalue()


def as_orc(rows, columns):
    sink = io.BytesIO()
    pyarrow.orc.write_table(as_table(rows, columns), sink, compression="zlib")
    return sink.getvalue()


FORMATS = {"CSV": ("csv.gz", as_csv), "Parquet": ("parquet", as_parquet), "ORC": ("orc", as_orc)}


def inventory(folder, kind, rows, columns, bare=False, parts=3):
    """Lays an inventory out as AWS does, in a folder that is the destination bucket; returns its manifest."""
    end, write = FORMATS[kind]
    base = f"pre/archive/{kind.lower()}"
    files = []
    for part in range(parts):
        name = f"{part:08x}-0000-4000-8000-000000000000.{end}"
        body = write(rows[part::parts], columns)
        at = folder / base / "data" / name
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(body)
        key = name if bare else f"{base}/data/{name}"
        files.append({"key": key, "size": len(body), "MD5checksum": hashlib.md5(body).hexdigest()})
    manifest = folder / base / "2024-06-01T01-00Z" / "manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    schema = ", ".join(NAMES[name] for name in columns) if kind == "CSV" else "message or struct of the columns"
    text = {
        "sourceBucket": "archive",
        "destinationBucket": "arn:aws:s3:::inventories",
        "version": "2016-11-30",
        "creationTimestamp": "1717203600000",
        "fileFormat": kind,
        "fileSchema": schema,
        "files": files,
    }
    manifest.write_text(json.dumps(text))
    seal(manifest)
    return manifest


def seal(manifest):
    manifest.with_name("manifest.checksum").write_text(hashlib.md5(manifest.read_bytes()).hexdigest() + "\n")


class Judge:
    def __init__(self, swath, folder):
        self.swath, self.folder, self.lakes = swath, folder, 0

    def run(self, source, *more):
        self.lakes += 1
        lake = self.folder / f"lake-{self.lakes}"
        command = [self.swath, "ingest", source, "--out", lake, "--skip-ingest", "--json", *more]
        return lake, subprocess.run(command, capture_output=True, text=True)

    def listed(self, source, *more):
        """Returns what a run would take: address, entity tag and size."""
        lake, done = self.run(source, *more)
        if done.returncode:
            raise Fault(f"exit code {done.returncode}: {done.stderr}")
        found = set()
        for chunk in (lake / "runs" / "chunks").iterdir():
            for line in chunk.read_text().splitlines():
                entry = json.loads(line)
                found.add((entry["h"], entry.get("e"), entry.get("s")))
        return found

    def refused(self, source, words):
        """Raises unless a source is refused with these words and leaves nothing behind."""
        lake, done = self.run(source)
        if done.returncode != 3 or words not in done.stderr:
            raise Fault(f"exit code {done.returncode}: {done.stderr}")
        left = [path for path in (lake / "runs").rglob("*") if path.is_file()]
        if left:
            raise Fault(f"left behind: {left}")
        return done.stderr.strip()


def expected(rows, since=None):
    def fits(row):
        is_current = row["is_latest"] and not row["is_delete_marker"]
        return is_current and row["key"].endswith(".stac.json") and (not since or row["last_modified_date"] >= since)

    return {(f"s3://archive/{row['key']}", row["e_tag"], row["size"]) for row in rows if fits(row)}


def main():
    swath, folder = sys.argv[1], Path(sys.argv[2])
    report, judge = Report(), Judge(swath, folder)
    rows = list(objects(3000))
    everything = list(NAMES)
    few = ["bucket", "key"]
    shuffled = ["object_owner", "key", "size", "e_tag", "bucket", "is_delete_marker", "last_modified_date", "is_latest"]
    for kind in FORMATS:
        manifest = inventory(folder / "all", kind, rows, everything)
        report.check(f"{kind}: what is there now, by its manifest", lambda m=manifest: len(same(truth=expected(rows), swath=judge.listed(m))))
        report.check(f"{kind}: the newest dated folder", lambda m=manifest: len(same(truth=expected(rows), swath=judge.listed(m.parent.parent))))
        since = BEGIN + timedelta(days=60)
        moment = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        report.check(f"{kind}: --since", lambda m=manifest: len(same(truth=expected(rows, since), swath=judge.listed(m, "--since", moment))))
        bare = inventory(folder / "bare", kind, rows, shuffled, bare=True)
        report.check(f"{kind}: columns by name, files by bare names", lambda m=bare: len(same(truth=expected(rows), swath=judge.listed(m))))
        two = inventory(folder / "two", kind, [row for row in rows if row["is_latest"] and not row["is_delete_marker"]], few)
        truth = {(href, None, None) for href, _, _ in expected(rows)}
        report.check(f"{kind}: bucket and key alone", lambda m=two, t=truth: len(same(truth=t, swath=judge.listed(m))))
        file = sorted((bare.parent.parent / "data").iterdir())[1]
        if kind != "CSV":
            report.check(f"{kind}: one file without a manifest", lambda f=file: len(same(truth=expected(rows[1::3]), swath=judge.listed(f))))
        broken = inventory(folder / "md5", kind, rows, everything)
        second = sorted((broken.parent.parent / "data").iterdir())[1]
        second.write_bytes(second.read_bytes()[:-1] + b"!")
        report.check(f"{kind}: a wrong MD5 is refused", lambda m=broken: judge.refused(m, "MD5"))
        lost = inventory(folder / "lost", kind, rows, everything)
        sorted((lost.parent.parent / "data").iterdir())[2].unlink()
        report.check(f"{kind}: a missing file is named", lambda m=lost: judge.refused(m, "not there"))
        keyless = inventory(folder / "keyless", kind, rows, ["bucket", "size", "e_tag"])
        report.check(f"{kind}: a schema without keys is refused", lambda m=keyless: judge.refused(m, "no column"))
    other = inventory(folder / "other", "CSV", rows, everything)
    other.write_text(other.read_text() + " ")
    report.check("a manifest that is not its checksum's is refused", lambda: judge.refused(other, "MD5"))
    wrong = inventory(folder / "wrong", "CSV", rows, everything)
    text = json.loads(wrong.read_text())
    text["fileSchema"] = "Bucket, Key, Size"
    wrong.write_text(json.dumps(text))
    seal(wrong)
    report.check("rows that are not the schema's are refused", lambda: judge.refused(wrong, "fields"))
    text["fileFormat"] = "Avro"
    wrong.write_text(json.dumps(text))
    seal(wrong)
    report.check("a format that inventories do not have is refused", lambda: judge.refused(wrong, "Avro"))
    plain = folder / "no header.csv.gz"
    plain.write_bytes(as_csv(rows, everything))
    report.check("CSV without header or manifest, --since", lambda: len(same(truth=expected(rows, since), swath=judge.listed(plain, "--since", moment))))
    report.finish()


if __name__ == "__main__":
    main()
