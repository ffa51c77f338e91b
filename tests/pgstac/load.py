"""Loads items into the pgSTAC that the PG* variables name; what its COPY refuses goes in one by one. Usage: load.py ITEMS.ndjson"""

import json
import sys
from collections import defaultdict

import psycopg
from pypgstac.db import PgstacDB
from pypgstac.load import Loader, Methods


def main():
    groups = defaultdict(list)
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)
            groups[item["collection"]].append(item)
    refused = []
    with PgstacDB() as database:
        for items in groups.values():
            try:
                Loader(database).load_items(iter(items), Methods.upsert)
            except Exception as error:  # noqa: BLE001 - whatever COPY dislikes
                print(f"{items[0]['collection']}: {error}")
                refused.extend(items)
    left_out = 0
    with psycopg.connect(autocommit=True) as connection:
        for item in refused:
            try:
                connection.execute("SELECT pgstac.upsert_item(%s::jsonb)", [json.dumps(item)])
            except psycopg.Error as error:
                left_out += 1
                print(f"{item['id']}: {error}")
        (count,) = connection.execute("SELECT count(*) FROM pgstac.items").fetchone()
    print(f"{count} items, {left_out} left out")


if __name__ == "__main__":
    main()
