"""What `swath download` asks of AWS itself: objects that are only made, copies between buckets, a function that signs.

Usage: emulator_files.py SWATH NEW_FOLDER
"""

import io
import json
import subprocess
import sys
import threading
import urllib.request
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

import emulator_world as world
from report import Fault, Report, same

# A key with everything that has to be written otherwise in an address or a header.
KEY = "some dir/a+b ü~1.tif"
HREF = "s3://theirs/some%20dir/a+b%20%C3%BC~1.tif"
# More than goes up in one request.
LARGE = 40 << 20
# A function that signs: what the runtime's API asks of one, and nothing else.
SIGNER = """#!{python}
import json, os, urllib.request
api = f"http://{{os.environ['AWS_LAMBDA_RUNTIME_API']}}/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as event:
        asked, request = json.load(event), event.headers["Lambda-Runtime-Aws-Request-Id"]
    answer = json.dumps({{"href": asked["href"] + "?sig=canary"}}).encode()
    urllib.request.urlopen(urllib.request.Request(api + request + "/response", answer)).read()
"""


class Guarded(SimpleHTTPRequestHandler):
    """Serves a folder: what lies below `signed/` to signed requests only."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path.startswith("/signed/") and query != "sig=canary":
            self.send_error(403)
        else:
            self.path = path.removeprefix("/signed")
            super().do_GET()

    def log_message(self, *_):
        pass


class Files:
    """The checks, in order."""

    def __init__(self, swath, folder, endpoint, catalog):
        self.swath, self.folder = swath, folder
        self.environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(folder),
            "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": world.REGION, "AWS_EC2_METADATA_DISABLED": "true",
        }
        client = partial(
            boto3.client, region_name=world.REGION, endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.s3, self.functions, self.iam = client("s3"), client("lambda"), client("iam")
        for bucket in ("theirs", "ours"):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": world.REGION})
        self.small = raster(catalog)
        # Whatever follows a TIFF's last byte is none of its readers' business.
        self.large = self.small + bytes(LARGE)
        web = folder / "web"
        web.mkdir()
        (web / "small.tif").write_bytes(self.small)
        (web / "large.tif").write_bytes(self.large)
        self.web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Guarded, directory=str(web)))
        threading.Thread(target=self.web.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.web.server_port}/{path}"

    def start(self, name, href, lake, *arguments):
        rows = self.folder / f"{lake}.csv"
        rows.write_text(f"item_id,asset_name,href\n{name},red,{href}\n")
        command = [self.swath, "download", rows, "--out-dir", "s3://ours/files", "--lake", self.folder / lake, "--json"]
        command += ["--name", "{item_id}/{asset_name}{ext}", *arguments]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def download(self, *asked):
        return ended_line(self.start(*asked))

    def object(self, name):
        return self.s3.get_object(Bucket="ours", Key=f"files/{name}/red.tif")

    def copy(self):
        """What came from a bucket by our own credentials is copied by the store: its tag is that of an upload in parts."""
        self.s3.put_object(Bucket="theirs", Key=KEY, Body=self.small)
        line = self.download("copied", HREF, "copies", "--sign", "s3")
        same(outcome=(line["outcome"], line["good"]), expected=("published", True))
        there = self.object("copied")
        same(bytes=there["Body"].read() == self.small, tag=there["ETag"].strip('"').endswith("-1"))
        # The same file by the web goes up in one request.
        self.download("sent", self.url("small.tif"), "sent")
        same(tag="-" in self.object("sent")["ETag"], expected=False)
        again = self.download("copied", HREF, "copies", "--sign", "s3")
        same(outcome=again["outcome"], expected="skipped")
        return f"{len(self.small)} bytes, tag {there['ETag']}"

    def race(self):
        """Two that bring one large file at a time make one object of it, and both have it."""
        href = self.url("large.tif")
        racing = [self.start("raced", href, f"race-{number}") for number in range(2)]
        lines = [ended_line(process) for process in racing]
        outcomes = sorted(line["outcome"] for line in lines)
        same(good=[line["good"] for line in lines], expected=[True, True])
        if outcomes not in (["adopted", "published"], ["adopted", "adopted"]):
            raise Fault(f"outcomes {outcomes}")
        same(bytes=self.object("raced")["Body"].read() == self.large, expected=True)
        uploads = self.s3.list_multipart_uploads(Bucket="ours").get("Uploads", [])
        same(left=[upload["Key"] for upload in uploads], expected=[])
        return f"{outcomes}, {len(self.large)} bytes once, no parts left"

    def condition(self):
        """The store itself refuses to complete an upload over an object: what the race is decided by."""
        key = "files/raced/red.tif"
        upload = self.s3.create_multipart_upload(Bucket="ours", Key=key)["UploadId"]
        part = self.s3.upload_part(Bucket="ours", Key=key, UploadId=upload, PartNumber=1, Body=b"x")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        try:
            self.s3.complete_multipart_upload(Bucket="ours", Key=key, UploadId=upload, MultipartUpload=parts, IfNoneMatch="*")
        except ClientError as refused:
            status = refused.response["ResponseMetadata"]["HTTPStatusCode"]
        else:
            raise Fault("it was completed")
        return f"status {same(status=status, expected=412)}"

    def occupied(self):
        """What another put there stays, whether the bytes would go up or be copied."""
        for name, href, signing in (("web", self.url("large.tif"), "none"), ("bucket", HREF, "s3")):
            place = f"occupied-{name}"
            self.s3.put_object(Bucket="ours", Key=f"files/{place}/red.tif", Body=b"theirs")
            line = self.download(place, href, place, "--sign", signing)
            same(verdict=(line["good"], line["code"]), expected=(False, "occupied"))
            same(bytes=self.object(place)["Body"].read(), expected=b"theirs")
        return "left as they were"

    def sign(self):
        """A function of the user's own signs every href; without it the host says no."""
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, SIGNER.format(python=sys.executable))
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = self.iam.create_role(
            RoleName="signer", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )
        made = self.functions.create_function(
            FunctionName="signer", Runtime="provided.al2023", Handler="bootstrap", Role=role["Role"]["Arn"],
            Code={"ZipFile": code.getvalue()}, Timeout=30,
        )
        href = self.url("signed/small.tif")
        refused = self.download("unsigned", href, "unsigned")
        same(verdict=(refused["good"], refused["code"]), expected=(False, "forbidden"))
        line = self.download("signed", href, "signed", "--sign", f"lambda:{made['FunctionArn']}")
        same(outcome=(line["outcome"], line["good"]), expected=("published", True))
        same(bytes=self.object("signed")["Body"].read() == self.small, expected=True)
        if "canary" in json.dumps(line):
            raise Fault(f"a signature is told: {line}")
        unknown = made["FunctionArn"].replace("signer", "nobody")
        line = self.download("nobody", href, "nobody", "--sign", f"lambda:{unknown}")
        same(verdict=(line["good"], line["code"]), expected=(False, "not_signed"))
        return made["FunctionArn"]


def ended_line(process):
    """Waits for a download of one asset; returns its line."""
    out, errors = process.communicate(timeout=world.PATIENCE)
    lines = [json.loads(line) for line in out.splitlines()]
    found = [line for line in lines if line["event"] == "asset"]
    if len(found) != 1:
        raise Fault(f"exit code {process.returncode}: {out[-1000:]} {errors[-1000:]}")
    return found[0]


def raster(catalog):
    """Fetches a whole raster of the demo's."""
    with urllib.request.urlopen(f"{catalog}search?limit=100") as answer:
        items = json.load(answer)["features"]
    for item in items:
        for asset in item["assets"].values():
            try:
                with urllib.request.urlopen(asset["href"]) as answer:
                    body = answer.read()
            except OSError:
                continue
            if body[:2] in (b"II", b"MM") and len(body) > 10_000:
                return body
    raise Fault("the demo has no raster")


def main():
    swath, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    folder.mkdir(parents=True)
    report = Report()
    with world.emulator(folder) as endpoint, world.upstream(swath) as catalog:
        files = Files(swath, folder, endpoint, catalog)
        report.check("files go from bucket to bucket by the store's own copy", files.copy)
        report.check("one large object is made of two uploads at a time", files.race)
        report.check("an upload is not completed over an object", files.condition)
        report.check("what lies in a file's place stays", files.occupied)
        report.check("a function signs hrefs", files.sign)
    report.finish()


if __name__ == "__main__":
    main()
