#!/usr/bin/env bash
# Installs Azurite, which stands for Azure Blob in tests, into .tools/azurite as
# tools/azurite pins it. Without npm it says what to install and succeeds: the
# tests that need Azurite then fail and say the same.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v npm >/dev/null; then
	echo "Tests of Azure Blob need Azurite: install Node.js 20 or later with npm, then run: make tools" >&2
	exit 0
fi
mkdir -p .tools/azurite
cp tools/azurite/package.json tools/azurite/package-lock.json .tools/azurite/
cd .tools/azurite
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
touch node_modules/azurite/package.json # make compares its time
