#!/usr/bin/env bash
# Runs all tests under the race detector, with the invariants checked.
#
# usage: scripts/race.sh [PACKAGE...]

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/results.bash"
cd "$root"
(($# > 0)) || set -- ./uring ./cmd/kring ./processor ./... # the longest first: others run beside them

# Every process under the race detector sleeps for a second before it exits, and
# many tests start processes.
export GORACE="atexit_sleep_ms=20 ${GORACE:-}"

# Three packages at once: the longest wait more than they compute.
go test -v -race -tags invariants -p 3 -timeout 15m "$@" >"$scratch/log" 2>&1 || {
	explain "$scratch/log"
	die "go test -race failed"
}
grep -E '^ok .*kring' "$scratch/log" || true
check_skips "$scratch/log"
