#!/usr/bin/env bash
# Runs every micro-benchmark once: it must compile and end. To measure, run
# go test -bench . ./PACKAGE on a quiet machine.
#
# usage: scripts/benchmarks.sh [PACKAGE...]

source "$(dirname "$0")/lib.bash"
cd "$root"
(($# > 0)) || set -- ./...

go test -run '^$' -bench . -benchtime 1x -timeout 5m "$@" >"$scratch/log" 2>&1 || {
	cat "$scratch/log"
	die "a benchmark failed"
}
grep -E '^Benchmark' "$scratch/log"
