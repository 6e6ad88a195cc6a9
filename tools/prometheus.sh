#!/usr/bin/env bash
# Makes sure that prometheus, promtool and prometheus-alertmanager are on the
# PATH: installs Debian's packages where that is possible, and says what to
# install where it is not.
set -euo pipefail

command -v prometheus >/dev/null && command -v promtool >/dev/null && command -v prometheus-alertmanager >/dev/null && exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
	echo "The tests need Prometheus 2.42 or later and Alertmanager on the PATH. On Debian, as root: apt-get install prometheus prometheus-alertmanager" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install --yes --no-install-recommends prometheus prometheus-alertmanager)
# A fresh machine has no package lists yet, or stale ones.
"${install[@]}" || { apt-get update && "${install[@]}"; }
command -v promtool
