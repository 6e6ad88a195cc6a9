#!/usr/bin/env bash
# tools/memory.sh prints the folder that tests keep their files in. They make
# thousands of small files durable and wait for the disk each time, which a
# folder in memory spares them: where there is one, with room, in which programs
# may run. Elsewhere it is the usual one.
set -euo pipefail

usual=${TMPDIR:-/tmp}
memory=/dev/shm
room=$((4 << 20)) # KiB

free=$(df -Pk "$memory" 2>/dev/null | awk 'NR == 2 {print $4}') || true
if [ "${free:-0}" -lt "$room" ] || ! probe=$(mktemp "$memory/waybill-XXXXXX" 2>/dev/null); then
	echo "$usual"
	exit
fi
trap 'rm -f "$probe"' EXIT
printf '#!/bin/sh\n' >"$probe"
chmod +x "$probe"
if "$probe" 2>/dev/null; then echo "$memory"; else echo "$usual"; fi
