#!/usr/bin/env bash
# Runs the tests of internal/clients: the clients that are Go modules (librdkafka,
# sarama, kafka-go), and recorded frames of other clients, against every engine.
#
# usage: scripts/clients.sh [ENGINE...]

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/results.bash"
engines "$@"
need gcc gcc
build_kring
cd "$root/internal/clients"

KRING_BIN=$kring KRING_ENGINES="${engines[*]}" go test -v -count=1 -parallel 4 -timeout 10m . ./corpus ./replay >"$scratch/log" 2>&1 || {
	explain "$scratch/log"
	die "the clients' tests failed"
}
grep -E '^ok ' "$scratch/log"
check_skips "$scratch/log"
