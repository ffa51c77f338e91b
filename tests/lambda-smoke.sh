#!/usr/bin/env bash
# Sends one event through every function as Lambda would, each fed by what the one before it sent.
# Usage: tests/lambda-smoke.sh; needs cargo-lambda on PATH and python3. SWATH_SMOKE_KEEP=1 keeps the folder of the run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/swath-target}
command -v cargo-lambda >/dev/null || { echo "no cargo-lambda: pip install --no-deps cargo-lambda==1.9.2" >&2; exit 1; }
functions=(plan search download write commit repair list ingest maintain)

scratch=$(mktemp -d)
started=()
finish() {
    local status=$? id
    for id in "${started[@]}"; do kill "$id" 2>/dev/null || true; done
    for id in "${started[@]}"; do wait "$id" 2>/dev/null || true; done
    if ((status != 0)); then
        echo "-- the last lines of each log"
        tail -n 5 "$scratch"/*.log || true
    fi
    if [[ ${SWATH_SMOKE_KEEP-} ]]; then echo "kept: $scratch"; else rm -rf "$scratch"; fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Prints a line that says what holds, or says what does not and ends. Usage: check WHAT FOUND WANTED
check() {
    if [[ $2 == "$3" ]]; then echo "ok    $1: $2"; else echo "FAIL  $1: $2, not $3"; exit 1; fi
}

# Waits until a command succeeds, half a minute at most. Usage: await WHAT COMMAND...
await() {
    local what=$1 try
    shift
    for ((try = 0; try < 300; try++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "FAIL  $what did not come up"
    exit 1
}

count() { find "$1" -type f -name "${2:-*}" ! -path '*/.*' 2>/dev/null | wc -l; }

# `cargo lambda watch` would build each function by itself, with features of its own for what it depends on: minutes of
# building again. One build makes all, as for the other steps of tests/run; cargo-lambda plays Lambda.
cargo build --quiet --workspace --bins --locked

# -- the world: a STAC API and Lambda's runtime interface, both on loopback
"$CARGO_TARGET_DIR/debug/swath" serve-items >"$scratch/stac.json" 2>"$scratch/stac.log" &
started+=($!)
await "the STAC API" test -s "$scratch/stac.json"
stac=$(python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["url"].rstrip("/"))' <"$scratch/stac.json")
# Below the ports that outgoing connections take; another process may still be faster.
for try in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 10000))
    cargo-lambda lambda watch -A 127.0.0.1 -P "$port" --only-lambda-apis >"$scratch/lambda.log" 2>&1 &
    lambda=$!
    started+=("$lambda")
    until { : >"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null || ! kill -0 "$lambda" 2>/dev/null; do sleep 0.1; done
    sleep 0.2
    if kill -0 "$lambda" 2>/dev/null; then break; fi
done

# -- the functions, with nothing of our own environment, a secret in every slot for one, and logs of everything
secret=canary-7d31f0
mkdir -p "$scratch"/{inbox/aois,home,assets}
printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$secret" "$secret" >"$scratch/home/credentials"
for name in "${functions[@]}"; do
    env -i PATH="$PATH" HOME="$scratch/home" \
        AWS_LAMBDA_FUNCTION_NAME="$name" AWS_LAMBDA_FUNCTION_VERSION=1 AWS_LAMBDA_FUNCTION_MEMORY_SIZE=1024 \
        AWS_LAMBDA_RUNTIME_API="http://127.0.0.1:$port/.rt/$name" \
        SWATH_LAKE="file://$scratch/lake" SWATH_OUT="file://$scratch/assets" SWATH_INBOX="file://$scratch/inbox" \
        SWATH_SEARCH_QUEUE="file://$scratch/queue/search" SWATH_DOWNLOAD_QUEUE="file://$scratch/queue/download" \
        SWATH_WRITE_QUEUE="file://$scratch/queue/write" SWATH_COMMIT_QUEUE="file://$scratch/queue/commit" \
        SWATH_INGEST_QUEUE="file://$scratch/queue/ingest" SWATH_BUCKETS="archive=folder:$scratch/archive;private=credentials:$scratch/home/credentials" \
        SWATH_ALLOW_HTTP=true SWATH_ALLOW_PRIVATE_HOSTS=true SWATH_LOG=trace \
        SWATH_PC_KEY="$secret" SWATH_BEARER_TOKEN="$secret" SWATH_AUTH_HEADER="X-Key: $secret" SWATH_EARTHDATA_TOKEN="$secret" \
        SWATH_AUTH_HOSTS=127.0.0.1 AWS_REGION=eu-west-1 \
        AWS_ACCESS_KEY_ID="$secret" AWS_SECRET_ACCESS_KEY="$secret" AWS_SESSION_TOKEN="$secret" \
        "$CARGO_TARGET_DIR/debug/$name" >"$scratch/$name.log" 2>&1 &
    started+=($!)
done

# Invokes a function; prints its answer. Usage: invoke FUNCTION EVENT
invoke() { timeout 120 cargo-lambda lambda invoke "$1" -A 127.0.0.1 -P "$port" --data-file "$2"; }

# Takes every message out of a queue's folder as one SQS event. Usage: drain QUEUE EVENT
drain() {
    python3 - "$scratch/queue/$1" "$2" <<'PYTHON'
import json, pathlib, sys

folder, event = map(pathlib.Path, sys.argv[1:])
records = []
for path in sorted(folder.glob("*.json")):
    records.append({"messageId": path.stem, "body": path.read_text(), "eventSource": "aws:sqs"})
    path.unlink()
event.write_text(json.dumps({"Records": records}))
print(len(records))
PYTHON
}

all_taken='{"batchItemFailures":[]}'

# -- plan: an upload of two areas, and poison beside a good message
cat >"$scratch/inbox/aois/two areas+ü.geojson" <<JSON
{"job": {"catalog": "$stac/", "collections": ["sentinel-2-l2a"], "datetime": "2024-06-03/2024-06-04", "assets": ["red"],
  "sign": "bearer"},
 "areas": {"type": "FeatureCollection", "features": [
  {"type": "Feature", "id": "vineyards", "properties": {"name": "vineyards"}, "geometry": {"type": "Polygon",
   "coordinates": [[[10.9, 46.2], [11.2, 46.2], [11.2, 46.4], [10.9, 46.4], [10.9, 46.2]]]}},
  {"type": "Feature", "id": "river", "properties": {"name": "river"}, "geometry": {"type": "Polygon",
   "coordinates": [[[11.5, 46.1], [12.6, 46.1], [12.6, 46.3], [11.5, 46.3], [11.5, 46.1]]]}}]}}
JSON
check "plan poison" "$(invoke plan events/plan/poison-in-batch.quarantines-one.json)" "$all_taken"
check "plan's quarantine" "$(count "$scratch/lake/quarantine/plan")" 1
check "searches of the good neighbour" "$(drain search "$scratch/dropped.json")" 1
check "plan an upload" "$(invoke plan events/plan/s3-upload.plans-two-areas.json)" "$all_taken"

# -- search, download, write, commit: each gets what came before
check "searches" "$(drain search "$scratch/search.json")" 2
check "search" "$(invoke search "$scratch/search.json")" "$all_taken"
check "downloads" "$(drain download "$scratch/download.json")" 4
check "download" "$(invoke download "$scratch/download.json")" "$all_taken"
check "published files, one of four asked for twice" "$(count "$scratch/assets" '*.tif')" 3
messages=$(drain write "$scratch/write.json")
check "messages to write: items, rows and end per area, four outcomes" "$messages" 10
check "write" "$(invoke write "$scratch/write.json")" "$all_taken"
check "files of asset rows, ends of searches and outcomes" "$(count "$scratch/lake/warehouse/swath" 'part_*.parquet')" 3
partitions=$(find "$scratch/lake/warehouse" -path '*grid_partition=*' -name 'part_*.parquet' | wc -l)
((partitions > 0)) && echo "ok    files of items: $partitions"
check "messages to commit, one per table" "$(drain commit "$scratch/commit.json")" 4
check "commit" "$(invoke commit "$scratch/commit.json")" "$all_taken"
check "commit the same again" "$(invoke commit "$scratch/commit.json")" "$all_taken"

# -- the catalog: one snapshot per table, every row once
python3 - "$scratch/lake" <<'PYTHON'
import json, pathlib, sqlite3, sys
from urllib.parse import unquote, urlparse

lake = pathlib.Path(sys.argv[1])
query = "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables ORDER BY 1, 2"
with sqlite3.connect(lake / "earthcatalog.db") as db:
    tables = db.execute(query).fetchall()
found = {}
for namespace, name, location in tables:
    path = unquote(urlparse(location).path) if "://" in location else location
    metadata = json.loads(pathlib.Path(path).read_text())
    current = next(s for s in metadata["snapshots"] if s["snapshot-id"] == metadata["current-snapshot-id"])
    found[f"{namespace}.{name}"] = (len(metadata["snapshots"]), int(current["summary"]["total-records"]))
# Equal outcomes of an asset that was asked for twice are one row; an item has one row per cell that it lies in.
rows = {"swath.asset_rows": 4, "swath.asset_files": 3, "swath.area_status": 2}
for table, (snapshots, records) in found.items():
    wanted = rows.get(table)
    fits = snapshots == 1 and (records == wanted if wanted else records >= 3)
    print(f"{'ok   ' if fits else 'FAIL '} {table}: {snapshots} snapshot, {records} rows")
    if not fits:
        sys.exit(1)
if set(found) != {"earthcatalog.stac_items", *rows}:
    sys.exit(f"FAIL  the catalog holds {sorted(found)}")
PYTHON

# -- repair: a file that is gone is asked for again
rm "$(find "$scratch/assets" -name '*.tif' | sort | head -n 1)"
check "repair" "$(invoke repair events/repair/scheduled.asks-again.json)" "$all_taken"
check "downloads of what is gone" "$(drain download "$scratch/again.json")" 1

# -- maintain: the lake is looked after
check "maintain" "$(invoke maintain events/maintain/scheduled.compacts.json)" "$all_taken"

# -- list and ingest: an archive of two items
mkdir -p "$scratch/archive/items"
for name in a b; do
    cat >"$scratch/archive/items/$name.json" <<JSON
{"type": "Feature", "stac_version": "1.0.0", "id": "$name", "collection": "kept", "links": [], "assets": {}, "bbox": [11, 46, 11, 46],
 "geometry": {"type": "Point", "coordinates": [11, 46]}, "properties": {"datetime": "2024-06-01T00:00:00Z"}}
JSON
done
mkdir -p "$scratch/queue/list"
cat >"$scratch/queue/list/1.json" <<'JSON'
{"version": 1, "run_id": "00000000000000aa", "kind": "ListSource", "body": {"source": "s3://archive/items", "intake": {"chunk_size": 10}}}
JSON
check "messages to list" "$(drain list "$scratch/list.json")" 1
check "list" "$(invoke list "$scratch/list.json")" "$all_taken"
check "chunks" "$(drain ingest "$scratch/ingest.json")" 1
check "ingest" "$(invoke ingest "$scratch/ingest.json")" "$all_taken"
check "items of the archive, in one message" "$(drain write "$scratch/archived.json")" 1
check "write the archive's items" "$(invoke write "$scratch/archived.json")" "$all_taken"
check "commit the archive's items" "$(drain commit "$scratch/committed.json") $(invoke commit "$scratch/committed.json")" "1 $all_taken"

check "quarantined in all" "$(count "$scratch/lake/quarantine")" 1
check "lines of logs that are not JSON" "$(for name in "${functions[@]}"; do cat "$scratch/$name.log"; done | grep -vc '^{.*}$' || true)" 0

# -- the secret: in no line of a log, no figure, no message, table, receipt or quarantine
hits=$({ grep -rlF "$secret" "$scratch" || true; } | sed "s|$scratch/||")
check "the only file in which the secret turns up, of $(count "$scratch")" "$hits" home/credentials
echo "all ${#functions[@]} functions answered"
