#!/usr/bin/env bash
# Sends frames with a wrong size, API, version or count to every engine. Each must
# close its own connection, within a tenth of a second and for a counted reason, and
# nothing else.
#
# usage: scripts/hostile.sh [ENGINE...]

source "$(dirname "$0")/lib.bash"
source "$(dirname "$0")/results.bash"
engines "$@"
build_kring
cd "$root/internal/clients"

KRING_BIN=$kring KRING_ENGINES="${engines[*]}" go test -v -count=1 ./hostile >"$scratch/log" 2>&1 || {
	explain "$scratch/log"
	die "a hostile frame did more than cost its connection"
}
grep -o 'the honest connection asked.*' "$scratch/log"
check_skips "$scratch/log"
