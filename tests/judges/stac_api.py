"""Has pystac-client search the demo's own API, and compares what it finds with what the demo put into OUT. Usage: stac_api.py SWATH OUT"""

import json
import re
import subprocess
import sys

import lake
import shapely
from pystac_client import Client
from report import Fault, Report, none_of, same


class Judge:
    """The checks of one served API and one catalog."""

    def __init__(self, url, out):
        self.url, self.out = url, out
        self.items = {}

    def pages(self):
        self.client = Client.open(self.url)
        whole = self.client.search(limit=1000)
        self.items = {name(item): item for item in whole.items()}
        for limit, method in ((7, "POST"), (5, "GET")):
            search = self.client.search(limit=limit, method=method)
            paged = [name(item) for item in search.items()]
            same(matched=whole.matched(), paged=len(paged), distinct=len(set(paged)), one_page=len(self.items))
        if len(self.items) < 2:
            raise Fault(f"only {len(self.items)} items are served")
        collections = {collection.id for collection in self.client.get_collections()}
        same(collections_of_items={collection for collection, _ in self.items}, served=collections)
        return f"{len(self.items)} items of {len(collections)} collections, by POST and by GET"

    def places(self):
        shapes = {key: shapely.geometry.shape(item.geometry) for key, item in self.items.items()}
        searches = 0
        for shape in {shape.wkb: shape for shape in shapes.values()}.values():
            point = shape.representative_point()
            for area in (point, point.buffer(0.05), shape):
                found = {name(item) for item in self.client.search(intersects=shapely.geometry.mapping(area)).items()}
                same(shapely={key for key, own in shapes.items() if own.intersects(area)}, served=found)
                searches += 1
            box = point.buffer(0.05).bounds
            found = {name(item) for item in self.client.search(bbox=box).items()}
            same(shapely={key for key, own in shapes.items() if own.intersects(shapely.box(*box))}, served=found)
            searches += 1
        return f"{searches} searches"

    def times(self):
        times = sorted({item.datetime for item in self.items.values()})
        for moment in times:
            for begin, end in ((moment, moment), (None, moment), (moment, None)):
                asked = moment if begin == end else (begin or "..", end or "..")
                found = {name(item) for item in self.client.search(datetime=asked).items()}
                fits = {k for k, item in self.items.items() if (not begin or item.datetime >= begin) and (not end or item.datetime <= end)}
                same(pystac=fits, served=found)
        return f"{3 * len(times)} searches"

    def catalog(self):
        """Every row of the catalog is the item that is served, whatever port it was served on then."""
        table = lake.open_catalog(lake.find_base(self.out)).load_table(lake.ITEMS)
        rows = lake.read(table, "collection", "id", "geometry", "datetime", "assets", "bbox", "stac_version", "platform")
        none_of("items in the catalog that are not served", {(r["collection"], r["id"]) for r in rows} - set(self.items))
        for row in rows:
            item = self.items[row["collection"], row["id"]]
            served = item.to_dict(include_self_link=False, transform_hrefs=False)
            geometry = shapely.from_wkb(row["geometry"])
            if not shapely.equals_exact(geometry, shapely.geometry.shape(item.geometry)):
                raise Fault(f"{item.id}: geometry {geometry.wkt}")
            same(item=item.id, row=row["id"])
            same(served_datetime=item.datetime, catalog_datetime=row["datetime"])
            same(served_platform=served["properties"].get("platform"), catalog_platform=row["platform"])
            same(served_bbox=served["bbox"], catalog_bbox=json.loads(row["bbox"]))
            same(served_assets=portless(served["assets"]), catalog_assets=portless(json.loads(row["assets"])))
        return f"{len(rows)} rows"


def name(item):
    return (item.collection_id, item.id)


def portless(assets):
    """The assets with every port of their hrefs taken out."""
    return json.loads(re.sub(r"//127\.0\.0\.1:\d+/", "//127.0.0.1/", json.dumps(assets)))


def main():
    swath, out = sys.argv[1:3]
    server = subprocess.Popen([swath, "serve-items"], stdout=subprocess.PIPE, text=True)
    try:
        first = server.stdout.readline()
        if not first.startswith("{"):
            raise SystemExit(f"`swath serve-items` says {first!r} and not where it serves")
        report, judge = Report(), Judge(json.loads(first)["url"], out)
        report.check("pystac-client pages through the API, each item once", judge.pages)
        report.check("searches by place agree with shapely", judge.places)
        report.check("searches by time agree with the items", judge.times)
        report.check("the catalog's rows are the items as served", judge.catalog)
    finally:
        server.terminate()
        server.wait(timeout=10)
    report.finish()


if __name__ == "__main__":
    main()
