#!/usr/bin/env bash
# Installs the readers of tools/interop/requirements.txt, some 800 MB,
# into a Python environment below .tools.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v python3 >/dev/null; then
	echo "The foreign readers need Python 3.10 or later with venv; install it, then run: make interop" >&2
	exit 1
fi
python3 -m venv .tools/interop
.tools/interop/bin/pip install --quiet --disable-pip-version-check --requirement tools/interop/requirements.txt
touch .tools/interop/installed # make compares its time
