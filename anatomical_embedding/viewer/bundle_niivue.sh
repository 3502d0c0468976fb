#!/bin/sh
# Bundles NiiVue from its npm package into the page, so that an install needs no node. Run by `make page`.
set -eu
output="$(cd "$(dirname "$0")" && pwd)/page/niivue.js.gz"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > npm.log
npm install --no-audit --no-fund @niivue/niivue@0.69.0 esbuild@0.25.0 >> npm.log
echo 'export { Niivue, SLICE_TYPE } from "@niivue/niivue";' > entry.js
npx esbuild entry.js --bundle --minify --format=esm --log-level=warning --outfile=niivue.js
gzip -9 -n -c niivue.js > "$output"
