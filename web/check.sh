#!/bin/sh
# Types and unit tests of the pages. Needs Debian's node-typescript and nodejs.
set -eu
cd "$(dirname "$0")"
tsc -p jsconfig.json
node --test sdk/test/*.test.js desk/test/*.test.js
