"""Takes each right away in turn: what needs it fails, and works again when it is back."""

import json
import math
import threading
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.config import Config

import emulator_world as world
from report import Fault, none_of

# What the emulator does not ask for, or what no small event needs; tests/it/infra holds these to their shape.
NOT_SHOWN = {
    "Log": "the emulator writes the logs itself",
    "Receive": "the emulator takes from queues by itself",
    "Wait": "only a receipt of the queue's own can be waited with",
    "SeeWhatIsGone": "the emulator says of a missing key that it is missing, whatever the rights",
    "ReadGrid": "only a grid of regions is read",
    "ClearMetadata": "only the hundred and first commit removes anything",
    "search KeepBodies": "only an item of more than 200 KiB goes by reference",
    "write KeepBodies": "only a batch of a thousand files goes by reference",
    "list KeepBodies": "only a chunk after thousands of runs goes by reference",
    "TakeBack": "only what a list that breaks off had begun is taken back",
    "ReadIndex": "commits and maintenance go on without the id index",
    "WriteIndex": "commits and maintenance go on without the id index",
    "ClearIndex": "commits and maintenance go on without the id index",
    "maintain WriteTables": "only where there is something to merge",
    "LookAtDatabase": "only where a database is published, and then nothing depends on it",
    "PublishDatabase": "only where a database is published, and then nothing depends on it",
    "ClearAway": "only what is a day old is cleared away",
    "AskPlan": "the emulator's schedule asks for no right",
}


class Rights:
    """Calls functions directly, with and without each right."""

    def __init__(self, stack, catalog, job, area, asset_files):
        self.stack, self.catalog, self.job, self.area = stack, catalog, {**job, "catalog": catalog}, area
        patient = Config(read_timeout=120, retries={"max_attempts": 1})
        self.iam, self.functions = boto3.client("iam"), boto3.client("lambda", config=patient)
        self.roles = {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for resource in boto3.client("cloudformation").describe_stack_resources(StackName="judge")["StackResources"]
            if resource["ResourceType"] == "AWS::IAM::Role"
        }
        # The smallest file of the upstream, to be fetched under names of its own.
        valid = [row for row in asset_files if row["is_out_file_valid"]]
        self.asset = min(valid, key=lambda row: row["out_file_sz"])

    def quiet(self):
        """Nothing but the direct calls may run meanwhile."""
        for mapping in self.functions.list_event_source_mappings()["EventSourceMappings"]:
            self.functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)

    def statements(self, name):
        role = self.roles[f"{name.capitalize()}Role"]
        return self.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]

    @contextmanager
    def without(self, name, sid):
        role, whole = self.roles[f"{name.capitalize()}Role"], self.statements(name)
        less = [statement for statement in whole if statement["Sid"] != sid]
        self.put(role, name, less)
        try:
            yield
        finally:
            self.put(role, name, whole)

    def put(self, role, name, statements):
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)

    def works(self, name, body):
        """Whether a function is done with a message, which comes once more before its queue gives it up."""
        text = body if isinstance(body, str) else json.dumps(body)
        record = {"messageId": str(uuid.uuid4()), "body": text, "eventSource": "aws:sqs", "eventSourceARN": self.arn(name)}
        record["attributes"] = {"ApproximateReceiveCount": "7"}
        answer = self.functions.invoke(FunctionName=f"judge-{name}", Payload=json.dumps({"Records": [record]}))
        said = json.loads(answer["Payload"].read())
        return "FunctionError" not in answer and said == {"batchItemFailures": []}

    def arn(self, name):
        found = self.stack.sqs.get_queue_attributes(QueueUrl=self.stack.queue(name), AttributeNames=["QueueArn"])
        return found["Attributes"]["QueueArn"]

    # -- messages, each new

    def message(self, kind, body):
        return {"version": 1, "run_id": uuid.uuid4().hex[:16], "kind": kind, "body": body}

    def by_reference(self, message):
        text, path = json.dumps(message["body"]), f"messages/{uuid.uuid4().hex}.json"
        self.stack.s3.put_object(Bucket=self.stack.bucket, Key=path, Body=text.encode())
        return {**{k: v for k, v in message.items() if k != "body"}, "body_at": {"path": path, "size_bytes": len(text)}}

    def upload(self):
        bucket, key = self.stack.outputs["InboxBucket"], f"aois/{uuid.uuid4().hex}.geojson"
        text = json.dumps({"job": self.job, "areas": self.area}).encode()
        self.stack.s3.put_object(Bucket=bucket, Key=key, Body=text)
        s3 = {"bucket": {"name": bucket}, "object": {"key": key, "size": len(text)}}
        return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}

    def plan(self, area=None):
        return self.message("PlanAreas", {"job": self.job, "areas": area or self.area})

    def wide_ring(self):
        turns = (2 * math.pi * step / 12_000 for step in range(12_000))
        ring = [[11 + math.cos(turn) / 10, 46 + math.sin(turn) / 10] for turn in turns]
        return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}

    def search(self):
        area = {"row_number": 0, "row_id": "rights", "geometry": self.area["geometry"], "columns": {}}
        return self.message("SearchArea", {"job": self.job, "area": area})

    def download(self):
        asked = {"collection": "rights", "item_id": uuid.uuid4().hex, "asset_name": self.asset["asset_name"]}
        return self.message("DownloadAsset", {"job": self.job, **asked, "href": self.asset["source_href"]})

    def search_of_rest(self):
        message = self.search()
        message["body"]["job"] = {**self.job, "catalog": f"{self.resting}/"}
        return message

    def download_of_rest(self):
        message = self.download()
        message["body"]["href"] = f"{self.resting}/scene.tif"
        return message

    def put_item(self, key, **more):
        """Uploads one item, as a line; returns the bucket and how long the line is."""
        bucket, properties = self.stack.outputs["InboxBucket"], {"datetime": "2024-05-01T00:00:00Z", **more}
        item = {"type": "Feature", "stac_version": "1.0.0", "id": uuid.uuid4().hex, "collection": "rights", "links": [], "assets": {}}
        item |= {"bbox": [11, 46, 11, 46], "geometry": {"type": "Point", "coordinates": [11, 46]}, "properties": properties}
        text = json.dumps(item)
        self.stack.s3.put_object(Bucket=bucket, Key=key, Body=text.encode())
        return bucket, len(text)

    def list(self):
        key = f"inventories/{uuid.uuid4().hex}.ndjson"
        bucket, _ = self.put_item(key)
        return self.message("ListSource", {"source": f"s3://{bucket}/{key}", "intake": {"bulk": True}})

    def item(self, **more):
        key = f"items/{uuid.uuid4().hex}.json"
        bucket, size = self.put_item(key, **more)
        s3 = {"bucket": {"name": bucket}, "object": {"key": key, "size": size, "sequencer": "01"}}
        return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}

    def large_item(self):
        return self.item(description="long " * 60_000)

    def chunk(self):
        """What `list` asks `ingest` for."""
        return self.asked_for("list", self.list(), "ingest")

    def staged(self):
        """What `ingest` asks `write` for in a bulk run."""
        return self.asked_for("ingest", self.chunk(), "write")

    def asked_for(self, name, message, of):
        """What a function sends of a message, and nothing else does."""
        self.stack.sqs.purge_queue(QueueUrl=self.stack.queue(of))
        if not self.works(name, message):
            raise Fault(f"{name} does not work")
        (body,) = self.received(of)
        return json.loads(body)

    def repair(self):
        return self.message("RepairAssets", {"predicate": "is_out_file_valid = true", "check": "sizes"})

    def maintain(self):
        return self.message("MaintainLake", {"steps": ["compact", "orphans"], "dry_run": True})

    def rows(self):
        row = {"run_id": "rights", "row_id": uuid.uuid4().hex, "collection": "rights", "item_id": "i"}
        row |= {"row_number": 0, "catalog": self.catalog, "asset_name": "a", "href": "https://h/a", "columns": {}}
        return self.message("WriteRows", {"table": "asset_rows", "rows": [{**self.row_like(), **row}]})

    def row_like(self):
        """A row as `search` sends it, for the members that are not told apart here."""
        if not hasattr(self, "sent"):
            queue = self.stack.queue("write")
            self.stack.sqs.purge_queue(QueueUrl=queue)
            if not self.works("search", self.search()):
                raise Fault("a search does not work")
            bodies = (json.loads(body)["body"] for body in self.received("write"))
            self.sent = next(body["rows"][0] for body in bodies if body.get("table") == "asset_rows")
        return self.sent

    def files(self):
        """What `write` tells `commit` of a file that is in no table yet."""
        return self.asked_for("write", self.rows(), "commit")

    def received(self, name):
        queue = self.stack.queue(name)
        found = self.stack.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        return [message["Body"] for message in found.get("Messages", [])]

    # -- one message per right

    def cases(self):
        return {
            "plan": {
                "ReadUploads": self.upload,
                "ReadBodies": lambda: self.by_reference(self.plan()),
                "KeepBodies": lambda: self.plan(self.wide_ring()),
                "Quarantine": lambda: "not JSON {",
                "AskSearch": self.plan,
                "KeepProgress": self.plan,
            },
            "search": {
                "ReadBodies": lambda: self.by_reference(self.search()),
                "Quarantine": lambda: "not JSON {",
                "AskWrite": self.search,
                "AskDownload": self.search,
                "KeepProgress": self.search,
                "SendAgain": self.search_of_rest,
            },
            "download": {
                "ReadBodies": lambda: self.by_reference(self.download()),
                "Quarantine": lambda: "not JSON {",
                "ReadReceipts": self.download,
                "KeepReceipts": self.download,
                "LookAtAssets": self.download,
                "Publish": self.download,
                "AskWrite": self.download,
                "SendAgain": self.download_of_rest,
            },
            "list": {
                "ReadBodies": lambda: self.by_reference(self.list()),
                "Quarantine": lambda: "not JSON {",
                "ReadInventories": self.list,
                "ReadBooks": self.list,
                "KeepBooks": self.list,
                "AskIngest": self.list,
            },
            "ingest": {
                "ReadBodies": lambda: self.by_reference(self.chunk()),
                "KeepBodies": self.large_item,
                "Quarantine": lambda: "not JSON {",
                "ReadUploads": self.item,
                "ReadOrigins": self.item,
                "KeepOrigins": self.item,
                "ReadBooks": self.chunk,
                "KeepBooks": self.chunk,
                "AskWrite": self.item,
            },
            "write": {
                "ReadBodies": lambda: self.by_reference(self.rows()),
                "Quarantine": lambda: "not JSON {",
                "PutDataFiles": self.rows,
                "LookAtFiles": self.written,
                "TellCommit": self.rows,
                "ReadBooks": self.staged,
                "KeepBooks": self.staged,
                "AskForMerges": self.staged,
            },
            "commit": {
                "ReadBodies": lambda: self.by_reference(self.files()),
                "Quarantine": lambda: "not JSON {",
                "ReadTables": self.files,
                "WriteTables": self.files,
            },
            "repair": {
                "ReadBodies": lambda: self.by_reference(self.repair()),
                "Quarantine": lambda: "not JSON {",
                "ReadTables": self.repair,
                "LookAtAssets": self.repair,
                "AskDownload": self.repair,
            },
            "maintain": {
                "ReadBodies": lambda: self.by_reference(self.maintain()),
                "Quarantine": lambda: "not JSON {",
                "ReadTables": self.maintain,
            },
        }

    def written(self):
        """Rows that lie in the lake already."""
        rows = self.rows()
        if not self.works("write", rows):
            raise Fault("a write does not work")
        return rows

    def check(self):
        self.quiet()
        with resting() as self.resting:
            return self.each()

    def each(self):
        faults, shown = [], 0
        for name, cases in self.cases().items():
            sids = {statement["Sid"] for statement in self.statements(name)}
            known = {sid for sid in sids if sid in NOT_SHOWN or f"{name} {sid}" in NOT_SHOWN}
            faults += [f"{name}: nothing shows that {sid} is needed" for sid in sids - known - set(cases)]
            faults += [f"{name}: there is no statement {sid}" for sid in set(cases) - sids]
            for sid, make in cases.items():
                message = make()
                with self.without(name, sid):
                    if self.works(name, message):
                        faults.append(f"{name} works without {sid}")
                if not self.works(name, message):
                    faults.append(f"{name} does not work with {sid}")
                shown += 1
        none_of("rights in doubt", faults)
        return f"{shown} statements taken away and put back; {len(NOT_SHOWN)} kinds not shown here"


@contextmanager
def resting():
    """Serves a host that asks everybody to come again in ten minutes; yields its address."""
    class Rest(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(429)
            self.send_header("Retry-After", "600")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
