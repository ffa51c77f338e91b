"""Uploads below items/, through the deployed functions: what is uploaded, deleted and told of in any order is what the catalog holds.

Usage: emulator_items.py SWATH FOLDER, with the functions' binaries below FOLDER/lambda; also part of emulator.py
"""

import json
import random
import sys
from pathlib import Path

import emulator_world as world
from pyiceberg.table import StaticTable
from report import Report, none_of, same

ITEMS = 500
# By number: no JSON, cut short, an error page, nothing, no id, an id that is a number or empty, and so on.
BAD = {
    7: "{",
    60: '{"type": "Feature", "stac_version": "1.0.0", "id": "cut',
    101: "<html>busy</html>",
    155: "",
    200: '["no", "item"]',
    250: '{"type": "Feature", "stac_version": "1.0.0", "properties": {}, "geometry": null, "links": [], "assets": {}}',
    301: '{"type": "Feature", "stac_version": "1.0.0", "id": 5, "properties": {"datetime": "2024-01-01T00:00:00Z"}, "geometry": null, "links": [], "assets": {}}',
    350: '{"type": "Feature", "stac_version": "1.0.0", "id": "", "properties": {}, "geometry": null, "links": [], "assets": {}}',
    404: "\u0000\u0001",
    480: "null",
}


def item(number, version):
    west, south = number % 170 * 2 - 170, number // 170 * 30 - 60
    ring = [[west, south], [west + 1, south], [west + 1, south + 1], [west, south + 1], [west, south]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"upload-{number}",
        "collection": "uploads",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, west + 1, south + 1],
        "properties": {
            "datetime": f"{2020 + number % 3}-05-01T00:00:00Z",
            "updated": f"2024-01-{version:02}T00:00:00Z",
            "platform": f"version-{version}",
        },
        "links": [],
        "assets": {},
    }


class Uploads:
    """The checks, in order: each finds the world as the one before left it."""

    def __init__(self, stack):
        self.stack, self.inbox = stack, stack.outputs["InboxBucket"]
        self.truth = {}

    def key(self, number):
        return f"items/2024/scene {number}+ü.json"

    def put(self, number, version):
        text = BAD[number] if number in BAD else json.dumps(item(number, version))
        self.stack.s3.put_object(Bucket=self.inbox, Key=self.key(number), Body=text.encode())
        if number not in BAD:
            self.truth[f"upload-{number}"] = f"version-{version}"

    def found(self):
        """Platforms by id; each item has one version, whatever the number of its cells."""
        environment = self.stack.environment
        properties = {
            "s3.endpoint": environment["AWS_ENDPOINT_URL"],
            "s3.access-key-id": environment["AWS_ACCESS_KEY_ID"],
            "s3.secret-access-key": environment["AWS_SECRET_ACCESS_KEY"],
            "s3.region": world.REGION,
        }
        table = StaticTable.from_metadata(f"{self.stack.outputs['Lake']}/warehouse/earthcatalog/stac_items", properties=properties)
        rows = table.scan(selected_fields=("id", "grid_partition", "collection", "platform")).to_arrow().to_pylist()
        rows = [row for row in rows if row["collection"] == "uploads"]
        keys = [(row["id"], row["grid_partition"]) for row in rows]
        same(rows=len(keys), distinct=len(set(keys)))
        return {(row["id"], row["platform"]) for row in rows}

    def compare(self):
        self.stack.await_quiet()
        none_of("dead letters", [name for name in ("ingest", "write", "commit") if self.stack.waiting(self.stack.dead(name))])
        return len(same(uploaded=set(self.truth.items()), cataloged=self.found()))

    def upload(self):
        numbers = list(range(ITEMS))
        random.Random(5).shuffle(numbers)
        for number in numbers:
            self.put(number, 1)
        return f"{self.compare()} items"

    def quarantine(self):
        """Each with its reason: objects that are no documents, and documents that are no items."""
        kept = [*self.stack.objects("quarantine/objects/"), *self.stack.objects("quarantine/items/")]
        records = [json.loads(self.stack.read(key)) for key in kept]
        records = [record for record in records if self.inbox in record["source"] or self.inbox in record.get("href", "")]
        none_of("without a reason", [record for record in records if not record["reason"] or not record["code"]])
        same(bad=len(BAD), kept=len(records))
        return ", ".join(sorted(record["code"] for record in records))

    def change(self):
        """Twenty are deleted and fifty uploaded again, in one go and in no order."""
        good = [number for number in range(ITEMS) if number not in BAD]
        chance = random.Random(9)
        chosen = chance.sample(good, 70)
        gone, again = chosen[:20], set(chosen[20:])
        for number in chance.sample(chosen, len(chosen)):
            if number in again:
                self.put(number, 2)
            else:
                self.stack.s3.delete_object(Bucket=self.inbox, Key=self.key(number))
                del self.truth[f"upload-{number}"]
        self.gone, self.again = gone, sorted(again)
        return f"{self.compare()} items"

    def late(self):
        """Events that come late, twice and in other envelopes change nothing: later ones of their keys were heeded."""
        def record(number, name):
            thing = {"key": f"items/2024/scene+{number}%2B%C3%BC.json", "size": 1, "sequencer": "00"}
            return {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name, "s3": {"bucket": {"name": self.inbox}, "object": thing}}

        removed = {"Records": [record(number, "ObjectRemoved:Delete") for number in self.again[:10]]}
        created = {"Records": [record(number, "ObjectCreated:Put") for number in self.gone[:10]]}
        topic = {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:000000000000:t", "Message": json.dumps(removed)}
        detail = {"bucket": {"name": self.inbox}, "object": {"key": self.key(self.again[11]), "sequencer": "00"}}
        bridge = {"version": "0", "source": "aws.s3", "detail-type": "Object Deleted", "detail": detail}
        test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": self.inbox}
        for body in (removed, created, topic, bridge, test):
            self.stack.send("ingest", body)
        return f"{self.compare()} items"

    def inline(self):
        """Items and collections that lie in messages themselves."""
        one, two, three = (item(number, 1) for number in (ITEMS + 1, ITEMS + 2, ITEMS + 3))
        self.stack.send("ingest", one)
        self.stack.send("ingest", {"type": "FeatureCollection", "features": [two, three]})
        self.stack.send("ingest", {"type": "Collection", "id": "uploads", "license": "CC-BY-4.0", "extent": {}, "links": []})
        self.truth.update({thing["id"]: "version-1" for thing in (one, two, three)})
        count = self.compare()
        same(license=json.loads(self.stack.read("collections/uploads.json"))["license"], expected="CC-BY-4.0")
        return f"{count} items"

    def check(self, report):
        report.check("500 uploads below items/, ten of them bad, are in the catalog", self.upload)
        report.check("the ten are in quarantine, with their reasons", self.quarantine)
        report.check("20 deleted and 50 uploaded anew: the catalog is what the inbox is", self.change)
        report.check("events that come late or twice, in all envelopes, change nothing", self.late)
        report.check("items and collections in messages are taken in", self.inline)


def main():
    folder = Path(sys.argv[2])
    report = Report()
    with world.emulator(folder) as endpoint:
        Uploads(world.Stack(endpoint, folder)).check(report)
    report.finish()


if __name__ == "__main__":
    main()
