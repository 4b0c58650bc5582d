#!/usr/bin/env bash
# The embedded cluster on a disk that fills up and is freed, and whose fsync fails
# now and then. It is killed (kill -9) again and again while idempotent producers,
# commits and new topics go on. Everything acknowledged must be there afterwards.
# As root it makes a small disk; other users only kill. The tests run six short
# rounds of it.
#
# usage: scripts/chaos.sh [ROUNDS]      (100 rounds of about 6 s)

source "$(dirname "$0")/lib.bash"
rounds=${1:-100}
[[ $rounds =~ ^[1-9][0-9]*$ ]] || die "$(usage)"
cd "$root"
KRING_CHAOS_ROUNDS=$rounds go test ./cmd/kring -count=1 -timeout $((rounds * 15 + 300))s \
	-run '^TestWhateverTheDiskDoesNothingAcknowledgedIsLost$' -v | grep -v '^=== '
