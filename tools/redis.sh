#!/usr/bin/env bash
# Makes sure that redis-server is on the PATH: installs Debian's package where
# that is possible, and says what to install where it is not.
set -euo pipefail

command -v redis-server >/dev/null && exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
	echo "The tests need redis-server 7 on the PATH. On Debian, as root: apt-get install redis-server" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install --yes --no-install-recommends redis-server)
# A fresh machine has no package lists yet, or stale ones.
"${install[@]}" || { apt-get update && "${install[@]}"; }
command -v redis-server
