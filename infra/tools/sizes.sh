#!/usr/bin/env bash
# Prints the stripped size of every function's release binary. Usage: infra/tools/sizes.sh [FOLDER OF BINARIES]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
binaries=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for folder in functions/*/; do
    name=$(basename "$folder")
    [[ -x $binaries/$name ]] || { echo "no $binaries/$name: cargo build --release --workspace --bins" >&2; exit 1; }
    strip -o "$scratch/$name" "$binaries/$name"
    printf '%-10s %6.1f MB\n' "$name" "$(($(stat -c %s "$scratch/$name") / 100000))e-1"
done
