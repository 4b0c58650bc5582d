#!/usr/bin/env bash
# Runs every micro-benchmark once: it must compile and end. To measure, run
# go test -bench . ./PACKAGE on a quiet machine.
#
# usage: scripts/benchmarks.sh [PACKAGE...]

source "$(dirname "$0")/lib.bash"
cd "$root"
if (($# == 0)); then # by the sources: the others, most of them, would be linked in vain
	mapfile -t packages < <(git grep -lE '^func Benchmark' -- '*_test.go' | xargs -n 1 dirname | sort -u)
	set -- "${packages[@]/#/./}"
fi

go test -vet=off -run '^$' -bench . -benchtime 1x -timeout 5m "$@" >"$scratch/log" 2>&1 || {
	cat "$scratch/log"
	die "a benchmark failed"
}
grep -E '^Benchmark' "$scratch/log"
