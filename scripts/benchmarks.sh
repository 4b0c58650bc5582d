#!/usr/bin/env bash
# Every micro-benchmark beside the code, once: that it compiles and comes to an
# end. What they measure is for a quiet machine (go test -bench . ./PACKAGE).
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
