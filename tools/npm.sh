#!/usr/bin/env bash
# tools/npm.sh FOLDER PACKAGE installs what tools/FOLDER pins into .tools/FOLDER:
# Azurite, which stands for Azure Blob in tests, and axe-core, which pages are
# held against. Without npm it says what to install and succeeds: the tests that
# need it then fail and say the same.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v npm >/dev/null; then
	echo "Tests need $2: install Node.js 20 or later with npm, then run: make tools" >&2
	exit 0
fi
mkdir -p ".tools/$1"
cp "tools/$1/package.json" "tools/$1/package-lock.json" ".tools/$1/"
cd ".tools/$1"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
touch "node_modules/$2/package.json" # make compares its time
