"""The emulator, the upstream, and what is deployed between them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config

from report import Fault

REGION = "eu-west-1"
FUNCTIONS = ("plan", "search", "download", "list", "ingest", "write", "commit", "repair", "maintain")
# Every queue of work, by what it is called behind the deployment's name.
QUEUES = {**{name: name.capitalize() for name in FUNCTIONS}, "download-1": "Upstream1"}
# How long anything is waited for, seconds: for a machine that has much else to do. Nothing lasts so long that goes well.
PATIENCE = 600
# What the functions of a test deployment have other than the template's defaults. Messages that fail come back after
# seconds, which AWS would refuse and the emulator does not; the upstream is on loopback, which only tests may fetch from.
PARAMETERS = {
    "Name": "judge",
    "LogLevel": "info",
    "PlanVisibility": "15",
    "SearchVisibility": "15",
    "SearchReceives": "1",
    "DownloadVisibility": "60",
    "Upstream1Hosts": "127.0.0.1",
    "WriteVisibility": "30",
    "CommitVisibility": "30",
    "WriteWindow": "1",
    "CommitWindow": "1",
    "DownloadAllowHttp": "true",
    "DownloadAllowPrivateHosts": "true",
}
ROOT = Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def ended(process):
    """Ends a process when the block does."""
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def upstream(swath, port=0):
    """Serves the demo's scenes; yields the address of the STAC API."""
    serving = subprocess.Popen([swath, "serve-items", "--port", str(port)], stdout=subprocess.PIPE, text=True)
    with ended(serving):
        yield json.loads(serving.stdout.readline())["url"]


@contextmanager
def emulator(folder):
    """Starts the emulator on loopback, with rights enforced; yields its address."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    home = folder / "emulator"
    (home / "tmp").mkdir(parents=True)
    # Functions inherit what the server has: nothing of ours may be in it.
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "STATE_DIR": str(home / "state"),
        "S3_DATA_DIR": str(home / "s3"),
        "AUTH": "true",
    }
    with (folder / "emulator.log").open("w") as log:
        server = subprocess.Popen(
            [Path(sys.prefix) / "bin" / "ministack"], env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT
        )
        with ended(server):
            await_true("the emulator's start", lambda: answers(f"{endpoint}/_ministack/health"))
            yield endpoint
    shutil.rmtree(home, ignore_errors=True)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def await_true(what, holds, seconds=PATIENCE):
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise Fault(f"{what}: not within {seconds} s")
        time.sleep(0.25)


def credentials(endpoint):
    """The environment of whoever talks to the emulator as root, and to nobody else."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


class Stack:
    """The deployed template."""

    def __init__(self, endpoint, folder, **parameters):
        self.environment = {**os.environ, **credentials(endpoint)}
        os.environ.update(credentials(endpoint))
        chosen = [f"{name}={value}" for name, value in {**PARAMETERS, **parameters}.items()]
        command = [sys.executable, ROOT / "infra/tools/deploy.py", "judge", *chosen]
        command += ["--template", ROOT / "infra/template.yaml", "--functions", folder / "lambda"]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=PATIENCE, check=False)
        if done.returncode:
            raise Fault(f"deploy.py: exit code {done.returncode}: {done.stderr[-2000:]}")
        self.outputs = json.loads(done.stdout)
        quick = Config(retries={"max_attempts": 2})
        self.s3, self.sqs, self.logs = (boto3.client(name, config=quick) for name in ("s3", "sqs", "logs"))
        self.bucket = self.outputs["Lake"].removeprefix("s3://")

    def queue(self, name):
        return self.outputs[f"{QUEUES[name]}Queue"]

    def dead(self, name):
        return self.outputs[f"{QUEUES[name]}DeadLetters"]

    def waiting(self, url):
        """Messages in a queue, those under way among them."""
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def await_quiet(self, seconds=PATIENCE):
        """Waits until no queue has had a message for two seconds."""
        end, quiet_since = time.monotonic() + seconds, None
        while True:
            waiting = {name: self.waiting(self.queue(name)) for name in QUEUES}
            now = time.monotonic()
            if any(waiting.values()):
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since > 2:
                return
            if now > end:
                raise Fault(f"after {seconds} s there are still messages: {waiting}")
            time.sleep(0.25)

    def send(self, name, body):
        text = body if isinstance(body, str) else json.dumps(body)
        self.sqs.send_message(QueueUrl=self.queue(name), MessageBody=text)

    def objects(self, prefix):
        """Key, entity tag and time of each object of the lake below a prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        found = (entry for page in pages for entry in page.get("Contents", []))
        return {entry["Key"]: (entry["ETag"], entry["LastModified"]) for entry in found}

    def read(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def lines(self, name):
        """What a function logged, line by line."""
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/judge-{name}")
        return [event["message"] for page in pages for event in page["events"]]
