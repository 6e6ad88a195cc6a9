#!/usr/bin/env bash
# tools/whole.sh runs, without the race detector, the tests that do only a part
# under it (they ask testsize.Of) or nothing (their files are built without it).
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(grep -rlE --include='*_test.go' 'testsize\.Of\(|^//go:build !race$' . | grep -v '^\./tools/' | sort)
# Of each file the tests that ask, or all of them; a helper would hide who asks.
names=$(awk '
	FNR == 1 { all = $0 == "//go:build !race"; test = "" }
	/^func / { test = ""; if (match($0, /^func Test[A-Za-z0-9]*/)) test = substr($0, 6, RLENGTH - 5); if (all && test != "") print test }
	/testsize\.Of\(/ { if (test == "") { print FILENAME ": testsize.Of is asked outside of a test" > "/dev/stderr"; exit 1 } print test }
' "${files[@]}" | sort -u | paste -sd '|')
mapfile -t packages < <(dirname "${files[@]}" | sort -u)
set -x
go test "$@" -run "^($names)\$" "${packages[@]}"
