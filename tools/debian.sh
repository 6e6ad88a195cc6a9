#!/usr/bin/env bash
# tools/debian.sh PROGRAM makes sure that a program is on the PATH: installs
# Debian's package of that name where that is possible, and says what to install
# where it is not.
set -euo pipefail

command -v "$1" >/dev/null && exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
	echo "The tests need $1 on the PATH. On Debian, as root: apt-get install $1" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install --yes --no-install-recommends "$1")
# A fresh machine has no package lists yet, or stale ones.
"${install[@]}" || { apt-get update && "${install[@]}"; }
command -v "$1"
